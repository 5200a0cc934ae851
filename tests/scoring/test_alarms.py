"""Alarms and the boundary for a promised rate: golden values by hand, properties by hypothesis."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import poisson

from keras_vad.errors import VadError
from keras_vad.scoring.alarms import alarm_runs, boundary_for_rate, check_rate, count_interval

flags = arrays(bool, st.integers(0, 60))
# Few different values, so that ties are common.
series = st.lists(arrays(np.float64, st.integers(1, 40), elements=st.integers(0, 8).map(float)), min_size=1, max_size=4)


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


def test_a_boundary_by_hand() -> None:
    # An hour at one frame a second. Alarms: 3 above 2 and above 1.5; of 2, 60 frames later; of 1.5, 10 frames after 3.
    scores = np.zeros(3600)
    scores[[100, 110, 160]] = 3.0, 1.5, 2.0
    assert boundary_for_rate([scores], 3600, per_hour=1, group_within=10) == 2.0
    assert boundary_for_rate([scores], 3600, per_hour=2, group_within=10) == 0.0
    # At 2 hours' length one an hour are two.
    assert boundary_for_rate([scores], 7200, per_hour=1, group_within=10) == 0.0
    # Less than one alarm is none: the highest score itself.
    assert boundary_for_rate([scores], 3600, per_hour=0.5, group_within=10) == 3.0


@given(series, st.integers(0, 5), st.integers(1, 6))
def test_the_boundary_keeps_the_promise_and_so_does_every_higher_one(
    videos: list[np.ndarray], allowed: int, group: int
) -> None:
    per_hour = allowed or 0.5  # of one hour: none
    boundary = boundary_for_rate(videos, 3600, per_hour, group)
    candidates = np.unique(np.concatenate(videos))

    def alarms(threshold: float) -> int:
        return sum(len(alarm_runs(video > threshold, group)) for video in videos)

    assert boundary in candidates
    assert all(alarms(one) <= per_hour for one in candidates[candidates >= boundary])
    lower = candidates[candidates < boundary]
    assert not lower.size or alarms(lower[-1]) > per_hour


@given(st.integers(0, 40))
def test_the_interval_of_a_count_is_exact(count: int) -> None:
    low, high = count_interval(count)
    assert low <= count <= high
    assert poisson.cdf(count, high) == pytest.approx(0.025, abs=1e-6)
    if count:
        assert poisson.sf(count - 1, low) == pytest.approx(0.025, abs=1e-6)


def test_the_promise_is_checked_on_videos_that_did_not_set_the_boundary() -> None:
    quiet, loud = np.zeros(1800), np.zeros(1800)
    quiet[5] = 1.0
    loud[[100, 500, 900]] = 2.0, 3.0, 4.0
    check = check_rate([quiet, loud], [1800.0, 1800.0], per_hour=1)
    assert check is not None
    # With the boundary of the quiet one, 1, the loud one raises three alarms; the other way round there is none.
    assert (check.alarms, check.hours, check.seen_per_hour) == (3, 1.0, 3.0)
    assert (round(check.low_per_hour, 2), round(check.high_per_hour, 2)) == (0.62, 8.77)
    assert check.kept and check.to_dict()["kept"]
    louder = check_rate([quiet, np.tile(loud, 3)], [1800.0, 5400.0], per_hour=0.2)
    assert louder is not None and louder.alarms == 9 and not louder.kept
    assert check_rate([quiet], [1800.0], per_hour=1) is None


def test_what_does_not_fit_is_refused() -> None:
    ones = np.ones(3)
    for arguments, message in (
        (([ones], 3600, 0.0), "false alarms per hour is 0, but must be above 0"),
        (([ones], 0.0, 1.0), "the normal footage lasts 0 s, but must last longer"),
        (([ones], 3600, 1.0, 0), "alarms are grouped within 0 frames"),
        (([np.array([np.nan])], 3600, 1.0), "1 of 1 scores are NaN or infinite"),
    ):
        with pytest.raises(VadError, match=message):
            boundary_for_rate(*arguments)
    with pytest.raises(VadError, match="flags are float64"):
        alarm_runs(ones)
    with pytest.raises(VadError, match="alarms are grouped within 0 frames"):
        alarm_runs(ones > 0, 0)
