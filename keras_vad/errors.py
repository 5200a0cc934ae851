"""The exceptions that users are meant to read."""


class VadError(ValueError):
    """Something a user can mend: a wrong folder, a short video, an unknown option.

    The message is one sentence that names the thing, what was found, what was expected and the remedy. Tools print it
    without a traceback and exit with status 2.
    """


class UndecodableError(VadError):
    """A video or an image that is damaged; others beside it may serve."""
