import subprocess
from pathlib import Path

import pytest

from keras_vad import versions


def test_a_revision_is_dirty_when_the_package_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "keras_vad"
    package.mkdir()
    (package / "versions.py").write_text("one\n")
    (tmp_path / "results.csv").write_text("one\n")
    monkeypatch.setattr(versions, "__file__", str(package / "versions.py"))
    assert versions.git_revision() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    revision = versions.git_revision()
    assert revision is not None and len(revision) == 12 and set(revision) <= set("0123456789abcdef")
    (tmp_path / "results.csv").write_text("two\n")
    assert versions.git_revision() == revision
    (package / "versions.py").write_text("two\n")
    assert versions.git_revision() == f"{revision}-dirty"
