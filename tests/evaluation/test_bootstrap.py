"""Intervals over draws of the videos."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from keras_vad.evaluation import bootstrap
from keras_vad.evaluation.bootstrap import auroc_intervals


def test_two_videos_by_hand() -> None:
    labels = [np.array([0, 0, 1, 1], bool)] * 2
    scores = [np.array([1.0, 2, 3, 4]), np.array([5.0, 8, 6, 7])]
    # Draws: both the first (AUROC 1), both the second (2 of 4 pairs), or one of each: the first's anomalous frames beat
    # 2 + 2 of its own normal ones and none of the second's; the second's beat all 4 of the first's and 2 of their own.
    intervals = auroc_intervals(labels, scores, confidence=0.999)
    assert intervals["auroc_micro"] == (0.5, 1.0)
    assert intervals["auroc_macro"] == (0.5, 1.0)
    narrow = auroc_intervals(labels, scores, confidence=0.01)["auroc_micro"]
    assert narrow == (pytest.approx(10 / 16), pytest.approx(10 / 16))


@given(st.integers(0, 10_000))
def test_every_draw_has_the_auroc_of_its_frames(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [rng.random(size) < 0.4 for size in rng.integers(1, 7, size=3)]
    scores = [rng.integers(0, 5, size=len(video)).astype(float) for video in labels]
    draws = np.random.default_rng(0).multinomial(3, np.full(3, 1 / 3), size=bootstrap.RESAMPLES)[:40]
    expected = []
    for draw in draws:
        y = np.concatenate([np.tile(video, n) for video, n in zip(labels, draw, strict=True)])
        x = np.concatenate([np.tile(video, n) for video, n in zip(scores, draw, strict=True)])
        if 0 < y.sum() < len(y):
            expected.append(roc_auc_score(y, x))
    saved, bootstrap.RESAMPLES = bootstrap.RESAMPLES, 40
    try:
        found = auroc_intervals(labels, scores, confidence=0.8)["auroc_micro"]
    finally:
        bootstrap.RESAMPLES = saved
    if not expected:
        assert found is None
    else:
        assert found == pytest.approx(tuple(np.quantile(expected, [0.1, 0.9])))


def test_what_is_not_defined_is_none() -> None:
    video, normal = np.array([False, True]), np.zeros(2, bool)
    assert auroc_intervals([video], [np.arange(2.0)]) == {"auroc_micro": None, "auroc_macro": None}
    assert auroc_intervals([normal, normal], [np.arange(2.0)] * 2) == {"auroc_micro": None, "auroc_macro": None}
    mixed = auroc_intervals([normal, video], [np.arange(2.0)] * 2)
    assert mixed["auroc_micro"] is not None and mixed["auroc_macro"] is None
