"""Events: stretches of alarm frames, joined over short gaps; the one definition for whoever speaks of an event.

An event begins with an alarm frame and ends with one. Alarm frames at most 50 frames apart are of one event (the
grouping of Sun et al. 2020), so every alarm frame belongs to exactly one, and a running camera can have them: the
client does, frame by frame (``keras_vad_client.EventTracker``). Reports, overlays and the figures of evaluations have
the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_vad.errors import VadError
from keras_vad.scoring.alarms import GROUP_WITHIN, frame_runs
from keras_vad.scoring.series import ALARM_BOUNDARY, LOWEST_LEVEL, VideoScores, finite_scores
from keras_vad.scoring.smooth import causal_mean

DOUBTFUL_SHARE = 0.9  # of the frames: no camera alarms for so much of its time


@dataclass(frozen=True)
class Event:
    """A stretch of frames in which alarms are close to each other.

    Args:
        start: Its first alarm's frame number.
        end: Frame number after its last alarm.
        peak: Frame number of its highest score, the first of equal ones.
        score: The highest score, above the alarm boundary.
        start_s: Seconds of its first alarm; ``None`` without a clock.
        peak_s: Seconds of its peak.
        end_s: Seconds of its last alarm, frame ``end - 1``.
    """

    start: int
    end: int
    peak: int
    score: float
    start_s: float | None = None
    peak_s: float | None = None
    end_s: float | None = None


def alarm_events(
    scores: VideoScores, times: np.ndarray | None = None, *, smoothing: int = 1, group_within: int = GROUP_WITHIN
) -> list[Event]:
    """The events of a video.

    Args:
        scores: Its scores.
        times: float64 (m,), seconds of each scored frame; ``None`` takes those of the scores, if they have a clock.
        smoothing: Causal mean over so many calibrated scores before they are compared with the boundary; 1 is none.
        group_within: Alarm frames at most this many frames apart are of one event.

    Returns:
        In order, in frame numbers of the video.

    Raises:
        VadError: If there are no scores, one is not finite, times are not one a score, or a number is out of range.

    Example:
    >>> level = np.full(200, 0.2, np.float32)
    >>> level[60:160] = 0.8 + 0.02 * np.sin(np.arange(100))
    >>> scores = VideoScores(frame_index=np.arange(4, 204), raw=level, calibrated=level)
    >>> [(event.start, event.end) for event in alarm_events(scores)]
    [(64, 164)]
    """
    times = scores.time_s if times is None else times
    level = causal_mean(scores.calibrated, smoothing) if smoothing != 1 else scores.calibrated
    level, frames = finite_scores(level, "finding events"), scores.frame_index
    if times is not None and len(times) != len(level):
        raise VadError(f"there are {len(level)} scores, but the times of {len(times)} frames; give one a scored frame.")
    events = []
    for start, end in frame_runs(frames[level > ALARM_BOUNDARY], group_within):
        first, behind = np.searchsorted(frames, (start, end))
        peak = int(first + np.argmax(level[first:behind]))
        seconds = (None,) * 3 if times is None else (float(times[i]) for i in (first, peak, behind - 1))
        events.append(Event(start, end, int(frames[peak]), float(level[peak]), *seconds))
    return events


def doubt_of(videos: Sequence[VideoScores], trained_on: str | None = None) -> str | None:
    """A sentence if nearly all scores say that the boundary was not made for this footage; ``None`` if not.

    Args:
        videos: Scores of some videos of one camera.
        trained_on: Data set that the model was trained on, if known.

    Example:
    >>> level = np.full(60, 0.9, np.float32)
    >>> doubt_of([VideoScores(np.arange(60), level, level)], "ucsdped2").partition(";")[0]
    'nearly every frame alarms (60 of 60): the model was trained on ucsdped2'
    """
    level = np.concatenate([scores.calibrated for scores in videos])
    boundary = "its alarm boundary was set by other footage than this"
    why = boundary if trained_on is None else f"the model was trained on {trained_on}"
    remedy = "video of another camera, train or fine-tune a model there (docs/your-own-camera.md)."
    above, below = (int(np.count_nonzero(which)) for which in (level > ALARM_BOUNDARY, level < LOWEST_LEVEL))
    if above >= DOUBTFUL_SHARE * len(level):
        return f"nearly every frame alarms ({above} of {len(level)}): {why}; if this is normal {remedy}"
    if below >= DOUBTFUL_SHARE * len(level):
        return (
            f"nearly every score ({below} of {len(level)}) is lower than any of the normal footage that set the alarm "
            f"boundary, so there will hardly be alarms: {why}; if this is {remedy}"
        )
    return None
