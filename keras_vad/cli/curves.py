"""Draw the learning curves of runs.

Every loss, in training and on held-out normal video.

Example:
  keras-vad curves runs/luss_ae_ucsdped2_compact-seed0 --output curves.png
"""

import argparse
from pathlib import Path

from keras_vad.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("runs", metavar="RUN", type=Path, nargs="+", help="run folder, or a folder of zoo/logs")
    add("--output", metavar="FILE", type=Path, required=True, help="the picture: .png, .svg or .pdf")
    options.add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Draw one picture and say where it is."""
    options.check_outputs(args, "output")
    from keras_vad.report.learning import draw_learning_curves

    draw_learning_curves(args.runs, args.output, overwrite=args.overwrite)
    print(args.output)
    return 0
