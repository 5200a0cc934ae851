r"""Make the edge variant of a trained detector, a LiteRT file.

A card beside it has the change of its scores and its speed.

Example:
  keras-vad edge --model local_playback_ucsdped2 --precision int8 --dataset ucsdped2 --data-dir UCSDped2 \
      --output edge/local_playback_ucsdped2-int8
"""

import argparse
import hashlib
import json
from pathlib import Path

from keras_vad.artifacts.layout import CARD_NAME
from keras_vad.cli import options
from keras_vad.cli.parser import one_of
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import appearing, check_output, write_text
from keras_vad.errors import VadError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_trained(parser)
    parser.add_argument(
        "--precision",
        type=one_of("precision", ("float32", "float16", "int8")),
        default="float16",
        help="float32, float16 or int8 (default: %(default)s)",
    )
    options.add_data(
        parser,
        folder="its folder: its training videos set the ranges of int8, its test videos measure the change (the "
        "training videos if there are none)",
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="folder to make, with model.tflite and the card"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, measure, and write both files or nothing."""
    from keras_vad.presets.resolve import resolve

    if args.output.exists():
        raise VadError(f"{args.output} exists; delete it, or name another folder.")
    check_output(args.output)
    dataset = options.opened_data(args)
    trained = resolve(args.model, args.zoo)

    load_tensorflow()
    from keras_vad.artifacts.card import card_text, model_card
    from keras_vad.artifacts.litert import MODEL_NAME, EdgeDetector, calibration_of, convert
    from keras_vad.evaluation.drift import measure_drift

    detector, origin = trained.load(), trained.origin
    content = convert(detector, args.precision, dataset.train_videos())
    card = model_card(detector, origin.name, calibration=trained.calibration, training=origin.training)
    with appearing(args.output) as folder:
        folder.mkdir()
        (folder / MODEL_NAME).write_bytes(content)
        card["edge"] = {
            "precision": args.precision,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "made_of": origin.to_dict(),
            "calibration": calibration_of(detector),
        }
        write_text(folder / CARD_NAME, card_text(card, origin.version or 0))
        drift = measure_drift(
            detector, EdgeDetector(folder), dataset.test_videos() or [(video, None) for video in dataset.train_videos()]
        )
        card["edge"]["drift"] = {"dataset": dataset.name, "fingerprint": dataset.fingerprint(), **drift}
        write_text(folder / CARD_NAME, card_text(card, origin.version or 0))
    print(json.dumps({name: value for name, value in card["edge"].items() if name != "calibration"}, indent=2))
    print(f"made: {args.output}")
    return 0
