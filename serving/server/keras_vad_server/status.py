"""Why a request cannot be answered: status codes and messages, TensorFlow Serving's where it has one."""

import re
from concurrent.futures import CancelledError

import grpc

# TensorFlow's and gRPC's status codes are the same numbers.
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
# gRPC sends the message in a header, in which a byte may take three, and clients refuse headers of more than 8 KiB.
_MESSAGE_BYTES = 1024
_TRUNCATED = "...(truncated)"


class RequestError(Exception):
    """A request that cannot be answered: its gRPC status code and the message for the caller."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> RequestError:
    """An ``INVALID_ARGUMENT``."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def status_of(error: BaseException) -> tuple[grpc.StatusCode, str] | None:
    """The status that tells a caller of an error.

    Args:
        error: What a request ended with.

    Returns:
        Code and message, short enough for gRPC; ``None`` for an error that nobody foresaw.
    """
    if isinstance(error, RequestError):
        code, message = error.code, str(error)
    elif isinstance(error, CancelledError):
        code, message = grpc.StatusCode.CANCELLED, "The request was cancelled before it was computed."
    else:
        import tensorflow as tf  # here, as files and options are checked before it is loaded

        if not isinstance(error, tf.errors.OpError):
            return None
        code, message = _STATUS_CODES[error.error_code], _runtime_message(error.message)
    encoded = message.encode()
    if len(encoded) > _MESSAGE_BYTES:
        message = encoded[: _MESSAGE_BYTES - len(_TRUNCATED)].decode(errors="ignore") + _TRUNCATED
    return code, message


def _runtime_message(text: str) -> str:
    """The runtime's own message, which TensorFlow Serving sends, without what TensorFlow's Python puts around it."""
    message = text.split("<stack traces unavailable>\n")[-1]
    return re.sub(r" \[Op:\w+\]$", "", message)
