"""``keras-vad score``, from a checkout."""

import sys

from keras_vad.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))
