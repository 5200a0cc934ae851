"""List the presets, detectors that can be used by name.

Example:
  keras-vad presets '*ped2*'
"""

import argparse

from keras_vad.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_pattern(parser)
    options.add_zoo(parser, "to look in, besides the stores and what was pulled before")
    options.add_stores(parser)


def run(args: argparse.Namespace) -> int:
    """Print their names."""
    from keras_vad.presets.pull import list_presets

    for name in list_presets(args.pattern, zoo=args.zoo, stores=args.store):
        print(name)
    return 0
