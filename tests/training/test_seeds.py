"""Several seeds: trained once each, evaluated, averaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_vad.data import make_shapes
from keras_vad.errors import VadError
from keras_vad.training.seeds import averaged
from tests.command import verb

main = verb("train")


@pytest.mark.usefixtures("determinism_off")
def test_seeds_are_trained_once_and_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    make_shapes(tmp_path / "shapes", train_frames=120, test_frames=240, seed=5, anomalies=2, frames_per_video=120)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "model: {image_size: 32, window_length: 4, channels: [2, 2]}\n"
        "training: {epochs: 1, steps_per_epoch: 1, batch_size: 2, validation_steps: 0}\n"
    )
    arguments = ["--model", "local_playback", "--dataset", "shapes", "--data-dir", str(tmp_path / "shapes")]
    arguments += ["--recipe", str(recipe), "--run-dir", str(tmp_path / "runs"), "--seeds"]
    assert main([*arguments, "3", "4"]) == 0
    printed = capsys.readouterr().out
    assert (
        "2 seeds" in printed and "local_playback" in printed and "±" in printed and "background_difference" in printed
    )
    evaluations = [json.loads((tmp_path / "runs" / f"seed{n}" / "evaluation.json").read_text()) for n in (3, 4)]
    own = [
        next(row for row in one["rows"] if row["score"] == "frame_scores" and row["protocol"] == "deployable")
        for one in evaluations
    ]
    assert [row["seed"] for row in own] == [3, 4]
    mean = next(
        row for row in averaged(evaluations) if row["score"] == "frame_scores" and row["protocol"] == "deployable"
    )
    values = [row["auroc_micro"] for row in own]
    assert mean["auroc_micro"] == pytest.approx(np.mean(values))
    assert mean["auroc_micro_std"] == pytest.approx(np.std(values, ddof=1))
    assert f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}" in printed

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("detector.keras")}
    assert main([*arguments, "3", "4"]) == 0  # nothing is trained again
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert capsys.readouterr().out == printed
    with pytest.raises(VadError, match="seeds are 3, 3, but each must be given once"):
        main([*arguments, "3", "3"])
    with pytest.raises(VadError, match="has training"):
        main([*arguments, "3", "--batch-size", "4"])
