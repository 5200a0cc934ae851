"""The picture of a figure that grows with the training set (Jacob & Levine 2019, figure 5)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from keras_vad.common.files import appearing
from keras_vad.errors import VadError
from keras_vad.report.picture import CURVE, INK


def draw_growth(
    sizes: Sequence[int],
    figures: Sequence[float],
    path: Path,
    *,
    name: str = "AUROC of cuboids",
    overwrite: bool = False,
) -> None:
    """Draw a figure against the size of the training set; sizes lie on a logarithmic axis.

    Args:
        sizes: Training frames, above 0; a size that is given several times, one for each seed, has its mean on the
            curve.
        figures: The figure that was reached with each, in [0, 1].
        path: The picture to write; its suffix says the format (``.png``, ``.svg``, ``.pdf``).
        name: What the figure is.
        overwrite: Whether to replace a picture that exists.

    Raises:
        VadError: If lengths differ, a value is out of its range, or the picture exists or cannot be written.
    """
    x, y = np.asarray(sizes, float), np.asarray(figures, float)
    if x.shape != y.shape or x.ndim != 1 or len(x) == 0:
        raise VadError(f"there are {x.shape} sizes and {y.shape} figures, but each size must have one.")
    if not (x > 0).all() or not ((y >= 0) & (y <= 1)).all():
        raise VadError("a size is not above 0 or a figure not in [0, 1]; give frames and shares.")
    if path.exists() and not overwrite:
        raise VadError(f"{path} exists; choose another file or overwrite it.")
    figure = Figure(figsize=(6.4, 4), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    each = np.unique(x)
    axes.plot(each, [y[x == size].mean() for size in each], color=CURVE, linewidth=1.6)
    axes.plot(x, y, "o", color=CURVE, markersize=5, markeredgecolor="white")
    axes.set(xscale="log", xlabel="training frames", ylabel=name)
    axes.set_xticks(each, [f"{int(size):,}" for size in each])
    axes.minorticks_off()
    axes.set_ylim(top=1.0)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with appearing(path) as partial:
        try:
            figure.savefig(partial)
        except ValueError as error:  # an unknown format
            raise VadError(f"{path} cannot be drawn ({error}); name a .png, .svg or .pdf file.") from error
