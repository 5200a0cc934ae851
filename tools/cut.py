"""``keras-vad data cut``, from a checkout."""

import sys

from keras_vad.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["data", "cut", *sys.argv[1:]]))
