"""Bring a preset, a trained detector by name, to this machine, or list those that there are.

Example: python tools/pull.py adv3dcae_ucsdped2
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import run


def main(argv: Sequence[str] | None = None) -> int:
    """Pull one preset and say where it lies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", metavar="NAME", help="the preset, NAME (its newest version) or NAME/VERSION")
    what.add_argument(
        "--list", nargs="?", const="*", metavar="PATTERN", help="list presets, of a pattern like '*ped2*'"
    )
    add(
        "--to",
        type=Path,
        metavar="DIR",
        help="zoo folder to bring it to (default: your own, where every tool finds it)",
    )
    add(
        "--source",
        action="append",
        metavar="URL",
        help="zoo to pull from: a folder, http(s)://, or what fsspec reads; may be repeated, for mirrors (default: "
        "KERAS_VAD_SOURCES, or this project's zoo)",
    )
    args = parser.parse_args(argv)

    from keras_vad.presets.pull import list_presets, pull

    if args.list is not None:
        for name in list_presets(args.list, sources=args.source):
            print(name)
    else:
        print(f"pulled: {pull(args.name, to=args.to, sources=args.source)}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
