from pathlib import Path

import pytest

from keras_vad.errors import VadError
from tests.command import verb
from tools.results import main as results

evaluate = verb("evaluate")


def test_results_check_fails_until_the_tables_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, table = tmp_path / "README.md", str(tmp_path / "zoo" / "results.csv")
    document.write_text("<!-- results:begin shapes -->\n<!-- results:end shapes -->\n")
    assert results([str(document), "--results", table, "--check"]) == 1
    assert "stale; run python tools/results.py" in capsys.readouterr().out
    assert results([str(document), "--results", table]) == 0
    assert results([str(document), "--results", table, "--check"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--smoothing", "0"], "argument --smoothing: it is 0, but must be a whole number of at least 1"),
        (["--json", "there.json"], r"there\.json exists; .* --overwrite"),
        (["--results", "there.json"], "has the columns not a table, but model, score"),
        ([], "there is no detector 'none'"),
    ],
)
def test_evaluate_refuses_before_it_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.json").write_text("not a table\n")
    with pytest.raises(VadError, match=message):
        evaluate(["--model", "none", "--dataset", "shapes", "--data-dir", str(tmp_path), *arguments])
    assert Path("there.json").read_text() == "not a table\n"
