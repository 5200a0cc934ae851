"""All presets of a project evaluated again by one command, with a tiny project."""

import json
from pathlib import Path

import pytest
import yaml

from keras_vad.data.datasets import open_dataset
from keras_vad.data.shapes import make_shapes
from keras_vad.errors import VadError
from keras_vad.evaluation.results import read_results, update_results
from keras_vad.evaluation.run_log import log_faults, read_summary, stale_rows
from keras_vad.evaluation.steps import COLUMNS as STEP_COLUMNS
from keras_vad.evaluation.steps import STEPS, read_steps, write_steps
from keras_vad.evaluation.trivial import TRIVIAL_BASELINES
from keras_vad.models.adaptive_clustering import AdaptiveClusteringCAE
from keras_vad.models.local_playback import LocalPlaybackRate
from keras_vad.presets.publish import publish
from tests.command import verb
from tools.reevaluate import main
from tools.results import main as results

evaluate = verb("evaluate")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs that were evaluated with logs and published, one of which scores cuboids."""
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    make_shapes(Path("shapes"), 40, 120, seed=7, anomalies=1, frames_per_video=60)
    detectors = {
        "local_playback": LocalPlaybackRate(image_size=(32, 48), channels=(4, 4)),
        "adaptive_clustering": AdaptiveClusteringCAE(
            image_size=34, cuboid_size=8, cuboid_stride=6, channels=(2, 2), code_size=4, clusters=3, ssim_window=7
        ),
    }
    fingerprint = open_dataset("shapes", Path("shapes")).fingerprint()
    for method, detector in detectors.items():
        run, log = Path("runs") / method, f"zoo/logs/{method}"
        run.mkdir(parents=True)
        detector.calibrate([Path("shapes/Train/Train001")], alarm_quantile=0.6)
        detector.save(run / "detector.keras")
        config = {"method": method, "dataset": "shapes", "recipe": f"{method}_tiny", "seed": 3}
        config |= {"data_fingerprint": fingerprint, "command": f"python tools/train.py --model {method}"}
        config |= {"data": {}, "training": {"batch_size": 4, "epochs": 2, "steps_per_epoch": 5}}
        (run / "config.yaml").write_text(yaml.safe_dump({**config, "scoring": {"smoothing": 5}}))
        (run / "metrics.csv").write_text("epoch,loss\n1,0.5\n")
        common = ["--model", str(run), "--dataset", "shapes", "--data-dir", "shapes", "--no-baselines"]
        evaluate([*common, "--results", "zoo/results.csv", "--log", log])
        publish(run, Path("zoo"), method, log=log)
    Path("zoo/logs/adaptive_clustering/cuboids.json").write_text(
        json.dumps({"by_minimum_share": [{"minimum_share": 0.1}]})
    )
    row = dict.fromkeys(STEP_COLUMNS, "") | {"preset": "local_playback/1", "dataset": "shapes", "step": "deployable"}
    write_steps(Path("zoo/steps.csv"), [row])
    Path("README.md").write_text("<!-- results:begin shapes -->\n<!-- results:end shapes -->\n")
    return tmp_path


def test_rows_logs_cuboids_and_tables_are_made_anew(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {tuple(row.values())[:7] for row in read_results(Path("zoo/results.csv"))}
    old = read_results(Path("zoo/results.csv"))[0] | {"score": "a_score_that_was"}
    update_results(Path("zoo/other.csv"), [old])
    with Path("zoo/results.csv").open("a") as file:
        file.write(Path("zoo/other.csv").read_text().splitlines()[1] + "\n")
    Path("zoo/other.csv").unlink()
    assert any("a_score_that_was" in fault for fault in stale_rows(read_results(Path("zoo/results.csv")), project))

    assert main(["shapes=shapes"]) == 0
    rows = read_results(Path("zoo/results.csv"))
    own = {tuple(row.values())[:7] for row in rows if row["log"]}
    assert own == before
    assert {(row["recipe"], row["seed"]) for row in rows if row["log"]} == {
        *(("local_playback_tiny", "3"), ("adaptive_clustering_tiny", "3"))
    }
    # Both are smoothed over 5 frames, so the baselines are measured once: under two protocols, with and without.
    baselines = [row["model"] for row in rows if not row["log"]]
    assert sorted(baselines) == sorted([*TRIVIAL_BASELINES] * 4)
    assert stale_rows(rows, project, TRIVIAL_BASELINES) == log_faults(Path("zoo/logs")) == []
    summary = read_summary(Path("zoo/logs/local_playback"))
    assert "--model zoo/presets/local_playback/1 " in summary["command"]
    assert summary["training"]["last_epoch"] == {"epoch": 1.0, "loss": 0.5}
    cuboids = json.loads(Path("zoo/logs/adaptive_clustering/cuboids.json").read_text())
    assert [row["minimum_share"] for row in cuboids["by_minimum_share"]] == [0.1, 0.1]
    assert (cuboids["recipe"], cuboids["seed"]) == ("adaptive_clustering_tiny", 3)
    assert cuboids["training_cuboids"] == 2 * 5 * 4 * 25
    steps = [(row["preset"], row["step"]) for row in read_steps(Path("zoo/steps.csv"))]
    assert steps == [(name, step) for name in ("local_playback/1", "") for step in STEPS]
    assert "| `local_playback` | own | local_playback_tiny |" in Path("README.md").read_text()
    assert results(["README.md", "--results", "zoo/results.csv", "--check"]) == 0
    capsys.readouterr()
    assert main(["shapes=shapes", "--only", "local*"]) == 0
    assert "preset 1 of 1: local_playback/1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shapes"], "shapes= names no folder; give data sets as in ucsdped2=data"),
        (["shapes=nowhere"], "shapes=nowhere names no folder"),
        (["shapes=."], r"has no preset '\*' of shapes; run in the project's folder"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VadError, match=message):
        main(arguments)
