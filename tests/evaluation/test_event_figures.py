"""Events found, false alarms and delay, by hand."""

from typing import Any

import numpy as np
import pytest

from keras_vad.evaluation.event_figures import EVENT_FIGURES, event_figures, told_events
from keras_vad.scoring.clock import times_at


def ones(length: int, *spans: tuple[int, int], value: float = 1.0, rest: float = 0.0) -> np.ndarray:
    series = np.full(length, rest)
    for start, end in spans:
        series[start:end] = value
    return series


def figures_of(
    truth: np.ndarray, scores: np.ndarray, fps: float | None = 10.0, index: np.ndarray | None = None
) -> dict[str, Any]:
    """Of one video."""
    index = np.arange(len(truth)) if index is None else index
    return event_figures([truth], [index], [scores], [times_at(len(truth), fps)])


def test_a_video_by_hand() -> None:
    # Two events (their parts of the second are 40 frames apart), at 10 frames a second.
    truth = ones(600, (100, 150), (300, 320), (360, 380)) == 1
    # Found 3 s late; a late flag of the second event; one false alarm of two flags 30 apart, one 100 frames later.
    scores = ones(600, (130, 200), (370, 371), (450, 451), (480, 481), (580, 590), value=0.8, rest=0.2)
    figures = figures_of(truth, scores)
    assert set(figures) == set(EVENT_FIGURES)
    assert (figures["events"], figures["events_found"], figures["false_alarms"]) == (2, 2, 2)
    assert figures["detection_delay_s"] == pytest.approx((3.0 + 7.0) / 2)
    assert figures["normal_hours"] == pytest.approx(51 / 3600)  # 510 normal frames
    assert figures["false_alarms_per_hour"] == pytest.approx(2 * 3600 / 51.0)
    # Normal frames in alarms: 150 to 199, 450 to 480 (with those between the flags), 580 to 589.
    assert figures["alarmed_normal_share"] == pytest.approx((50 + 31 + 10) / 510)
    # By persistence: maxima at 130 to 199, 370, 450 and 480, 580; the windows of the third and fourth hold no event.
    assert (figures["persistent_found"], figures["persistent_false"]) == (2, 2)
    assert told_events(figures) == [
        "Alarms: 2 of 2 events found, 5 s after they began, 2 false in 51 s of normal video (141 an hour, 95 % "
        "interval 17.1 to 510); normal video is under alarm for 642 s an hour (17.8 %).",
        "By persistence 2 found, 2 false.",
    ]


def test_an_alarm_that_began_a_little_before_the_event_is_not_false_and_has_no_delay() -> None:
    truth = ones(100, (50, 60)) == 1
    figures = figures_of(truth, ones(100, (40, 55), value=0.9), fps=25.0)
    assert (figures["events_found"], figures["false_alarms"], figures["detection_delay_s"]) == (1, 0, 0.0)


@pytest.mark.parametrize(
    ("spans", "found", "false", "share"),
    [
        ([(0, 3000)], 0, 1, 1.0),  # never ends
        ([(500, 3000)], 0, 1, 2100 / 2600),  # begins with the first event and never ends: it is mostly normal
        ([(500, 1300)], 0, 1, 600 / 2600),
        ([(449, 600)], 0, 1, 51 / 2600),  # called for nothing: 51 frames before the event
        ([(450, 600)], 1, 0, 50 / 2600),
        ([(580, 700)], 1, 0, 100 / 2600),  # of 120 frames 70 lie in the event or at most 50 behind it
        ([(600, 700)], 0, 1, 100 / 2600),  # after it
        ([(300, 520), (590, 600)], 1, 1, 200 / 2600),  # one from before it, one in it
        ([(500, 600), (1200, 1400), (2000, 2100)], 3, 0, 0.0),
        ([(550, 560), (590, 600)], 1, 0, 0.0),  # joined over the gap
    ],
)
def test_an_alarm_must_call_for_something(spans: list[tuple[int, int]], found: int, false: int, share: float) -> None:
    """Three events in five minutes; a detector that alarms throughout finds none of them."""
    truth = ones(3000, (500, 600), (1200, 1400), (2000, 2100)) == 1
    figures = figures_of(truth, ones(3000, *spans, value=0.9))
    assert (figures["events_found"], figures["false_alarms"]) == (found, false)
    assert figures["alarmed_normal_share"] == pytest.approx(share)
    assert (figures["detection_delay_s"] is None) == (found == 0)


def test_one_alarm_finds_one_event() -> None:
    """Half of the video is anomalous, so that the alarm that never ends is right, but it calls for the first only."""
    truth = ones(600, (0, 200), (300, 400)) == 1
    figures = figures_of(truth, np.full(600, 0.9))
    assert (figures["events"], figures["events_found"], figures["false_alarms"]) == (2, 1, 0)
    assert figures["alarmed_normal_share"] == 1.0


def test_frames_without_a_score_raise_no_alarm_and_count_as_no_normal_time() -> None:
    truth = np.zeros(100, bool)
    truth[:20] = True
    figures = figures_of(truth, ones(60, (30, 31), value=0.7), index=np.arange(40, 100))
    assert (figures["events"], figures["events_found"], figures["false_alarms"]) == (1, 0, 1)
    assert figures["false_alarms_per_hour"] == pytest.approx(3600 / 6.0)
    assert figures["detection_delay_s"] is None


def test_without_a_clock_there_are_counts_and_shares_of_frames() -> None:
    truth, scores = ones(50, (10, 20)) == 1, ones(50, (15, 24), value=0.9)
    figures = event_figures([truth] * 2, [np.arange(50)] * 2, [scores] * 2, [times_at(50, 25.0), None])
    assert (figures["events"], figures["events_found"]) == (2, 2)
    assert figures["normal_hours"] is figures["false_alarms_per_hour"] is figures["detection_delay_s"] is None
    assert figures["alarmed_normal_share"] == pytest.approx(4 / 40)
    assert told_events(figures)[0] == (
        "Alarms: 2 of 2 events found, 0 false; 10.0 % of the normal frames lie in alarms."
    )


def test_time_is_that_of_the_time_stamps() -> None:
    """Ten frames a second for 10 s, then one in two seconds: normal frames of the second half last 20 times as long."""
    times = np.concatenate([np.arange(100) / 10, 10 + 2 * np.arange(100.0)])
    truth, scores = ones(200, (150, 160)) == 1, ones(200, (155, 165), value=0.9)
    figures = event_figures([truth], [np.arange(200)], [scores], [times])
    assert figures["detection_delay_s"] == 10.0
    assert figures["normal_hours"] * 3600 == pytest.approx(10 + 2 * 89 + times[-1] / 199)
    assert figures["alarmed_normal_share"] == pytest.approx(10 / (figures["normal_hours"] * 3600))


def test_the_boundary_itself_is_no_alarm() -> None:
    figures = figures_of(np.zeros(10, bool), np.full(10, 0.5))
    assert figures["false_alarms"] == figures["persistent_false"] == 0
    assert figures["false_alarms_per_hour"] == figures["alarmed_normal_share"] == 0.0
    peak = figures_of(np.zeros(10, bool), ones(10, (4, 5), value=0.5))
    assert peak["false_alarms"] == peak["persistent_false"] == 0


def test_without_normal_frames_nothing_is_said_of_them() -> None:
    figures = figures_of(np.ones(10, bool), np.full(10, 0.6))
    assert figures["false_alarms_per_hour"] is figures["alarmed_normal_share"] is None
    assert figures["events_found"] == 1
