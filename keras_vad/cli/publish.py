"""Publish the detector of a run folder as a preset.

A new version with its card and its entry in the zoo's index.

Example:
  keras-vad publish --model runs/adv3dcae_ucsdped2_compact-seed0 --name adv3dcae_ucsdped2
"""

import argparse
from pathlib import Path

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.cli import options
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import check_folder
from keras_vad.common.names import check_name
from keras_vad.errors import VadError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--model", required=True, type=Path, metavar="RUN_DIR", help="run folder of keras-vad train")
    add("--name", required=True, metavar="NAME", help="the preset's name")
    options.add_zoo(parser, "to publish in")
    add(
        "--evaluation",
        type=Path,
        metavar="JSON",
        help="what keras-vad evaluate --json wrote (default: the run folder's)",
    )
    add("--log", metavar="PATH", help="where the run's configuration and log are kept, for the card")
    add("--licence", default="Apache-2.0", help="of the weights, an SPDX name (default: %(default)s)")
    add("--data-terms", metavar="TEXT", help="terms of the training data, where the data set is your own")
    add(
        "--float16",
        action="store_true",
        help="store weights in float16, if scores of the run's held-out normal videos, in --data-dir, stay as they are",
    )
    add("--data-dir", type=Path, metavar="DIR", help="with --float16: folder of the data that the run was trained on")


def run(args: argparse.Namespace) -> int:
    """Publish one detector and say where it went."""
    folder = RunFolder(args.model)
    check_name(args.name)
    folder.check_finished()
    if args.float16 != (args.data_dir is not None):
        raise VadError("--float16 and --data-dir belong together; give both or neither.")
    check_folder(args.zoo / "presets" / args.name)
    held_out = None
    if args.float16:
        from keras_vad.data.datasets import open_dataset
        from keras_vad.data.splits import held_out_of_run

        held_out = held_out_of_run(folder, open_dataset(folder.config()["dataset"], args.data_dir))
        if not held_out:
            raise VadError(
                f"{args.data_dir} is not what {args.model} was trained on; name that, or leave out --float16."
            )

    load_tensorflow()
    from keras_vad.presets.publish import publish

    version = publish(
        args.model,
        args.zoo,
        args.name,
        licence=args.licence,
        data_terms=args.data_terms,
        evaluation=args.evaluation,
        log=args.log,
        halve_on=held_out,
    )
    print(f"published: {version}")
    return 0
