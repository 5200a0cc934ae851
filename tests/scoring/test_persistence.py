import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_vad.errors import VadError
from keras_vad.scoring.persistence import PersistentPeak, persistent_peaks


def test_persistence_by_hand() -> None:
    # Maxima: 3 at frame 1 (must fall to 2 before it meets 5: persistence 1), 5 at frame 3 (the highest: 5 - 0),
    # 4 at frame 5 (falls to 1: persistence 3).
    scores = np.array([0, 3, 2, 5, 1, 4, 0])

    def peaks(min_prominence: float) -> list[int]:
        found = persistent_peaks(scores, min_prominence, threshold=-1, group_within=0, half_window=0)
        return [event.peak for event in found]

    assert peaks(1) == [1, 3, 5]
    assert peaks(1.5) == [3, 5]
    assert peaks(3.5) == [3]
    assert peaks(5.5) == []


def test_maxima_within_50_frames_are_one() -> None:
    scores = np.zeros(300)
    scores[[60, 110, 161]] = 1, 2, 3
    assert persistent_peaks(scores, 0.5, threshold=0.5) == [
        PersistentPeak(start=35, end=136, peak=110, score=2.0),
        PersistentPeak(start=136, end=187, peak=161, score=3.0),
    ]


def test_threshold_and_borders() -> None:
    scores = np.array([2.0, 0, 0.4, 0, 3])
    found = persistent_peaks(scores, 0.1, threshold=0.5, group_within=1, half_window=1)
    assert [(event.start, event.end, event.peak) for event in found] == [(0, 2, 0), (3, 5, 4)]


def test_constant_scores_have_no_maximum() -> None:
    assert persistent_peaks(np.ones(100), 0.1, threshold=0) == []


@given(
    arrays(np.float64, st.integers(1, 120), elements=st.floats(0, 1)),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_they_are_ordered_and_hold_their_peaks(scores: np.ndarray, group_within: int, half_window: int) -> None:
    events = persistent_peaks(scores, 0.2, threshold=0.5, group_within=group_within, half_window=half_window)
    assert bool(events) == (scores.max() > 0.5 and np.ptp(scores) >= 0.2)
    for event in events:
        assert 0 <= event.start <= event.peak < event.end <= len(scores)
        assert event.score == scores[event.peak] > 0.5
    for before, after in itertools.pairwise(events):
        assert before.end <= after.start and after.peak - before.peak > group_within


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [1, np.nan]}, "1 of 2 scores are NaN"),
        ({"scores": []}, "finding maxima got no scores"),
        ({"min_prominence": 0}, "smallest prominence of a maximum is 0"),
        ({"half_window": -1}, "neither can be below 0"),
    ],
)
def test_bad_input(arguments: dict, message: str) -> None:
    with pytest.raises(VadError, match=message):
        persistent_peaks(**{"scores": np.ones(3), "min_prominence": 1, "threshold": 0} | arguments)


def test_a_maximum_at_the_threshold_does_not_count() -> None:
    scores = np.zeros(9)
    scores[[2, 6]] = 0.5, 0.6
    assert [one.peak for one in persistent_peaks(scores, 0.1, threshold=0.5, group_within=1)] == [6]
