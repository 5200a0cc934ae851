"""The table of results, ``zoo/results.csv``, and the Markdown tables made from it.

A document holds a table between two markers, ``<!-- results:begin NAME -->`` and ``<!-- results:end NAME -->``, where
NAME is the key of a data set. Everything between them is replaced. A word after NAME in the first marker asks for
another table:

* ``brief`` leaves out smoothed scores, and the parts of a score other than the mean error, which is what most papers
  report.
* The key of a method leaves out the other methods; the trivial baselines stay.
* ``papers`` sets each method's own score beside what papers report (``zoo/published.csv``) and the strongest trivial
  baselines.
* ``alarms`` shows what each method's own score is worth to who is called by it: intervals, events, false alarms, maps.
* ``cuboids`` shows the figures of cuboids that lie with the logs of runs (``keras_vad.evaluation.cuboid_table``).
* ``steps`` shows what each step from a running camera to a published figure adds (``keras_vad.evaluation.steps``).
* ``presets`` shows the presets of the zoo, from its index, and the strongest trivial baselines beneath.
* A path like ``logs/RUN/results.csv``, from the folder of the table of results, shows that table instead: figures of
  other test videos.

The rows of a data set must be of the same frames: figures of different test videos do not belong side by side.
"""

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vad.common.files import write_text
from keras_vad.errors import VadError
from keras_vad.evaluation.cuboid_table import render_cuboids
from keras_vad.evaluation.preset_table import render_presets
from keras_vad.evaluation.steps import read_steps, render_steps

KEY = ("model", "score", "dataset", "recipe", "seed", "protocol", "smoothing")
_FIGURES = ("auroc_micro", "auroc_micro_low", "auroc_micro_high", "auroc_macro", "ap", "eer", "accuracy", "f1")
_EVENTS = ("events", "events_found", "false_alarms", "false_alarms_per_hour", "detection_delay_s")
_WHERE = ("pixel_auroc", "rbdc", "tbdc")
_COST = ("parameters", "macs_per_frame", "frames_per_second")
COLUMNS = (
    *(*KEY, *_FIGURES, *_EVENTS, "persistent_found", "persistent_false", *_WHERE),
    *("frames", "data_fingerprint", *_COST, "tf", "keras", "git", "log"),
)

#: The trivial baseline that stands in every table, whether or not it is the strongest.
ROW_NORMALISED_FLOW = "trivial_flow_row_normalised"

PUBLISHED_FILE, STEPS_FILE = "published.csv", "steps.csv"
PUBLISHED_COLUMNS = ("model", "method", "dataset", "variant", "auroc_micro", "eer", "source")

# At the start of a line, so that a document can also speak about them.
_TABLE = re.compile(
    r"(^<!-- results:begin (\S+)(?: (\S+))? -->\n).*?(^<!-- results:end \2 -->)", re.DOTALL | re.MULTILINE
)
_MARKER = re.compile(r"^<!-- results:(?:begin|end)\b", re.MULTILINE)


def read_results(path: Path) -> list[dict[str, str]]:
    """The rows of the table of results; none if there is no such file.

    Raises:
        VadError: If its columns are not ``COLUMNS``.
    """
    return _read_csv(path, COLUMNS, "move it away and evaluate again")


def read_published(path: Path) -> list[dict[str, str]]:
    """What papers report; none if there is no such file.

    Args:
        path: A CSV file with ``PUBLISHED_COLUMNS``: ``model`` is the key of the method here, empty if there is none;
            ``method`` its name and paper; ``variant`` what a figure is of, if a method has several on a data set;
            ``auroc_micro`` and ``eer`` in percent as printed, the frames of all test videos pooled unless the variant
            says otherwise; ``source`` the paper and table that the figure was taken from.

    Raises:
        VadError: If its columns are others.
    """
    return _read_csv(path, PUBLISHED_COLUMNS, "mend its first line")


def _read_csv(path: Path, columns: tuple[str, ...], remedy: str) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != columns:
            raise VadError(
                f"{path} has the columns {', '.join(reader.fieldnames or ())}, but {', '.join(columns)} are expected; "
                f"{remedy}."
            )
        return list(reader)


def update_results(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put rows into the table of results; a row replaces the one that has the same ``KEY``.

    What is not made any more leaves the table: other rows of the same log, and on the same data set those of trivial
    baselines of other names.

    Args:
        path: The CSV file; made if it is not there. It is written beside and renamed, in the order of ``KEY``.
        rows: With all ``COLUMNS``, for example ``EvaluationReport.rows``; ``None`` becomes an empty cell, figures have
            four digits.

    Raises:
        VadError: If the file has other columns or cannot be written.
    """
    new = [{column: _cell(row[column]) for column in COLUMNS} for row in rows]
    logs = {row["log"] for row in new} - {""}
    baselines: dict[str, set[str]] = {}
    for row in new:
        if _is_trivial(row):
            baselines.setdefault(row["dataset"], set()).add(row["model"])

    def stays(row: Mapping[str, str]) -> bool:
        if _is_trivial(row):
            return row["model"] in baselines.get(row["dataset"], {row["model"]})
        return row["log"] not in logs

    kept = [row for row in read_results(path) if stays(row)]
    table = {tuple(row[column] for column in KEY): row for row in (*kept, *new)}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table[key] for key in sorted(table))
    write_text(path, text.getvalue())


def update_tables(document: Path, results: Path, *, check: bool = False) -> bool:
    """Make the tables of a document anew.

    Args:
        document: A Markdown file with markers.
        results: The table of results; links to logs are relative to the folder above the one it lies in. What papers
            report is read from ``published.csv`` beside it.
        check: Leave the document as it is.

    Returns:
        Whether the document was (with ``check``: is) stale.

    Raises:
        VadError: If a marker has no partner, names no data set or asks for an unknown table, rows of one data set are
            of different frames, another table has none, or the document cannot be read or written.
    """
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise VadError(f"{document} cannot be read ({error.strerror}); give a Markdown file.") from error
    rows = read_results(results)
    root = results.resolve().parent.parent
    to_root = os.path.relpath(root, document.resolve().parent)

    def table(match: re.Match[str]) -> str:
        begin, name, kind, end = match.groups()
        if kind == "cuboids":
            to_logs = f"{to_root}/{results.resolve().parent.name}/logs"
            return f"{begin}\n{render_cuboids(results.with_name('logs'), name, to_logs)}\n{end}"
        if kind == "steps":
            steps = read_steps(results.with_name(STEPS_FILE))
            _check_same_data([*rows, *(step for step in steps if step["dataset"] == name)], name, results)
            return f"{begin}\n{render_steps(steps, name)}\n{end}"
        if kind is not None and kind.endswith(".csv"):
            others = read_results(results.parent / kind)
            if not others:
                raise VadError(f"{document} asks for {kind}, but there are no rows in {results.parent / kind}.")
            _check_same_data(others, name, results.parent / kind)
            return f"{begin}\n{render_table(others, name, to_root)}\n{end}"
        if all(row["dataset"] != name for row in rows):
            _check_dataset(name, document)
        _check_same_data(rows, name, results)
        if kind == "presets":
            zoo = results.resolve().parent
            own = {"dataset": name, "score": "frame_scores", "smoothing": "1"}
            own_rows = [row for row in rows if all(row[column] == value for column, value in own.items())]
            strongest = _strongest_baselines(own_rows)
            shown = [row for row in own_rows if not _is_trivial(row) or row["model"] in strongest]
            return f"{begin}\n{render_presets(zoo, name, shown, f'{to_root}/{zoo.name}')}\n{end}"
        if kind == "papers":
            published = read_published(results.with_name(PUBLISHED_FILE))
            return f"{begin}\n{render_papers(rows, published, name, to_root)}\n{end}"
        if kind == "alarms":
            return f"{begin}\n{render_alarms(rows, name, to_root)}\n{end}"
        model = None if kind in (None, "brief") else kind
        if model is not None and all(row["model"] != model for row in rows):
            _check_model(model, document)
        return f"{begin}\n{render_table(rows, name, to_root, brief=kind == 'brief', model=model)}\n{end}"

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


def render_table(
    rows: Sequence[Mapping[str, str]],
    dataset: str,
    to_root: str = ".",
    *,
    brief: bool = False,
    model: str | None = None,
) -> str:
    """A Markdown table of one data set: mean +- standard deviation over seeds, in percent.

    Args:
        rows: Of the table of results.
        dataset: Key of the data set.
        to_root: Path from the document to the repository, for links to logs.
        brief: Show unsmoothed scores only, and of the parts of a score only the mean error.
        model: Show this method only, and the trivial baselines with its smoothings.
    """
    rows = [row for row in rows if row["dataset"] == dataset]
    if model is not None:
        smoothings = {row["smoothing"] for row in rows if row["model"] == model}
        baselines = (row for row in rows if _is_trivial(row) and row["smoothing"] in smoothings)
        rows = [*(row for row in rows if row["model"] == model), *baselines]
    if brief:
        rows = [row for row in rows if row["smoothing"] == "1" and row["score"] in ("frame_scores", "mean_error")]
    groups = _grouped(rows, "model", "score", "recipe", "smoothing")
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


def render_papers(
    rows: Sequence[Mapping[str, str]], published: Sequence[Mapping[str, str]], dataset: str, to_root: str = "."
) -> str:
    """A Markdown table of one data set that sets ours beside what papers report, in percent.

    A method's row for each of its recipes has its own, unsmoothed score: mean +- standard deviation over seeds. After
    them come the trivial baselines that are strongest under a protocol, among those that use optical flow and among
    the others, and then methods that are known from papers only.

    Args:
        rows: Of the table of results.
        published: See ``read_published``.
        dataset: Key of the data set.
        to_root: Path from the document to the repository, for links to logs.
    """
    rows = [
        row for row in rows if row["dataset"] == dataset and row["score"] == "frame_scores" and row["smoothing"] == "1"
    ]
    published = [row for row in published if row["dataset"] == dataset]
    if not rows and not published:
        return "No results yet.\n"
    strongest = _strongest_baselines(rows)
    ours = _grouped([row for row in rows if not _is_trivial(row) or row["model"] in strongest], "model", "recipe")
    in_papers = _grouped([row for row in published if row["model"]], "model")
    for (model,) in in_papers:
        if all(key[0] != model for key in ours):
            ours[model, ""] = []
    only_in_papers = _grouped([row for row in published if not row["model"]], "method")

    header = ["method", "recipe", "seeds", "AUROC, `paper`", "EER, `paper`", "AUROC, `deployable`"]
    header += ["published AUROC", "published EER", "published in"]
    lines = [f"| {' | '.join(header)} |", "|---|---|---|--:|--:|--:|--:|--:|---|"]
    for key in sorted(ours, key=lambda key: (key[0].startswith("trivial_"), *key)):
        model, recipe = key
        cells = [f"`{model}`", recipe or "–", _seeds(ours[key], to_root)]
        for protocol, figure in (("paper", "auroc_micro"), ("paper", "eer"), ("deployable", "auroc_micro")):
            cells.append(_mean_and_deviation([row for row in ours[key] if row["protocol"] == protocol], figure))
        lines.append(f"| {' | '.join([*cells, *_published_cells(in_papers.get((model,), []))])} |")
    for (method,), reports in only_in_papers.items():
        lines.append(f"| {' | '.join([method, *['–'] * 5, *_published_cells(reports)])} |")
    return "\n".join(lines) + "\n"


def render_alarms(rows: Sequence[Mapping[str, str]], dataset: str, to_root: str = ".") -> str:
    """A Markdown table of the calibrated own scores on one data set, under ``deployable`` and without smoothing.

    The strongest trivial baselines stand beneath, with the interval of their AUROC: they have no alarms and no maps.
    Counts, rates and the interval of the AUROC are means over seeds; other figures mean +- standard deviation.

    Args:
        rows: Of the table of results; methods without events and baselines without an interval are left out.
        dataset: Key of the data set.
        to_root: Path from the document to the repository, for links to logs.
    """
    own = {"dataset": dataset, "score": "frame_scores", "smoothing": "1", "protocol": "deployable"}
    strongest = _strongest_baselines([row for row in rows if row["dataset"] == dataset and row["smoothing"] == "1"])
    rows = [row for row in rows if all(row[column] == value for column, value in own.items())]
    rows = [row for row in rows if row["events"] or (row["model"] in strongest and row["auroc_micro_low"])]
    groups = _grouped(rows, "model", "recipe")
    if not groups:
        return "No results yet.\n"
    header = ["model", "recipe", "seeds", "AUROC (95 % interval)", "F1", "events found", "false alarms", "delay, s"]
    header += ["by persistence: found, false", "pixel AUROC", "RBDC", "TBDC", "M MACs a frame", "frames a second"]
    lines = [f"| {' | '.join(header)} |", "|---|---|---|" + "--:|" * (len(header) - 3)]
    for (model, recipe), group in sorted(groups.items(), key=lambda one: (_is_trivial(one[1][0]), one[0])):

        def mean(column: str, scale: float = 1.0, digits: int = 1, group: list[Mapping[str, str]] = group) -> str:
            values = [scale * float(row[column]) for row in group if row[column]]
            return f"{np.mean(values):.{digits}f}" if values else "–"

        low, middle, high = (mean(f"auroc_micro{end}", 100) for end in ("_low", "", "_high"))
        false = mean("false_alarms") + (
            f" ({mean('false_alarms_per_hour', digits=0)} an hour)" if _has_rate(group) else ""
        )
        cells = [f"`{model}`", recipe or "–", _seeds(group, to_root), f"{middle} ({low} to {high})"]
        if group[0]["events"]:
            cells += [_mean_and_deviation(group, "f1"), f"{mean('events_found')} of {group[0]['events']}", false]
            cells += [mean("detection_delay_s"), f"{mean('persistent_found')}, {mean('persistent_false')}"]
        else:
            cells += ["–"] * 5
        cells += [_mean_and_deviation(group, figure) for figure in _WHERE]
        cells += [mean("macs_per_frame", 1e-6), mean("frames_per_second", digits=0)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _has_rate(rows: Sequence[Mapping[str, str]]) -> bool:
    return any(row["false_alarms_per_hour"] for row in rows)


def _strongest_baselines(rows: Sequence[Mapping[str, str]]) -> set[str]:
    """The best under either protocol, among those that use optical flow and among the others; and the one by rows."""
    best: dict[tuple[str, bool], Mapping[str, str]] = {}
    for row in rows:
        if _is_trivial(row) and row["auroc_micro"]:
            kind = row["protocol"], row["model"].startswith("trivial_flow")
            if kind not in best or float(row["auroc_micro"]) > float(best[kind]["auroc_micro"]):
                best[kind] = row
    return {ROW_NORMALISED_FLOW} | {row["model"] for row in best.values()}


def _published_cells(reports: Sequence[Mapping[str, str]]) -> list[str]:
    """Published AUROC, EER and sources; a variant stands in brackets behind its figure."""

    def figures(column: str) -> str:
        found = [(row[column], row["variant"]) for row in reports if row[column]]
        return ", ".join(f"{value} ({variant})" if variant else value for value, variant in found) or "–"

    sources = "; ".join(dict.fromkeys(row["source"] for row in reports)) or "–"
    return [figures("auroc_micro"), figures("eer"), sources]


def _grouped(rows: Iterable[Mapping[str, str]], *columns: str) -> dict[tuple[str, ...], list[Mapping[str, str]]]:
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return groups


def _is_trivial(row: Mapping[str, str]) -> bool:
    return row["model"].startswith("trivial_")


def _check_same_data(rows: Iterable[Mapping[str, str]], dataset: str, results: Path) -> None:
    models: dict[str, str] = {}
    for row in rows:
        if row["dataset"] == dataset:
            models.setdefault(row["data_fingerprint"], row["model"])
    if len(models) > 1:
        different = ", ".join(f"{fingerprint} ({model})" for fingerprint, model in models.items())
        raise VadError(
            f"{results} has rows of {dataset} from different frames: {different}; evaluate all models on the same data."
        )


def _check_model(key: str, document: Path) -> None:
    from keras_vad.models.registry import list_models  # loads TensorFlow, too

    if key not in list_models():
        raise VadError(
            f"{document} asks for the table {key!r}; write brief, papers, alarms, cuboids, steps, presets, a CSV file "
            f"of the logs or a method ({', '.join(list_models())})."
        )


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
