"""``keras-vad data make-shapes``, from a checkout."""

import sys

from keras_vad.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["data", "make-shapes", *sys.argv[1:]]))
