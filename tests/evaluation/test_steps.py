"""What each step from a running camera to a published figure adds; golden values by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from keras_vad.data.shapes import make_shapes
from keras_vad.errors import VadError
from keras_vad.evaluation.protocols import ScoreSeries
from keras_vad.evaluation.results import COLUMNS, read_results, update_results, update_tables
from keras_vad.evaluation.steps import (
    STEPS,
    centred_mean,
    published_steps,
    read_steps,
    render_steps,
    stale_steps,
    write_steps,
)
from keras_vad.models.local_playback import LocalPlaybackRate
from keras_vad.presets.index import Preset
from tools.results import main as results
from tools.steps import main


def series(*scores: float, start: int = 0) -> ScoreSeries:
    raw = np.array(scores, float)
    return ScoreSeries(np.arange(start, start + len(raw)), raw, raw / 10)


def test_steps_by_hand() -> None:
    """Two videos whose scores differ in level, with one dip each, and a part that knows where it is.

    Pooled: anomalous 1 3 2 9 9, normal 0 1 5 6. Pairs in order, of 20: 1 beats 0 and ties with 1 (1.5), 3 and 2 beat 0
    and 1 (2 each), the nines all (4 each): 13.5. Rescaled by min_max: anomalous 1/3, 1, 2/3 and 1, 1; normal 0, 1/3 and
    0, 1/4: 1/3 beats three of four but for one tie (3.5), the others all: 19.5.
    """
    own = [series(0, 1, 1, 3, 2), series(5, 6, 9, 9)]
    labels = [np.array([0, 0, 1, 1, 1], bool), np.array([0, 0, 1, 1], bool)]
    part = [series(0, 0, 7, 7, 7), series(1, 1, 2, 2)]
    steps = published_steps(own, {"knows": part}, labels)
    assert [step.name for step in steps] == list(STEPS)
    found = {step.name: step.auroc_micro for step in steps}
    assert found["deployable"] == pytest.approx(13.5 / 20)
    assert found["rescaled"] == pytest.approx(19.5 / 20)
    assert found["smoothed"] == 0.5  # all scores of a video have one mean, over all of it
    # Over 1 frame 19.5 of 20; over 3 the means are 1/2 2/3 5/3 2 5/2 and 11/2 20/3 8 9, which all stand in order.
    assert (found["smoothing_chosen"], steps[3].chosen) == (1.0, "3 frames")
    assert (found["weights_chosen"], steps[4].chosen) == (1.0, "own")
    assert not any(step.chosen for step in steps[:3])


def test_weights_are_chosen_by_the_labels() -> None:
    """Each of two parts finds one of two anomalous frames; half of one and the other tell both from the normal ones."""
    labels = [np.array([1, 0, 0, 1], bool)] * 2
    flat = [series(0, 0, 0, 0)] * 2
    parts = {"first": [series(9, 3, 0, 0)] * 2, "last": [series(0, 0, 3, 9)] * 2}
    steps = {step.name: step for step in published_steps(flat, parts, labels)}
    assert steps["deployable"].auroc_micro == steps["smoothing_chosen"].auroc_micro == 0.5
    # One part alone: its frame beats both normal ones, the other anomalous one ties with one and loses to one.
    alone = (2 + 0.5) / 4
    assert steps["weights_chosen"].auroc_micro == 1.0 > alone
    assert steps["weights_chosen"].chosen == "first + 0.5 last"


def test_parts_of_other_frames_are_measured_on_those_that_all_have() -> None:
    labels = [np.array([1, 0, 0, 1], bool)]
    steps = published_steps([series(9, 1, 2, 3)], {"later": [series(0, 0, 5, start=1)]}, labels)
    assert steps[0].auroc_micro == 1.0  # of frames 1 to 3, the first of which is no longer the highest
    steps = published_steps([series(9, 1, 8, 3)], {"later": [series(0, 0, 5, start=1)]}, labels)
    assert steps[0].auroc_micro == 0.5
    with pytest.raises(VadError, match="no frame of test video 0 has the score and all its parts"):
        published_steps([series(1, 2)], {"later": [series(1, start=3)]}, labels)


def test_one_class_has_no_figures() -> None:
    steps = published_steps([series(1, 2)], {}, [np.array([True, True])])
    assert [step.name for step in steps] == list(STEPS)
    assert [step.auroc_micro for step in steps] == [None] * 5


def test_smoothing_that_looks_ahead_by_hand() -> None:
    np.testing.assert_allclose(centred_mean(np.array([0, 0, 10, 0, 0, 5]), 3), [0, 10 / 3, 10 / 3, 10 / 3, 5 / 3, 2.5])
    np.testing.assert_allclose(centred_mean(np.array([1.0, 4, 1]), 99), [2, 2, 2])
    for frames in (0, 2, -1):
        with pytest.raises(VadError, match=f"is over {frames} frames, but must be over an odd number"):
            centred_mean(np.array([1.0]), frames)


def rows(preset: str = "a/2", dataset: str = "ucsdped2") -> list[dict[str, str]]:
    about = {"preset": preset, "model": "adv3dcae", "dataset": dataset, "data_fingerprint": "abc", "git": "0"}
    figures = zip(STEPS, ("0.8000", "0.9004", "0.8996", "0.9100", "0.9500"), strict=True)
    chosen = {"smoothing_chosen": "5 frames", "weights_chosen": "own + 0.5 b"}
    return [about | {"step": name, "auroc_micro": value, "chosen": chosen.get(name, "")} for name, value in figures]


def test_the_table_by_hand(tmp_path: Path) -> None:
    write_steps(tmp_path / "zoo" / "steps.csv", [*rows(), *rows("", "shapes")])
    assert read_steps(tmp_path / "zoo" / "steps.csv")[0] == rows()[0]
    document = tmp_path / "README.md"
    document.write_text("<!-- results:begin ucsdped2 steps -->\n<!-- results:end ucsdped2 -->\n")
    update_tables(document, tmp_path / "zoo" / "results.csv")
    lines = document.read_text().splitlines()[2:-2]
    assert len(lines) == 3 and lines[0].count("+ ") == 4 and lines[0].count("test labels") == 3
    assert (
        lines[2] == "| `a/2` | 80.0 | 90.0 (+10.0) | 90.0 (+0.0) | 91.0 (+1.0) | 95.0 (+4.0) | 5 frames; own + 0.5 b |"
    )
    assert render_steps(rows(), "ucsdped1") == "No results yet.\n"
    foreign = dict.fromkeys(COLUMNS) | {"model": "conv_ae", "dataset": "ucsdped2", "data_fingerprint": "def"}
    update_results(tmp_path / "zoo" / "results.csv", [foreign])
    with pytest.raises(VadError, match=r"from different frames: def \(conv_ae\), abc \(adv3dcae\)"):
        update_tables(document, tmp_path / "zoo" / "results.csv")
    (tmp_path / "zoo" / "steps.csv").write_text("a,b\n")
    with pytest.raises(VadError, match=r"steps\.csv has other columns than preset, model"):
        update_tables(document, tmp_path / "zoo" / "results.csv")


def test_a_newer_preset_makes_the_table_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    presets = [Preset("a", 1, ()), Preset("a", 2, ()), Preset("b", 1, ())]
    assert stale_steps([*rows(), *rows("")], presets) == []
    assert "has a/2, but its newest version is 3" in stale_steps(rows(), [*presets, Preset("a", 3, ())])[0]
    assert "has a/2, but there is no such preset" in stale_steps(rows(), presets[2:])[0]
    write_steps(tmp_path / "zoo" / "steps.csv", rows())
    (tmp_path / "zoo" / "index.json").write_text(json.dumps({"format": 1, "presets": []}))
    (tmp_path / "a.md").write_text("\n")
    assert results([str(tmp_path / "a.md"), "--results", str(tmp_path / "zoo" / "results.csv"), "--check"]) == 1
    assert "the table of steps has a/2" in capsys.readouterr().out


def test_the_tool_measures_a_detector_and_the_trivial_baselines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    make_shapes(tmp_path / "shapes", 40, 120, seed=7, anomalies=1, frames_per_video=60)
    detector = LocalPlaybackRate(image_size=(32, 48), channels=(4, 4))
    detector.fit_normality([], [tmp_path / "shapes" / "Train" / "Train001"], alarm_quantile=0.6)
    detector.save(tmp_path / "tiny.keras")
    table = tmp_path / "zoo" / "steps.csv"
    arguments = ["--dataset", "shapes", "--data-dir", str(tmp_path / "shapes"), "--table", str(table)]
    assert main(["--model", str(tmp_path / "tiny.keras"), *arguments]) == 0
    found = read_steps(table)
    assert [row["step"] for row in found] == [*STEPS, *STEPS]
    assert [row["model"] for row in found] == ["local_playback"] * 5 + ["trivial_flow_row_normalised"] * 5
    for figures in (found[:5], found[5:]):
        aurocs = [float(row["auroc_micro"]) for row in figures]
        assert aurocs[4] >= aurocs[3] >= max(aurocs[1:3])  # by choosing on the labels nothing is lost
        assert re.fullmatch(r"\d+ frames|no smoothing", figures[3]["chosen"]) and figures[4]["chosen"]
    assert "| `tiny` |" in capsys.readouterr().out
    assert read_results(table.with_name("results.csv")) == []
