"""The picture of one restored or predicted frame: what went in, what came out, where they differ."""

from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from keras_vad.common.files import appearing
from keras_vad.errors import VadError
from keras_vad.report.picture import INK, clear_to_red

_PANEL = 4.0  # width of a panel in inches
_TITLE = 0.3  # height of the strip above them
_GAP = 0.1


def draw_restored(
    frame: np.ndarray, restored: np.ndarray, error: np.ndarray, path: Path, overwrite: bool = False
) -> None:
    """Draw a frame, the frame that a detector restored or predicted, and the error laid over the frame in gray.

    The error's colours go from the level that 80 % of its places do not reach (clear) to its largest value (red).

    Args:
        frame: The true frame, (h, w), (h, w, 1) or (h, w, 3): uint8 from 0 to 255 or float from 0 to 1.
        restored: What the detector made of it, the same; stretched to the frame if its size differs.
        error: float (h', w'), the error map; stretched to the frame.
        path: The picture to write; its suffix says the format (``.png``, ``.svg``, ``.pdf``).
        overwrite: Whether to replace a picture that exists.

    Raises:
        VadError: If a shape or range does not fit, or the picture exists or cannot be written.
    """
    pictures = {"frame": _unit_rgb(frame, "frame"), "restored": _unit_rgb(restored, "restored frame")}
    error = np.asarray(error, np.float64)
    if error.ndim != 2 or error.size == 0 or not np.isfinite(error).all():
        raise VadError(f"the error has shape {error.shape}, but must be a map (h, w) of finite numbers.")
    if path.exists() and not overwrite:
        raise VadError(f"{path} exists; choose another file or overwrite it.")
    pictures["error"] = np.repeat(pictures["frame"].mean(axis=-1, keepdims=True), 3, axis=-1)

    height, width = pictures["frame"].shape[:2]
    panel_height = _PANEL * height / width
    size = (3 * _PANEL + 2 * _GAP, panel_height + _TITLE)
    # Without pyplot there is no global state and no display is needed.
    figure = Figure(figsize=size, dpi=100, facecolor="white")
    for column, (title, picture) in enumerate(pictures.items()):
        left = column * (_PANEL + _GAP) / size[0]
        axes = figure.add_axes((left, 0, _PANEL / size[0], panel_height / size[1]))
        axes.imshow(picture, aspect="auto", interpolation="nearest", extent=(0, width, height, 0))
        axes.set_axis_off()
        axes.set_title(title, fontsize=11, color=INK, loc="left")
    colours = Normalize(float(np.quantile(error, 0.8)), float(error.max()), clip=True)
    axes.imshow(
        error, cmap=clear_to_red(), norm=colours, aspect="auto", interpolation="bilinear", extent=(0, width, height, 0)
    )
    with appearing(path) as partial:
        try:
            figure.savefig(partial)
        except ValueError as problem:  # an unknown format
            raise VadError(f"{path} cannot be drawn ({problem}); name a .png, .svg or .pdf file.") from problem


def _unit_rgb(picture: np.ndarray, what: str) -> np.ndarray:
    """Float RGB in [0, 1], (h, w, 3)."""
    picture = np.asarray(picture)
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or picture.shape[-1] not in (1, 3) or picture.size == 0:
        raise VadError(f"the {what} has shape {picture.shape}, but must be gray (h, w) or RGB (h, w, 3).")
    if picture.dtype == np.uint8:
        picture = picture / 255.0
    elif not (picture.min() >= 0 and picture.max() <= 1):  # NaN is neither
        raise VadError(
            f"the {what} holds values from {picture.min():.3g} to {picture.max():.3g}, but floats must lie in [0, 1]; "
            "clip it, or give uint8."
        )
    return np.broadcast_to(picture, (*picture.shape[:2], 3))
