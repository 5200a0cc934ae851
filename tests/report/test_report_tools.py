"""The tools write a report and an overlay of a real, if tiny, detector."""

import json
from pathlib import Path

import av
import keras
import numpy as np
import pytest

from keras_vad.data.shapes import make_shapes
from keras_vad.errors import VadError
from keras_vad.models.local_playback import LocalPlaybackRate
from tests.command import verb
from tests.report.test_page import data_of

evaluate = verb("evaluate")
score = verb("score")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder and the data of shapes."""
    folder = tmp_path_factory.mktemp("project")
    make_shapes(folder / "shapes", train_frames=120, test_frames=400, seed=0, anomaly_probability=0.02)
    keras.utils.set_random_seed(0)
    detector = LocalPlaybackRate(image_size=(32, 48), channels=(4, 4))
    train = sorted(path for path in (folder / "shapes" / "Train").iterdir() if path.is_dir())
    detector.fit_normality([], train[:1], alarm_quantile=0.3)
    (folder / "run").mkdir()
    detector.save(folder / "run" / "detector.keras")
    (folder / "run" / "config.yaml").write_text("method: local_playback\nseed: 7\n")
    return folder


def test_score_writes_page_video_and_table(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = project / "shapes" / "Test" / "Test001"
    outputs = {name: tmp_path / f"out.{name}" for name in ("csv", "html", "mp4")}
    options = ["--csv", outputs["csv"], "--report", outputs["html"], "--overlay", outputs["mp4"]]
    assert score([str(clip), "--model", str(project / "run"), *map(str, options)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert sorted(tmp_path.iterdir()) == sorted(outputs.values())
    rows = outputs["csv"].read_text().splitlines()[1:]
    (video,) = data_of(outputs["html"])["videos"]
    np.testing.assert_allclose(video["levels"], [float(row.split(",")[3]) for row in rows], rtol=1e-3)
    assert video["alarms"] == sum(row.endswith(",1") for row in rows) > 0
    maps = data_of(outputs["html"], "pictures-0")["maps"]
    assert (maps["rows"], maps["columns"], len(maps["values"])) == (8, 12, len(video["shown"]))
    assert "method: local_playback\nseed: 7" in outputs["html"].read_text()
    with av.open(str(outputs["mp4"])) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(rows)
    with pytest.raises(VadError, match=r"out\.html exists; pass --overwrite"):
        score([str(clip), "--model", str(project / "run"), "--report", str(outputs["html"])])


def test_evaluate_writes_a_page_with_its_own_figures(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    data = ["--dataset", "shapes", "--data-dir", str(project / "shapes")]
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    options = ["--model", str(project / "run"), *data, "--report", str(page)]
    assert evaluate([*options, "--json", str(figures)]) == 0
    found, shown = json.loads(figures.read_text()), data_of(page)
    row = next(
        row for row in found["rows"]
        if (row["model"], row["score"], row["protocol"]) == ("local_playback", "frame_scores", "deployable")
    )  # fmt: skip
    assert shown["roc"]["auroc"] == pytest.approx(row["auroc_micro"])
    assert shown["roc"]["operating"] == pytest.approx([row["false_positive_rate"], row["true_positive_rate"]])
    assert sum(video["scored"] for video in shown["videos"]) == row["frames"]
    before = page.read_bytes()
    with pytest.raises(VadError, match=r"page\.html exists; pass --overwrite"):
        evaluate(options)
    assert page.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to write; pass --csv, --report or --overlay"),
        (["--overlay", "out.avi"], r"--overlay is out\.avi, but must be the name of an \.mp4 file"),
    ],
)
def test_score_refuses_before_it_scores(arguments: list[str], message: str) -> None:
    with pytest.raises(VadError, match=message):
        score(["clip", "--model", "none", *arguments])
