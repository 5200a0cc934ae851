"""Runs: frames above the alarm boundary that are close to each other are one alarm."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d

from keras_vad.errors import VadError

GROUP_WITHIN = 50  # frames; what Sun et al. 2020 group maxima by


def alarm_runs(flagged: np.ndarray, group_within: int = GROUP_WITHIN) -> list[tuple[int, int]]:
    """Runs of flagged frames; runs that are close belong to one alarm.

    Args:
        flagged: bool (n,), frames of one video in order.
        group_within: Flagged frames at most this many frames apart are of one run; 1 joins neighbours only.

    Returns:
        (first frame, frame after the last one) of each alarm, in order.

    Raises:
        VadError: If ``flagged`` is not bool of one dimension, or ``group_within`` is below 1.

    Example:
    >>> alarm_runs(np.array([0, 1, 1, 0, 0, 1, 0], bool), group_within=2)
    [(1, 3), (5, 6)]
    >>> alarm_runs(np.array([0, 1, 1, 0, 0, 1, 0], bool), group_within=3)
    [(1, 6)]
    """
    flagged = np.asarray(flagged)
    if flagged.dtype != bool or flagged.ndim != 1:
        raise VadError(f"flags are {flagged.dtype} {flagged.shape}, but must be bool, one a frame.")
    return frame_runs(np.flatnonzero(flagged), group_within)


def frame_runs(frames: np.ndarray, group_within: int = GROUP_WITHIN) -> list[tuple[int, int]]:
    """``alarm_runs`` of the numbers of flagged frames, int (k,), increasing.

    Raises:
        VadError: If ``group_within`` is below 1.

    Example:
    >>> frame_runs(np.array([7, 9, 20]), group_within=2)
    [(7, 10), (20, 21)]
    """
    check_grouping(group_within)
    frames = np.asarray(frames)
    if frames.size == 0:
        return []
    groups = np.split(frames, np.flatnonzero(np.diff(frames) > group_within) + 1)
    return [(int(group[0]), int(group[-1]) + 1) for group in groups]


class AlarmCounts(NamedTuple):
    """How many alarms there are above each boundary.

    Attributes:
        boundaries: float64 (n,), ascending: the scores that occur.
        counts: int (n,), alarms of all videos above each.
    """

    boundaries: np.ndarray
    counts: np.ndarray


def alarm_counts(videos: Sequence[np.ndarray], group_within: int = GROUP_WITHIN) -> AlarmCounts:
    """The number of ``alarm_runs`` above every score.

    Args:
        videos: Finite scores of each, (m_i,).
        group_within: See ``alarm_runs``.

    Raises:
        VadError: If ``group_within`` is below 1.

    Example:
    >>> scores = np.array([0.0, 3, 0, 2, 0, 0, 0, 1])
    >>> [each.tolist() for each in alarm_counts([scores], group_within=2)]
    [[0.0, 1.0, 2.0, 3.0], [2, 1, 1, 0]]
    """
    check_grouping(group_within)
    # A frame begins an alarm where the boundary is below its score and not below any of the frames just before it.
    before = [_highest_before(video, group_within) for video in videos]
    own, previous = np.concatenate(list(videos)), np.concatenate(before)
    begins = previous < own
    highs, lows = np.sort(own[begins]), np.sort(previous[begins])
    boundaries = np.unique(own)
    above = len(highs) - np.searchsorted(highs, boundaries, "right")
    return AlarmCounts(boundaries, above - (len(lows) - np.searchsorted(lows, boundaries, "right")))


def _highest_before(scores: np.ndarray, frames: int) -> np.ndarray:
    """The highest of the ``frames`` scores before each; minus infinity for the first."""
    padded = np.concatenate([np.full(frames, -np.inf), scores[:-1]])
    return maximum_filter1d(padded, frames, origin=-(frames // 2))[: len(scores)]


def check_grouping(group_within: int) -> None:
    """Refuse a grouping that joins not even neighbours.

    Raises:
        VadError: If ``group_within`` is below 1.
    """
    if group_within < 1:
        raise VadError(f"alarms are grouped within {group_within} frames, but it must be at least 1.")
