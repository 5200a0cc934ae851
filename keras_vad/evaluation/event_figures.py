"""Figures of events: what a person who is called by alarms gets to see.

The ground truth's events are runs of anomalous frames, the detector's alarms are runs of frames above the alarm
boundary; either are joined when they are at most 50 frames apart (the grouping of Sun et al. 2020).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vad.scoring.alarms import alarm_runs
from keras_vad.scoring.events import ALARM_PROMINENCE, find_events
from keras_vad.scoring.series import ALARM_BOUNDARY

_COUNTS = ("events", "events_found", "false_alarms", "persistent_found", "persistent_false")
#: What ``event_figures`` gives.
EVENT_FIGURES = (*_COUNTS, "false_alarms_per_hour", "detection_delay_s")


def event_figures(
    labels: Sequence[np.ndarray],
    frame_index: Sequence[np.ndarray],
    calibrated: Sequence[np.ndarray],
    fps: Sequence[float | None],
) -> dict[str, Any]:
    """Events found, false alarms and delay, of calibrated scores.

    Args:
        labels: Of each video, bool (n_i,), all frames.
        frame_index: Of each video, int (m_i,), numbers of the scored frames.
        calibrated: Of each video, (m_i,) in (0, 1); above 0.5 is an alarm.
        fps: Of each video, frames a second; ``None`` where unknown.

    Returns:
        * ``events``: of the ground truth; ``events_found``: those with an alarm's frame in them; ``false_alarms``:
          alarms without an anomalous frame. A running camera has these alarms.
        * ``false_alarms_per_hour``: false alarms per hour of normal frames; ``None`` where a frame rate is unknown or
          there are no normal frames.
        * ``detection_delay_s``: mean seconds from an event's first frame to its first flagged one, over the events
          found; ``None`` where a frame rate is unknown or none is found.
        * ``persistent_found``, ``persistent_false``: the same counts for events by topological persistence (Sun et al.
          2020, table X; ``keras_vad.scoring.events``), which look at the whole series.

    Example:
    >>> labels, scores = np.zeros(300, bool), np.full(300, 0.1)
    >>> labels[100:150], scores[120:140], scores[250] = True, 0.9, 0.7
    >>> figures = event_figures([labels], [np.arange(300)], [scores], [10.0])
    >>> [figures[name] for name in ("events", "events_found", "false_alarms", "detection_delay_s")]
    [1, 1, 1, 2.0]
    >>> figures["false_alarms_per_hour"]  # one in 25 seconds
    144.0
    """
    counts = dict.fromkeys(_COUNTS, 0)
    delays: list[float] = []
    normal_seconds = 0.0
    for truth, index, scores, rate in zip(labels, frame_index, calibrated, fps, strict=True):
        flagged = np.zeros(len(truth), bool)
        flagged[index] = scores > ALARM_BOUNDARY
        events = alarm_runs(truth)
        counts["events"] += len(events)
        counts["false_alarms"] += sum(not truth[start:end].any() for start, end in alarm_runs(flagged))
        for start, end in events:
            if flagged[start:end].any():
                counts["events_found"] += 1
                delays.append(float(np.argmax(flagged[start:end])) / rate if rate else np.nan)
        # Scores of the frames before the first scored one are not known; they are as low as the lowest.
        series = np.full(len(truth), scores.min(), float)
        series[index] = scores
        persistent = find_events(series, ALARM_PROMINENCE, ALARM_BOUNDARY)
        counts["persistent_found"] += sum(
            any(event.start < end and start < event.end for event in persistent) for start, end in events
        )
        counts["persistent_false"] += sum(not truth[event.start : event.end].any() for event in persistent)
        normal_seconds += np.count_nonzero(~truth[index]) / rate if rate else np.nan
    known = np.isfinite(normal_seconds) and normal_seconds > 0
    return {
        **counts,
        "false_alarms_per_hour": float(3600 * counts["false_alarms"] / normal_seconds) if known else None,
        "detection_delay_s": float(np.mean(delays)) if delays and np.isfinite(delays).all() else None,
    }
