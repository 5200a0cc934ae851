"""What every command-line tool shares: quiet TensorFlow, readable errors, exit codes.

Import this module before TensorFlow.
"""

import os
import sys
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from keras_vad.errors import VadError


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
