"""What models and their versions are called in a zoo folder."""

import re
from pathlib import Path

from keras_vad.errors import VadError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TAKEN = ("presets", "logs")  # folders of a zoo that hold no versions of a model


def serves_as_name(name: str) -> bool:
    """Whether a name serves for a model or a file of it: it is one part of paths and addresses, on any system.

    Example:
    >>> [serves_as_name(name) for name in ("adv3dcae_ucsdped2", "detector.keras", "..", "a/b", "")]
    [True, True, False, False, False]
    """
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Refuse a name that does not serve for a model, which is a folder and part of addresses.

    Raises:
        VadError: If it has characters other than letters, digits, ``_``, ``-`` and ``.``, or starts with one of these
            three; or if a zoo folder calls something else so.
    """
    if not serves_as_name(name):
        raise VadError(
            f"the model name {name!r} does not serve; it must start with a letter or digit, and have only letters, "
            "digits, '_', '-' and '.'."
        )
    if name in _TAKEN:
        raise VadError(
            f"a model cannot be called {name!r}, as a zoo's folder of that name holds something else; rename it."
        )


def version_number(name: str) -> int | None:
    """The version that a folder stands for, as TensorFlow Serving reads its name; ``None`` if it is none.

    Example:
    >>> [version_number(name) for name in ("1", "007", "one", "\u00b2", "9223372036854775808")]
    [1, 7, None, None, None]
    """
    if not (name.isascii() and name.isdecimal()):
        return None
    number = int(name)
    return number if number < 2**63 else None


def versions(model_folder: Path) -> list[int]:
    """Versions of a model in a zoo folder, ascending."""
    if not model_folder.is_dir():
        return []
    found = ((version_number(entry.name), entry) for entry in model_folder.iterdir())
    return sorted(number for number, entry in found if number is not None and entry.is_dir())
