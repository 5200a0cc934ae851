"""``python -m keras_vad`` is ``keras-vad``."""

import sys

from keras_vad.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
