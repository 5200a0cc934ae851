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
        # Differences of sums from the start, as keras_vad.scoring.smooth takes them, to the same last bit.
        self._sums: deque[float] = deque([0.0], maxlen=frames + 1)
        self._frames = frames

    def push(self, score: float) -> float:
        """Take the next score; give its smoothed value.

        Raises:
            VadClientError: If the score is NaN or infinite: it would spoil all that follow.
        """
        if not math.isfinite(score):
            raise VadClientError(
                f"a score is {score}, but must be finite; the model may have diverged: serve another version."
            )
        if self._frames == 1:
            return score
        self._sums.append(self._sums[-1] + score)
        return (self._sums[-1] - self._sums[0]) / (len(self._sums) - 1)
