"""Events of the library: golden values by hand. That everybody has the same: ``tests/test_one_definition.py``."""

import numpy as np
import pytest

from keras_vad.errors import VadError
from keras_vad.scoring.clock import durations, times_at
from keras_vad.scoring.events import Event, alarm_events, doubt_of
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores


def scored(level: np.ndarray, first: int = 0) -> VideoScores:
    level = np.asarray(level, np.float32)
    return VideoScores(np.arange(first, first + len(level)), level, level)


def test_an_event_is_from_its_first_alarm_to_its_last() -> None:
    level = np.full(400, 0.2)
    level[[74, 80, 130, 181]] = 0.75, 0.875, 0.875, 0.625  # 50 apart are joined, 51 not
    events = alarm_events(scored(level, first=4), times_at(np.arange(4, 404), fps=10.0))
    assert events == [
        Event(start=78, end=135, peak=84, score=0.875, start_s=7.8, peak_s=8.4, end_s=13.4),
        Event(start=185, end=186, peak=185, score=0.625, start_s=18.5, peak_s=18.5, end_s=18.5),
    ]
    assert alarm_events(scored(level), group_within=51)[0].end == 182


def test_a_long_alarm_is_one_event_as_long_as_the_alarm() -> None:
    level = np.full(1000, 0.2)
    level[300:700] = 0.8 + 0.02 * np.sin(np.arange(400) / 3)  # a plateau of little waves
    (event,) = alarm_events(scored(level, first=8))
    assert (event.start, event.end) == (308, 708)
    assert event.start_s is event.peak_s is event.end_s is None


def test_a_peak_at_the_boundary_is_no_event() -> None:
    level = np.full(100, 0.1)
    level[50] = ALARM_BOUNDARY
    assert alarm_events(scored(level)) == []
    assert alarm_events(scored(np.full(100, ALARM_BOUNDARY)), smoothing=9) == []  # nor does smoothing lift it above


def test_smoothing_comes_before_the_boundary() -> None:
    level = np.zeros(200)
    level[100:103] = 0.9
    assert alarm_events(scored(level), smoothing=9) == []
    (event,) = alarm_events(scored(level), smoothing=4)
    assert (event.start, event.end) == (102, 104)  # 0.675 with three of four


def test_time_stamps_need_not_be_regular() -> None:
    level = np.full(5, 0.9)
    (event,) = alarm_events(scored(level), np.array([0.0, 1.0, 1.5, 7.0, 7.1]))
    assert (event.start_s, event.peak_s, event.end_s) == (0.0, 0.0, 7.1)
    with pytest.raises(VadError, match="there are 5 scores, but the times of 4 frames"):
        alarm_events(scored(level), np.arange(4.0))


def test_a_clock() -> None:
    assert times_at(3, None) is None
    with pytest.raises(VadError, match="frame rate is 0, but must be above 0"):
        times_at(3, 0)
    assert durations(np.array([5.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("level", "sentence"),
    [
        (
            np.full(60, 0.9),
            "nearly every frame alarms (60 of 60): its alarm boundary was set by other footage than this; ",
        ),
        (
            np.full(60, 0.001),
            "nearly every score (60 of 60) is lower than any of the normal footage that set the alarm ",
        ),
        (np.full(60, 0.3), None),
        (np.where(np.arange(60) < 53, 0.9, 0.1), None),
    ],
)
def test_a_boundary_of_another_camera_is_doubted(level: np.ndarray, sentence: str | None) -> None:
    doubt = doubt_of([scored(level)])
    assert (doubt is None) == (sentence is None)
    assert doubt is None or (sentence is not None and doubt.startswith(sentence) and "docs/your-own-camera.md" in doubt)
