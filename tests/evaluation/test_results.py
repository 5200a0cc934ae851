from pathlib import Path
from typing import Any

import pytest

from keras_vad.errors import VadError
from keras_vad.evaluation.results import COLUMNS, read_results, update_results, update_tables


def row(**changes: Any) -> dict[str, Any]:
    return {
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
    } | changes


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
