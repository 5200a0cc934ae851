"""Events found, false alarms and delay, by hand."""

import numpy as np
import pytest

from keras_vad.evaluation.event_figures import EVENT_FIGURES, event_figures


def ones(length: int, *spans: tuple[int, int], value: float = 1.0, rest: float = 0.0) -> np.ndarray:
    series = np.full(length, rest)
    for start, end in spans:
        series[start:end] = value
    return series


def test_a_video_by_hand() -> None:
    # Two events (their parts of the second are 40 frames apart), at 10 frames a second.
    truth = ones(600, (100, 150), (300, 320), (360, 380)) == 1
    # Found 3 s late; a late flag of the second event; one false alarm of two flags 30 apart, one 100 frames later.
    scores = ones(600, (130, 200), (370, 371), (450, 451), (480, 481), (580, 590), value=0.8, rest=0.2)
    figures = event_figures([truth], [np.arange(600)], [scores], [10.0])
    assert set(figures) == set(EVENT_FIGURES)
    assert (figures["events"], figures["events_found"], figures["false_alarms"]) == (2, 2, 2)
    assert figures["detection_delay_s"] == pytest.approx((3.0 + 7.0) / 2)
    assert figures["false_alarms_per_hour"] == pytest.approx(2 * 3600 / 51.0)  # 510 normal frames
    # By persistence: maxima at 130 to 199, 370, 450 and 480, 580; the windows of the third and fourth hold no event.
    assert (figures["persistent_found"], figures["persistent_false"]) == (2, 2)


def test_an_alarm_that_began_before_the_event_is_not_false_and_has_no_delay() -> None:
    truth = ones(100, (50, 60)) == 1
    scores = ones(100, (40, 55), value=0.9)
    figures = event_figures([truth], [np.arange(100)], [scores], [25.0])
    assert (figures["events_found"], figures["false_alarms"], figures["detection_delay_s"]) == (1, 0, 0.0)


def test_frames_without_a_score_raise_no_alarm_and_count_as_no_normal_time() -> None:
    truth = np.zeros(100, bool)
    truth[:20] = True
    figures = event_figures([truth], [np.arange(40, 100)], [ones(60, (30, 31), value=0.7)], [10.0])
    assert (figures["events"], figures["events_found"], figures["false_alarms"]) == (1, 0, 1)
    assert figures["false_alarms_per_hour"] == pytest.approx(3600 / 6.0)
    assert figures["detection_delay_s"] is None


def test_without_a_frame_rate_there_are_counts_only() -> None:
    truth, scores = ones(50, (10, 20)) == 1, ones(50, (15, 20), value=0.9)
    figures = event_figures([truth] * 2, [np.arange(50)] * 2, [scores] * 2, [25.0, None])
    assert (figures["events"], figures["events_found"]) == (2, 2)
    assert figures["false_alarms_per_hour"] is figures["detection_delay_s"] is None


def test_the_boundary_itself_is_no_alarm() -> None:
    figures = event_figures([np.zeros(10, bool)], [np.arange(10)], [np.full(10, 0.5)], [10.0])
    assert figures["false_alarms"] == figures["persistent_false"] == 0
    assert figures["false_alarms_per_hour"] == 0.0
    all_anomalous = event_figures([np.ones(10, bool)], [np.arange(10)], [np.full(10, 0.6)], [10.0])
    assert all_anomalous["false_alarms_per_hour"] is None
    assert all_anomalous["events_found"] == 1
