import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_vad.errors import VadError
from keras_vad.scoring.smooth import causal_mean

scores_of_a_video = arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e3, 1e3))


def test_by_hand() -> None:
    np.testing.assert_allclose(causal_mean(np.array([4, 0, 2, 6, 1]), 2), [4, 2, 1, 4, 3.5])


@given(scores_of_a_video, st.integers(1, 80))
def test_is_the_mean_of_the_last_frames(scores: np.ndarray, frames: int) -> None:
    expected = [scores[max(0, i - frames + 1) : i + 1].mean() for i in range(len(scores))]
    np.testing.assert_allclose(causal_mean(scores, frames), expected, atol=1e-9)


@given(scores_of_a_video, st.integers(1, 10), st.data())
def test_does_not_look_ahead(scores: np.ndarray, frames: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(scores)))
    np.testing.assert_array_equal(causal_mean(scores, frames)[:cut], causal_mean(scores[:cut], frames))


def test_bad_input() -> None:
    with pytest.raises(VadError, match="smoothing is over 0 frames"):
        causal_mean(np.ones(3), 0)
    with pytest.raises(VadError, match="1 of 2 scores are NaN"):
        causal_mean(np.array([1, np.nan]), 2)
