"""What docs/data.md tells readers to run runs as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_commands_and_code_run(tmp_path, monkeypatch, capsys):
    blocks = dict(re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "docs" / "data.md").read_text(), re.DOTALL))
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    shell = ["bash", "-ec", blocks["bash"]]
    done = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "Train002" in done.stdout

    monkeypatch.chdir(tmp_path)
    exec(blocks["python"], {})
    assert capsys.readouterr().out.splitlines()[0] == "(4, 16, 64, 64, 3)"
