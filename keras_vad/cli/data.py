"""List the data sets that can be read.

keras-vad data make-shapes draws one, keras-vad data cut cuts a recording of your own for the data set folder.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, of which there are none."""


def run(args: argparse.Namespace) -> int:
    """Print their keys and what they are."""
    from keras_vad.data.datasets import DATASETS

    for key, (_, about) in DATASETS.items():
        print(f"{key:{max(map(len, DATASETS))}}  {about}")
    return 0
