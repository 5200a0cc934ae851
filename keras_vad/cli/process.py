"""What every command shares: quiet and fast TensorFlow, readable errors, exit codes."""

import os
import sys
from collections.abc import Callable

from keras_vad.common.quiet import no_stderr
from keras_vad.common.settings import check_backend
from keras_vad.errors import VadError


def load_tensorflow() -> None:
    """Load TensorFlow as commands need it, after they have checked what they were given.

    TensorFlow uses oneDNN by itself only on processors with instructions for neural networks. It makes 3D convolutions
    several times as fast on others, too (docs/training.md, "Speed and memory"), so it is switched on unless it was
    switched off (``TF_ENABLE_ONEDNN_OPTS=0``).

    Raises:
        VadError: If TensorFlow or Keras has another version than this package is made for, or Keras another backend.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with no_stderr():  # looking for GPUs writes lines, too
        check_backend()
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()
    for library, version, wanted in (("TensorFlow", tf.__version__, "2.21"), ("Keras", keras.__version__, "3.15")):
        if not version.startswith(f"{wanted}."):
            raise VadError(
                f"{library} {version} is installed, but keras_vad needs {wanted}; install with constraints.txt."
            )


def run(main: Callable[[], int]) -> int:
    """Run a command and turn what a user can mend into one sentence on stderr.

    Args:
        main: The command; returns its exit code.

    Returns:
        The command's exit code; 2 after a ``VadError``, 130 after Ctrl-C.
    """
    try:
        return main()
    except VadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: stopped by the user.", file=sys.stderr)
        return 130
