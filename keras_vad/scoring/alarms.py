"""Alarms: frames above the boundary joined into alarms, and a boundary for a promised number of false ones per hour."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.stats import chi2

from keras_vad.errors import VadError
from keras_vad.scoring.series import finite_scores

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
    if group_within < 1:
        raise VadError(f"alarms are grouped within {group_within} frames, but it must be at least 1.")
    frames = np.flatnonzero(flagged)
    if frames.size == 0:
        return []
    groups = np.split(frames, np.flatnonzero(np.diff(frames) > group_within) + 1)
    return [(int(group[0]), int(group[-1]) + 1) for group in groups]


def count_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact (Garwood) interval of the mean of a Poisson variable of which ``count`` was seen.

    Example:
    >>> [round(end, 2) for end in count_interval(0)]  # "the rule of three"; 3.69 as the interval has two sides
    [0.0, 3.69]
    >>> [round(end, 2) for end in count_interval(5)]
    [1.62, 11.67]
    """
    tail = (1 - confidence) / 2
    low = float(chi2.ppf(tail, 2 * count) / 2) if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * (count + 1)) / 2)


def boundary_for_rate(
    videos: Sequence[np.ndarray], seconds: float, per_hour: float, group_within: int = GROUP_WITHIN
) -> float:
    """The lowest alarm boundary that keeps normal footage at or below a number of alarms per hour.

    The boundary is an observed score; a frame is flagged if its score is above it. It is the lowest one from which on
    all higher boundaries keep the promise, too: joining runs makes their number fall again at low boundaries, where one
    alarm lasts all the time.

    Args:
        videos: Raw scores of normal videos that the model was not trained on, (m_i,) each.
        seconds: Length of all of them together, above 0.
        per_hour: Promised false alarms per hour, above 0.
        group_within: See ``alarm_runs``.

    Raises:
        VadError: If there are no scores, one is not finite, or a number is out of range.

    Example:
    >>> scores = np.zeros(3600)
    >>> scores[[100, 1000, 2000]] = 3.0, 2.0, 1.0
    >>> boundary_for_rate([scores], seconds=3600, per_hour=1)  # the score 3 may raise an alarm, 2 may not
    2.0
    """
    if per_hour <= 0:
        raise VadError(f"false alarms per hour is {per_hour:g}, but must be above 0, for example 0.1.")
    if seconds <= 0:
        raise VadError(f"the normal footage lasts {seconds:g} s, but must last longer than 0 s; give videos.")
    if group_within < 1:
        raise VadError(f"alarms are grouped within {group_within} frames, but it must be at least 1.")
    scores = [finite_scores(video, "calibration") for video in videos]
    # A frame begins an alarm where the boundary is below its score and not below any of the frames just before it.
    before = [_highest_before(video, group_within) for video in scores]
    own, previous = np.concatenate(scores), np.concatenate(before)
    begins = previous < own
    highs, lows = np.sort(own[begins]), np.sort(previous[begins])
    candidates = np.unique(own)
    alarms = (len(highs) - np.searchsorted(highs, candidates, "right")) - (
        len(lows) - np.searchsorted(lows, candidates, "right")
    )
    broken = np.flatnonzero(alarms > per_hour * seconds / 3600)
    return float(candidates[broken[-1] + 1 if broken.size else 0])


def _highest_before(scores: np.ndarray, frames: int) -> np.ndarray:
    """The highest of the ``frames`` scores before each; minus infinity for the first."""
    padded = np.concatenate([np.full(frames, -np.inf), scores[:-1]])
    return maximum_filter1d(padded, frames, origin=-(frames // 2))[: len(scores)]


@dataclass(frozen=True)
class RateCheck:
    """A promised number of false alarms per hour beside what normal footage showed that did not set the boundary.

    Args:
        promised_per_hour: As asked for.
        alarms: Alarms seen, each video judged by the boundary that the others set.
        hours: Length of that footage.
        seen_per_hour: alarms / hours.
        low_per_hour: Lower end of the exact 95 % interval of the rate.
        high_per_hour: Upper end.
    """

    promised_per_hour: float
    alarms: int
    hours: float
    seen_per_hour: float
    low_per_hour: float
    high_per_hour: float

    @property
    def kept(self) -> bool:
        """Whether the promise lies within the interval, or above it."""
        return self.promised_per_hour >= self.low_per_hour

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ``kept`` among them."""
        return {**asdict(self), "kept": self.kept}


def check_rate(
    videos: Sequence[np.ndarray], seconds: Sequence[float], per_hour: float, group_within: int = GROUP_WITHIN
) -> RateCheck | None:
    """Check the promise on footage that did not set the boundary: leave one video out, in turn.

    Args:
        videos: Raw scores of normal videos, (m_i,) each.
        seconds: Length of each.
        per_hour: The promised rate.
        group_within: See ``alarm_runs``.

    Returns:
        ``None`` if there is one video only: nothing is left then to set a boundary.
    """
    if len(videos) < 2:
        return None
    alarms = 0
    for left_out, scores in enumerate(videos):
        others = [video for number, video in enumerate(videos) if number != left_out]
        boundary = boundary_for_rate(others, sum(seconds) - seconds[left_out], per_hour, group_within)
        alarms += len(alarm_runs(scores > boundary, group_within))
    hours = sum(seconds) / 3600
    low, high = count_interval(alarms)
    return RateCheck(per_hour, alarms, hours, alarms / hours, low / hours, high / hours)
