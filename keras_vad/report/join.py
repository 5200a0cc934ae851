"""Modules of JavaScript as one script, as browsers import none from ``file://``."""

import re
from importlib.resources.abc import Traversable

_IMPORT = re.compile(r'^import \{\s*\w+(?:,\s*\w+)*,?\s*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |let |function |class )", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_NAME = re.compile(r"^(?:const|let|(?:async )?function\*?|class) (\w+)", re.MULTILINE)


def join_modules(folder: Traversable, main: str) -> str:
    """A module with all that it imports, each once and behind what it imports itself, without imports and exports.

    All share one scope, so top-level names must differ. Imports are ``import { one, two } from "./module.js";``;
    ``export`` stands before a declaration.

    Args:
        folder: Where the modules lie.
        main: Name of the one that starts the program.

    Returns:
        The text of a script with ``type="module"``.

    Raises:
        ValueError: If modules import each other in a circle, two have a top-level name in common, or one imports or
            exports in another way.
    """
    joined: dict[str, str] = {}
    owners: dict[str, str] = {}

    def add(name: str, importers: tuple[str, ...]) -> None:
        if name in importers:
            raise ValueError(f"scripts import each other in a circle: {' → '.join((*importers, name))}.")
        if name in joined:
            return
        source = (folder / name).read_text("utf-8")
        for imported in _IMPORT.findall(source):
            add(imported, (*importers, name))
        text = _EXPORT.sub("", _IMPORT.sub("", source))
        if other := _OTHER.search(text):
            raise ValueError(f"{name} has a line that cannot be joined: {other.group()}")
        for own in _NAME.findall(text):
            if own in owners:
                raise ValueError(f"{owners[own]} and {name} both have a top-level {own}; rename one.")
            owners[own] = name
        joined[name] = text.strip()

    add(main, ())
    return "\n\n".join(f"// {name}\n{text}" for name, text in joined.items())
