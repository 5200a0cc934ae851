import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_vad.errors import VadError
from keras_vad.scoring.calibrate import N_KNOTS, apply_calibration, calibration_knots

finite = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)  # TensorFlow takes subnormal numbers for 0
normal_scores = arrays(np.float32, st.integers(1, 200), elements=finite)
quantile = st.floats(0.01, 0.999)


def calibrate(raw, x, y) -> np.ndarray:
    return apply_calibration(np.asarray(raw, np.float32), x, y).numpy()


def test_formula_by_hand() -> None:
    # Q(p) = 1000 p; levels 0.05 + 0.45 p / 0.8 up to 800, then 0.5 + 0.1 (p - 0.8) / 0.2.
    x, y = calibration_knots(np.arange(1001), alarm_quantile=0.8)
    raw = [0, 400, 800, 900, 1000, 2000, -1000]
    # Each knot is the observed score at or above its quantile: between knots up to 1 in 1000 is lost.
    np.testing.assert_allclose(calibrate(raw, x, y), [0.05, 0.275, 0.5, 0.55, 0.6, 0.8, 0.025], atol=1e-3)
    assert calibrate([800], x, y)[0] == 0.5


@given(normal_scores, quantile)
def test_knots_are_ordered_and_boundary_keeps_the_promised_rate(scores: np.ndarray, a: float) -> None:
    x, y = calibration_knots(scores, a)
    assert x.shape == y.shape == (N_KNOTS,) and x.dtype == y.dtype == np.float32
    assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all()
    calibrated = calibrate(scores, x, y)
    assert ((calibrated > 0) & (calibrated < 1)).all()
    boundary = x[y == 0.5][0]
    assert calibrate([boundary], x, y)[0] == 0.5
    assert np.count_nonzero(calibrated > 0.5) <= (1 - a) * scores.size + 1e-6


@given(normal_scores, quantile, arrays(np.float32, 50, elements=finite))
@settings(deadline=None)
def test_never_decreases(scores: np.ndarray, a: float, raw: np.ndarray) -> None:
    x, y = calibration_knots(scores, a)
    raw = np.sort(np.concatenate([raw, scores]))
    assert (np.diff(calibrate(raw, x, y)) >= 0).all()


def test_keeps_a_ranking_of_scores_far_beyond_the_normal_ones() -> None:
    rng = np.random.default_rng(0)
    x, y = calibration_knots(rng.normal(size=2000), 0.99)
    raw = np.sort(np.concatenate([rng.normal(size=2000), 200 * rng.random(2000), -200 * rng.random(2000)]))
    assert (np.diff(calibrate(np.unique(raw.astype(np.float32)), x, y)) > 0).mean() > 0.999


@pytest.mark.parametrize("value", [0.0, 3.5, -2.0])
def test_constant_normal_scores_sit_on_the_boundary(value: float) -> None:
    x, y = calibration_knots(np.full(10, value), 0.99)
    low, middle, high = calibrate([value - 1, value, value + 1], x, y)
    assert 0 < low < middle == 0.5 < high < 1


def test_tied_alarm_quantile_stays_on_the_boundary() -> None:
    x, y = calibration_knots(np.array([0.0] * 50 + [1.0] * 50), 0.4)
    assert calibrate([0.0], x, y)[0] == 0.5
    x, y = calibration_knots(np.array([0.0] * 50 + [1.0] * 50), 0.9)
    assert calibrate([1.0], x, y)[0] == 0.5


def test_extremes_stay_inside_and_nan_stays_nan() -> None:
    x, y = calibration_knots(np.arange(10), 0.9)
    low, high, nan = calibrate([-np.inf, np.inf, np.nan], x, y)
    assert 0 < low < 1e-6 and 1 - 1e-6 < high < 1 and np.isnan(nan)


def test_works_in_a_graph_of_any_shape() -> None:
    x, y = calibration_knots(np.arange(10), 0.9)
    graph = tf.function(lambda raw: apply_calibration(raw, x, y), input_signature=[tf.TensorSpec([None, None])])
    raw = np.linspace(-5, 15, 12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(graph(raw).numpy(), calibrate(raw, x, y))


@pytest.mark.parametrize(
    ("scores", "a", "message"),
    [
        ([], 0.9, "calibration got no scores"),
        ([1, np.nan], 0.9, "1 of 2 scores are NaN"),
        ([1, 2], 1.0, "alarm quantile is 1.0"),
    ],
)
def test_bad_input(scores: list[float], a: float, message: str) -> None:
    with pytest.raises(VadError, match=message):
        calibration_knots(np.array(scores), a)
