"""The table of results, ``zoo/results.csv``, and the Markdown tables made from it.

A document holds a table between two markers, ``<!-- results:begin NAME -->`` and ``<!-- results:end NAME -->``, where
NAME is the key of a data set. Everything between them is replaced. ``<!-- results:begin NAME brief -->`` leaves
out smoothed scores, and the parts of a score other than the mean error, which is what most papers report.
"""

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vad.errors import VadError
from keras_vad.files import write_text

KEY = ("model", "score", "dataset", "recipe", "seed", "protocol", "smoothing")
_FIGURES = ("auroc_micro", "auroc_macro", "ap", "eer")
COLUMNS = (*KEY, *_FIGURES, "frames", "data_fingerprint", "parameters", "tf", "keras", "git", "log")

# At the start of a line, so that a document can also speak about them.
_TABLE = re.compile(
    r"(^<!-- results:begin (\S+)( brief)? -->\n).*?(^<!-- results:end \2 -->)", re.DOTALL | re.MULTILINE
)
_MARKER = re.compile(r"^<!-- results:(?:begin|end)\b", re.MULTILINE)


def read_results(path: Path) -> list[dict[str, str]]:
    """The rows of the table of results; none if there is no such file.

    Raises:
        VadError: If its columns are not ``COLUMNS``.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise VadError(
                f"{path} has the columns {', '.join(reader.fieldnames or ())}, but {', '.join(COLUMNS)} are expected; "
                "move it away and evaluate again."
            )
        return list(reader)


def update_results(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put rows into the table of results; a row replaces the one that has the same ``KEY``.

    Args:
        path: The CSV file; made if it is not there. It is written beside and renamed, in the order of ``KEY``.
        rows: With all ``COLUMNS``, for example ``EvaluationReport.rows``; ``None`` becomes an empty cell, figures have
            four digits.

    Raises:
        VadError: If the file has other columns or cannot be written.
    """
    table = {tuple(row[column] for column in KEY): row for row in read_results(path)}
    for row in rows:
        cells = {column: _cell(row[column]) for column in COLUMNS}
        table[tuple(cells[column] for column in KEY)] = cells
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table[key] for key in sorted(table))
    write_text(path, text.getvalue())


def update_tables(document: Path, results: Path, *, check: bool = False) -> bool:
    """Make the tables of a document anew.

    Args:
        document: A Markdown file with markers.
        results: The table of results; links to logs are relative to the folder above the one it lies in.
        check: Leave the document as it is.

    Returns:
        Whether the document was (with ``check``: is) stale.

    Raises:
        VadError: If a marker has no partner or names no data set, or the document cannot be read or written.
    """
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise VadError(f"{document} cannot be read ({error.strerror}); give a Markdown file.") from error
    rows = read_results(results)
    root = results.resolve().parent.parent
    to_root = os.path.relpath(root, document.resolve().parent)

    def table(match: re.Match[str]) -> str:
        begin, name, brief, end = match.groups()
        if all(row["dataset"] != name for row in rows):
            _check_dataset(name, document)
        return f"{begin}\n{render_table(rows, name, to_root, brief=bool(brief))}\n{end}"

    new, n_tables = _TABLE.subn(table, text)
    markers = len(_MARKER.findall(text))
    if markers != 2 * n_tables:
        raise VadError(
            f"{document} has {markers} results markers, but {n_tables} pairs of <!-- results:begin NAME --> and "
            "<!-- results:end NAME -->; give each marker its partner."
        )
    if new != text and not check:
        write_text(document, new)
    return new != text


def render_table(rows: Sequence[Mapping[str, str]], dataset: str, to_root: str = ".", *, brief: bool = False) -> str:
    """A Markdown table of one data set: mean +- standard deviation over seeds, in percent.

    Args:
        rows: Of the table of results.
        dataset: Key of the data set.
        to_root: Path from the document to the repository, for links to logs.
        brief: Show unsmoothed scores only, and of the parts of a score only the mean error.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        shown = not brief or (row["smoothing"] == "1" and row["score"] in ("frame_scores", "mean_error"))
        if row["dataset"] == dataset and shown:
            groups.setdefault(tuple(row[c] for c in ("model", "score", "recipe", "smoothing")), []).append(row)
    if not groups:
        return "No results yet.\n"
    header = ["model", "score", "recipe", "smoothing", "weights", "seeds", "AUROC, `paper`", "EER, `paper`"]
    header += ["AUROC, `deployable`", "macro AUROC, `deployable`", "EER, `deployable`"]
    lines = [f"| {' | '.join(header)} |", "|---|---|---|" + "--:|" * (len(header) - 3)]
    for key in sorted(groups, key=_position):
        model, score, recipe, smoothing = key
        by_protocol = {
            protocol: [row for row in groups[key] if row["protocol"] == protocol]
            for protocol in ("paper", "deployable")
        }
        cells = [f"`{model}`", "own" if score == "frame_scores" else score, recipe or "–"]
        cells += ["–" if smoothing == "1" else f"{smoothing} frames", f"{int(groups[key][0]['parameters']):,}"]
        cells.append(_seeds(groups[key], to_root))
        cells += [_mean_and_deviation(by_protocol["paper"], figure) for figure in ("auroc_micro", "eer")]
        cells += [
            _mean_and_deviation(by_protocol["deployable"], figure) for figure in ("auroc_micro", "auroc_macro", "eer")
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _check_dataset(name: str, document: Path) -> None:
    from keras_vad.data.datasets import DATASETS  # loads TensorFlow, which no other table needs

    if name not in DATASETS:
        raise VadError(f"{document} asks for the results of {name!r}; choose one of {', '.join(DATASETS)}.")


def _position(key: tuple[str, ...]) -> tuple[Any, ...]:
    """Trivial baselines last; a model by its recipes, its own score before its parts, unsmoothed before smoothed."""
    model, score, recipe, smoothing = key
    return model.startswith("trivial_"), model, recipe, score != "frame_scores", score, int(smoothing)


def _seeds(rows: Sequence[Mapping[str, str]], to_root: str) -> str:
    logs = {row["seed"]: row["log"] for row in rows if row["seed"]}
    texts = [
        f"[{seed}]({Path(to_root, logs[seed]).as_posix()})" if logs[seed] else seed for seed in sorted(logs, key=int)
    ]
    return ", ".join(texts) or "–"


def _mean_and_deviation(rows: Sequence[Mapping[str, str]], figure: str) -> str:
    values = [100 * float(row[figure]) for row in rows if row[figure]]
    if not values:
        return "–"
    deviation = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{deviation}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
