"""What every command-line tool shares: quiet and fast TensorFlow, readable errors, exit codes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from keras_vad.errors import VadError


def load_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ part writes to stderr while it starts.

    They come before its logging listens to any log level, and would hide our one sentence of an error. Tools call this
    after they have parsed their arguments.

    TensorFlow uses oneDNN by itself only on processors with instructions for neural networks. It makes 3D convolutions
    several times as fast on others, too (docs/training.md, "Speed and memory"), so it is switched on unless it was
    switched off (``TF_ENABLE_ONEDNN_OPTS=0``).

    Raises:
        VadError: If TensorFlow or Keras has another version than this package is made for.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    for library, version, wanted in (("TensorFlow", tf.__version__, "2.21"), ("Keras", keras.__version__, "3.15")):
        if not version.startswith(f"{wanted}."):
            raise VadError(
                f"{library} {version} is installed, but keras_vad needs {wanted}; install with constraints.txt."
            )


def run(main: Callable[[], int]) -> int:
    """Run a tool and turn what a user can mend into one sentence on stderr.

    Args:
        main: The tool; returns its exit code.

    Returns:
        The tool's exit code; 2 after a ``VadError``, 130 after Ctrl-C.
    """
    try:
        return main()
    except VadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: stopped by the user.", file=sys.stderr)
        return 130
