"""Bring a preset, a detector by name, to this machine.

keras-vad presets lists those that there are.

Example:
  keras-vad pull adv3dcae_ucsdped2
"""

import argparse
from pathlib import Path

from keras_vad.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", metavar="NAME", help="the preset, NAME (its newest version) or NAME/VERSION")
    parser.add_argument(
        "--zoo",
        type=Path,
        metavar="DIR",
        help="zoo folder to bring it to (default: your own, where every command finds it)",
    )
    options.add_stores(parser)


def run(args: argparse.Namespace) -> int:
    """Pull one preset and say where it lies."""
    from keras_vad.presets.pull import pull

    print(f"pulled: {pull(args.name, zoo=args.zoo, stores=args.store)}")
    return 0
