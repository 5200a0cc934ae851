import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_vad.errors import VadError
from keras_vad.scoring.calibrate import apply_calibration, calibration_knots, level_below_share
from keras_vad.scoring.combine import combine
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores

BELOW_ONE = 1 - 2.0**-24


def scores_of(calibrated: list[float] | np.ndarray, frames: list[int] | np.ndarray | None = None) -> VideoScores:
    levels = np.asarray(calibrated, np.float32)
    index = np.arange(len(levels)) if frames is None else np.asarray(frames)
    return VideoScores(index, 100 * levels, levels, maps=np.zeros((len(levels), 2, 2), np.float32))


# Values of a calibration, the boundaries of one, two and three parts among them.
levels = st.floats(2.0**-24, BELOW_ONE, width=32) | st.sampled_from([level_below_share(1 / n) for n in (1, 2, 3)])


@st.composite
def some_parts(draw: st.DrawFn) -> dict[str, VideoScores]:
    """One to three parts that all score frame 20 and perhaps others."""
    parts = {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        frames = sorted(draw(st.sets(st.integers(0, 40), max_size=20)) | {20})
        parts[name] = scores_of(draw(arrays(np.float32, len(frames), elements=levels)), frames)
    return parts


def test_by_hand() -> None:
    motion = scores_of([0.11, 0.53, 0.55, 0.60, 0.9], frames=[0, 1, 2, 3, 4])
    looks = scores_of([0.22, 0.33, 0.44, 0.82, 0.1], frames=[1, 2, 3, 4, 5])
    both = combine({"motion": motion, "looks": looks})
    assert both.frame_index.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(both.raw, np.float32([0.53, 0.55, 0.60, 0.9]))
    # The boundary of two is 0.55: 0.5 x 0.53 / 0.55, then 0.5 + 0.5 x (0.05, 0.35) / 0.45.
    np.testing.assert_allclose(both.calibrated, [0.481818, 0.5, 0.555556, 0.888889], atol=1e-6)
    assert both.calibrated[1] == 0.5 and both.alarm.tolist() == [False, False, True, True]
    assert both.calibrated.dtype == both.raw.dtype == np.float32 and both.maps is None
    np.testing.assert_array_equal(both.parts["looks"], np.float32([0.22, 0.33, 0.44, 0.82]))
    np.testing.assert_array_equal(both.parts["motion"], motion.calibrated[1:])


def test_boundaries_by_hand() -> None:
    # 0.6 - 0.1 / n
    assert [level_below_share(1 / n) for n in (1, 2, 4)] == [float(np.float32(level)) for level in (0.5, 0.55, 0.575)]


@given(arrays(np.float32, st.integers(1, 20), elements=levels))
def test_one_part_keeps_its_scores(calibrated: np.ndarray) -> None:
    np.testing.assert_array_equal(combine({"alone": scores_of(calibrated)}).calibrated, calibrated)


@given(some_parts())
def test_alarms_where_any_part_does_on_the_frames_of_all(parts: dict[str, VideoScores]) -> None:
    combined = combine(parts)
    common = set.intersection(*(set(scores.frame_index.tolist()) for scores in parts.values()))
    assert combined.frame_index.tolist() == sorted(common)
    boundary = level_below_share(1 / len(parts))
    alarms = [{*scores.frame_index[scores.calibrated > boundary].tolist()} for scores in parts.values()]
    assert set(combined.frame_index[combined.alarm].tolist()) == set.union(*alarms) & common
    assert np.all((combined.calibrated > 0) & (combined.calibrated < 1))


@given(some_parts(), st.data())
def test_rises_with_every_part_whatever_their_order(parts: dict[str, VideoScores], data: st.DataObject) -> None:
    before = combine(parts)
    np.testing.assert_array_equal(combine(dict(reversed(parts.items()))).calibrated, before.calibrated)
    name = data.draw(st.sampled_from(sorted(parts)))
    old = parts[name]
    raised = np.maximum(old.calibrated, data.draw(arrays(np.float32, len(old), elements=levels)))
    after = combine(parts | {name: scores_of(raised, old.frame_index)})
    assert np.all(after.calibrated >= before.calibrated) and np.all(after.raw >= before.raw)


@given(some_parts())
def test_keeps_the_ranks_of_the_larger_score(parts: dict[str, VideoScores]) -> None:
    combined = combine(parts)
    order = np.argsort(combined.raw, kind="stable")
    assert np.all(np.diff(combined.calibrated[order]) >= 0)


@settings(max_examples=30)
@given(st.integers(60, 3000), st.sampled_from([0.9, 0.95, 0.99]), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_normal_frames_alarm_no_more_often_than_with_one_part(n: int, quantile: float, alike: float, seed: int) -> None:
    draws = np.random.default_rng(seed)
    common = draws.normal(size=n)
    parts = {}
    for name in ("a", "b"):
        normal = (alike * common + (1 - alike) * draws.normal(size=n)).astype(np.float32)
        knots = calibration_knots(normal, quantile)
        parts[name] = scores_of(apply_calibration(normal, *knots).numpy())
    assert combine(parts).alarm.sum() <= (1 - quantile) * n + len(parts)  # and a frame of each: see combine


def test_the_boundary_is_not_moved_too_far() -> None:
    # Two parts that never alarm together: 1,000 of 100,000 frames, 500 of each.
    ranks = np.arange(100_000, dtype=np.float32)
    a, b = (
        scores_of(apply_calibration(normal, *calibration_knots(normal, 0.99)).numpy()) for normal in (ranks, -ranks)
    )
    assert a.alarm.sum() == b.alarm.sum() == 999
    assert combine({"a": a, "b": b}).alarm.sum() == pytest.approx(1000, abs=2)
    assert combine({"a": a, "also a": a}).alarm.sum() == pytest.approx(500, abs=1)


def test_refuses_what_cannot_be_combined() -> None:
    with pytest.raises(VadError, match="no scores to combine"):
        combine({})
    with pytest.raises(VadError, match="no frame is scored by all of motion, looks"):
        combine({"motion": scores_of([0.1], [0]), "looks": scores_of([0.1], [1])})


def test_a_score_that_is_not_a_number_stays_one() -> None:
    combined = combine({"a": scores_of([np.nan, 0.1]), "b": scores_of([0.9, 0.2])})
    assert np.isnan(combined.calibrated[0]) and combined.calibrated[1] < ALARM_BOUNDARY
