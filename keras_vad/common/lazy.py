"""Packages whose names are loaded when they are first used, so that importing them costs nothing."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package's ``__init__`` needs to offer names of modules that it does not import yet.

    Args:
        package: ``__name__``.
        names: Each public name and the module that it is from.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(names[name]), name)

    def listed() -> list[str]:
        return sorted(names)

    return get, listed, sorted(names)
