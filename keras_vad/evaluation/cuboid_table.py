"""The Markdown table of cuboid figures, made from the reports that ``keras-vad cuboids`` has written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPORT_FILE = "cuboids.json"

#: What Jacob & Levine 2019 print, in percent: tables III (shapes), V, VI and VII (UCSD).
PUBLISHED = {
    "shapes": {"accuracy": 98.4, "f1": 83.21},
    "ucsdped1": {"auroc": 74.0, "accuracy": 85.42, "f1": 37.18},
    "ucsdped2": {"auroc": 79.0, "accuracy": 88.03, "f1": 44.3},
}

_COLUMNS = {
    "auroc": "AUROC",
    "accuracy": "accuracy",
    "f1": "F1",
    "normal_accuracy": "accuracy at `normal`",
    "normal_f1": "F1 at `normal`",
}


def render_cuboids(logs: Path, dataset: str, to_logs: str = "zoo/logs") -> str:
    """A Markdown table of the figures of cuboids on one data set, in percent, the paper's first.

    Args:
        logs: Folder with a folder for each run; those that hold ``cuboids.json`` count.
        dataset: Key of the data set.
        to_logs: Path from the document to ``logs``, for links.

    Returns:
        A row for each run, minimum share of anomalous pixels and rule for partial cuboids, in the order of the runs'
        names; beneath it those of the trivial scores of the same cuboids.
    """
    header = ["run", "training cuboids", "anomalous if", "anomalous", *_COLUMNS.values()]
    lines = [f"| {' | '.join(header)} |", "|---|--:|---|" + "--:|" * (len(header) - 3)]
    published = PUBLISHED.get(dataset)
    if published:
        lines.append(
            _line(["the paper", "–", "any pixel", "–", *(_percent(published.get(key), 1) for key in _COLUMNS)])
        )
    for path in sorted(logs.glob(f"*/{REPORT_FILE}")):
        report = json.loads(path.read_text("utf-8"))
        if report["dataset"] != dataset:
            continue
        link = f"[{path.parent.name}]({to_logs}/{path.parent.name})"
        for number, row in enumerate(report["by_minimum_share"]):
            lines.append(_line([link, _count(report.get("training_cuboids")), *_cells(row)]))
            for name, trivial in report.get("trivial", {}).items():
                lines.append(_line([f"`{name}`", "–", *_cells(trivial[number])]))
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    share = row["minimum_share"]
    rule = "any pixel" if share == 0 else f"> {100 * share:g} %"
    if row["partial"] != "normal":
        rule += f", partial {row['partial']}"
    anomalous = f"{100 * row['anomalous'] / row['cuboids']:.1f} % of {row['cuboids']:,}"
    return [rule, anomalous, *(_percent(row.get(key), 100) for key in _COLUMNS)]


def _percent(value: float | None, scale: float) -> str:
    return "–" if value is None else f"{scale * value:.2f}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
