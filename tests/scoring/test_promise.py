"""Promised rates: golden values by hand, properties by hypothesis."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import poisson

from keras_vad.errors import VadError
from keras_vad.scoring.alarms import alarm_runs
from keras_vad.scoring.calibrate import told_calibration
from keras_vad.scoring.promise import RateCheck, boundary_for_rate, check_rate, count_interval, promised_boundary

# Few different values, so that ties are common.
series = st.lists(arrays(np.float64, st.integers(1, 40), elements=st.integers(0, 8).map(float)), min_size=1, max_size=4)


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
    assert check.alarmed_share == 3 / 3600
    assert check.kept is None and check.to_dict()["kept"] is None  # 0.62 to 8.77 an hour
    assert check.hours_to_tell == check.to_dict()["hours_to_tell"] == 8.0
    louder = check_rate([quiet, np.tile(loud, 3)], [1800.0, 5400.0], per_hour=0.2)
    assert louder is not None and louder.alarms == 9 and louder.kept is False
    assert check_rate([quiet], [1800.0], per_hour=1) is None


def seen(alarms: int, hours: float, promised: float, share: float = 0.0) -> RateCheck:
    low, high = count_interval(alarms)
    return RateCheck(promised, alarms, hours, alarms / hours, low / hours, high / hours, share)


@pytest.mark.parametrize(
    ("alarms", "hours", "promised", "kept"),
    [
        (1, 1 / 72, 2.0, None),  # 72 an hour, 1.8 to 401: anything
        (0, 0.01, 2.0, None),  # none seen, but up to 369 an hour
        (0, 1.0, 2.0, True),  # at most 3.69
        (8, 4.0, 2.0, True),  # what was promised, in as many hours as tell it: at most 3.94
        (8, 3.0, 2.0, None),
        (12, 4.0, 2.0, None),  # 1.6 to 5.2
        (20, 4.0, 2.0, False),  # 3.1 at least
        (110, 100.0, 1.0, True),  # much footage: 0.9 to 1.3
        (130, 100.0, 1.0, False),
    ],
)
def test_a_promise_is_kept_broken_or_not_to_be_told(
    alarms: int, hours: float, promised: float, kept: bool | None
) -> None:
    assert seen(alarms, hours, promised).kept is kept


@given(st.integers(0, 200), st.floats(0.001, 1000), st.floats(0.01, 100))
def test_a_verdict_is_one_that_the_interval_gives(alarms: int, hours: float, promised: float) -> None:
    check = seen(alarms, hours, promised)
    if check.kept is True:
        assert check.low_per_hour <= promised and check.high_per_hour <= 2 * promised
    if check.kept is False:
        assert check.low_per_hour > promised
    # Where the promised number of alarms is seen, the footage that tells does, and more of it does not change that.
    assert seen(8, check.hours_to_tell, promised).kept is seen(80, 10 * check.hours_to_tell, promised).kept is True


def test_an_alarm_that_never_ends_is_no_promise_kept() -> None:
    assert seen(1, 10.0, 2.0, share=0.05).kept is True
    assert seen(1, 10.0, 2.0, share=0.5).kept is False
    quiet = np.random.default_rng(0).random((3, 36_000))
    check = check_rate([*quiet, quiet[0] + 5], [36_000.0] * 4, per_hour=2)
    assert check is not None and (check.alarms, check.alarmed_share) == (1, 0.25)
    assert check.kept is False


def report_of(**changes: Any) -> dict[str, Any]:
    videos = [np.random.default_rng(seed).exponential(size=600) for seed in (1, 2)]
    _, report = promised_boundary(videos, [30.0, 30.0], per_hour=2)
    about = {"alarm_quantile": 1.0, "boundary": 9.0, "normal_videos": 2, "normal_frames": 1200, "normal_hours": 1 / 60}
    return about | report | changes


def test_what_is_told_of_a_promise() -> None:
    told = told_calibration(report_of())
    assert "boundary for 2 false alarms an hour by the scores that the footage shows" in told[1]
    assert "the footage has too few peaks of the score for one from its tail; taken is the former." in told[1]
    assert "to measure so low a rate takes 0.5 h of normal footage or more" in told[2]
    assert told[-1].startswith(
        "promised 2 false alarms an hour; videos left out in turn raised 2 in 0.02 h, 120 an hour "
    )
    assert told[-1].endswith(
        ": NOT kept: the footage is too short for so low a rate; give more of it, or take --boundary tail."
    )
    ends = {
        True: ": kept.",
        False: ": NOT kept: the footage differs from video to video; give more of it.",
        None: ": cannot be told from so little footage; 4 h would tell.",
    }
    for kept, end in ends.items():
        check = report_of()["rate_check"] | {"kept": kept}
        assert told_calibration(report_of(rate_check=check, normal_hours=1.0))[-1].endswith(end)
    assert told_calibration(report_of(rate_check=None))[-1].startswith(
        "note: too few videos, or too short ones, to check"
    )
    tail = {"boundary": 12.5, "low_per_hour": 0.001, "high_per_hour": 6.0, "peaks": 20}
    told = told_calibration(report_of(boundary_by="tail", boundaries={"empirical": 9.0, "tail": tail}))
    assert told[1].endswith(
        "shows 9, from the tail of its 20 highest peaks 12.5 (95 % interval of the rate there 0.001 to 6 an hour); "
        "taken is the latter."
    )
    assert "is less than one alarm in this footage" not in " ".join(told)


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
    with pytest.raises(VadError, match="there is no boundary 'median'; choose one of empirical, tail"):
        promised_boundary([ones], [1.0], 1.0, "median")
