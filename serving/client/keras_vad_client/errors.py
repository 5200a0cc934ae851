"""The one exception that users of the client are meant to read."""

from __future__ import annotations

import grpc


class VadClientError(ValueError):
    """Something a user can mend: a wrong address, a short video, an unknown model.

    The message is one sentence that names the thing, what was found, what was expected and the remedy.

    Args:
        message: The sentence.
        code: What the server answered, if it did.
    """

    def __init__(self, message: str, code: grpc.StatusCode | None = None) -> None:
        super().__init__(message)
        self.code = code
