"""The command in this process; what a user can mend comes as an exception."""

from collections.abc import Callable, Sequence
from typing import Any

from keras_vad.cli.main import execute


def verb(name: str) -> Callable[[Sequence[Any]], int]:
    """A function that runs ``keras-vad NAME`` with words, and returns the exit code."""
    return lambda words: execute([*name.split(), *map(str, words)])
