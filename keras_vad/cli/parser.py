"""Parsing of arguments: what is not understood is told in one sentence, with what may have been meant."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from keras_vad.common.suggest import did_you_mean
from keras_vad.errors import VadError


class Parser(argparse.ArgumentParser):
    """The parser of a verb. It raises ``VadError``; options cannot be shortened."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments. An unknown option is told before one that is missing: it may be that one, misspelt.

        Raises:
            VadError: If they are not understood.
        """
        known = [option for action in self._actions for option in action.option_strings]
        for word in words:
            option = word.partition("=")[0]
            if option == "--":
                break
            if option.startswith("--") and option not in known:
                self.error(f"there is no option {option}{did_you_mean(option, known)}")
        return self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Raise ``VadError``."""
        raise VadError(f"{message}; {self.prog} --help lists the options.")


def one_of(what: str, known: Iterable[str]) -> Callable[[str], str]:
    """A type of arguments: one of several words.

    Args:
        what: What the words are, for messages.
        known: The words.
    """
    words = list(known)

    def check(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(
                f"there is no {what} {text!r}{did_you_mean(text, words)}, but {', '.join(words)}"
            )
        return text

    return check


def above_zero(text: str) -> float:
    """A type of arguments: a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"it is {text}, but must be a number above 0")
    return number


def from_one(text: str) -> int:
    """A type of arguments: a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is {text}, but must be a whole number of at least 1")
    return number
