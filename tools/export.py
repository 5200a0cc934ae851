"""Export a trained detector to the zoo, as its next version; what tools/train.py does at its end unless told not to.

Example: python tools/export.py --model runs/adv3dcae_ucsdped2_compact-seed0 --name adv3dcae_ucsdped2
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import load_tensorflow, run


def main(argv: Sequence[str] | None = None) -> int:
    """Export one detector and say where it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--model", required=True, metavar="PATH", help="run folder, .keras file or name of a preset")
    add("--name", required=True, metavar="NAME", help="the model's name in the zoo")
    add("--output", type=Path, default=Path("zoo"), metavar="DIR", help="zoo folder (default: %(default)s)")
    args = parser.parse_args(argv)

    load_tensorflow()
    from keras_vad.artifacts.saved_model import export
    from keras_vad.common.names import check_name
    from keras_vad.presets.resolve import resolve

    check_name(args.name)
    trained = resolve(args.model)
    version = export(
        trained.load(), args.output, args.name, calibration=trained.calibration, training=trained.origin.training
    )
    print(f"exported: {version}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
