import subprocess
from pathlib import Path

import pytest

from keras_vad.common import revision as revision_module


def test_a_revision_is_dirty_when_the_package_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "keras_vad"
    package.mkdir()
    (package / "revision.py").write_text("one\n")
    (tmp_path / "results.csv").write_text("one\n")
    monkeypatch.setattr(revision_module, "__file__", str(package / "revision.py"))
    assert revision_module.git_revision() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    revision = revision_module.git_revision()
    assert revision is not None and len(revision) == 12 and set(revision) <= set("0123456789abcdef")
    (tmp_path / "results.csv").write_text("two\n")
    assert revision_module.git_revision() == revision
    (package / "revision.py").write_text("two\n")
    assert revision_module.git_revision() == f"{revision}-dirty"
