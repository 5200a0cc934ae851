"""The picture of a network's attention: maps laid over the frame that it looks at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from keras_vad.common.files import appearing
from keras_vad.errors import VadError
from keras_vad.report.picture import INK, clear_to_red

_PANEL = 3.2  # width of a panel in inches
_TITLE = 0.3  # height of the strip above them
_GAP = 0.1


def draw_attention(frame: np.ndarray, maps: Sequence[np.ndarray], path: Path, overwrite: bool = False) -> None:
    """Draw a frame and, beside it, attention maps laid over it in gray (figure 9 of Chang et al. 2022).

    Each map has colours of its own, from its smallest value (clear) to its largest (red); a map of equal values stays
    clear. Its title says how many times the mean of the map its largest value is, so that maps can be compared.

    Args:
        frame: uint8, (H, W, 3), RGB.
        maps: Of one or more stages, float (h, w) each, at least 0; stretched to the frame. For example the maps of one
            window of ``SpatioTemporalDissociation.attention_maps``.
        path: The picture to write; its suffix says the format (``.png``, ``.svg``, ``.pdf``).
        overwrite: Whether to replace a picture that exists.

    Raises:
        VadError: If a shape or value does not fit, or the picture exists or cannot be written.
    """
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or frame.size == 0:
        raise VadError(f"the frame is {frame.dtype} of shape {frame.shape}, but must be uint8 of shape (H, W, 3).")
    maps = [np.asarray(attention, np.float64) for attention in maps]
    if not maps:
        raise VadError("there are no attention maps; give at least one.")
    for attention in maps:
        if attention.ndim != 2 or attention.size == 0 or not (np.isfinite(attention).all() and attention.min() >= 0):
            raise VadError(
                f"an attention map has shape {attention.shape}, but must be one window's (h, w), of finite numbers of "
                "at least 0."
            )
    if path.exists() and not overwrite:
        raise VadError(f"{path} exists; choose another file or overwrite it.")

    height, width = frame.shape[:2]
    panel_height = _PANEL * height / width
    size = ((1 + len(maps)) * (_PANEL + _GAP) - _GAP, panel_height + _TITLE)
    # Without pyplot there is no global state and no display is needed.
    figure = Figure(figsize=size, dpi=100, facecolor="white")
    panels: list[np.ndarray | None] = [None, *maps]
    for column, panel in enumerate(panels):
        left = column * (_PANEL + _GAP) / size[0]
        axes = figure.add_axes((left, 0, _PANEL / size[0], panel_height / size[1]))
        picture = frame if panel is None else np.repeat(frame.mean(axis=-1, keepdims=True) / 255.0, 3, axis=-1)
        axes.imshow(picture, aspect="auto", interpolation="nearest", extent=(0, width, height, 0))
        axes.set_axis_off()
        title = "frame"
        if panel is not None:
            axes.imshow(
                panel, cmap=clear_to_red(), norm=Normalize(float(panel.min()), float(panel.max())),
                aspect="auto", interpolation="bilinear", extent=(0, width, height, 0),
            )  # fmt: skip
            peak = panel.max() / panel.mean() if panel.any() else 1.0
            title = f"attention {column}: up to {peak:.2f} of the mean"
        axes.set_title(title, fontsize=10, color=INK, loc="left")
    with appearing(path) as partial:
        try:
            figure.savefig(partial)
        except ValueError as problem:  # an unknown format
            raise VadError(f"{path} cannot be drawn ({problem}); name a .png, .svg or .pdf file.") from problem
