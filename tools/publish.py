"""Publish the detector of a run folder as a preset: a new version with its card and its entry in the zoo's index.

Example: python tools/publish.py runs/adv3dcae_ucsdped2_compact-seed0 adv3dcae_ucsdped2
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import load_tensorflow, run
from keras_vad.errors import VadError


def main(argv: Sequence[str] | None = None) -> int:
    """Publish one detector and say where it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("run", type=Path, metavar="RUN_DIR", help="run folder of tools/train.py")
    add("name", metavar="NAME", help="the preset's name")
    add("--zoo", type=Path, default=Path("zoo"), metavar="DIR", help="zoo folder (default: %(default)s)")
    add(
        "--evaluation",
        type=Path,
        metavar="JSON",
        help="what tools/evaluate.py --json wrote (default: the run folder's)",
    )
    add("--log", metavar="PATH", help="where the run's configuration and log are kept, for the card")
    add("--licence", default="Apache-2.0", help="of the weights, an SPDX name (default: %(default)s)")
    add(
        "--float16",
        type=Path,
        metavar="DATA_DIR",
        help="store weights in float16, if scores of the run's held-out normal videos, here, stay as they are",
    )
    add("--data-terms", metavar="TEXT", help="terms of the training data, where the data set is your own")
    args = parser.parse_args(argv)

    load_tensorflow()
    from keras_vad.artifacts.run_folder import RunFolder
    from keras_vad.data import held_out_of_run, open_dataset
    from keras_vad.presets.publish import publish

    halve_on, training = None, RunFolder(args.run).training()
    if args.float16 is not None and training is not None:
        halve_on = held_out_of_run(args.run, open_dataset(training["dataset"], args.float16))
        if not halve_on:
            raise VadError(f"{args.float16} is not what {args.run} was trained on; name that, or leave out --float16.")

    version = publish(
        args.run,
        args.zoo,
        args.name,
        licence=args.licence,
        data_terms=args.data_terms,
        evaluation=args.evaluation,
        log=args.log,
        halve_on=halve_on,
    )
    print(f"published: {version}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
