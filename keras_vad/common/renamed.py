"""Options by the names that they had before: configurations, recipes and detector files of then are still read."""

from collections.abc import Mapping
from typing import Any

from keras_vad.errors import VadError

#: Section of a recipe -> name before -> name now. Options of methods stand in the section ``model``.
RENAMED = {
    "data": {"strides": "speeds"},
    "model": {"window_stride": "hop", "cuboid_step": "cuboid_stride", "playback_head": "head_kind"},
}


def name_now(section: str, option: str) -> str:
    """What an option is called now.

    Example:
    >>> name_now("data", "strides"), name_now("data", "hop")
    ('speeds', 'hop')
    """
    return RENAMED.get(section, {}).get(option, option)


def names_now(section: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by the names that they have now.

    Raises:
        VadError: If one is given by both its names.
    """
    for before, now in RENAMED.get(section, {}).items():
        if before in options and now in options:
            raise VadError(f"the option {section}.{now} is also given by its former name {before}; leave that out.")
    return {name_now(section, option): value for option, value in options.items()}
