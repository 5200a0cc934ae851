"""From scores, as they come, to events: when something abnormal starts, that it goes on, and when it has ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from keras_vad_client.errors import VadClientError

ALARM_BOUNDARY = 0.5  # of calibrated scores
DOUBTFUL_SHARE = 0.9  # of the frames; keras_vad.scoring.events has the same
MERGE_WITHIN = 50  # frames; keras_vad.scoring.alarms groups by it


@dataclass(frozen=True)
class Event:
    """A stretch of frames in which alarms are close to each other, as far as it is known.

    Args:
        state: ``"start"``, ``"ongoing"`` or ``"end"``.
        number: Counts the stream's events, from 1.
        start: Its first alarm's frame number.
        end: Frame number after its last alarm so far.
        peak: Frame number of the highest score so far, the first of equal ones.
        score: The highest score, above the alarm boundary.
        start_s: Seconds of its first alarm; ``None`` without a clock.
        peak_s: Seconds of its peak.
        end_s: Seconds of its last alarm so far, frame ``end - 1``.
    """

    state: str
    number: int
    start: int
    end: int
    peak: int
    score: float
    start_s: float | None = None
    peak_s: float | None = None
    end_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are written to JSON."""
        return asdict(self)


class EventTracker:
    """Joins alarms into events, frame by frame, by the definition of ``keras_vad.scoring.events``.

    A frame whose score is above the boundary is an alarm; alarms at most ``merge_within`` frames apart are of one
    event. So an event's end is known ``merge_within`` frames after its last alarm.

    Args:
        merge_within: See above; at least 1, which joins neighbours only.
        boundary: Of calibrated scores.
        report_every: While an event lasts, say so after as many frames.

    Raises:
        VadClientError: If an argument is out of range.

    Example:
    >>> tracker = EventTracker(merge_within=2)
    >>> for frame, score in enumerate([0.1, 0.9, 0.8, 0.1, 0.1]):
    ...     for event in tracker.push(frame, score):
    ...         print(frame, event.state, event.start, event.end, event.peak)
    1 start 1 2 1
    4 end 1 3 1
    """

    def __init__(
        self,
        merge_within: int = MERGE_WITHIN,
        boundary: float = ALARM_BOUNDARY,
        report_every: int = MERGE_WITHIN,
    ) -> None:
        for name, value in (("merge_within", merge_within), ("report_every", report_every)):
            if value < 1:
                raise VadClientError(f"{name} is {value} frames, but must be at least 1.")
        self._merge_within = merge_within
        self._boundary = boundary
        self._report_every = report_every
        self._count = 0
        self._event: Event | None = None
        self._reported = 0

    def push(self, frame: int, score: float, time_s: float | None = None) -> list[Event]:
        """Take the next frame's score; give what there is to say: nothing, one event, or one's end and another's start.

        Args:
            frame: Frame number, above all before it. Frames without a score may be left out.
            score: Calibrated, perhaps smoothed.
            time_s: Seconds at which the frame was shown; ``None`` without a clock.
        """
        said = []
        event = self._event
        alarm = score > self._boundary
        # The next alarm could come with the next frame at the earliest.
        gap = frame - (event.end - 1) + (0 if alarm else 1) if event else 0
        if event and gap > self._merge_within:
            said.append(replace(event, state="end"))
            event = None
        if alarm and event is None:
            self._count += 1
            event = Event("start", self._count, frame, frame + 1, frame, float(score), time_s, time_s, time_s)
            self._reported = frame
            said.append(event)
        elif alarm and event:
            event = replace(event, state="ongoing", end=frame + 1, end_s=time_s)
            if score > event.score:
                event = replace(event, peak=frame, score=float(score), peak_s=time_s)
        if event and frame - self._reported >= self._report_every:
            self._reported = frame
            said.append(replace(event, state="ongoing"))
        self._event = event
        return said

    def finish(self) -> list[Event]:
        """The end of the event that still lasts when the stream has ended, if one does."""
        event, self._event = self._event, None
        return [replace(event, state="end")] if event else []


class AlarmShare:
    """Says once that nearly every frame alarms, which no camera's normal video does.

    Args:
        after: Frames that it waits for; what comes to an end before is judged by ``finish``.

    Example:
    >>> share = AlarmShare(after=3)
    >>> [bool(share.push(alarm)) for alarm in (True, True, True, True)]
    [False, False, True, False]
    """

    def __init__(self, after: int = 1000) -> None:
        self._after = after
        self._frames = self._alarms = 0
        self._said = False

    def push(self, alarm: bool) -> str | None:
        """Take the next scored frame; give the sentence, if it is time for it."""
        self._frames += 1
        self._alarms += alarm
        return self._doubt() if self._frames >= self._after else None

    def finish(self) -> str | None:
        """The sentence, if it is due at the end."""
        return self._doubt()

    def _doubt(self) -> str | None:
        if self._said or not self._frames or self._alarms < DOUBTFUL_SHARE * self._frames:
            return None
        self._said = True
        return (
            f"warning: nearly every frame alarms ({self._alarms} of {self._frames}): the model's alarm boundary was "
            "set by other footage than this; if this is normal video of another camera, train or fine-tune a model "
            "there."
        )
