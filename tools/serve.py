"""``keras-vad serve``, from a checkout."""

import sys

from keras_vad.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
