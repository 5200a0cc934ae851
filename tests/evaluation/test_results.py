import json
from pathlib import Path
from typing import Any

import pytest

from keras_vad.data.datasets import DATASETS
from keras_vad.errors import VadError
from keras_vad.evaluation.results import COLUMNS, read_published, read_results, update_results, update_tables
from keras_vad.models.registry import list_models

ROOT = Path(__file__).parents[2]


def row(**changes: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(COLUMNS)
        | {
            "model": "adv3dcae",
            "score": "frame_scores",
            "dataset": "ucsdped2",
            "recipe": "compact",
            "seed": 0,
            "protocol": "paper",
            "smoothing": 1,
            "auroc_micro": 0.91,
            "auroc_macro": 0.9,
            "ap": 0.95,
            "eer": 0.2,
            "frames": 2010,
            "data_fingerprint": "abc",
            "parameters": 1234567,
            "tf": "2.21.0",
            "keras": "3.15.0",
            "git": "0123456789",
            "log": "",
        }
        | changes
    )


def test_a_row_replaces_the_one_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "zoo" / "results.csv"
    update_results(path, [row(seed=1), row(seed=0)])
    update_results(path, [row(seed=1, auroc_micro=0.123456, auroc_macro=None)])
    rows = read_results(path)
    assert [r["seed"] for r in rows] == ["0", "1"]
    assert (rows[1]["auroc_micro"], rows[1]["auroc_macro"]) == ("0.1235", "")
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    assert list(path.parent.iterdir()) == [path]


def test_a_table_with_other_columns_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("model,auc\na,1\n")
    with pytest.raises(VadError, match="has the columns model, auc, but model, score"):
        update_results(path, [row()])
    assert path.read_text() == "model,auc\na,1\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "zoo" / "results.csv"
    rows = [
        row(seed=seed, protocol=p, auroc_micro=v) for p, v in (("paper", 0.9), ("deployable", 0.8)) for seed in (0, 1)
    ]
    rows += [row(seed=2, auroc_micro=0.93, log="zoo/logs/2.csv"), row(seed=2, protocol="deployable", eer=None)]
    trivial = row(model="trivial_frame_difference", recipe="", seed=None, parameters=0)
    update_results(path, [*rows, trivial, row(dataset="shapes")])
    return path


TABLE = """\
<!-- results:begin ucsdped2 -->

| model | score | recipe | smoothing | weights | seeds | AUROC, `paper` | EER, `paper` | AUROC, `deployable` \
| macro AUROC, `deployable` | EER, `deployable` |
|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|
| `adv3dcae` | own | compact | – | 1,234,567 | 0, 1, [2](zoo/logs/2.csv) | 91.0 ± 1.7 | 20.0 ± 0.0 | 83.7 ± 6.4 \
| 90.0 ± 0.0 | 20.0 ± 0.0 |
| `trivial_frame_difference` | own | – | – | 0 | – | 91.0 | 20.0 | – | – | – |

<!-- results:end ucsdped2 -->"""


def test_table_by_hand(tmp_path: Path, results: Path) -> None:
    # 90 90 93: mean 91, deviation sqrt(6/2) = 1.7; 80 80 91: mean 83.67, deviation sqrt(80.67/2) = 6.35.
    document = tmp_path / "README.md"
    document.write_text("# A\n<!-- results:begin ucsdped2 -->\nold\n<!-- results:end ucsdped2 -->\nafter\n")
    assert update_tables(document, results, check=True)
    assert "old" in document.read_text()
    assert update_tables(document, results)
    assert document.read_text() == f"# A\n{TABLE}\nafter\n"
    assert not update_tables(document, results) and not update_tables(document, results, check=True)


def test_a_brief_table_leaves_out_smoothed_scores_and_parts(tmp_path: Path, results: Path) -> None:
    update_results(results, [row(score="flow_error"), row(score="mean_error", smoothing=9), row(smoothing=9)])
    document = tmp_path / "README.md"
    document.write_text("<!-- results:begin ucsdped2 brief -->\n<!-- results:end ucsdped2 -->")
    update_tables(document, results)
    assert document.read_text() == TABLE.replace("ucsdped2 -->\n\n", "ucsdped2 brief -->\n\n", 1)
    update_results(results, [row(score="mean_error")])
    update_tables(document, results)
    assert "| mean_error |" in document.read_text()


def test_a_table_of_one_model_keeps_the_baselines(tmp_path: Path, results: Path) -> None:
    baseline = row(model="trivial_frame_difference", recipe="", seed=None, parameters=0, smoothing=9)
    update_results(results, [row(model="luss_ae"), row(model="luss_ae", smoothing=9), baseline])
    document = tmp_path / "README.md"
    document.write_text("<!-- results:begin ucsdped2 adv3dcae -->\n<!-- results:end ucsdped2 -->")
    update_tables(document, results)
    assert document.read_text() == TABLE.replace("ucsdped2 -->\n\n", "ucsdped2 adv3dcae -->\n\n", 1)
    document.write_text("<!-- results:begin ucsdped2 luss_ae -->\n<!-- results:end ucsdped2 -->")
    update_tables(document, results)
    # the baseline smoothed over 9 frames, too, because the model has such a row
    assert [line.split(" | ")[0:4:3] for line in document.read_text().splitlines()[4:8]] == [
        ["| `luss_ae`", "–"],
        ["| `luss_ae`", "9 frames"],
        ["| `trivial_frame_difference`", "–"],
        ["| `trivial_frame_difference`", "9 frames"],
    ]


def test_a_model_without_rows_says_so_with_no_baselines(tmp_path: Path) -> None:
    document, results = tmp_path / "README.md", tmp_path / "zoo" / "results.csv"
    update_results(results, [row(model="trivial_frame_difference", recipe="", seed=None)])
    document.write_text("<!-- results:begin ucsdped2 adv3dcae -->\n<!-- results:end ucsdped2 -->")
    update_tables(document, results)
    assert document.read_text().splitlines()[2:4] == ["No results yet.", ""]


PUBLISHED = """\
model,method,dataset,variant,auroc_micro,eer,source
adv3dcae,Sun et al. 2020,ucsdped2,frames,91.0,10.9,"Sun, table II"
adv3dcae,Sun et al. 2020,ucsdped2,with flow,96.0,,"Sun, table IX"
adv3dcae,Sun et al. 2020,avenue,,88.9,18.2,"Sun, table I"
luss_ae,Lohani et al. 2023,ucsdped2,,98.52,,"Lohani, table 1"
,MemAE,ucsdped2,,94.1,,"Li, table 2"
"""

PAPERS = """\
<!-- results:begin ucsdped2 papers -->

| method | recipe | seeds | AUROC, `paper` | EER, `paper` | AUROC, `deployable` | published AUROC | published EER \
| published in |
|---|---|---|--:|--:|--:|--:|--:|---|
| `adv3dcae` | compact | 0, 1, [2](zoo/logs/2.csv) | 91.0 ± 1.7 | 20.0 ± 0.0 | 83.7 ± 6.4 \
| 91.0 (frames), 96.0 (with flow) | 10.9 (frames) | Sun, table II; Sun, table IX |
| `adv3dcae` | large | 0 | 99.0 | 20.0 | – \
| 91.0 (frames), 96.0 (with flow) | 10.9 (frames) | Sun, table II; Sun, table IX |
| `luss_ae` | – | – | – | – | – | 98.52 | – | Lohani, table 1 |
| `trivial_background_difference` | – | – | 92.0 | 20.0 | 60.0 | – | – | – |
| `trivial_flow_excess` | – | – | 94.0 | 20.0 | – | – | – | – |
| `trivial_frame_difference` | – | – | 91.0 | 20.0 | 81.0 | – | – | – |
| MemAE | – | – | – | – | – | 94.1 | – | Li, table 2 |

<!-- results:end ucsdped2 -->"""


def test_ours_beside_the_papers(tmp_path: Path, results: Path) -> None:
    """Of the baselines without flow, one is best under ``paper``, another under ``deployable``; a third is neither."""
    results.with_name("published.csv").write_text(PUBLISHED)

    def trivial(model: str, paper: float, **changes: Any) -> dict[str, Any]:
        return row(model=f"trivial_{model}", recipe="", seed=None, auroc_micro=paper, **changes)

    update_results(
        results,
        [
            row(recipe="large", auroc_micro=0.99),
            row(score="mean_error", auroc_micro=0.999),
            row(smoothing=9, auroc_micro=0.999),
            trivial("background_difference", 0.92),
            trivial("background_difference", 0.6, protocol="deployable"),
            trivial("frame_difference", 0.81, protocol="deployable"),
            trivial("blurred_frame_difference", 0.9),
            trivial("flow_excess", 0.94),
            trivial("flow_squared", 0.93),
        ],
    )
    document = tmp_path / "README.md"
    document.write_text("<!-- results:begin ucsdped2 papers -->\n<!-- results:end ucsdped2 -->")
    update_tables(document, results)
    assert document.read_text() == PAPERS


def test_what_papers_report_needs_its_columns(tmp_path: Path) -> None:
    assert read_published(tmp_path / "published.csv") == []
    (tmp_path / "published.csv").write_text("model,auroc\nadv3dcae,91\n")
    with pytest.raises(VadError, match=r"published\.csv has the columns model, auroc, but model, method, dataset"):
        read_published(tmp_path / "published.csv")


def test_what_papers_report_is_of_known_methods_and_plausible() -> None:
    rows = read_published(ROOT / "zoo" / "published.csv")
    assert {row["model"] for row in rows} - {""} <= set(list_models())
    assert {row["dataset"] for row in rows} <= {*DATASETS, "avenue", "shanghaitech"}
    assert all(50 < float(row["auroc_micro"]) < 100 for row in rows)
    assert all(0 < float(row["eer"]) < 50 for row in rows if row["eer"])
    assert all(row["method"] and row["source"] for row in rows)
    keys = [(row["method"], row["dataset"], row["variant"]) for row in rows]
    assert len(set(keys)) == len(keys)


def test_the_table_of_alarms(tmp_path: Path) -> None:
    results, document = tmp_path / "zoo" / "results.csv", tmp_path / "README.md"
    figures = {"auroc_micro": 0.9, "auroc_micro_low": 0.8, "auroc_micro_high": 0.95, "f1": 0.5, "detection_delay_s": 2}
    figures |= {"events": 12, "events_found": 11, "false_alarms": 3, "false_alarms_per_hour": 60.5, "rbdc": 0.25}
    figures |= {"persistent_found": 10, "persistent_false": 4, "macs_per_frame": 12_340_000, "frames_per_second": 99.5}
    rows = [row(protocol="deployable", seed=seed, **figures) for seed in (0, 1)]
    rows[1] |= {"events_found": 12, "false_alarms": 4, "rbdc": 0.35, "log": "zoo/logs/b"}
    others = [row(**figures), row(protocol="deployable", score="mean_error", **figures)]
    others += [row(protocol="deployable", smoothing=9, **figures), row(model="conv_ae", protocol="deployable")]
    trivial = {"model": "trivial_frame_difference", "protocol": "deployable", "recipe": "", "seed": None}
    others += [row(**trivial, auroc_micro=0.7, auroc_micro_low=0.6, auroc_micro_high=0.8)]
    update_results(results, [*rows, *others])
    document.write_text("<!-- results:begin ucsdped2 alarms -->\n<!-- results:end ucsdped2 -->\n")
    assert update_tables(document, results)
    lines = document.read_text().splitlines()
    assert len(lines) == 2 + 2 + 2 + 2  # conv_ae has no such figures
    baseline = [cell.strip() for cell in lines[5].split("|")[1:-1]]
    assert baseline == ["`trivial_frame_difference`", "–", "–", "70.0 (60.0 to 80.0)", *["–"] * 10]
    cells = [cell.strip() for cell in lines[4].split("|")[1:-1]]
    assert cells[:3] == ["`adv3dcae`", "compact", "0, [1](zoo/logs/b)"]
    assert cells[3:9] == ["90.0 (80.0 to 95.0)", "50.0 ± 0.0", "11.5 of 12", "3.5 (60 an hour)", "2.0", "10.0, 4.0"]
    assert cells[9:] == ["–", "30.0 ± 7.1", "–", "12.3", "100"]


def test_links_are_relative_to_the_document(tmp_path: Path, results: Path) -> None:
    document = tmp_path / "docs" / "results.md"
    document.parent.mkdir()
    document.write_text("<!-- results:begin ucsdped2 -->\n<!-- results:end ucsdped2 -->")
    update_tables(document, results)
    assert "[2](../zoo/logs/2.csv)" in document.read_text()


def test_a_data_set_without_rows_says_so(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("<!-- results:begin ucsdped1 -->\n<!-- results:end ucsdped1 -->")
    update_tables(document, tmp_path / "zoo" / "results.csv")
    assert "No results yet." in document.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "<!-- results:begin ped2 -->\n<!-- results:end ped2 -->",
            "asks for the results of 'ped2'; choose one of shapes",
        ),
        (
            "<!-- results:begin ucsdped2 short -->\n<!-- results:end ucsdped2 -->",
            "asks for the table 'short'; write brief, papers, alarms, cuboids, steps, presets, a CSV file of the logs "
            "or a method \\(.*adv3dcae",
        ),
        ("<!-- results:begin shapes logs/x/a.csv -->\n<!-- results:end shapes -->", "are no rows in .*logs/x/a.csv"),
        ("<!-- results:begin shapes -->\n", "has 1 results markers, but 0 pairs"),
        ("<!-- results:begin shapes -->\n<!-- results:end ucsdped2 -->", "has 2 results markers, but 0 pairs"),
    ],
)
def test_bad_markers(tmp_path: Path, results: Path, text: str, message: str) -> None:
    document = tmp_path / "README.md"
    document.write_text(text)
    with pytest.raises(VadError, match=message):
        update_tables(document, results)
    assert document.read_text() == text


def test_missing_document(tmp_path: Path, results: Path) -> None:
    with pytest.raises(VadError, match=r"none\.md cannot be read"):
        update_tables(tmp_path / "none.md", results)


def test_the_table_of_presets(tmp_path: Path) -> None:
    about = {"method": "adv3dcae", "parameters": 1234, "dataset": {"name": "ucsdped2"}, "recipe": "compact", "seed": 1}
    files = [{"name": "detector.keras", "size": 1_250_000, "sha256": "0" * 64}]
    entry = {"name": "b", "version": 2, "files": files, "storage": {"largest_change": 0.0123}, **about}
    entry["metrics"] = [{"protocol": "paper", "smoothing": 1, "auroc_micro": 0.99}]
    older = {**entry, "version": 1}
    other = {**entry, "name": "shapes", "dataset": {"name": "shapes"}}
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    (zoo / "index.json").write_text(json.dumps({"format": 1, "presets": [entry, older, other]}))
    trivial = {"model": "trivial_flow", "recipe": "", "seed": "", "parameters": 0}
    figures = {"auroc_micro": 0.8, "auroc_micro_low": 0.71, "auroc_micro_high": 0.9}
    elsewhere = [row(seed=2, auroc_micro=0.7), row(seed=1, smoothing=9), row(seed=1, score="mean_error")]
    rows = [row(**trivial), row(**trivial, protocol="deployable", auroc_micro=0.5), row(seed=1, **figures), *elsewhere]
    update_results(zoo / "results.csv", rows)
    (tmp_path / "docs").mkdir()
    document = tmp_path / "docs" / "zoo.md"
    document.write_text("<!-- results:begin ucsdped2 presets -->\n<!-- results:end ucsdped2 -->\n")
    assert update_tables(document, zoo / "results.csv")
    lines = document.read_text().splitlines()[4:-2]
    assert lines == [
        "| [b](../zoo/presets/b/2/model_card.json) | 2 | `adv3dcae` | 1,234 | 1.2 | 0.012 | 80.0 (71.0 to 90.0) | – |",
        "| `trivial_flow` | – | – | – | – | – | 91.0 | 50.0 |",
    ]


def test_rows_of_different_frames_do_not_stand_side_by_side(tmp_path: Path, results: Path) -> None:
    update_results(results, [row(model="conv_ae", data_fingerprint="def")])
    document = tmp_path / "README.md"
    for kind in ("", "brief ", "papers ", "alarms ", "presets "):
        document.write_text(f"<!-- results:begin ucsdped2 {kind}-->\n<!-- results:end ucsdped2 -->")
        with pytest.raises(VadError, match=r"ucsdped2 from different frames: abc \(adv3dcae\), def \(conv_ae\)"):
            update_tables(document, results)
    document.write_text("<!-- results:begin shapes -->\n<!-- results:end shapes -->")
    assert update_tables(document, results)


def test_a_table_of_other_test_videos(tmp_path: Path, results: Path) -> None:
    update_results(results.parent / "logs" / "x" / "a.csv", [row(data_fingerprint="def", auroc_micro=0.123)])
    document = tmp_path / "README.md"
    document.write_text("<!-- results:begin ucsdped2 logs/x/a.csv -->\n<!-- results:end ucsdped2 -->")
    assert update_tables(document, results)
    rows = document.read_text().splitlines()[4:-2]
    assert [line.split("|")[7].strip() for line in rows] == ["12.3"]


def test_a_data_set_without_presets_says_so(tmp_path: Path) -> None:
    document = tmp_path / "zoo.md"
    document.write_text("<!-- results:begin shapes presets -->\n<!-- results:end shapes -->\n")
    update_tables(document, tmp_path / "zoo" / "results.csv")
    assert "No presets yet." in document.read_text()
