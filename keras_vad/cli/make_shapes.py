"""Draw the shapes data set.

Squares and circles on a road; triangles, or shapes that are fast, are the anomaly.

Example:
  keras-vad data make-shapes shapes --train-frames 1200 --test-frames 600
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="new folder to write")
    add("--train-frames", metavar="N", type=int, required=True, help="frames of the training videos")
    add("--test-frames", metavar="N", type=int, required=True, help="frames of the test videos")
    add("--seed", metavar="S", type=int, default=0, help="fixes every pixel (default: 0)")
    add("--scene", metavar="S", type=int, help="seed of a data set whose background to draw on (default: --seed's)")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "--anomaly-probability",
        metavar="P",
        type=float,
        default=0.1,
        help="probability that a shape of the test videos is a triangle (default: 0.1)",
    )
    rate.add_argument("--anomalies", metavar="N", type=int, help="exactly N triangles in the test videos (paper: 100)")
    add(
        "--fast-probability",
        metavar="P",
        type=float,
        default=0.0,
        help="probability that a shape of the test videos that is no triangle is fast (default: 0, as in the paper)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the data set and say what it holds."""
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
