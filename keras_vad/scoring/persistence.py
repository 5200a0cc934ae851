"""Maxima by topological persistence: the measure of Sun et al. 2020, section III-D and table X.

A local maximum counts if it is high enough and persistent enough. Its persistence (Kozlov and Weinkauf) is the height
that the series must fall from it, on both sides, before a higher value is reached: SciPy's peak prominence. A window of
frames around it is what it finds; maxima close to each other are one. The paper counts so, and for its table alone it
is here: what a person is called by are events (``keras_vad.scoring.events``).
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from keras_vad.errors import VadError
from keras_vad.scoring.series import finite_scores

#: Of calibrated scores. They are crowded near 1, where a long alarm is a plateau of little waves that must all count.
PROMINENCE = 0.01


@dataclass(frozen=True)
class PersistentPeak:
    """Persistent maxima close to each other, and the frames around them.

    Args:
        start: First frame number.
        end: Frame number after the last one.
        peak: Frame number of the highest maximum.
        score: Its score.
    """

    start: int
    end: int
    peak: int
    score: float


def persistent_peaks(
    scores: np.ndarray,
    min_prominence: float,
    threshold: float,
    group_within: int = 50,
    half_window: int = 25,
) -> list[PersistentPeak]:
    """The persistent maxima of one video. It looks at the whole series: not for use while the video still runs.

    Args:
        scores: (n,), one finite score a frame, higher is more anomalous.
        min_prominence: Smallest persistence of a maximum, above 0, in the unit of the scores. The highest maximum of
            the video has its height above the lowest score.
        threshold: Score that a maximum must be above.
        group_within: Maxima at most this many frames apart are one; the paper's value is 50.
        half_window: Frames on either side of a maximum. The paper uses a fixed window but does not say
            which; 25 makes it as wide as the 50 frames of its grouping.

    Returns:
        In order; windows that overlap are not joined unless their maxima are close, but cut midway.

    Raises:
        VadError: If there are no scores, one is not finite or an argument is out of range.

    Example:
    >>> scores = np.zeros(300)
    >>> scores[[100, 140, 250]] = 1.0, 0.8, 0.6
    >>> [(e.start, e.end, e.peak) for e in persistent_peaks(scores, min_prominence=0.3, threshold=0.5)]
    [(75, 166, 100), (225, 276, 250)]
    """
    scores = finite_scores(scores, "finding maxima")
    if min_prominence <= 0:
        raise VadError(f"smallest prominence of a maximum is {min_prominence}, but must be above 0.")
    if group_within < 0 or half_window < 0:
        raise VadError(
            f"maxima are grouped within {group_within} frames and {half_window} frames wide on either side, but "
            "neither can be below 0."
        )

    # With the lowest score on both sides, a maximum at the border is one too.
    framed = np.pad(scores, 1, constant_values=scores.min())
    maxima = find_peaks(framed, prominence=min_prominence)[0] - 1
    maxima = maxima[scores[maxima] > threshold]
    if maxima.size == 0:
        return []
    groups = np.split(maxima, np.flatnonzero(np.diff(maxima) > group_within) + 1)
    edges = [(int(group[0]), int(group[-1])) for group in groups]
    found = []
    for i, (group, (first, last)) in enumerate(zip(groups, edges, strict=True)):
        start, end = max(first - half_window, 0), min(last + half_window + 1, scores.size)
        if i > 0:
            start = max(start, (edges[i - 1][1] + first) // 2 + 1)
        if i + 1 < len(edges):
            end = min(end, (last + edges[i + 1][0]) // 2 + 1)
        peak = int(group[np.argmax(scores[group])])
        found.append(PersistentPeak(start, end, peak, float(scores[peak])))
    return found
