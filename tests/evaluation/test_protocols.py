import numpy as np
import pytest

from keras_vad.errors import VadError
from keras_vad.evaluation.protocols import PROTOCOLS, ScoreSeries, evaluate_series


def video(raw: list[float], calibrated: list[float] | None = None, first: int = 0) -> ScoreSeries:
    index = np.arange(first, first + len(raw))
    return ScoreSeries(index, np.array(raw), None if calibrated is None else np.array(calibrated))


# Within each video the anomalous frames score highest; the second video scores higher as a whole.
QUIET = video([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4])
LOUD = video([11, 12, 13, 14], [0.6, 0.7, 0.8, 0.9])
LABELS = [np.array([False, False, True, True]), np.array([False, False, True, True])]


def test_paper_rescales_each_video() -> None:
    row = evaluate_series([QUIET, LOUD], LABELS, "paper", rescaling="min_max")
    assert row["auroc_micro"] == 1 and row["auroc_macro"] == 1 and row["eer"] == 0 and row["ap"] == 1
    assert not row["calibrated"] and row["accuracy"] is None
    # Divided by the maximum: 0 .25 .5 .75 and 0 .07 .14 .21: of 16 pairs, .14 and .21 against .25 are wrong.
    row = evaluate_series([QUIET, LOUD], LABELS, "paper", rescaling="max")
    assert row["auroc_micro"] == pytest.approx(14 / 16)


def test_deployable_takes_scores_as_they_are() -> None:
    row = evaluate_series([QUIET, LOUD], LABELS, "deployable")
    # Anomalous .3 .4 .8 .9 against normal .1 .2 .6 .7: 2 + 2 + 4 + 4 of 16 pairs are right.
    assert row["auroc_micro"] == pytest.approx(12 / 16) and row["auroc_macro"] == 1
    assert row["calibrated"] and row["videos_with_both_classes"] == 2
    assert (row["accuracy"], row["false_positive_rate"], row["true_positive_rate"]) == (0.5, 0.5, 0.5)


def test_uncalibrated_scores_are_ranked_raw_and_have_no_alarms() -> None:
    row = evaluate_series([video([1, 2, 3, 4])], LABELS[:1], "deployable")
    assert row["auroc_micro"] == 1 and not row["calibrated"] and row["false_positive_rate"] is None


def test_smoothing_is_causal_and_comes_before_rescaling() -> None:
    labels = [np.array([False, True, False])]
    assert evaluate_series([video([0, 2, 0])], labels, "deployable")["auroc_micro"] == 1
    # 0 1 1: the frame after the anomaly now ties with it.
    for protocol in PROTOCOLS:
        row = evaluate_series([video([0, 2, 0])], labels, protocol, smoothing=2)
        assert row["auroc_micro"] == 0.75 and row["smoothing"] == 2


def test_unscored_frames_are_left_out_and_counted() -> None:
    row = evaluate_series([video([5, 6], first=2)], [np.array([True, True, False, True])], "paper")
    assert (row["frames"], row["frames_unscored"], row["auroc_micro"]) == (2, 2, 1)


@pytest.mark.parametrize(
    ("series", "labels", "protocol", "message"),
    [
        ([QUIET], LABELS[:1], "offline", "there is no protocol 'offline'; choose one of paper, deployable"),
        ([QUIET], LABELS, "paper", "scores of 1 videos and labels of 2"),
        ([], [], "paper", "scores of 0 videos"),
        ([QUIET], [LABELS[0][:3]], "paper", "video 0 has a score of frame 3, but labels of 3 frames"),
    ],
)
def test_bad_input(series: list, labels: list, protocol: str, message: str) -> None:
    with pytest.raises(VadError, match=message):
        evaluate_series(series, labels, protocol)
