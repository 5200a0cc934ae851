"""``keras-vad edge``, from a checkout."""

import sys

from keras_vad.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["edge", *sys.argv[1:]]))
