"""Checks of constructor arguments that several methods share."""

from collections.abc import Sequence
from typing import Any

from keras_vad.errors import VadError


def check_choice(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise ``VadError`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise VadError(f"{name} is {value!r}, but must be one of {', '.join(map(repr, allowed))}.")


def check_at_least(least: float, **values: float) -> None:
    """Raise ``VadError`` for the first argument below ``least``."""
    for name, value in values.items():
        if value < least:
            raise VadError(f"{name} is {value}, but must be at least {least:g}.")


def check_above(bound: float, **values: float) -> None:
    """Raise ``VadError`` for the first argument that is not above ``bound``."""
    for name, value in values.items():
        if value <= bound:
            raise VadError(f"{name} is {value}, but must be above {bound:g}.")


def check_channels(name: str, channels: Sequence[int], least: int) -> None:
    """Raise ``VadError`` unless there are at least ``least`` numbers of channels, all above 0."""
    if len(channels) < least or min(channels) < 1:
        wanted = {1: "one number", 2: "two numbers"}.get(least, f"{least} numbers")
        raise VadError(f"{name} is {tuple(channels)}, but must hold at least {wanted} above 0, one a convolution.")
