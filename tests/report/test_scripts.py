"""The report's scripts: their joining, the types of their data, and that the linter minds both."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keras_vad.report.join import join_modules
from tools.page_types import FILE
from tools.page_types import main as page_types

SCRIPTS = FILE.parent


def modules(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.js").write_text(text)
    return folder


def test_modules_are_joined_behind_what_they_import(tmp_path: Path) -> None:
    folder = modules(
        tmp_path,
        main='import { a } from "./one.js";\nimport {\n  b,\n  c,\n} from "./two.js";\n\na(b, c);\n',
        one='/** One. */\nimport { b } from "./two.js";\n\nexport function a() {\n  return b;\n}\n',
        two="export const b = 1;\nexport let c = 2;\n",
    )
    assert join_modules(folder, "main.js") == (
        "// two.js\nconst b = 1;\nlet c = 2;\n\n"
        "// one.js\n/** One. */\n\nfunction a() {\n  return b;\n}\n\n"
        "// main.js\na(b, c);"
    )


@pytest.mark.parametrize(
    ("main", "one", "message"),
    [
        ('import { a } from "./one.js";\n', 'import { b } from "./main.js";\n', "circle: main.js → one.js → main.js"),
        ('import { a } from "./one.js";\nconst b = 1;\n', "let b = 2;\n", "one.js and main.js both have a top-level b"),
        ('import { a as b } from "./one.js";\n', "", "main.js has a line that cannot be joined: import { a as b }"),
        ('import a from "./one.js";\n', "", "main.js has a line that cannot be joined: import a from"),
        ('import "./one.js";\n', "", "main.js has a line that cannot be joined: import"),
        ("const a = 1;\nexport default a;\n", "", "main.js has a line that cannot be joined: export default a"),
    ],
)
def test_what_cannot_be_joined_is_told(tmp_path: Path, main: str, one: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        join_modules(modules(tmp_path, main=main, one=one), "main.js")


def test_all_scripts_are_in_the_page() -> None:
    text = join_modules(SCRIPTS, "main.js")
    assert all(f"// {file.name}\n" in text for file in SCRIPTS.glob("*.js"))


def test_stale_types_are_told_and_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "types.d.ts"
    file.write_text(FILE.read_text("utf-8").replace("levels:", "level:"))
    assert page_types(["--file", str(file), "--check"]) == 1
    assert "types.d.ts: stale; run python tools/page_types.py" in capsys.readouterr().out
    assert "level:" in file.read_text("utf-8")
    assert page_types(["--file", str(file)]) == 0
    assert page_types(["--file", str(file), "--check"]) == 0
    assert file.read_bytes() == FILE.read_bytes()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("types.d.ts", "levels: number[]", "level: number[]", "Property 'levels' does not exist on type 'VideoData'"),
        ("types.d.ts", "fps: number | null", "fps: string | null", "not assignable|must be of type"),
        ("frame.js", "const index = seen();", "state.chosen = 1;\nconst index = seen();", "it is a read-only property"),
    ],
)
def test_scripts_must_fit_their_data(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    folder = shutil.copytree(SCRIPTS, tmp_path / "scripts")
    source = (folder / file).read_text("utf-8")
    assert old in source
    (folder / file).write_text(source.replace(old, new), "utf-8")
    command = [sys.executable, "-m", "deno", "check", "--config", "deno.json", "main.js"]
    environment = os.environ | {"DENO_DIR": str(tmp_path / "cache"), "NO_COLOR": "1"}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 1
    assert re.search(message, found.stderr)
