"""Make the types that a report's scripts are checked against from the declaration of its data in Python."""

import argparse
import inspect
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from keras_vad.report import page_data

FILE = Path(page_data.__file__).parent / "scripts" / "types.d.ts"
_NAMES = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "null"}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file, or with --check say whether it is stale."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--file", metavar="FILE", type=Path, default=FILE, help="the declaration file for TypeScript")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is stale")
    args = parser.parse_args(argv)
    wanted = declarations()
    if args.file.exists() and args.file.read_text("utf-8") == wanted:
        return 0
    if not args.check:
        args.file.write_text(wanted, "utf-8")
    print(f"{args.file}: {'stale; run python tools/page_types.py' if args.check else 'updated'}")
    return 1 if args.check else 0


def declarations() -> str:
    """The text of the file: one interface for each type of ``page_data``."""
    declared = [one for one in vars(page_data).values() if is_typeddict(one)]
    return "\n".join(["// Made from page_data.py by tools/page_types.py.\n", *map(_interface, declared)])


def _interface(declared: Any) -> str:
    comment = "".join(f" * {line}".rstrip() + "\n" for line in inspect.cleandoc(declared.__doc__).splitlines())
    fields = "".join(f"  {name}: {_type_of(hint)};\n" for name, hint in get_type_hints(declared).items())
    return f"/**\n{comment} */\nexport interface {declared.__name__} {{\n{fields}}}\n"


def _type_of(hint: Any) -> str:
    """What TypeScript calls the JSON of a Python type."""
    if is_typeddict(hint):
        return hint.__name__
    if hint in _NAMES:
        return _NAMES[hint]
    kind, inner = get_origin(hint), [_type_of(one) for one in get_args(hint)]
    if kind in (types.UnionType, Union):
        return " | ".join(inner)
    if kind is list and " | " not in inner[0]:
        return f"{inner[0]}[]"
    if kind is tuple:
        return f"[{', '.join(inner)}]"
    if kind is dict and inner[0] == "string":
        return f"Record<string, {inner[1]}>"
    raise TypeError(f"{hint} is not among the types of JSON that are known here; add it to tools/page_types.py.")


if __name__ == "__main__":
    sys.exit(main())
