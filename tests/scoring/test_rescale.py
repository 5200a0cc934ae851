import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_vad.errors import VadError
from keras_vad.scoring.rescale import RESCALINGS, SLIDING_FRAMES, RescaledPart, rescale, rescaled_sum, sliding_min_max

errors = arrays(np.float64, st.integers(1, 150), elements=st.floats(0, 1e3, allow_subnormal=False))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("max", [0.75, 0, 0.25, 0.5]),  # (s - 1) / 4
        ("min_max", [1, 0, 1 / 3, 2 / 3]),
        # 1 / s is 1/4, 1, 1/2, 1/3, which min_max makes 0, 1, 1/3, 1/9.
        ("inverse_min_max", [1, 0, 2 / 3, 8 / 9]),
        ("robust", [1.5 / 2.94, -1.5 / 2.94, -0.5 / 2.94, 0.5 / 2.94]),  # median 2.5, q99 3.97, q1 1.03
        ("sliding_min_max", [1, 0, 1 / 3, 2 / 3]),
        ("trailing_min_max", [0, 0, 1 / 3, 2 / 3]),
        ("none", [4, 1, 2, 3]),
    ],
)
def test_by_hand(method: str, expected: list[float]) -> None:
    np.testing.assert_allclose(rescale(np.array([4, 1, 2, 3]), method), expected, rtol=1e-12)


def test_robust_falls_back_to_the_range() -> None:
    scores = np.zeros(1000)
    scores[500] = 5  # q1 = q99 = 0
    assert rescale(scores, "robust").max() == 1


def test_the_inverse_of_zero_is_the_most_regular_by_far() -> None:
    assert rescale(np.array([0, 1e-3, 0, 5]), "inverse_min_max").tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("method", [name for name in RESCALINGS if name != "none"])
@pytest.mark.parametrize("value", [0.0, 7.0, -1.0])
def test_constant_scores_become_zero(method: str, value: float) -> None:
    assert rescale(np.full(5, value), method).tolist() == [0] * 5


@given(errors, st.sampled_from([name for name in RESCALINGS if name not in ("sliding_min_max", "trailing_min_max")]))
def test_keeps_the_order_of_a_video(scores: np.ndarray, method: str) -> None:
    order = np.argsort(scores, kind="stable")
    assert (np.diff(rescale(scores, method)[order]) >= 0).all()


@given(errors, st.integers(1, 20), st.booleans())
def test_sliding_min_max_is_min_max_of_a_frames_window(scores: np.ndarray, frames: int, look_ahead: bool) -> None:
    found = sliding_min_max(scores, frames, look_ahead)
    for i, score in enumerate(scores):
        ahead = (frames - 1) // 2 if look_ahead else 0
        window = scores[max(0, i + ahead - frames + 1) : i + ahead + 1]
        expected = 0 if window.max() == window.min() else (score - window.min()) / (window.max() - window.min())
        assert found[i] == pytest.approx(expected, abs=1e-12)


@given(errors)
def test_trailing_min_max_does_not_look_ahead(scores: np.ndarray) -> None:
    whole = rescale(scores, "trailing_min_max")
    half = len(scores) // 2 + 1
    np.testing.assert_array_equal(whole[:half], rescale(scores[:half], "trailing_min_max"))


def test_sliding_windows_forget_what_is_far_away() -> None:
    scores = np.arange(3.0 * SLIDING_FRAMES)
    scores[0] = 1e6
    assert rescale(scores, "min_max")[-1] < 1e-3
    assert rescale(scores, "sliding_min_max")[-1] == rescale(scores, "trailing_min_max")[-1] == 1


@given(errors, st.floats(0.5, 100))
def test_does_not_depend_on_the_unit(scores: np.ndarray, factor: float) -> None:
    if np.ptp(scores) < 1e-6 * scores.max():
        return
    for method in ("max", "min_max", "inverse_min_max"):
        np.testing.assert_allclose(rescale(scores * factor, method), rescale(scores, method), atol=1e-6)


def test_parts_are_rescaled_before_they_are_added() -> None:
    scores = {"small": np.array([1e-3, 3e-3, 2e-3]), "large": np.array([0.0, 0.5, 1.0])}
    parts = [RescaledPart("small", 0.5, "min_max"), RescaledPart("large", 2.0, "none")]
    np.testing.assert_allclose(rescaled_sum(scores, parts), [0.0, 1.5, 2.25])
    with pytest.raises(VadError, match="there is no score 'medium' to rescale; there are small, large"):
        rescaled_sum(scores, [RescaledPart("medium", 1.0, "none")])


@pytest.mark.parametrize(
    ("scores", "method", "message"),
    [
        ([1, 2], "median", 'rescaling "median" is unknown; choose one of max, min_max, .*none'),
        ([1, np.nan, np.inf], "max", "2 of 3 scores are NaN or infinite"),
        ([], "max", "rescaling got no scores"),
        ([-1, 2], "inverse_min_max", 'found a score of -1, .* use "min_max"'),
        ([-1, 2], "max", 'found a score of -1, .* use "min_max"'),
    ],
)
def test_bad_input(scores: list[float], method: str, message: str) -> None:
    with pytest.raises(VadError, match=message):
        rescale(np.array(scores), method)
