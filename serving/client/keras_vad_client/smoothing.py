"""Smoothing over time that a running camera can have: it looks back, never ahead."""

from __future__ import annotations

import math
from collections import deque

from keras_vad_client.errors import VadClientError


class CausalMean:
    """Mean of each score and those just before it; the smoothing of keras_vad's protocol ``deployable``.

    Args:
        frames: How many scores to average, the current one included; fewer where the video begins. 1 changes nothing.

    Raises:
        VadClientError: If ``frames`` is below 1.

    Example:
    >>> mean = CausalMean(3)
    >>> [mean.push(score) for score in (3.0, 1.0, 2.0, 9.0)]
    [3.0, 2.0, 2.0, 4.0]
    """

    def __init__(self, frames: int = 1) -> None:
        if frames < 1:
            raise VadClientError(f"smoothing is over {frames} frames, but must be over at least 1 (no smoothing).")
        self._scores: deque[float] = deque(maxlen=frames)

    def push(self, score: float) -> float:
        """Take the next score; give its smoothed value.

        Raises:
            VadClientError: If the score is NaN or infinite: it would spoil all that follow.
        """
        if not math.isfinite(score):
            raise VadClientError(
                f"a score is {score}, but must be finite; the model may have diverged: serve another version."
            )
        self._scores.append(score)
        # The oldest first, one by one, as keras_vad.scoring.smooth adds them, to the same last bit.
        total = 0.0
        for one in self._scores:
            total += one
        return total / len(self._scores)
