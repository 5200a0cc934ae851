"""The package as it is installed: from its wheel, in an environment that does not know the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from keras_vad.cli.main import _MODULES
from tests.environment import ROOT


def run(*words, folder, check=True, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KERAS_VAD_STORES")}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env={**kept, **environment}, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source" / "serving").mkdir(parents=True)
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("keras_vad", "serving/server"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=skipped)
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / "source" / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run(*build, "--wheel-dir", folder, folder / "source", folder=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of programs of a new environment with the wheel, and an empty folder to work in.

    It has what the package needs from this environment, but not what is installed here from a checkout: that is found
    by hooks, which are not looked at in folders that are only added to the path.
    """
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "env", folder=folder)
    programs = folder / "env" / "bin"
    python = programs / "python"
    (there,) = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).stdout.split()
    Path(there, "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run(*install, "--ignore-installed", wheel, folder=folder)
    (folder / "work").mkdir()
    return programs, folder / "work"


def test_holds_the_packages_and_their_data_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"keras_vad", "keras_vad_server"}
    data = ("recipes/*.yaml", "ablations/*.yaml", "report/page.*", "report/scripts/*.js")
    files = {str(path.relative_to(ROOT)) for pattern in data for path in (ROOT / "keras_vad").glob(pattern)}
    files |= {f"keras_vad_server/config_files/{name}" for name in ("monitoring.config", "ready.sh")}
    assert len(files) > 50
    assert files | {"keras_vad/py.typed", "keras_vad_server/py.typed"} <= set(names)


def test_gives_the_command_with_all_verbs(installed):
    programs, work = installed
    listed = run(programs / "keras-vad", "--help", folder=work).stdout
    assert all(f"\n  {verb} " in listed for verb in _MODULES)
    for verb in ("models", "recipes", "ablations", "data"):
        assert run(programs / "keras-vad", verb, folder=work).stdout.count("\n") > 3
    assert run(programs / "keras-vad", "presets", folder=work).stdout == ""
    where = run(
        programs / "python",
        "-c",
        "import keras_vad, keras_vad_server as s; print(keras_vad.__file__, s.__file__)",
        folder=work,
    )
    assert all(str(programs.parent) in place for place in where.stdout.split())
    assert not (work / "zoo").exists()


def test_trains_exports_reports_and_makes_the_servers_configuration(installed):
    programs, work = installed
    command, cache = programs / "keras-vad", str(work / "cache")
    run(command, "data", "make-shapes", "shapes", "--train-frames", 200, "--test-frames", 30, folder=work)
    small = {"image_size": 32, "channels": [2, 2, 2, 2], "rate_range": [1.5, 2.0]}
    changes = {**{f"model.{name}": value for name, value in small.items()}, "training.epochs": 1}
    changes |= {"training.steps_per_epoch": 2, "training.batch_size": 2}
    options = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    train = [command, "train", "--model", "local_playback", "--dataset", "shapes", "--data-dir", "shapes"]
    done = run(*train, "--recipe", "compact", *options, folder=work, KERAS_VAD_CACHE=cache)
    assert done.stdout.endswith("exported: zoo/local_playback_shapes_compact/1\n")
    assert run(command, "serving-config", "--output", "config", folder=work).stdout.endswith("wrote config\n")
    assert (work / "config" / "ready.sh").is_file()
    score = [command, "score", "shapes/Test/Test001", "--model", "local_playback_shapes_compact"]
    assert run(*score, "--report", "page.html", "--fps", 10, folder=work).stderr == ""
    assert "openVideo(0);" in (work / "page.html").read_text("utf-8")
    refused = run(*score, "--csv", "scores.csv", "--server", "127.0.0.1:9", folder=work, check=False)
    assert refused.returncode == 2
    assert (
        refused.stderr
        == "error: --server needs the client, which is not installed; run pip install keras-vad-client.\n"
    )
