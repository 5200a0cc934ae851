"""The demonstration runs from data to picture, hardly trained, and can be run again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_vad.data.shapes import make_shapes
from keras_vad.errors import VadError
from tests.environment import PATHS, ROOT
from tools.demo import main


def test_makes_all_results_also_over_those_of_a_run_before(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    make_shapes(demo / "shapes", train_frames=60, test_frames=60, seed=0, frames_per_video=30)
    (demo / "zoo" / "adv3dcae_shapes_compact" / "7").mkdir(parents=True)
    (demo / "run").mkdir()
    (demo / "run" / "config.yaml").write_text("from before")
    (demo / "evaluation.json").write_text("from before")

    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py"), "demo", "--quick"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "make-shapes" not in done.stdout
    assert "stopped." in done.stdout  # the server
    for result in (
        "run/report.json",
        "zoo/adv3dcae_shapes_compact/1/saved_model.pb",
        "scores/Test001.csv",
        "scores/Test002.csv",
        "scored_video.png",
    ):
        assert (demo / result).stat().st_size > 0
        assert f"demo/{Path(result).parts[0]}" in done.stdout
    assert (demo / "evaluation.json").read_text() != "from before"


def test_refuses_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(VadError, match="holds something else than a demonstration"):
        main([str(tmp_path)])
    assert (tmp_path / "run").exists()


def test_stops_at_the_step_that_fails(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    with pytest.raises(VadError, match=r"^.*shapes.*\. The demonstration stopped at keras-vad train"):
        main([str(tmp_path)])
    assert not (tmp_path / "zoo").exists()
