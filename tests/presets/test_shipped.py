"""The presets that come with the project are what their index says, and ready to score."""

import json
from pathlib import Path

import numpy as np
import pytest

import keras_vad
from keras_vad.evaluation.results import read_results
from keras_vad.presets.index import read_index

ZOO = Path(__file__).parents[2] / "zoo"
PRESETS = read_index(ZOO)


def test_they_are_few_bytes():
    assert PRESETS
    assert all(preset.size < 15e6 for preset in PRESETS)
    assert sum(preset.size for preset in PRESETS) < 120e6
    listed = {ZOO / preset.folder / file.name for preset in PRESETS for file in preset.files}
    assert listed == {path for path in (ZOO / "presets").rglob("*") if path.is_file()}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: f"{preset.name}-{preset.version}")
def test_each_is_whole_scores_and_says_what_it_is(preset, tmp_path):
    for file in preset.files:
        file.check(ZOO / preset.folder / file.name)
    card = json.loads((ZOO / preset.folder / "model_card.json").read_text("utf-8"))
    assert {row["protocol"] for row in card["metrics"]} == {"paper", "deployable"}
    for row in card["metrics"]:
        assert row["auroc_micro_low"] <= row["auroc_micro"] <= row["auroc_micro_high"]
    assert all(card[key] for key in ("intended_use", "limits", "licence", "recipe", "paper", "input", "calibration"))
    assert card["dataset"]["terms"]
    log = ZOO.parent / card["log"]
    assert {"config.yaml", "metrics.csv", "summary.json"} <= {path.name for path in log.iterdir()}

    detector = keras_vad.load(f"{preset.name}/{preset.version}", zoo=ZOO)
    if preset.version == max(one.version for one in PRESETS if one.name == preset.name):
        rows = [row for row in read_results(ZOO / "results.csv") if row["log"] == card["log"]]
        # What a method does not score any more has no row: evaluate it again with tools/reevaluate.py.
        assert {row["score"] for row in rows} == {"frame_scores", *detector.parts, *detector.paper_scores}
    frames = np.random.default_rng(0).integers(0, 256, (detector.window.span + 2, 60, 80, 3), dtype=np.uint8)
    scores = detector.score_video(frames)
    assert np.isfinite(scores.raw).all()
    assert scores.alarm.all(), "noise is like nothing that a camera shows"
