"""From a series of scores to events: Sun et al. 2020, section III-D.

A local maximum counts if it is high enough and persistent enough. Its persistence (Kozlov and Weinkauf) is the height
that the series must fall from it, on both sides, before a higher value is reached: SciPy's peak prominence. The frames
around it are an event; the frames of maxima close to each other are one event.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import find_peaks

from keras_vad.errors import VadError
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores, finite_scores

ALARM_PROMINENCE = 0.01  # of calibrated scores, see alarm_events


@dataclass(frozen=True)
class Event:
    """Consecutive frames in which something abnormal happens.

    Args:
        start: First frame number.
        end: Frame number after the last one.
        peak: Frame number of the highest score.
        score: The highest score.
        start_s: Seconds from the start of the video to ``start``; ``None`` if the frame rate is not known.
        end_s: Likewise for ``end``.
    """

    start: int
    end: int
    peak: int
    score: float
    start_s: float | None = None
    end_s: float | None = None


def find_events(
    scores: np.ndarray,
    min_prominence: float,
    threshold: float,
    fps: float | None = None,
    group_within: int = 50,
    half_window: int = 25,
) -> list[Event]:
    """The events of one video. It looks at the whole series: not for use while the video still runs.

    Args:
        scores: (n,), one finite score a frame, higher is more anomalous.
        min_prominence: Smallest persistence of a maximum, above 0, in the unit of the scores. The highest maximum of
            the video has its height above the lowest score.
        threshold: Smallest score of a maximum.
        fps: Frames a second, to give times.
        group_within: Maxima at most this many frames apart are one event; the paper's value is 50.
        half_window: Frames of the event on either side of a maximum. The paper uses a fixed window but does not say
            which; 25 makes it as wide as the 50 frames of its grouping.

    Returns:
        Events in order; events whose windows overlap are not joined unless their maxima are close, but cut midway.

    Raises:
        VadError: If there are no scores, one is not finite or an argument is out of range.

    Example:
    >>> scores = np.zeros(300)
    >>> scores[[100, 140, 250]] = 1.0, 0.8, 0.6
    >>> [(e.start, e.end, e.peak) for e in find_events(scores, min_prominence=0.3, threshold=0.5)]
    [(75, 166, 100), (225, 276, 250)]
    """
    scores = finite_scores(scores, "finding events")
    if min_prominence <= 0:
        raise VadError(f"smallest prominence of an event is {min_prominence}, but must be above 0.")
    if group_within < 0 or half_window < 0:
        raise VadError(
            f"events are grouped within {group_within} frames and {half_window} frames wide on either side, but "
            "neither can be below 0."
        )
    if fps is not None and fps <= 0:
        raise VadError(f"frame rate is {fps}, but must be above 0.")

    # With the lowest score on both sides, a maximum at the border is one too.
    framed = np.pad(scores, 1, constant_values=scores.min())
    maxima = find_peaks(framed, height=threshold, prominence=min_prominence)[0] - 1
    if maxima.size == 0:
        return []
    groups = np.split(maxima, np.flatnonzero(np.diff(maxima) > group_within) + 1)
    edges = [(int(group[0]), int(group[-1])) for group in groups]
    events = []
    for i, (group, (first, last)) in enumerate(zip(groups, edges, strict=True)):
        start, end = max(first - half_window, 0), min(last + half_window + 1, scores.size)
        if i > 0:
            start = max(start, (edges[i - 1][1] + first) // 2 + 1)
        if i + 1 < len(edges):
            end = min(end, (last + edges[i + 1][0]) // 2 + 1)
        peak = int(group[np.argmax(scores[group])])
        times = (None, None) if fps is None else (start / fps, end / fps)
        events.append(Event(start, end, peak, float(scores[peak]), *times))
    return events


def alarm_events(scores: VideoScores, fps: float | None = None) -> list[Event]:
    """The events of calibrated scores: around their maxima above the alarm boundary.

    The prominence is small, 0.01. Calibrated scores are crowded near 1, so that a long alarm is a plateau of little
    waves. If only a large prominence counted, one wave would stand for it and the event would be the fixed window
    around that; with a small one all waves count, and as they are close to each other they are one event that is as
    long as the alarm. Noise cannot make many events of one: maxima within 50 frames are joined whatever their height.

    Args:
        scores: Scores of one video.
        fps: Frames a second, to give times.

    Returns:
        Events in frame numbers of the video, also where its first frames have no score.

    Raises:
        VadError: If there are no scores, or one is not finite.

    Example:
    >>> level = np.full(200, 0.2, np.float32)
    >>> level[60:160] = 0.8 + 0.02 * np.sin(np.arange(100))
    >>> scores = VideoScores(frame_index=np.arange(4, 204), raw=level, calibrated=level)
    >>> [(event.start, event.end) for event in alarm_events(scores)]
    [(41, 186)]
    """
    frames = scores.frame_index
    return [
        replace(
            event,
            start=int(frames[event.start]),
            end=int(frames[event.end - 1]) + 1,
            peak=int(frames[event.peak]),
            start_s=None if fps is None else int(frames[event.start]) / fps,
            end_s=None if fps is None else (int(frames[event.end - 1]) + 1) / fps,
        )
        for event in find_events(scores.calibrated, ALARM_PROMINENCE, ALARM_BOUNDARY, fps)
    ]
