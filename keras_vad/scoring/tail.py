"""The tail of normal scores: how often alarms come above scores that the footage has not shown yet.

Peaks over a threshold (Coles 2001, "An Introduction to Statistical Modeling of Extreme Values", chapters 4 and 5):
above a high threshold u, alarms come at some rate, and the height of an alarm's peak above u has a generalised Pareto
distribution, of a scale and a shape. From them follows the rate of alarms above any higher boundary. Frames are alike
in time, so alarms are taken, not frames: runs of frames above u (``alarm_runs``), each with its one peak.

What a few dozen peaks leave open is kept open. Every scale and shape of a grid is weighted by how well it explains the
peaks; a rate is the mean over all of them, and its interval holds 95 % of the weight. A rate far below one alarm in the
footage depends on the shape most of all, which no short footage tells, so the interval is wide there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import gamma, genpareto

from keras_vad.errors import VadError
from keras_vad.scoring.alarms import GROUP_WITHIN, alarm_counts, alarm_runs
from keras_vad.scoring.series import finite_scores

#: Shapes that are thought possible, all alike: from a tail that ends to one that has no variance any more.
SHAPES = np.linspace(-0.5, 0.75, 51)
LEAST_PEAKS = 10
_MOST_PEAKS = 50
_PEAKS_USED = 1 / 2  # of all peaks that the footage has
_SCALES = np.exp(np.linspace(-1.5, 1.5, 61))  # times the mean height of the peaks
_RATES = 32  # points of the distribution of the rate of alarms above the threshold
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Tail:
    """What the peaks of normal scores say of higher scores.

    Args:
        threshold: Score that the peaks are above.
        heights: float64 (k,), the peak of each alarm above the threshold, less the threshold.
        hours: Length of the footage, above 0.
    """

    threshold: float
    heights: np.ndarray
    hours: float

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shapes, scales and their weights, (g,) each."""
        shapes, scales = np.meshgrid(SHAPES, _SCALES * self.heights.mean(), indexing="ij")
        fit = genpareto.logpdf(self.heights, shapes[..., None], scale=scales[..., None]).sum(axis=-1)
        weights = np.exp(fit - fit.max())
        return shapes.ravel(), scales.ravel(), weights.ravel() / weights.sum()

    @cached_property
    def _rates(self) -> np.ndarray:
        """Alarms per hour above the threshold: points of what their count leaves open (gamma, Jeffreys' prior)."""
        levels = (np.arange(_RATES) + 0.5) / _RATES
        return gamma.ppf(levels, len(self.heights) + 0.5) / self.hours

    def rate(self, boundary: float) -> tuple[float, float, float]:
        """Alarms per hour above a boundary, at or above the threshold: expected, and their 95 % interval."""
        rates = (self._share_above(boundary)[:, None] * self._rates).ravel()
        weights = np.repeat(self._grid[2], _RATES) / _RATES
        order = np.argsort(rates)
        below = np.cumsum(weights[order])
        ends = np.searchsorted(below, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
        low, high = rates[order[np.minimum(ends, len(order) - 1)]]
        return self._expected(boundary), float(low), float(high)

    def boundary(self, per_hour: float) -> float:
        """The boundary above which ``per_hour`` alarms are expected.

        It is the threshold at least: what lies below, the footage itself tells better.
        """
        if self._expected(self.threshold) <= per_hour:
            return self.threshold

        def excess(boundary: float) -> float:
            return self._expected(boundary) - per_hour

        reach = float(self.heights.max())
        while excess(self.threshold + reach) > 0:
            reach *= 2
        return float(brentq(excess, self.threshold, self.threshold + reach, rtol=1e-6))

    def to_dict(self, per_hour: float) -> dict[str, Any]:
        """Plain values of the boundary for a rate: ``boundary``, ``low_per_hour``, ``high_per_hour``, ``peaks``."""
        boundary = self.boundary(per_hour)
        _, low, high = self.rate(boundary)
        return {"boundary": boundary, "low_per_hour": low, "high_per_hour": high, "peaks": len(self.heights)}

    def _expected(self, boundary: float) -> float:
        return (len(self.heights) + 0.5) / self.hours * float(self._share_above(boundary) @ self._grid[2])

    def _share_above(self, boundary: float) -> np.ndarray:
        """Share of the peaks above a boundary, for every shape and scale."""
        shapes, scales, _ = self._grid
        return genpareto.sf(boundary - self.threshold, shapes, scale=scales)


def tail_of(videos: Sequence[np.ndarray], seconds: float, group_within: int = GROUP_WITHIN) -> Tail:
    """The tail of normal scores.

    The threshold is the highest score above which half of the peaks that the footage has at all are alarms of their
    own, 50 at most.

    Args:
        videos: Raw scores of normal videos that the model was not trained on, (m_i,) each.
        seconds: Length of all of them together, above 0.
        group_within: See ``alarm_runs``.

    Raises:
        VadError: If there are no scores, one is not finite, or the footage has too few peaks.

    Example:
    >>> hour = np.random.default_rng(0).exponential(size=3600)
    >>> tail = tail_of([hour], seconds=3600, group_within=10)
    >>> boundary = tail.boundary(per_hour=0.5)  # half an alarm in the footage; truly 8.9 = log(3600 / 0.5)
    >>> [round(value, 1) for value in (boundary, *tail.rate(boundary)[1:])]  # the interval of the rate holds 0.5
    [9.6, 0.0, 2.5]
    """
    scores = [finite_scores(video, "the tail of normal scores") for video in videos]
    runs = alarm_counts(scores, group_within)
    most = int(runs.counts.max())
    wanted = min(int(_PEAKS_USED * most), _MOST_PEAKS)
    if wanted < LEAST_PEAKS:
        raise VadError(
            f"the normal footage has {most} separate peaks of the score, but its tail needs "
            f"{round(LEAST_PEAKS / _PEAKS_USED)}; give more footage, or take --boundary empirical."
        )
    threshold = float(runs.boundaries[np.flatnonzero(runs.counts >= wanted)[-1]])
    peaks = [video[start:end].max() for video in scores for start, end in alarm_runs(video > threshold, group_within)]
    return Tail(threshold, np.array(peaks) - threshold, seconds / 3600)
