"""List the ablation tables of papers.

keras-vad ablate trains and measures their rows.

Example:
  keras-vad ablations 'sun2020-*'
"""

import argparse
from fnmatch import fnmatchcase

from keras_vad.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_pattern(parser)


def run(args: argparse.Namespace) -> int:
    """Print their names and what is varied."""
    from keras_vad.training.ablations import list_ablations, load_ablation

    for name in list_ablations():
        if fnmatchcase(name, args.pattern):
            table = load_ablation(name)
            print(f"{name}: {table.title} ({table.paper}; {table.model}, {len(table.rows)} rows)")
    return 0
