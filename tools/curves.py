"""Draw the learning curves of runs: every loss in training and on held-out normal video.

Example: python tools/curves.py runs/luss_ae_ucsdped2_compact-seed0 --output curves.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import load_tensorflow, run


def main(argv: Sequence[str] | None = None) -> int:
    """Draw one picture and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("runs", metavar="RUN", type=Path, nargs="+", help="run folder, or a folder of zoo/logs")
    add("--output", metavar="FILE", type=Path, required=True, help="the picture: .png, .svg or .pdf")
    add("--overwrite", action="store_true", help="replace the picture if it exists")
    args = parser.parse_args(argv)

    load_tensorflow()
    from keras_vad.report.learning import draw_learning_curves

    draw_learning_curves(args.runs, args.output, overwrite=args.overwrite)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
