"""Export a trained detector to the zoo, as its next version.

keras-vad train does so at its end unless told not to.

Example:
  keras-vad export --model runs/adv3dcae_ucsdped2_compact-seed0 --name adv3dcae_ucsdped2
"""

import argparse

from keras_vad.cli import options
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import check_folder
from keras_vad.common.names import check_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_trained(parser)
    parser.add_argument("--name", required=True, metavar="NAME", help="the model's name in the zoo")


def run(args: argparse.Namespace) -> int:
    """Export one detector and say where it went."""
    from keras_vad.presets.resolve import resolve

    check_name(args.name)
    check_folder(args.zoo / args.name)
    trained = resolve(args.model, args.zoo)

    load_tensorflow()
    from keras_vad.artifacts.saved_model import export

    version = export(
        trained.load(), args.zoo, args.name, calibration=trained.calibration, training=trained.origin.training
    )
    print(f"exported: {version}")
    return 0
