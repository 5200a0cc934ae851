"""Figures of events: what a person who is called by alarms gets to see.

The ground truth's events are runs of anomalous frames, the detector's are runs of frames above the alarm boundary
(``keras_vad.scoring.events``); either are joined when they are at most 50 frames apart.

An alarm is a call, and it has to be one for something. It is right if

* it begins in an event, or at most 50 frames before one that it reaches, and
* at least half of its frames lie in events or at most 50 frames from one.

It then finds the event that it begins in, and no other: who was called once is not called again by an alarm that goes
on. All other alarms are false. Without these rules an alarm that never ends finds everything. The field of sound events
has the same two: event-based measures ask for the onset (Mesaros et al. 2016, "Metrics for polyphonic sound event
detection"), and a detection that overlaps too little with events is false (the detection tolerance of Bilen et al.
2020, "A framework for the robust evaluation of sound event detection").
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_vad.scoring.alarms import GROUP_WITHIN, alarm_runs
from keras_vad.scoring.clock import durations
from keras_vad.scoring.persistence import PROMINENCE, persistent_peaks
from keras_vad.scoring.promise import count_interval
from keras_vad.scoring.series import ALARM_BOUNDARY

_COUNTS = ("events", "events_found", "false_alarms", "persistent_found", "persistent_false")
#: What ``event_figures`` gives.
EVENT_FIGURES = (*_COUNTS, "normal_hours", "false_alarms_per_hour", "alarmed_normal_share", "detection_delay_s")
_LEAST_SHARE = 0.5  # of an alarm's frames


def event_figures(
    labels: Sequence[np.ndarray],
    frame_index: Sequence[np.ndarray],
    calibrated: Sequence[np.ndarray],
    times: Sequence[np.ndarray | None],
) -> dict[str, Any]:
    """Events found, false alarms, normal time under alarm and delay, of calibrated scores.

    Args:
        labels: Of each video, bool (n_i,), all frames.
        frame_index: Of each video, int (m_i,), numbers of the scored frames.
        calibrated: Of each video, (m_i,) in (0, 1); above 0.5 is an alarm.
        times: Of each video, float64 (n_i,), seconds of every frame; ``None`` without a clock.

    Returns:
        * ``events``: of the ground truth; ``events_found`` and ``false_alarms`` by the rules above.
        * ``normal_hours``: of scored normal frames; ``None`` where a video has no clock.
        * ``false_alarms_per_hour``: false alarms per hour of these; ``None`` without a clock or normal frames.
        * ``alarmed_normal_share``: share of these hours, of these frames where a video has no clock, that lies in
          alarms; in [0, 1], ``None`` without normal frames. An hour of normal video has 3600 times as many alarmed
          seconds.
        * ``detection_delay_s``: mean seconds from an event's first frame to the beginning of the alarm that found it, 0
          if that was before; over the events found; ``None`` without a clock or if none is found.
        * ``persistent_found``, ``persistent_false``: events with a persistent maximum, and such maxima without an
          anomalous frame around them (Sun et al. 2020, table X; ``keras_vad.scoring.persistence``). They look at the
          whole series.

    Example:
    >>> labels, scores = np.zeros(300, bool), np.full(300, 0.1)
    >>> labels[100:150], scores[120:140], scores[250] = True, 0.9, 0.7
    >>> figures = event_figures([labels], [np.arange(300)], [scores], [np.arange(300) / 10])
    >>> [figures[name] for name in ("events", "events_found", "false_alarms", "detection_delay_s")]
    [1, 1, 1, 2.0]
    >>> rates = figures["false_alarms_per_hour"], figures["alarmed_normal_share"]
    >>> [round(one, 3) for one in rates]  # one in 25 seconds, for a tenth of one
    [144.0, 0.004]
    """
    counts = dict.fromkeys(_COUNTS, 0)
    delays: list[float] = []
    normal, alarmed = np.zeros(2), np.zeros(2)  # frames, seconds
    for truth, index, scores, clock in zip(labels, frame_index, calibrated, times, strict=True):
        flagged = np.zeros(len(truth), bool)
        flagged[index] = scores > ALARM_BOUNDARY
        events, alarms = alarm_runs(truth), alarm_runs(flagged)
        found, false = _answered(events, alarms, flagged)
        counts["events"] += len(events)
        counts["events_found"] += len(found)
        counts["false_alarms"] += false
        for event, alarm in found.items():
            start, begins = events[event][0], alarms[alarm][0]
            delays.append(np.nan if clock is None else max(0.0, float(clock[begins] - clock[start])))
        # Scores of the frames before the first scored one are not known; they are as low as the lowest.
        series = np.full(len(truth), scores.min(), float)
        series[index] = scores
        persistent = persistent_peaks(series, PROMINENCE, ALARM_BOUNDARY)
        counts["persistent_found"] += sum(
            any(peak.start < end and start < peak.end for peak in persistent) for start, end in events
        )
        counts["persistent_false"] += sum(not truth[peak.start : peak.end].any() for peak in persistent)
        sizes = np.ones((2, len(truth)))
        sizes[1] = np.nan if clock is None else durations(clock)
        scored_normal = np.zeros(len(truth), bool)
        scored_normal[index] = ~truth[index]
        normal += sizes[:, scored_normal].sum(axis=1)
        alarmed += sizes[:, scored_normal & _covered(len(truth), alarms)].sum(axis=1)
    by = 1 if normal[1] > 0 else 0  # not so if a video has no clock
    hours = None if np.isnan(normal[1]) else float(normal[1] / 3600)
    return {
        **counts,
        "normal_hours": hours,
        "false_alarms_per_hour": counts["false_alarms"] / hours if hours else None,
        "alarmed_normal_share": float(alarmed[by] / normal[by]) if normal[by] else None,
        "detection_delay_s": float(np.mean(delays)) if delays and np.isfinite(delays).all() else None,
    }


def told_events(row: Mapping[str, Any]) -> list[str]:
    """Sentences about the figures of events.

    Args:
        row: With what ``event_figures`` gives.
    """
    share, hours, delay = row["alarmed_normal_share"], row["normal_hours"], row["detection_delay_s"]
    false = f"{row['false_alarms']} false"
    alarmed = "" if share is None else f"; {100 * share:.1f} % of the normal frames lie in alarms"
    if hours:
        low, high = (end / hours for end in count_interval(row["false_alarms"]))
        false += (
            f" in {told_time(hours)} of normal video ({row['false_alarms_per_hour']:.3g} an hour, 95 % interval "
            f"{low:.3g} to {high:.3g})"
        )
        alarmed = f"; normal video is under alarm for {3600 * share:.0f} s an hour ({100 * share:.1f} %)"
    told = f", {delay:.3g} s after they began" if delay is not None else ""
    return [
        f"Alarms: {row['events_found']} of {row['events']} events found{told}, {false}{alarmed}.",
        f"By persistence {row['persistent_found']} found, {row['persistent_false']} false.",
    ]


def told_time(hours: float) -> str:
    """A length of footage, in a unit that suits it.

    Example:
    >>> told_time(0.01), told_time(0.2), told_time(30)
    ('36 s', '12 min', '30 h')
    """
    if hours < 1 / 30:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:.0f} h"


def _answered(
    events: Sequence[tuple[int, int]], alarms: Sequence[tuple[int, int]], flagged: np.ndarray
) -> tuple[dict[int, int], int]:
    """Event -> the first right alarm that finds it, for those found; and the number of false alarms."""
    wide = [(max(0, start - GROUP_WITHIN), end + GROUP_WITHIN) for start, end in events]
    near = _covered(len(flagged), wide)
    found: dict[int, int] = {}
    false = 0
    for number, (begins, ends) in enumerate(alarms):
        event = next((i for i, (_, end) in enumerate(events) if begins < end), None)
        if event is not None:
            start, end = events[event]
            reached = begins >= start - GROUP_WITHIN and flagged[max(begins, start) : end].any()
            if reached and near[begins:ends].mean() >= _LEAST_SHARE:
                found.setdefault(event, number)
                continue
        false += 1
    return found, false


def _covered(length: int, runs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Frames that lie in a run, bool (length,)."""
    covered = np.zeros(length, bool)
    for start, end in runs:
        covered[start:end] = True
    return covered
