"""What errors, pages and recipes tell a user to type exists, and is a command that is installed."""

import re

from keras_vad.cli.main import _MODULES
from tests.environment import ROOT

# A verb, of two words where there is one of two.
COMMAND = re.compile(r"\bkeras-vad(?: |\n *(?:# *)?)(?!has no command)([a-z][a-z-]*(?: (?:make-shapes|cut))?)")
SHIPPED = [path for folder in ("keras_vad", "serving") for path in (ROOT / folder).rglob("*") if path.is_file()]
SHIPPED = [path for path in SHIPPED if "__pycache__" not in path.parts]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile", *sorted((ROOT / "docs").glob("*.md"))]


def texts(paths):
    for path in paths:
        if path.suffix in (".py", ".yaml", ".md", ".sh", ".config") or path.name == "Makefile":
            yield path, path.read_text("utf-8")


def test_commands_that_are_named_exist():
    named = [(path, verb) for path, text in texts(SHIPPED + PAGES) for verb in COMMAND.findall(text)]
    assert len(named) > 100
    assert [(path, verb) for path, verb in named if verb not in _MODULES] == []


def test_nothing_that_is_shipped_tells_to_run_a_script_of_the_checkout():
    maintainers = {path.stem for path in (ROOT / "tools").glob("*.py") if "def main(" in path.read_text("utf-8")}
    told = [(path, name) for path, text in texts(SHIPPED) for name in re.findall(r"tools/(\w+)\.py", text)]
    assert [(path, name) for path, name in told if name not in maintainers] == []
