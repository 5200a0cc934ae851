"""List the recipes that come with keras_vad, ways to train.

Example:
  keras-vad recipes 'adv3dcae_*'
"""

import argparse
from fnmatch import fnmatchcase

from keras_vad.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_pattern(parser)


def run(args: argparse.Namespace) -> int:
    """Print their names and the first lines of their headers."""
    from keras_vad.training.recipe import about_recipe, list_recipes

    names = [name for name in list_recipes() if fnmatchcase(name, args.pattern)]
    for name in names:
        print(f"{name:{max(map(len, names))}}  {about_recipe(name)}")
    return 0
