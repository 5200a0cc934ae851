"""The two-part score from the command line, with two tiny detectors."""

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_vad.data.shapes import make_shapes
from keras_vad.errors import VadError
from keras_vad.evaluation.metrics import auroc
from keras_vad.evaluation.results import read_results
from keras_vad.evaluation.run_log import log_faults, read_summary, stale_rows
from keras_vad.models.adv3dcae import Adv3DCAE
from keras_vad.models.local_playback import LocalPlaybackRate
from keras_vad.presets.resolve import load
from keras_vad.scoring.calibrate import level_below_share
from tests.command import verb

evaluate = verb("evaluate")
score = verb("score")

PAIR = "local_playback+adv3dcae"
RUNS = {"motion": ("local_playback", 7, 3), "looks": ("adv3dcae", 7, 5), "other_seed": ("adv3dcae", 8, 1)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders of a motion and an appearance method, and shapes with masks."""
    folder = tmp_path_factory.mktemp("project")
    make_shapes(folder / "shapes", 40, 120, seed=7, anomalies=1, frames_per_video=60)
    keras.utils.set_random_seed(0)
    tiny = {"image_size": 32, "window_length": 8, "hop": 3, "channels": (2, 3, 4, 4, 4)}
    detectors = {
        "motion": LocalPlaybackRate(image_size=(32, 48), channels=(4, 4)),
        "looks": Adv3DCAE(**tiny, discriminator_channels=(2, 2, 2)),
    }
    for name, (method, seed, smoothing) in RUNS.items():
        (folder / name).mkdir()
        config = f"recipe: {method}_tiny\nseed: {seed}\nscoring: {{smoothing: {smoothing}}}\n"
        (folder / name / "config.yaml").write_text(config)
        if name in detectors:
            detectors[name].fit_normality([], [folder / "shapes" / "Train" / "Train001"], alarm_quantile=0.6)
            detectors[name].save(folder / name / "detector.keras")
    shutil.copyfile(folder / "looks" / "detector.keras", folder / "other_seed" / "detector.keras")
    return folder


def on_shapes(project: Path, *arguments: str) -> list[str]:
    return [*arguments, "--dataset", "shapes", "--data-dir", str(project / "shapes")]


def test_evaluate_makes_ordinary_rows_of_the_pair(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    table, log = tmp_path / "zoo" / "results.csv", tmp_path / "zoo" / "logs" / "pair"
    pair = ["--model", str(project / "motion"), "--with", str(project / "looks")]
    outputs = ["--results", str(table), "--log", str(log), "--json", str(tmp_path / "evaluation.json")]
    assert evaluate(on_shapes(project, *pair, *outputs, "--report", str(tmp_path / "page.html"))) == 0

    rows = [row for row in read_results(table) if row["model"] == PAIR]
    expected = {
        (name, protocol, smoothing)
        for name in ("frame_scores", "local_playback", "adv3dcae")
        for protocol in ("paper", "deployable")
        for smoothing in ("1", "5")
    }
    assert {(row["score"], row["protocol"], row["smoothing"]) for row in rows} == expected
    assert len(rows) == len(expected)
    alone = {name: load(project / name) for name in ("motion", "looks")}
    weights = sum(int(np.prod(weight.shape)) for one in alone.values() for weight in one.trainable_weights)
    for row in rows:
        assert (row["recipe"], row["seed"]) == ("local_playback_tiny+adv3dcae_tiny", "7")
        assert (row["log"], row["frames"], int(row["parameters"])) == ("zoo/logs/pair", "120", weights)
        assert int(row["macs_per_frame"]) > 0 and not row["rbdc"]
        assert bool(row["f1"]) == (row["score"] == "frame_scores" and row["protocol"] == "deployable")
    about = json.loads((tmp_path / "evaluation.json").read_text())["about"]
    assert about["model"] == PAIR
    assert [path.name for path in log.iterdir()] == ["summary.json"]
    assert read_summary(log)["parts"] == ["motion", "looks"]
    assert stale_rows(read_results(table), tmp_path) == log_faults(log.parent) == []
    page = (tmp_path / "page.html").read_text()
    assert PAIR in page and "seed: 7" in page and "adv3dcae_tiny" in page

    # The same by hand, from the two detectors' own answers.
    clips = sorted(path for path in (project / "shapes" / "Test").iterdir() if path.name in ("Test001", "Test002"))
    larger = [
        np.maximum(alone["motion"].score_video(clip).calibrated, alone["looks"].score_video(clip).calibrated)
        for clip in clips
    ]
    rescaled = [(one - one.min()) / np.ptp(one) for one in larger]
    labels = [_labels(clip) for clip in clips]
    own = {row["protocol"]: row for row in rows if (row["score"], row["smoothing"]) == ("frame_scores", "1")}
    for protocol, scores in (("deployable", larger), ("paper", rescaled)):
        by_hand = auroc(np.concatenate(labels), np.concatenate(scores))
        assert float(own[protocol]["auroc_micro"]) == pytest.approx(by_hand, abs=2e-3)


def _labels(clip: Path) -> np.ndarray:
    from PIL import Image

    masks = sorted(clip.with_name(f"{clip.name}_gt").iterdir())
    return np.array([np.asarray(Image.open(mask)).any() for mask in masks])


def test_score_gives_the_larger_score_and_the_moved_boundary(project: Path, tmp_path: Path) -> None:
    clip = project / "shapes" / "Test" / "Test001"
    one, other = (load(project / name).score_video(clip).calibrated for name in ("motion", "looks"))
    pair = [str(clip), "--model", str(project / "motion"), "--with", str(project / "looks")]
    assert score([*pair, "--csv", str(tmp_path / "pair.csv")]) == 0
    with (tmp_path / "pair.csv").open() as file:
        rows = list(csv.DictReader(file))
    larger = np.maximum(one, other)
    np.testing.assert_allclose([float(row["raw_score"]) for row in rows], larger, atol=1e-6)
    assert [row["alarm"] == "1" for row in rows] == (larger > level_below_share(1 / 2)).tolist()
    for more, message in (
        (["--server", "localhost:1"], "a server scores with one model"),
        (["--overlay", str(tmp_path / "out.mp4")], "a two-part score has no maps"),
    ):
        with pytest.raises(VadError, match=message):
            score([*pair, "--csv", str(tmp_path / "other.csv"), *more])


def test_refuses_a_part_twice_and_seeds_that_differ(project: Path, tmp_path: Path) -> None:
    motion = ["--model", str(project / "motion"), "--with"]
    with pytest.raises(VadError, match="local_playback, local_playback, but each must be of another method"):
        evaluate(on_shapes(project, *motion, str(project / "motion")))
    with pytest.raises(VadError, match="do not tell one and the same seed"):
        table = ["--results", str(tmp_path / "results.csv")]
        evaluate(on_shapes(project, *motion, str(project / "other_seed"), *table))


@pytest.mark.parametrize(("recipe", "hours"), [("{}", None), ("{fps: 30}", 119 / 30 / 3600)])
def test_the_rate_that_training_was_given_holds_for_its_evaluation(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, hours: float | None
) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    shutil.copytree(project / "motion", tmp_path / "run")
    with (tmp_path / "run" / "config.yaml").open("a") as config:
        config.write(f"data: {recipe}\n")
    evaluate(on_shapes(project, "--model", str(tmp_path / "run"), "--json", str(tmp_path / "e.json"), "--no-baselines"))
    rows = json.loads((tmp_path / "e.json").read_text())["rows"]
    found = next(row for row in rows if row["score"] == "frame_scores" and row["protocol"] == "deployable")
    if hours is None:
        assert found["normal_hours"] is None
    else:
        assert 0 < found["normal_hours"] <= hours
