"""The logs behind the table of results: what is written, and what is found to be stale."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_vad.errors import VadError
from keras_vad.evaluation.results import COLUMNS, read_results, update_results
from keras_vad.evaluation.run_log import log_faults, read_summary, stale_rows, told_command, write_log
from keras_vad.evaluation.trivial import TRIVIAL_BASELINES
from keras_vad.presets.index import read_index
from tools.results import main as results

ROOT = Path(__file__).parents[2]
ABOUT = {"model": "adv3dcae", "dataset": "ucsdped2", "recipe": "compact", "seed": 0, "log": "zoo/logs/run"}
ABOUT |= {"data_fingerprint": "abc", "parameters": 12, "macs_per_frame": None, "tf": "2.21.0", "keras": "3.15.1"}
ABOUT |= {"git": "0123456789ab", "frames_per_second": 9.5}


def evaluation(*scores: str, **about: Any) -> dict[str, Any]:
    rows = []
    for score in scores:
        for protocol in ("paper", "deployable"):
            row = dict.fromkeys(COLUMNS) | ABOUT | about
            rows.append(row | {"score": score, "protocol": protocol, "smoothing": 1, "auroc_micro": 0.912345678})
    trivial = rows[0] | {"model": "trivial_frame_difference", "log": "", "seed": None, "recipe": ""}
    video = {"model": "adv3dcae", "score": "frame_scores", "protocol": "deployable", "smoothing": 1, "video": "Test001"}
    videos = [video | {"auroc": 0.75}, video | {"video": "Test002", "auroc": None}, video | {"protocol": "paper"}]
    return {"about": ABOUT | about, "protocols": {"paper": "a"}, "rows": [*rows, trivial], "videos": videos}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "run"
    folder.mkdir(parents=True)
    config = {"method": "adv3dcae", "recipe": "compact", "seed": 0, "data_dir": "/data/of/mine/UCSDped2"}
    config["command"] = "python tools/train.py --data-dir /data/of/mine/UCSDped2 --set model.hop=2 --run-dir=/x/run"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "metrics.csv").write_text("epoch,phase,loss\n1,first,0.5\n2,second,0.123456789\n")
    (folder / "report.json").write_text('{"epochs": 2, "held_out_videos": ["Train003"], "exported_to": "/zoo/run/1"}')
    (folder / "train.log").write_text("2026-11-26 a line\n")
    return folder


def test_a_log_holds_configuration_metrics_and_a_short_summary(run: Path, tmp_path: Path) -> None:
    log = tmp_path / "zoo" / "logs" / "run"
    write_log(log, evaluation("frame_scores", "mean_error"), run=run, command="python tools/evaluate.py --model run")
    assert sorted(path.name for path in log.iterdir()) == ["config.yaml", "metrics.csv", "summary.json"]
    config = yaml.safe_load((log / "config.yaml").read_text())
    assert config["data_dir"] == "UCSDped2"
    assert config["command"] == "python tools/train.py --data-dir UCSDped2 --set model.hop=2 --run-dir=run"
    assert (log / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()
    summary = read_summary(log)
    assert summary["about"] == ABOUT and summary["command"] == "python tools/evaluate.py --model run"
    keys = [(row["model"], row["score"], row["protocol"], row["smoothing"]) for row in summary["rows"]]
    assert keys == [("adv3dcae", s, p, 1) for s in ("frame_scores", "mean_error") for p in ("paper", "deployable")]
    # What is not known and what is the same in all rows is not repeated; six digits will do.
    assert summary["rows"][0] == dict(zip(("model", "score", "protocol", "smoothing"), keys[0], strict=True)) | {
        "auroc_micro": 0.912346
    }
    assert summary["videos"] == {"Test001": 0.75, "Test002": None}
    last = {"epoch": 2.0, "phase": "second", "loss": 0.123457}
    assert summary["training"] == {"epochs": 2, "held_out_videos": ["Train003"], "last_epoch": last}
    assert not log_faults(log.parent)


def test_evaluating_a_preset_refreshes_the_summary_only(run: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run"
    with pytest.raises(VadError, match=r"holds no config\.yaml and there is no run folder to copy it from"):
        write_log(log, evaluation("frame_scores"), run=None, command="a")
    assert not log.exists()
    write_log(log, evaluation("frame_scores", "mean_error"), run=run, command="a")
    config, training = (log / "config.yaml").read_bytes(), read_summary(log)["training"]
    write_log(log, evaluation("frame_scores", git="ffff"), run=None, command="b")
    summary = read_summary(log)
    assert (log / "config.yaml").read_bytes() == config
    assert (summary["about"]["git"], summary["command"], summary["training"]) == ("ffff", "b", training)
    assert {row["score"] for row in summary["rows"]} == {"frame_scores"}
    with pytest.raises(VadError, match="is of seed 0, but 1 was evaluated; give each run a log of its own"):
        write_log(log, evaluation("frame_scores", seed=1), run=None, command="b")
    (run / "metrics.csv").unlink()
    with pytest.raises(VadError, match=r"holds no metrics\.csv"):
        write_log(log, evaluation("frame_scores"), run=run, command="b")


def test_a_command_is_told_without_the_folders_of_a_machine() -> None:
    told = told_command(
        ["keras-vad", "evaluate", "--model", "runs/a b", "--data-dir", "../data/ped2", "--json=/x/y.json"]
    )
    assert told == "keras-vad evaluate --model 'runs/a b' --data-dir ped2 --json=y.json"


@pytest.fixture
def table(run: Path, tmp_path: Path) -> Path:
    """A table of results whose rows are all in their log."""
    content = evaluation("frame_scores", "mean_error")
    write_log(tmp_path / "zoo" / "logs" / "run", content, run=run, command="a")
    update_results(tmp_path / "zoo" / "results.csv", content["rows"])
    return tmp_path / "zoo" / "results.csv"


def changed(table: Path, **changes: Any) -> list[str]:
    """The faults when the row of ``mean_error`` under ``paper`` is changed."""
    rows = read_results(table)
    for row in rows:
        if (row["score"], row["protocol"]) == ("mean_error", "paper"):
            row.update(changes)
    return stale_rows(rows, table.parents[1])


def test_rows_that_their_log_tells_of_are_not_stale(table: Path) -> None:
    assert changed(table) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": "old_error"}, "has rows of scores that its detector no longer has: adv3dcae's old_error"),
        ({"smoothing": "9"}, "has rows of scores that its detector no longer has: adv3dcae's mean_error"),
        ({"git": "ba9876543210"}, r"has rows of 2 git revisions, 0123456789ab, ba9876543210; evaluate it again"),
        (
            {"auroc_micro": "0.9200"},
            r"has an AUROC of 0\.912346 for adv3dcae mean_error paper 1, but the table 0\.9200",
        ),
        ({"auroc_micro": ""}, r"has an AUROC of 0\.912346"),
        ({"log": "zoo/logs/other"}, r"rows of 2 logs: zoo/logs/other, zoo/logs/run"),
        ({"log": "zoo/logs/other", "seed": "1"}, r"zoo/logs/other has 1 rows, but no summary\.json"),
        ({"log": "", "seed": "1"}, "1 rows have no log: adv3dcae's mean_error"),
        ({"data_fingerprint": "def"}, "was evaluated with data_fingerprint abc, but its rows have "),
    ],
)
def test_stale_rows_are_named(table: Path, changes: dict[str, str], message: str) -> None:
    assert any(re.search(message, fault) for fault in changed(table, **changes)), changed(table, **changes)


def test_a_row_that_is_in_the_log_only_is_missed(table: Path) -> None:
    rows = [row for row in read_results(table) if row["score"] != "mean_error"]
    assert "zoo/logs/run has rows that the table lacks: adv3dcae's mean_error" in stale_rows(rows, table.parents[1])[0]


def test_a_baseline_that_is_gone_is_stale(table: Path) -> None:
    rows = read_results(table)
    assert stale_rows(rows, table.parents[1], ["trivial_frame_difference"]) == []
    (fault,) = stale_rows(rows, table.parents[1], ["trivial_flow_squared"])
    assert fault == "trivial_frame_difference on ucsdped2 has a row, but there is no such baseline."


def test_evaluating_again_leaves_no_row_behind(table: Path) -> None:
    other = evaluation("frame_scores", log="zoo/logs/other", seed=1)["rows"][:2]
    update_results(table, other)
    again = evaluation("frame_scores", "new_error", git="ffff")
    again["rows"][-1]["model"] = "trivial_flow_squared"
    update_results(table, again["rows"])
    found = {(row["model"], row["score"], row["seed"], row["git"]) for row in read_results(table)}
    assert found == {
        ("adv3dcae", "frame_scores", "0", "ffff"),
        ("adv3dcae", "new_error", "0", "ffff"),
        ("adv3dcae", "frame_scores", "1", "0123456789ab"),
        ("trivial_flow_squared", "frame_scores", "", "ffff"),
    }


def test_the_check_of_the_tables_finds_stale_rows_and_logs(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = table.parents[1] / "README.md"
    document.write_text("# nothing\n")
    arguments = [str(document), "--results", str(table), "--check"]
    assert results(arguments) == 0
    (table.parent / "logs" / "run" / "train.log").write_text("a line\n")
    assert results(arguments) == 1
    assert "train.log does not belong into the logs" in capsys.readouterr().out
    (table.parent / "logs" / "run" / "train.log").unlink()
    table.write_text(table.read_text().replace("mean_error", "old_error"))
    assert results(arguments) == 1
    assert "scores that its detector no longer has: adv3dcae's old_error" in capsys.readouterr().out


def test_logs_of_another_form_are_named(table: Path) -> None:
    logs = table.parent / "logs"
    (logs / "note.csv").write_text("a\n")
    (logs / "run" / "metrics.csv").unlink()
    (logs / "measured").mkdir()
    (logs / "measured" / "results.csv").write_text("a\n" * 1_600_000)
    size, *faults = log_faults(logs)
    assert size.startswith(f"{logs} has 3,2") and "but at most 3,000,000 are kept" in size
    assert [fault.removeprefix(f"{logs}/").split(" ")[0] for fault in faults] == [
        *("measured/results.csv", "note.csv", "measured", "run")
    ]
    assert "has 3,200,000 bytes; a log holds figures, not series" in faults[0]
    assert "has no summary.json" in faults[2] and "has no metrics.csv" in faults[3]


@pytest.mark.parametrize("text", [None, "no JSON", "[]"])
def test_a_summary_that_is_none_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "summary.json").write_text(text)
    with pytest.raises(VadError, match=r"summary\.json .*write it with keras-vad evaluate --log"):
        read_summary(tmp_path)


def test_every_log_of_the_project_is_referred_to_and_every_baseline_is_known() -> None:
    rows = read_results(ROOT / "zoo" / "results.csv")
    assert stale_rows(rows, ROOT, TRIVIAL_BASELINES) == []
    assert log_faults(ROOT / "zoo" / "logs") == []
    known = {row["log"] for row in rows}
    for preset in read_index(ROOT / "zoo"):
        known.add(json.loads((ROOT / "zoo" / preset.folder / "model_card.json").read_text())["log"])
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "keras_vad" / "recipes").glob("*.yaml")]
    for page in pages:
        known |= {f"zoo/{found}" for found in re.findall(r"\blogs/[\w+.=-]+", page.read_text("utf-8"))}
    for log in list(known):
        if (ROOT / log / "summary.json").is_file():
            known |= set(read_summary(ROOT / log).get("parts", []))
    assert {f"zoo/logs/{path.name}" for path in (ROOT / "zoo" / "logs").iterdir()} <= known
