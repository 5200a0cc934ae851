import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keras_vad.data.base import VideoDataset
from keras_vad.data.cache import FrameCache
from keras_vad.data.datasets import open_dataset
from keras_vad.data.shapes import make_shapes
from keras_vad.data.video import Labels, Video
from keras_vad.errors import VadError
from keras_vad.evaluation.evaluate import EvaluationReport, evaluate
from keras_vad.evaluation.results import KEY, read_results, update_results
from keras_vad.evaluation.trivial import TRIVIAL_BASELINES
from keras_vad.models.adv3dcae import Adv3DCAE
from keras_vad.scoring.alarms import alarm_runs
from keras_vad.scoring.rescale import RescaledPart, rescale


class Relabelled(VideoDataset):
    """A data set with other labels for some test videos."""

    name = "relabelled"

    def __init__(self, whole: VideoDataset, labels_of: dict[str, Labels | None]) -> None:
        self.whole = whole
        self.labels_of = labels_of

    def train_videos(self) -> list[Video]:
        return self.whole.train_videos()

    def test_videos(self) -> list[tuple[Video, Labels | None]]:
        return [(video, self.labels_of.get(video.name, labels)) for video, labels in self.whole.test_videos()]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> VideoDataset:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(folder, train_frames=30, test_frames=60, seed=3, anomaly_probability=0.2, frames_per_video=30)
    # A triangle crosses the picture in 190 frames: clips as short as these are all normal or all anomalous.
    second_half = Labels(np.arange(30) >= 15)
    return Relabelled(open_dataset("shapes", folder), {"Test001": second_half, "Test002": second_half})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    return FrameCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def detector(shapes: VideoDataset) -> Adv3DCAE:
    detector = Adv3DCAE(
        image_size=32, window_length=8, channels=(2, 3, 4, 4, 4), discriminator_channels=(2, 2, 2), hop=3
    )
    detector.fit_normality([], shapes.train_videos(), alarm_quantile=0.9)
    return detector


@pytest.fixture(scope="module")
def report(detector: Adv3DCAE, shapes: VideoDataset, cache: FrameCache) -> EvaluationReport:
    return evaluate(detector, shapes, cache, smoothing=5, recipe="tiny", seed=7, log="zoo/logs/tiny.csv")


def test_has_a_row_for_every_score_protocol_and_smoothing(report: EvaluationReport, detector: Adv3DCAE) -> None:
    found = {(row["model"], row["score"], row["protocol"], row["smoothing"]) for row in report.rows}
    scores = [("adv3dcae", name) for name in ("frame_scores", *detector.parts)]
    scores += [(name, "frame_scores") for name in TRIVIAL_BASELINES]
    expected = {(*score, protocol, n) for score in scores for protocol in ("paper", "deployable") for n in (1, 5)}
    assert found == expected and len(report.rows) == len(expected)
    assert len(report.videos) == 2 * len(expected)


def test_rows_say_what_they_are(report: EvaluationReport, detector: Adv3DCAE) -> None:
    own = [row for row in report.rows if row["model"] == "adv3dcae" and row["score"] == "frame_scores"]
    for row in own:
        assert row["calibrated"] == (row["protocol"] == "deployable")
        assert row["rescaling"] == (detector.paper_rescaling if row["protocol"] == "paper" else None)
        assert (row["recipe"], row["seed"], row["frames"], row["frames_unscored"]) == ("tiny", 7, 60, 0)
    for row in report.rows:
        if row["model"] in TRIVIAL_BASELINES:
            assert not row["calibrated"] and row["parameters"] == 0 and row["seed"] is None and row["recipe"] == ""


def test_scores_are_those_of_the_whole_video(
    report: EvaluationReport, detector: Adv3DCAE, shapes: VideoDataset, cache: FrameCache
) -> None:
    again = evaluate(detector, shapes, cache, chunk_length=14)
    for key, series in report.series.items():
        for video, (one, other) in enumerate(zip(series, again.series[key], strict=True)):
            assert one.frame_index.tolist() == other.frame_index.tolist()
            np.testing.assert_allclose(one.raw, other.raw, rtol=1e-4, err_msg=f"{key} {video}")


def test_sums_of_rescaled_parts_are_rows_of_the_protocol_paper(
    report: EvaluationReport, detector: Adv3DCAE, shapes: VideoDataset, cache: FrameCache, monkeypatch: Any
) -> None:
    part = detector.parts[0]
    sums = {
        "both": [RescaledPart("frame_scores", 2.0, "min_max"), RescaledPart(part, 1.0, "robust")],
        "frame_scores": [RescaledPart(part, 1.0, "none")],
    }
    monkeypatch.setattr(detector, "paper_scores", sums)
    again = evaluate(detector, shapes, cache, smoothing=5, baselines=False)
    found = {(row["score"], row["protocol"], row["smoothing"]): row for row in again.rows}
    assert {key[1:] for key in found if key[0] == "both"} == {("paper", 1), ("paper", 5)}
    labels = np.concatenate(report.labels)
    values = [
        2.0 * rescale(own.raw, "min_max") + rescale(one.raw, "robust")
        for own, one in zip(report.series["adv3dcae", "frame_scores"], report.series["adv3dcae", part], strict=True)
    ]
    assert found["both", "paper", 1]["auroc_micro"] == pytest.approx(roc_auc_score(labels, np.concatenate(values)))
    # In place of the own score, under this protocol only.
    raw = np.concatenate([one.raw for one in report.series["adv3dcae", part]])
    assert found["frame_scores", "paper", 1]["auroc_micro"] == pytest.approx(roc_auc_score(labels, raw))
    before = {(row["score"], row["protocol"], row["smoothing"]): row for row in report.rows if row["recipe"]}
    key = ("frame_scores", "deployable", 1)
    assert found[key]["auroc_micro"] == pytest.approx(before[key]["auroc_micro"])
    assert found["both", "paper", 1]["frames"] == 60


def test_json_holds_rows_and_videos(report: EvaluationReport) -> None:
    content = json.loads(report.to_json())
    assert content["about"]["dataset"] == "relabelled"
    assert set(content["protocols"]) == {"paper", "deployable"}
    assert content["rows"] == report.rows
    assert {row["video"] for row in content["videos"]} == {"Test001", "Test002"}


def test_rows_fit_the_table_of_results(report: EvaluationReport, tmp_path: Path) -> None:
    update_results(tmp_path / "results.csv", report.rows)
    rows = read_results(tmp_path / "results.csv")
    assert len(rows) == len(report.rows)
    always = {
        *KEY,
        "auroc_micro",
        "auroc_macro",
        "ap",
        "eer",
        "frames",
        "data_fingerprint",
        "parameters",
        "tf",
        "keras",
    }
    for row in rows:
        for column in always - {"recipe", "seed"}:
            assert row[column], column
    own = [row for row in rows if row["model"] == "adv3dcae" and row["score"] == "frame_scores"]
    for row in own:
        calibrated = row["protocol"] == "deployable"
        assert all(row[column] for column in ("auroc_micro_low", "auroc_micro_high", "frames_per_second"))
        assert bool(row["accuracy"]) == bool(row["events_found"]) == bool(row["persistent_false"]) == calibrated
        # Neither masks nor a frame rate here.
        assert not any(row[column] for column in ("pixel_auroc", "rbdc", "tbdc", "false_alarms_per_hour"))


def test_masks_and_a_frame_rate_give_figures_of_regions_and_hours(
    detector: Adv3DCAE, tmp_path: Path, cache: FrameCache
) -> None:
    make_shapes(tmp_path / "shapes", train_frames=20, test_frames=240, seed=5, anomalies=2, frames_per_video=120)
    whole = open_dataset("shapes", tmp_path / "shapes")
    report = evaluate(detector, whole, cache, smoothing=3, baselines=False, fps=10.0)
    with_maps = [row for row in report.rows if row["pixel_auroc"] is not None]
    assert [(row["score"], row["protocol"], row["smoothing"]) for row in with_maps] == [
        ("frame_scores", "deployable", 1)
    ]
    row = with_maps[0]
    assert 0 <= row["rbdc"] <= row["tbdc"] <= 1 and 0 < row["pixel_auroc"] < 1
    truth = [labels.frame for _, labels in whole.test_videos()]
    assert row["events"] == sum(len(alarm_runs(one)) for one in truth)
    normal_hours = sum(int((~one).sum()) for one in truth) / 10 / 3600
    assert row["false_alarms_per_hour"] == pytest.approx(row["false_alarms"] / normal_hours)


def test_videos_without_labels_are_left_out(detector: Adv3DCAE, shapes: VideoDataset, cache: FrameCache) -> None:
    assert evaluate(detector, Relabelled(shapes, {"Test001": None}), cache).video_names == ["Test002"]
    with pytest.raises(VadError, match="data set relabelled has no labelled test videos"):
        evaluate(detector, Relabelled(shapes, {"Test001": None, "Test002": None}), cache)


def test_labels_that_do_not_fit_are_named(detector: Adv3DCAE, shapes: VideoDataset, cache: FrameCache) -> None:
    with pytest.raises(VadError, match="test video Test002 has 30 frames, but 29 labels"):
        evaluate(detector, Relabelled(shapes, {"Test002": Labels(np.zeros(29, bool))}), cache)
