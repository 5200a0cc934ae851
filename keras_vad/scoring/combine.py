"""One score of several methods: an alarm if any of them alarms, at the false-alarm rate of one."""

import functools
from collections.abc import Mapping

import numpy as np

from keras_vad.errors import VadError
from keras_vad.scoring.calibrate import level_below_share
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores


def combine(parts: Mapping[str, VideoScores]) -> VideoScores:
    """The scores of one video by several methods as one: the larger of the calibrated scores.

    Calibrated scores can be compared, as all of them say which share of held-out normal frames is below, and how far
    beyond these a frame is in units of their range. The larger one says what the more alarmed method says.

    If any of n methods may alarm, false alarms add up. So each gets the n-th part of its own: its boundary moves from
    the quantile q of its held-out normal frames to 1 - (1 - q) / n. Whatever the methods have in common, at most the
    sum of the parts is above then, a share 1 - q again (the mean, if their q differ); less, where they alarm together.
    Where frames are few, up to one of them for each method comes on top, as a quantile is one of the scores; the
    promise needs scores that differ, too. A number of alarms an hour, which a boundary may also be set by, is not
    promised. The other way, calibrating the combined score on held-out video, would waste nothing of 1 - q, but needs
    that video whenever two models meet, and none of them may have been trained on it. This one needs nothing: a
    calibrated score tells its own quantile (``level_below_share``).

    Args:
        parts: Name -> scores of the same video, at least one.

    Returns:
        Scores of the frames that all methods score. ``raw`` is the larger calibrated score m. ``calibrated`` is m with
        the moved boundary b at 0.5: 0.5 m / b up to it, and 0.5 + 0.5 (m - b) / (1 - b) above; of one method, its own.
        ``parts`` are the calibrated scores by name. There are no maps: those of two methods have neither size nor unit
        in common.

    Raises:
        VadError: If there are no parts, or no frame is scored by all.

    Example:
    >>> motion = VideoScores(np.arange(3), np.zeros(3), np.float32([0.2, 0.52, 0.3]))
    >>> looks = VideoScores(np.arange(1, 4), np.zeros(3), np.float32([0.1, 0.7, 0.1]))
    >>> both = combine({"motion": motion, "looks": looks})
    >>> both.frame_index, both.raw, both.alarm  # 0.52 alarms alone, but not as one of two: their boundary is 0.55
    (array([1, 2]), array([0.52, 0.7 ], dtype=float32), array([False,  True]))
    """
    if not parts:
        raise VadError("there are no scores to combine; give those of at least one method.")
    frames = functools.reduce(np.intersect1d, (scores.frame_index for scores in parts.values()))
    if frames.size == 0:
        raise VadError(f"no frame is scored by all of {', '.join(parts)}; check that the scores are of one video.")
    calibrated = {
        name: scores.calibrated[np.isin(scores.frame_index, frames)].astype(np.float32)
        for name, scores in parts.items()
    }
    largest = functools.reduce(np.maximum, calibrated.values())
    boundary, score = level_below_share(1 / len(parts)), largest.astype(np.float64)
    moved = np.where(
        score > boundary,
        ALARM_BOUNDARY + (1 - ALARM_BOUNDARY) * (score - boundary) / (1 - boundary),
        ALARM_BOUNDARY * score / boundary,
    )
    return VideoScores(frames, largest, moved.astype(np.float32), calibrated)
