"""Draw the shapes data set: squares and circles on a road; triangles, or shapes that are fast, are the anomaly."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import load_tensorflow, run


def main(argv: Sequence[str] | None = None) -> int:
    """Write the data set and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", metavar="DIR", type=Path, help="new folder to write")
    parser.add_argument("--train-frames", metavar="N", type=int, required=True, help="frames of the training videos")
    parser.add_argument("--test-frames", metavar="N", type=int, required=True, help="frames of the test videos")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="fixes every pixel (default: 0)")
    parser.add_argument(
        "--scene",
        metavar="S",
        type=int,
        help="seed of a data set whose background to draw on (default: that of --seed)",
    )
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "--anomaly-probability",
        metavar="P",
        type=float,
        default=0.1,
        help="probability that a shape of the test videos is a triangle (default: 0.1)",
    )
    rate.add_argument("--anomalies", metavar="N", type=int, help="exactly N triangles in the test videos (paper: 100)")
    parser.add_argument(
        "--fast-probability",
        metavar="P",
        type=float,
        default=0.0,
        help="probability that a shape of the test videos that is no triangle is fast (default: 0, as in the paper)",
    )
    args = parser.parse_args(argv)

    load_tensorflow()
    from keras_vad.data.shapes import make_shapes

    make_shapes(
        args.folder,
        args.train_frames,
        args.test_frames,
        args.seed,
        args.anomaly_probability,
        anomalies=args.anomalies,
        scene=args.scene,
        fast_probability=args.fast_probability,
    )
    print(f"{args.folder}: {args.train_frames} training frames, {args.test_frames} test frames.")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
