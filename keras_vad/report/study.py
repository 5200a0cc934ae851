"""The study of local_playback: its table and its plots, from the figures of every training."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from keras_vad.common.files import appearing
from keras_vad.errors import VadError

PROTOCOLS = ("paper", "deployable")
RESULTS_FILE = "results.csv"


@dataclass(frozen=True)
class Variant:
    """One variant of the method and its trainings.

    Args:
        name: What differs.
        trainings: One row of the results a seed.
    """

    name: str
    trainings: tuple[Mapping[str, str], ...]

    def figures(self, quarter: int = 4) -> np.ndarray:
        """AUROC of the method's own score in percent.

        Args:
            quarter: After how many quarters of the schedule, 1 to 4.

        Returns:
            float64 (seeds, 2): under ``paper`` and ``deployable``.
        """
        return self._columns(*(f"{protocol}_q{quarter}" for protocol in PROTOCOLS))

    def averaged(self) -> np.ndarray | None:
        """The same with a running average of the weights, at the end; ``None`` where it was not evaluated."""
        columns = [f"averaged_{protocol}" for protocol in PROTOCOLS]
        return self._columns(*columns) if all(run[columns[0]] for run in self.trainings) else None

    def criterion(self, quarter: int = 4) -> np.ndarray:
        """The criterion on normal data in percent, float64 (seeds,)."""
        return self._columns(f"criterion_q{quarter}")[:, 0]

    def _columns(self, *names: str) -> np.ndarray:
        return np.array([[float(run[name]) for name in names] for run in self.trainings])


def read_study(path: Path) -> list[Variant]:
    """The variants of a study, in the order of their first trainings.

    Args:
        path: Its folder, with ``results.csv``: a line a training with ``variant``, ``seed``, ``weights``, for each
            quarter N of the schedule ``paper_qN``, ``deployable_qN`` and ``criterion_qN`` in percent (empty where it
            was not measured), and ``averaged_paper`` and ``averaged_deployable``.

    Raises:
        VadError: If the file is missing or has no training.
    """
    file = path / RESULTS_FILE
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            trainings = list(csv.DictReader(lines))
    except OSError as error:
        raise VadError(f"the study {path} cannot be read: {error.strerror} ({error.filename}).") from error
    if not trainings:
        raise VadError(f"the study {path} has no training in {RESULTS_FILE}; keep a line for each.")
    names = dict.fromkeys(run["variant"] for run in trainings)
    return [Variant(name, tuple(run for run in trainings if run["variant"] == name)) for name in names]


def study_table(variants: Sequence[Variant]) -> str:
    """Mean and standard deviation (n - 1) over seeds, as a Markdown table."""
    lines = [
        "| variant | weights | seeds | AUROC, `paper` | AUROC, `deployable` | with averaged weights | criterion |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for variant in variants:
        paper, deployable = (_told(column) for column in variant.figures().T)
        average = variant.averaged()
        averaged = "–" if average is None else " / ".join(_told(column) for column in average.T)
        weights = int(variant.trainings[0]["weights"])
        lines.append(
            f"| {variant.name} | {weights:,} | {len(variant.trainings)} | {paper} | {deployable} | {averaged} | "
            f"{_told(variant.criterion())} |"
        )
    return "\n".join(lines)


def draw_variants(variants: Sequence[Variant], path: Path) -> None:
    """Every training of every variant as a dot, one panel a protocol; PNG or SVG by the path's ending."""
    figure = Figure(figsize=(10, 0.24 * len(variants) + 1.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for column, (axes, protocol) in enumerate(zip(panels, PROTOCOLS, strict=True)):
        for row, variant in enumerate(variants):
            values = variant.figures()[:, column]
            axes.plot(values, np.full(len(values), row), "o", color="tab:blue", alpha=0.45, markersize=4)
            axes.plot(values.mean(), row, "|", color="black", markersize=11)
        axes.set_title(f"AUROC in %, {protocol}")
        axes.set_yticks(range(len(variants)), [variant.name for variant in variants])
        axes.grid(axis="x", alpha=0.3)
    panels[0].invert_yaxis()
    _save(figure, path)


def draw_schedule(variants: Sequence[Variant], path: Path) -> None:
    """AUROC and the criterion after each quarter of the schedule: mean of the seeds, and all between the extremes."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    titles = (*(f"AUROC in %, {protocol}" for protocol in PROTOCOLS), "criterion on normal data, %")
    for column, (axes, title) in enumerate(zip(figure.subplots(1, 3), titles, strict=True)):
        for variant in variants:
            series = [
                variant.figures(quarter)[:, column] if column < 2 else variant.criterion(quarter)
                for quarter in (1, 2, 3, 4)
            ]
            quarters = [25, 50, 75, 100]
            (line,) = axes.plot(quarters, [values.mean() for values in series], "o-", label=variant.name, markersize=4)
            low, high = [values.min() for values in series], [values.max() for values in series]
            axes.fill_between(quarters, low, high, color=line.get_color(), alpha=0.12)
        axes.set_title(title)
        axes.set_xlabel("% of the schedule")
        axes.set_xticks([25, 50, 75, 100])
        axes.grid(alpha=0.3)
        if column == 0:
            axes.legend(fontsize="small")
    _save(figure, path)


def _told(values: np.ndarray) -> str:
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values.mean():.1f}"


def _save(figure: Figure, path: Path) -> None:
    with appearing(path) as partial:
        figure.savefig(partial, format=path.suffix.lstrip("."), dpi=110)
