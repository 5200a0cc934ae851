"""Make the edge variant of a trained detector: a LiteRT file, and a card with the change of its scores and speed.

Example: python tools/edge.py --model local_playback_ucsdped2 --precision int8 --dataset ucsdped2 --data-dir UCSDped2 \
             --output edge/local_playback_ucsdped2-int8
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import load_tensorflow, run
from keras_vad.errors import VadError


def main(argv: Sequence[str] | None = None) -> int:
    """Convert, measure, and write both files or nothing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--model", required=True, metavar="PATH_OR_NAME", help="run folder, .keras file, or model or preset by name")
    add("--precision", default="float16", help="float32, float16 or int8 (default: %(default)s)")
    add("--dataset", required=True, help="shapes, ucsdped1, ucsdped2 or folder")
    add(
        "--data-dir",
        required=True,
        type=Path,
        help="folder of the data set: its training videos set the ranges of int8, its test videos measure the change "
        "(the training videos if there are none)",
    )
    add("--output", required=True, type=Path, metavar="DIR", help="folder to make, with model.tflite and the card")
    args = parser.parse_args(argv)
    if args.output.exists():
        raise VadError(f"{args.output} exists; delete it, or name another folder.")

    load_tensorflow()
    from keras_vad.artifacts.card import card_text, model_card
    from keras_vad.artifacts.layout import CARD_NAME
    from keras_vad.artifacts.litert import MODEL_NAME, EdgeDetector, calibration_of, convert
    from keras_vad.common.files import appearing, write_text
    from keras_vad.data import open_dataset
    from keras_vad.evaluation.drift import measure_drift
    from keras_vad.presets.resolve import resolve

    trained = resolve(args.model)
    detector = trained.load()
    dataset = open_dataset(args.dataset, args.data_dir)
    content = convert(detector, args.precision, dataset.train_videos())
    origin, before = trained.origin, trained.card or {}
    card = model_card(detector, origin.name, calibration=before.get("calibration"), training=origin.training)
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


if __name__ == "__main__":
    sys.exit(run(main))
