"""A small schema: what keys a document must and may have, and what values."""

import re
from typing import Any


def check(value: Any, shape: Any, path: str = "") -> None:
    """Raise ``AssertionError`` where a document does not have a shape.

    Args:
        value: Parsed YAML.
        shape: A dict of its keys, those that end in ``?`` being optional and no others being allowed; a list of the one
            shape of its items; a type; a compiled pattern for the whole of a string; or the value itself.
        path: Where ``value`` lies in the document.
    """
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{path} is no mapping"
        known = {key.removesuffix("?") for key in shape}
        assert set(value) <= known, f"{path} has unknown keys {set(value) - known}"
        for key, inner in shape.items():
            name = key.removesuffix("?")
            assert name in value or key.endswith("?"), f"{path}.{name} is missing"
            if name in value:
                check(value[name], inner, f"{path}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{path} is no list"
        assert value, f"{path} is empty"
        for number, item in enumerate(value):
            check(item, shape[0], f"{path}[{number}]")
    elif isinstance(shape, re.Pattern):
        assert isinstance(value, str), f"{path} is {value!r}, no string"
        assert shape.fullmatch(value), f"{path} is {value!r}, not {shape.pattern}"
    elif isinstance(shape, type):
        assert type(value) is shape, f"{path} is {value!r}, not of type {shape.__name__}"
    else:
        assert value == shape, f"{path} is {value!r}, not {shape!r}"
