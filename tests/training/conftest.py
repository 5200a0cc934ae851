import os
import subprocess
import sys

import pytest

from keras_vad.data.shapes import make_shapes
from keras_vad.testing.fresh_process import run_script
from tests.environment import PATHS, ROOT

TOOL = ROOT / "tools" / "train.py"

# A model and a schedule that train in a second.
TINY = {
    "model.image_size": "[24, 32]",
    "model.window_length": "4",
    "model.channels": "[2, 4, 4]",
    "model.discriminator_channels": "[2, 2]",
    "training.epochs": "2",
    "training.steps_per_epoch": "6",
    "training.batch_size": "4",
    "training.validation_steps": "1",
    "training.checkpoint_every": "2",
}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A tiny shapes data set: four training videos of 20 frames, one test video."""
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes", 80, 20, seed=1, frames_per_video=20)


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def arguments(shapes):
    """A function that gives the arguments of ``tools/train.py`` for a tiny run, and of ``--set`` for what differs."""

    def arguments(*more, **sections):
        options = {
            **TINY,
            **{f"{s}.{name}": value for s, options in sections.items() for name, value in options.items()},
        }
        return [
            *("--model", "adv3dcae", "--dataset", "shapes", "--data-dir", str(shapes), "--recipe", "compact"),
            *(part for path, value in options.items() for part in ("--set", f"{path}={value}")),
            *more,
        ]

    return arguments


@pytest.fixture
def start_training(tmp_path, cache_folder):
    """A function that starts ``tools/train.py`` in a process of its own, in ``tmp_path``."""
    started = []

    def start(arguments):
        started.append(
            subprocess.Popen(
                [sys.executable, str(TOOL), *arguments],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": PATHS, "KERAS_VAD_CACHE": str(cache_folder)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def run_training_tool(tmp_path, cache_folder):
    """A function that runs it to its end and gives (exit code, stdout, stderr)."""

    def run(arguments):
        environment = {**os.environ, "KERAS_VAD_CACHE": str(cache_folder)}
        done = run_script(TOOL, *arguments, folder=tmp_path, environment=environment)
        return done.code, done.stdout, done.stderr

    return run
