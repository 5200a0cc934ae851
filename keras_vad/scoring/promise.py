"""Promises: an alarm boundary for a number of false alarms per hour, and what footage can say of whether it is kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from keras_vad.errors import VadError
from keras_vad.scoring.alarms import GROUP_WITHIN, alarm_counts, alarm_runs
from keras_vad.scoring.series import BOUNDARIES, finite_scores
from keras_vad.scoring.tail import tail_of

#: A promise is kept only if footage says that the rate is below this many times what was promised.
TOLD_WITHIN = 2.0
#: Nor is it kept, however few the alarms, if they last for a larger share of normal footage than this.
MOST_ALARMED = 0.1
_TELLING_ALARMS = 8.0  # promised in the footage, and as many seen, its interval ends just below twice the promise


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


def check_boundary(method: str) -> None:
    """Refuse an unknown way to find a boundary.

    Raises:
        VadError: If it is none of ``BOUNDARIES``.
    """
    if method not in BOUNDARIES:
        raise VadError(f"there is no boundary {method!r}; choose one of {', '.join(BOUNDARIES)}.")


def promised_boundary(
    videos: Sequence[np.ndarray],
    seconds: Sequence[float],
    per_hour: float,
    method: str = "empirical",
    group_within: int = GROUP_WITHIN,
) -> tuple[float, dict[str, Any]]:
    """The alarm boundary for a promised rate, and what is to be said of it.

    Args:
        videos: Raw scores of normal videos that the model was not trained on, (m_i,) each.
        seconds: Length of each.
        per_hour: Promised false alarms per hour, above 0.
        method: One of ``BOUNDARIES``.
        group_within: See ``alarm_runs``.

    Returns:
        The boundary, which float32 holds; and plain values: ``false_alarms_per_hour``, ``boundary_by`` (the method),
        ``boundaries`` (``empirical``: a score; ``tail``: see ``Tail.to_dict``, ``None`` where the footage has too few
        peaks), ``rate_check`` (``None`` with one video).

    Raises:
        VadError: If the method is unknown, or as ``boundary_for_rate`` and, for ``tail``, ``tail_of``.
    """
    check_boundary(method)
    empirical = boundary_for_rate(videos, sum(seconds), per_hour, group_within)
    try:
        tail = tail_of(videos, sum(seconds), group_within).to_dict(per_hour)
    except VadError:
        if method == "tail":
            raise
        tail = None
    boundary = empirical if tail is None or method == "empirical" else tail["boundary"]
    check = check_rate(videos, seconds, per_hour, method, group_within)
    return float(np.float32(boundary)), {
        "false_alarms_per_hour": per_hour,
        "boundary_by": method,
        "boundaries": {"empirical": empirical, "tail": tail},
        "rate_check": check and check.to_dict(),
    }


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
    runs = alarm_counts([finite_scores(video, "calibration") for video in videos], group_within)
    broken = np.flatnonzero(runs.counts > per_hour * seconds / 3600)
    return float(runs.boundaries[broken[-1] + 1 if broken.size else 0])


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
        alarmed_share: Share of that footage's frames that lie in an alarm, in [0, 1].
    """

    promised_per_hour: float
    alarms: int
    hours: float
    seen_per_hour: float
    low_per_hour: float
    high_per_hour: float
    alarmed_share: float

    @property
    def kept(self) -> bool | None:
        """``True`` if the data say so: the interval holds the promise or lies below it, and ends below twice of it.

        ``False`` if the whole interval lies above the promise, or alarms last for more than a tenth of the footage:
        one that never ends is few, too. ``None`` if it cannot be told from so little footage.
        """
        if self.promised_per_hour < self.low_per_hour or self.alarmed_share > MOST_ALARMED:
            return False
        return True if self.high_per_hour <= TOLD_WITHIN * self.promised_per_hour else None

    @property
    def hours_to_tell(self) -> float:
        """Hours of footage that would tell, if the rate is the promised one."""
        return _TELLING_ALARMS / self.promised_per_hour

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ``kept`` and ``hours_to_tell`` among them."""
        return {**asdict(self), "kept": self.kept, "hours_to_tell": self.hours_to_tell}


def check_rate(
    videos: Sequence[np.ndarray],
    seconds: Sequence[float],
    per_hour: float,
    method: str = "empirical",
    group_within: int = GROUP_WITHIN,
) -> RateCheck | None:
    """Check the promise on footage that did not set the boundary: leave one video out, in turn.

    Args:
        videos: Raw scores of normal videos, (m_i,) each.
        seconds: Length of each.
        per_hour: The promised rate.
        method: One of ``BOUNDARIES``.
        group_within: See ``alarm_runs``.

    Returns:
        ``None`` if nothing is left to set a boundary: there is one video only, or the tail of the others is unknown.
    """
    if len(videos) < 2:
        return None
    alarms, alarmed = 0, 0
    for left_out, scores in enumerate(videos):
        others = [video for number, video in enumerate(videos) if number != left_out]
        rest = sum(seconds) - seconds[left_out]
        if method == "empirical":
            boundary = boundary_for_rate(others, rest, per_hour, group_within)
        else:
            try:
                boundary = tail_of(others, rest, group_within).boundary(per_hour)
            except VadError:
                return None
        runs = alarm_runs(scores > boundary, group_within)
        alarms += len(runs)
        alarmed += sum(end - start for start, end in runs)
    hours = sum(seconds) / 3600
    low, high = count_interval(alarms)
    share = alarmed / sum(map(len, videos))
    return RateCheck(per_hour, alarms, hours, alarms / hours, low / hours, high / hours, share)
