import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_vad.errors import VadError
from keras_vad.evaluation.metrics import auroc, average_precision, equal_error_rate, macro_auroc, rates_at

NORMAL, ANOMALOUS = False, True


def bools(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


def test_auroc_by_hand() -> None:
    # Pairs (anomalous, normal): 3>1, 3>2, 2>1 right, 2=2 half, so 3.5 of 4.
    assert auroc(bools("0011"), np.array([1, 2, 3, 2])) == 0.875
    assert auroc(bools("01"), np.array([2, 1])) == 0
    assert auroc(bools("0101"), np.zeros(4)) == 0.5


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ("0011", [1, 2, 3, 4], 0.0),
        ("0011", [3, 4, 1, 2], 1.0),
        ("0011", [1, 3, 2, 4], 0.5),  # above 2: one of two normal frames flagged, one of two anomalous missed
        ("0101", [0, 0, 0, 0], 0.5),  # one straight line from (0, 0) to (1, 1)
        # Points (fpr, tpr) 0,0 -> 0,1/2 -> 1/3,1/2 -> 1/3,1 : crosses 1 - tpr = 1/2 at fpr 1/3 on the way up:
        # tpr rises from 1/2 to 1 at fpr 1/3, so the rate is 1/3.
        ("00011", [1, 2, 4, 3, 5], 1 / 3),
    ],
)
def test_equal_error_rate_by_hand(labels: str, scores: list[float], expected: float) -> None:
    assert equal_error_rate(bools(labels), np.array(scores)) == pytest.approx(expected)


def test_average_precision_by_hand() -> None:
    # Thresholds from the top: precision 1 at recall 1/2, 2/3 at recall 1.
    assert average_precision(bools("0101"), np.array([1, 2, 3, 4])) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_macro_leaves_out_videos_of_one_class() -> None:
    labels = [bools("01"), bools("0011"), bools("11")]
    scores = [np.array([1, 2]), np.array([1, 3, 2, 4]), np.array([5, 6])]
    assert macro_auroc(labels, scores) == (pytest.approx((1 + 0.75) / 2), 2)
    assert macro_auroc(labels[2:], scores[2:]) == (None, 0)


def test_one_class_has_no_figure() -> None:
    scores = np.array([1.0, 2.0])
    for labels in (bools("00"), bools("11")):
        assert auroc(labels, scores) is None
        assert equal_error_rate(labels, scores) is None
    assert average_precision(bools("00"), scores) is None
    assert rates_at(bools("00"), scores, 1.5) == {
        "accuracy": 0.5,
        "false_positive_rate": 0.5,
        "true_positive_rate": None,
        "precision": 0.0,
        "f1": 0.0,
        "f1_throughout": None,
    }
    nothing_there = rates_at(bools("00"), scores, 5.0)
    assert nothing_there["precision"] is nothing_there["f1"] is None


def test_precision_and_f1_by_hand() -> None:
    rates = rates_at(bools("00111"), np.array([0.9, 0.1, 0.8, 0.7, 0.2]), 0.5)
    assert (rates["precision"], rates["true_positive_rate"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert rates["f1"] == pytest.approx(2 / 3)


def test_a_score_at_the_threshold_is_no_alarm() -> None:
    assert rates_at(bools("01"), np.array([0.5, 0.5]), 0.5)["false_positive_rate"] == 0


@given(arrays(np.bool_, st.integers(2, 60)), st.data())
def test_properties(labels: np.ndarray, data: st.DataObject) -> None:
    scores = data.draw(arrays(np.int64, len(labels), elements=st.integers(-20, 20))).astype(float)
    if labels.all() or not labels.any():
        return
    area, error = auroc(labels, scores), equal_error_rate(labels, scores)
    assert area is not None and error is not None
    assert area + auroc(labels, -scores) == pytest.approx(1)
    assert error + equal_error_rate(labels, -scores) == pytest.approx(1)
    assert auroc(labels, np.exp(scores / 10)) == pytest.approx(area)
    pairs = scores[labels][:, None] - scores[~labels][None]
    assert area == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (bools("01"), [1, np.nan], "1 of 2 scores are NaN or infinite, but a metric needs finite ones"),
        (bools("01"), [1, 2, 3], "each frame must have both"),
        (bools(""), [], "a metric got no scores"),
        (np.array([0, 1]), [1, 2], "labels are int64, but must be bool"),
    ],
)
def test_bad_input(labels: np.ndarray, scores: list[float], message: str) -> None:
    for metric in (auroc, equal_error_rate, average_precision):
        with pytest.raises(VadError, match=message):
            metric(labels, np.array(scores))
