"""``keras-vad picture``, from a checkout."""

import sys

from keras_vad.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["picture", *sys.argv[1:]]))
