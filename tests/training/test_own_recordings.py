"""Training on recordings as they are: what cannot serve is left out and told, on the terminal and in the run folder."""

import json

import numpy as np

from tests.data.media import colour_frames, truncate, write_images, write_video
from tests.training.conftest import TINY

COMMON = ["--model", "adv3dcae", "--dataset", "folder", "--data-dir", "videos", "--recipe", "adv3dcae_shapes_compact"]
COMMON += [part for path, value in TINY.items() for part in ("--set", f"{path}={value}")]


def test_short_and_broken_recordings_are_left_out_and_told(tmp_path, run_training_tool):
    for number in range(4):
        write_images(tmp_path / "videos" / f"day{number}", colour_frames(12, (24, 32), seed=number))
    write_images(tmp_path / "videos" / "short", colour_frames(3, (24, 32), seed=9))
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), np.uint8)
    truncate(write_video(tmp_path / "videos" / "cut.avi", noise))
    (tmp_path / "videos" / "notes.txt").write_text("which camera was it?")
    code, _, error = run_training_tool(
        [
            *COMMON,
            "--set",
            "training.steps_per_epoch=40",
            "--set",
            "data.hop=1",
            "--run-dir",
            "run",
            "--no-export",
        ]
    )
    assert code == 0, error
    notes = [line for line in error.splitlines() if line.startswith("note: ")]
    assert len(notes) == 2
    assert notes[0].startswith("note: left out: ")
    assert notes[0].endswith("; train.log lists all.")
    left_out = json.loads((tmp_path / "run" / "report.json").read_text())["left_out"]
    assert len(left_out) == 3
    assert any(one == "videos/notes.txt (neither a video nor an image)" for one in left_out)
    assert any(one == "short (3 frames, but a window spans 4)" for one in left_out)
    assert any(one.startswith("cut (videos/cut.avi is truncated or damaged: ") for one in left_out)
    log = (tmp_path / "run" / "train.log").read_text()
    assert all(f"left out: {one}" in log for one in left_out)
    assert " times as many steps as there are batches of different windows, so it goes round again" in notes[1]


def test_nothing_that_serves_is_an_error_that_lists_why(tmp_path, run_training_tool):
    for number in range(2):
        write_images(tmp_path / "videos" / f"day{number}", colour_frames(3, (24, 32), seed=number))
    code, _, error = run_training_tool(COMMON)
    assert code == 2
    assert error.splitlines()[-1].startswith("error: none of the training videos serves: day")
    assert "(3 frames, but a window spans 4)" in error
    assert not (tmp_path / "runs").exists()
