"""Alarms: golden values by hand, properties by hypothesis."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_vad.errors import VadError
from keras_vad.scoring.alarms import alarm_counts, alarm_runs

flags = arrays(bool, st.integers(0, 60))


def test_runs_by_hand() -> None:
    flagged = np.zeros(200, bool)
    flagged[[10, 11, 61, 112, 199]] = True  # gaps of 50, 51 and 87
    assert alarm_runs(flagged) == [(10, 62), (112, 113), (199, 200)]
    assert alarm_runs(np.zeros(5, bool)) == []
    assert alarm_runs(np.ones(5, bool)) == [(0, 5)]


@given(flags, st.integers(1, 8))
def test_runs_hold_all_flagged_frames_and_lie_apart(flagged: np.ndarray, group: int) -> None:
    runs = alarm_runs(flagged, group)
    covered = np.zeros_like(flagged)
    for start, end in runs:
        assert flagged[start] and flagged[end - 1]
        covered[start:end] = True
    assert not (flagged & ~covered).any()
    assert all(after - (end - 1) > group for (_, end), (after, _) in pairwise(runs))


@given(st.lists(arrays(np.float64, st.integers(1, 40), elements=st.integers(0, 8).map(float)), min_size=1, max_size=4))
def test_the_number_of_alarms_above_every_score(videos: list[np.ndarray]) -> None:
    found = alarm_counts(videos, group_within=3)
    assert found.boundaries.tolist() == np.unique(np.concatenate(videos)).tolist()
    for boundary, count in zip(*found, strict=True):
        assert count == sum(len(alarm_runs(video > boundary, 3)) for video in videos)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(VadError, match="flags are float64"):
        alarm_runs(np.ones(3))
    with pytest.raises(VadError, match="alarms are grouped within 0 frames"):
        alarm_runs(np.ones(3) > 0, 0)
