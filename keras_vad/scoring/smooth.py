"""Smoothing over time that a running camera can have: it looks back, never ahead."""

import numpy as np

from keras_vad.errors import VadError
from keras_vad.scoring.series import finite_scores


def causal_mean(scores: np.ndarray, frames: int) -> np.ndarray:
    """Mean of each score and those just before it.

    Args:
        scores: (m,), scores of one video's frames in order.
        frames: How many scores to average, the current one included; fewer where the video begins. 1 changes nothing.

    Returns:
        float64 (m,).

    Raises:
        VadError: If ``frames`` is below 1, there are no scores, or one is not finite.

    Example:
    >>> causal_mean(np.array([3, 1, 2, 9]), frames=3).tolist()
    [3.0, 2.0, 2.0, 4.0]
    """
    if frames < 1:
        raise VadError(f"smoothing is over {frames} frames, but must be over at least 1 (no smoothing).")
    scores = finite_scores(scores, "smoothing")
    # The oldest first, as the client adds them; differences of sums from the start would err in the last bits, and put
    # scores that are all exactly at the alarm boundary above it.
    sums = np.zeros(len(scores))
    for lag in reversed(range(min(frames, len(scores)))):
        sums[lag:] += scores[: len(scores) - lag]
    return sums / np.minimum(np.arange(1, len(scores) + 1), frames)
