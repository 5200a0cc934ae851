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
        The command's exit code; 2 after a ``VadError`` or a file that cannot be read or written, 130 after Ctrl-C, 1 if
        nobody reads what it prints any more, as ``head`` does.
    """
    try:
        code = main()
        sys.stdout.flush()
        return code
    except VadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: stopped by the user.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:  # such as of a full disk
        print(
            f"error: {error.filename or 'the output'} cannot be read or written ({error.strerror or error}); look "
            "after its disk and permissions.",
            file=sys.stderr,
        )
        if error.filename is None:
            _drop_output()
        return 2


def _drop_output() -> None:
    """Let Python not try again, when it ends, to write what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
