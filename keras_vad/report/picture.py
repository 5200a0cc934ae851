"""The picture of a scored video: where and when a detector finds something abnormal."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from keras_vad.common.files import appearing
from keras_vad.data.video import Labels, Video
from keras_vad.errors import VadError
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores

INK = "#3a3f47"
CURVE = "#1f4e79"
ALARM = "#d62728"
TRUTH = "#f4a582"


def draw_scored_video(
    video: Video,
    scores: VideoScores,
    path: Path,
    *,
    labels: Labels | None = None,
    title: str | None = None,
    frames: int = 5,
) -> list[int]:
    """Draw the frames with the highest scores, anomaly maps laid over them, above the curve of calibrated scores.

    The frames are gray, so that all colour is the maps'. These share one scale, from the level that 95 % of all places
    of the video do not reach (clear) to the largest value of the frames that are shown. A mask of the ground truth is
    outlined, anomalous frames are shaded below the curve.

    Args:
        video: The video that was scored.
        scores: Its scores, with maps.
        path: The picture to write, replaced if it exists; its suffix says the format (``.png``, ``.svg``, ``.pdf``).
        labels: Ground truth, if known.
        title: Stands above the curve.
        frames: How many frames to show at most, from 1.

    Returns:
        The numbers of the frames that are shown, in order.

    Raises:
        VadError: If the scores have no maps, labels are of another video, or the picture cannot be written.
    """
    if scores.maps is None:
        raise VadError("the scores have no maps; score the video with maps=True to draw it.")
    if len(scores) == 0 or scores.frame_index[-1] >= len(video.frames):
        raise VadError(
            f"the scores are not those of {video.name}, which has {len(video.frames)} frames; score it again."
        )
    if labels is not None and len(labels.frame) != len(video.frames):
        raise VadError(
            f"{video.name} has {len(video.frames)} frames, but its labels {len(labels.frame)}; give it its own labels."
        )
    shown = _highest(scores.calibrated, frames)
    numbers = scores.frame_index[shown].tolist()
    pictures = {n: frame for n, frame in enumerate(video.frames) if n in numbers}

    # Without pyplot there is no global state and no display is needed.
    figure = Figure(figsize=(11, 5.4), dpi=150, facecolor="white", layout="constrained")
    grid = figure.add_gridspec(2, len(shown), height_ratios=[1.25, 1])
    curve = figure.add_subplot(grid[1, :])
    _draw_curve(curve, scores, labels)
    if title:
        curve.set_title(title, loc="left", fontsize=11, color=INK)

    maps = scores.maps[shown]
    colours = Normalize(float(np.quantile(scores.maps, 0.95)), float(maps.max()), clip=True)
    for column, (index, number) in enumerate(zip(shown, numbers, strict=True)):
        axes = figure.add_subplot(grid[0, column])
        score = float(scores.calibrated[index])
        _draw_frame(axes, pictures[number], maps[column], colours)
        if labels is not None and labels.mask is not None and labels.frame[number]:
            axes.contour(labels.mask(number), levels=[0.5], colors="#00b3d6", linewidths=1.4)
        colour = ALARM if score > ALARM_BOUNDARY else INK
        axes.set_title(f"frame {number}: {score:.2f}", fontsize=10, color=colour)
        for spine in axes.spines.values():
            spine.set(edgecolor=colour, linewidth=1.5)
        curve.plot(number, score, "o", color=colour, markersize=6, markeredgecolor="white", zorder=4)
        figure.add_artist(
            ConnectionPatch((0.5, 0), (number, score), axes.transAxes, curve.transData, color=INK, alpha=0.35, lw=0.8)
        )
    with appearing(path) as partial:
        try:
            figure.savefig(partial)
        except ValueError as error:  # an unknown format
            raise VadError(f"{path} cannot be drawn ({error}); name a .png, .svg or .pdf file.") from error
    return numbers


def _highest(values: np.ndarray, count: int) -> list[int]:
    """Indices of the highest peaks that lie well apart, in order."""
    if count < 1:
        raise VadError(f"the number of frames to show is {count}, but must be at least 1.")
    apart = max(1, len(values) // (count + 1))
    framed = np.pad(values.astype(np.float64), 1, constant_values=-np.inf)
    peak = (framed[1:-1] >= framed[:-2]) & (framed[1:-1] >= framed[2:])
    chosen: list[int] = []
    for index in sorted(np.flatnonzero(peak).tolist(), key=lambda index: (-values[index], index)):
        if len(chosen) < count and all(abs(index - other) >= apart for other in chosen):
            chosen.append(index)
    return sorted(chosen)


def _draw_curve(axes: Axes, scores: VideoScores, labels: Labels | None) -> None:
    index, level = scores.frame_index, scores.calibrated
    if labels is not None:
        axes.fill_between(
            np.arange(len(labels.frame)), 0, 1, where=labels.frame, step="mid", color=TRUTH, alpha=0.35, lw=0,
            label="anomalous (ground truth)",
        )  # fmt: skip
    axes.axhline(ALARM_BOUNDARY, color=ALARM, linestyle="--", linewidth=1.2, label="alarm boundary")
    axes.plot(index, level, color=CURVE, linewidth=1.6, label="calibrated score")
    axes.fill_between(
        index, level, ALARM_BOUNDARY, where=level > ALARM_BOUNDARY, interpolate=True, color=ALARM, alpha=0.25, lw=0,
        label="alarm",
    )  # fmt: skip
    axes.set(xlim=(index[0], index[-1]), ylim=(0, 1), xlabel="frame", ylabel="score")
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=9, frameon=False, borderaxespad=0.2)


def _draw_frame(axes: Axes, frame: np.ndarray, error_map: np.ndarray, colours: Normalize) -> None:
    axes.imshow(frame.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
    height, width = frame.shape[:2]
    axes.imshow(
        error_map, cmap=clear_to_red(), norm=colours, interpolation="bilinear",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )  # fmt: skip
    axes.set(xticks=[], yticks=[])


def clear_to_red() -> ListedColormap:
    """Yellow to red, from clear to nearly opaque."""
    share = np.linspace(0, 1, 256)
    return ListedColormap(np.stack([np.ones(256), 0.9 * (1 - share), np.zeros(256), 0.85 * np.sqrt(share)], axis=-1))
