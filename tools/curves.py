"""``keras-vad curves``, from a checkout."""

import sys

from keras_vad.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["curves", *sys.argv[1:]]))
