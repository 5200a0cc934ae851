import importlib.util
import shutil
import subprocess
from pathlib import Path

from keras_vad.common import revision


def test_a_revision_is_dirty_when_the_package_was_changed(tmp_path: Path) -> None:
    package = tmp_path / "keras_vad"
    package.mkdir()
    shutil.copy(revision.__file__, package)
    spec = importlib.util.spec_from_file_location("copied_revision", package / "revision.py")
    assert spec is not None and spec.loader is not None
    copied = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copied)
    (tmp_path / "results.csv").write_text("one\n")
    assert copied.git_revision() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    found = copied.git_revision()
    assert found is not None and len(found) == 12 and set(found) <= set("0123456789abcdef")
    (tmp_path / "results.csv").write_text("two\n")
    assert copied.git_revision() == found
    (package / "revision.py").write_text("two\n")
    assert copied.git_revision() == f"{found}-dirty"
