"""Confidence intervals of AUROCs, by drawing the test videos anew.

Frames of one video are alike, so it is the videos that are drawn: as many as there are, with replacement.
"""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000


def auroc_intervals(
    labels: Sequence[np.ndarray], scores: Sequence[np.ndarray], *, confidence: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float] | None]:
    """Percentile intervals of the micro and the macro AUROC over 1,000 draws of the videos.

    How often an anomalous frame of video i scores above a normal one of video j is counted once for all pairs of
    videos; the AUROC of any draw is a weighted mean of these counts, exactly what scikit-learn gives for its frames.

    Args:
        labels: Of each video, bool (n_i,), True where the frame is anomalous.
        scores: Of each video, (n_i,), finite.
        confidence: Of the interval.
        seed: Of the draws.

    Returns:
        ``auroc_micro`` and ``auroc_macro``: (low, high), in [0, 1]; ``None`` where fewer than two videos count or no
        draw has the AUROC. Draws without one (one class only) are left out.

    Example:
    >>> video = np.array([False, False, True, True])
    >>> auroc_intervals([video, video], [np.array([1, 2, 3, 4]), np.array([1, 3, 2, 4])])["auroc_macro"]
    (0.75, 1.0)
    """
    n = len(labels)
    positive = np.array([video.sum() for video in labels], float)
    negative = np.array([(~video).sum() for video in labels], float)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)

    wins = np.zeros((n, n))
    ordered = [np.sort(video[~own]) for video, own in zip(scores, labels, strict=True)]
    for i, (video, own) in enumerate(zip(scores, labels, strict=True)):
        anomalous = np.asarray(video)[own]
        for j, normal in enumerate(ordered):
            below, at_most = (np.searchsorted(normal, anomalous, side) for side in ("left", "right"))
            wins[i, j] = (below + at_most).sum() / 2  # ties count half
    pairs = (draws @ positive) * (draws @ negative)
    micro = np.divide(
        np.einsum("ri,ij,rj->r", draws, wins, draws), pairs, out=np.full(RESAMPLES, np.nan), where=pairs > 0
    )

    both = (positive > 0) & (negative > 0)
    own_auroc = np.divide(np.diag(wins), positive * negative, out=np.zeros(n), where=both)
    counted = draws @ both
    macro = np.divide(draws @ own_auroc, counted, out=np.full(RESAMPLES, np.nan), where=counted > 0)
    return {
        "auroc_micro": _interval(micro, confidence) if n > 1 else None,
        "auroc_macro": _interval(macro, confidence) if both.sum() > 1 else None,
    }


def _interval(values: np.ndarray, confidence: float) -> tuple[float, float] | None:
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
