"""Smoothing and events on the client are those of the library, though they come frame by frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_vad_client import EventTracker, VadClientError, events
from keras_vad_client.smoothing import CausalMean

from keras_vad.scoring.alarms import GROUP_WITHIN, alarm_runs
from keras_vad.scoring.series import ALARM_BOUNDARY
from keras_vad.scoring.smooth import causal_mean

scores = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=80)
rare_alarms = st.lists(st.sampled_from([0.1, 0.1, 0.1, 0.5, 0.7, 0.9]), min_size=1, max_size=120)


@given(scores, st.integers(2, 20))
def test_smoothing_is_the_librarys_to_the_bit(values, frames):
    mean = CausalMean(frames)
    assert [mean.push(value) for value in values] == causal_mean(np.array(values, np.float32), frames).tolist()


@given(scores)
def test_no_smoothing_changes_nothing(values):
    mean = CausalMean(1)
    assert [mean.push(value) for value in values] == values


def test_smoothing_refuses():
    with pytest.raises(VadClientError, match="smoothing is over 0 frames, but must be over at least 1"):
        CausalMean(0)
    with pytest.raises(VadClientError, match="a score is nan, but must be finite"):
        CausalMean(3).push(float("nan"))


def run(values, first=0, fps=None, **settings):
    tracker = EventTracker(**settings)
    said = []
    for frame, score in enumerate(values, start=first):
        time_s = None if fps is None else frame / fps
        said += [(frame, event) for event in tracker.push(frame, score, time_s)]
    return said, tracker.finish()


@given(rare_alarms, st.integers(1, 30), st.integers(0, 5))
def test_events_are_the_alarms_of_the_library(values, merge_within, first):
    said, rest = run(values, first, merge_within=merge_within)
    ends = [event for _, event in said if event.state == "end"] + rest
    expected = alarm_runs(np.array(values) > ALARM_BOUNDARY, merge_within)
    assert [(event.start - first, event.end - first) for event in ends] == expected
    for event in ends:
        inside = values[event.start - first : event.end - first]
        assert event.score == max(inside)
        assert event.peak - event.start == int(np.argmax(inside))
    assert [event.number for event in ends] == list(range(1, len(ends) + 1))
    starts = [(frame, event) for frame, event in said if event.state == "start"]
    assert [event.number for _, event in starts] == [event.number for event in ends]
    assert all(frame == event.start for frame, event in starts)
    # An end is said as soon as no alarm can belong to the event any more.
    assert all(frame == event.end - 1 + merge_within for frame, event in said if event.state == "end")


def test_defaults_are_the_librarys():
    assert (events.MERGE_WITHIN, events.ALARM_BOUNDARY) == (GROUP_WITHIN, ALARM_BOUNDARY)


def test_a_long_event_says_that_it_goes_on():
    said, rest = run([0.0, *[0.6] * 5, 0.9, *[0.6] * 4], merge_within=3, report_every=4, fps=10)
    assert [(frame, event.state, event.start, event.end, event.peak) for frame, event in said] == [
        (1, "start", 1, 2, 1),
        (5, "ongoing", 1, 6, 1),
        (9, "ongoing", 1, 10, 6),
    ]
    assert [event.to_dict() for event in rest] == [
        {
            "state": "end",
            "number": 1,
            "start": 1,
            "end": 11,
            "peak": 6,
            "score": 0.9,
            "start_s": 0.1,
            "peak_s": 0.6,
            "end_s": 1.0,
        }
    ]


def test_frames_without_a_score_count_for_the_distance():
    tracker = EventTracker(merge_within=5)
    assert [event.state for event in tracker.push(0, 0.9)] == ["start"]
    assert [(event.state, event.number) for event in tracker.push(6, 0.9)] == [("end", 1), ("start", 2)]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"merge_within": 0}, "merge_within is 0 frames, but must be at least 1"),
        ({"report_every": 0}, "report_every is 0 frames"),
    ],
)
def test_settings_out_of_range(settings, sentence):
    with pytest.raises(VadClientError, match=sentence):
        EventTracker(**settings)
