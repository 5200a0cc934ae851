"""The picture of learning curves: losses of runs in training and on held-out normal video."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.common.files import appearing
from keras_vad.errors import VadError
from keras_vad.report.picture import ALARM, CURVE, INK

_HELD_OUT = "val_"


def read_losses(folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Losses of a run, epoch by epoch.

    Args:
        folder: A run folder, or a folder of logs that holds its ``metrics.csv``.

    Returns:
        Name of each column of losses -> float64 (epochs,), NaN where an epoch's phase has no such loss; held-out ones
        begin with ``val_``. And the name of each epoch's phase.

    Raises:
        VadError: If there is no ``metrics.csv`` with epochs in it.
    """
    path = RunFolder(folder).metrics_file
    if not path.is_file():
        raise VadError(f"{folder} holds no {path.name}; name a run folder or a folder of zoo/logs.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise VadError(f"{path} has no epochs yet; wait for the first one.")
    names = [name for name in rows[0] if name not in ("epoch", "phase", "learning_rate")]
    try:
        losses = {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}
        return losses, [row["phase"] for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise VadError(f"{path} is no table of a run's losses ({error}); name another folder.") from error


def draw_learning_curves(folders: Sequence[Path], path: Path, *, overwrite: bool = False) -> None:
    """Draw the losses of runs: a row for each run, a panel for each loss, training beside held-out video.

    Losses lie on a logarithmic axis; a line of dots stands where a phase begins.

    Args:
        folders: Run folders or folders of logs.
        path: The picture to write; its suffix says the format (``.png``, ``.svg``, ``.pdf``).
        overwrite: Whether to replace a picture that exists.

    Raises:
        VadError: If a folder has no losses, or the picture exists or cannot be written.
    """
    if not folders:
        raise VadError("there is no run to draw; name at least one run folder.")
    if path.exists() and not overwrite:
        raise VadError(f"{path} exists; choose another file or overwrite it.")
    runs = [(folder.name, *read_losses(folder)) for folder in folders]
    shown = [[name for name in losses if not name.startswith(_HELD_OUT)] for _, losses, _ in runs]
    columns = max(map(len, shown))
    figure = Figure(figsize=(2.9 * columns, 2.1 * len(runs)), dpi=110, facecolor="white", layout="constrained")
    rows = figure.subfigures(len(runs), 1, squeeze=False)[:, 0]
    for row, (title, losses, phases), names in zip(rows, runs, shown, strict=True):
        row.suptitle(title, fontsize=9, color=INK, x=0.01, ha="left")
        epochs = np.arange(1, len(phases) + 1)
        starts = [epoch for epoch in epochs[1:] if phases[epoch - 1] != phases[epoch - 2]]
        for axes, name in zip(row.subplots(1, columns, squeeze=False)[0], [*names, *[""] * columns], strict=False):
            if not name:
                axes.set_axis_off()
                continue
            # An epoch on its own, between phases without this loss, shows as a point.
            axes.plot(epochs, losses[name], ".-", color=CURVE, linewidth=1.2, markersize=3, label="training")
            if _HELD_OUT + name in losses:
                held_out = losses[_HELD_OUT + name]
                axes.plot(epochs, held_out, ".-", color=ALARM, linewidth=1.2, markersize=3, label="held out")
            for start in starts:
                axes.axvline(start - 0.5, color=INK, linewidth=0.8, linestyle=":")
            axes.set_yscale("log")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_title(name, fontsize=8, color=INK)
            axes.tick_params(colors=INK, labelsize=7, which="both")
            axes.grid(axis="y", alpha=0.25)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
    rows[0].axes[0].legend(fontsize=7, frameon=False)
    rows[-1].axes[0].set_xlabel("epoch", fontsize=8, color=INK)
    with appearing(path) as partial:
        try:
            figure.savefig(partial)
        except ValueError as error:  # an unknown format
            raise VadError(f"{path} cannot be drawn ({error}); name a .png, .svg or .pdf file.") from error
