"""Per-video rescaling, as papers do it before they pool the frames of all videos.

All but ``trailing_min_max`` look ahead, most of them at the whole video; and they make every video's highest score
equally high, whether something happens in it or not. They belong to the protocol ``paper`` only.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_vad.errors import VadError
from keras_vad.scoring.series import finite_scores

SLIDING_FRAMES = 200  # of the sliding windows: 8 seconds at 25 frames a second; Li et al. do not give theirs


def _max(scores: np.ndarray) -> np.ndarray:
    _check_not_negative(scores, "max", "divides by the maximum")
    return (scores - scores.min()) / scores.max()


def _min_max(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.min()) / np.ptp(scores)


def _inverse_min_max(scores: np.ndarray) -> np.ndarray:
    _check_not_negative(scores, "inverse_min_max", "takes their inverses")
    # 1 - min_max(1 / s), written so that it has its limit where s is 0 and keeps the order in floating point.
    low, high = scores.min(), scores.max()
    share = np.divide(low, scores, out=np.ones_like(scores), where=scores > 0)
    return (1 - share) / (1 - low / high)


def _robust(scores: np.ndarray) -> np.ndarray:
    low, median, high = np.quantile(scores, [0.01, 0.5, 0.99])
    return (scores - median) / (high - low if high > low else np.ptp(scores))


def sliding_min_max(scores: np.ndarray, frames: int, look_ahead: bool) -> np.ndarray:
    """Min-max within a window that slides over a long video (Li et al. 2021, eq. 3 with G the sliding window).

    Args:
        scores: (m,), scores of one video's frames in order, finite, m >= 1.
        frames: Frames of the window, fewer at the ends of the video; at least 1.
        look_ahead: Whether the frame stands in the middle of its window (the paper). Otherwise it is the last one, so
            that a running camera can do the same.

    Returns:
        float64 (m,), in [0, 1]; 0 where a window's scores are all equal.

    Raises:
        VadError: If ``frames`` is below 1, there are no scores, or one is not finite.

    Example:
    >>> sliding_min_max(np.array([0, 2, 1, 3, 9]), frames=3, look_ahead=False).tolist()
    [0.0, 1.0, 0.5, 1.0, 1.0]
    >>> sliding_min_max(np.array([0, 2, 1, 3, 9]), frames=3, look_ahead=True).tolist()
    [0.0, 1.0, 0.0, 0.25, 1.0]
    """
    if frames < 1:
        raise VadError(f"the sliding window has {frames} frames, but must have at least 1.")
    scores = finite_scores(scores, "rescaling")
    ahead = (frames - 1) // 2 if look_ahead else 0
    padded = np.pad(scores, (frames - 1 - ahead, ahead), mode="edge")  # repeats a score that is in the window anyway
    windows = np.lib.stride_tricks.sliding_window_view(padded, frames)
    low, high = windows.min(axis=1), windows.max(axis=1)
    return np.divide(scores - low, high - low, out=np.zeros_like(scores), where=high > low)


def _none(scores: np.ndarray) -> np.ndarray:
    return scores


def _check_not_negative(scores: np.ndarray, method: str, because: str) -> None:
    if scores.min() < 0:
        raise VadError(
            f'rescaling "{method}" found a score of {scores.min():.6g}, but {because} and needs scores of at least 0; '
            'use "min_max".'
        )


RESCALINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "max": _max,
    "min_max": _min_max,
    "inverse_min_max": _inverse_min_max,
    "robust": _robust,
    "sliding_min_max": functools.partial(sliding_min_max, frames=SLIDING_FRAMES, look_ahead=True),
    "trailing_min_max": functools.partial(sliding_min_max, frames=SLIDING_FRAMES, look_ahead=False),
    "none": _none,
}


def rescale(scores: np.ndarray, method: str) -> np.ndarray:
    """Rescale the scores of one video.

    * ``max``: (s - min) / max, Sun et al. 2020, eq. 14.
    * ``min_max``: (s - min) / (max - min), in [0, 1].
    * ``inverse_min_max``: 1 - min_max(1 / s), in [0, 1]: a regularity 1 / s rescaled by min_max and turned round, Chang
      et al. 2022, eq. 13 and 14. It spreads the low scores and crowds the high ones.
    * ``robust``: (s - median) / (q99 - q1), Lohani et al. 2023; divided by max - min if q99 = q1.
    * ``sliding_min_max``: ``min_max`` within the 200 frames around each (Li et al. 2021 for ShanghaiTech).
    * ``trailing_min_max``: ``min_max`` within each frame and the 199 before it, which a running camera can do.
    * ``none``: s.

    If all scores are equal, all but ``none`` give 0.

    Args:
        scores: (m,), scores of one video's frames, finite, m >= 1.
        method: One of the above.

    Returns:
        float64 (m,).

    Raises:
        VadError: If the method is unknown, a score is not finite, there are none, or ``max`` or
            ``inverse_min_max`` meets a negative score.

    Example:
    >>> rescale(np.array([1, 2, 4]), "max").tolist()
    [0.0, 0.25, 0.75]
    """
    if method not in RESCALINGS:
        raise VadError(f'rescaling "{method}" is unknown; choose one of {", ".join(RESCALINGS)}.')
    scores = finite_scores(scores, "rescaling")
    if method != "none" and np.ptp(scores) == 0:
        return np.zeros_like(scores)
    return RESCALINGS[method](scores)


@dataclass(frozen=True)
class RescaledPart:
    """A term of a sum of scores that are rescaled apart.

    Args:
        part: Name of the score.
        weight: Its factor after rescaling.
        rescaling: See ``rescale``.
    """

    part: str
    weight: float
    rescaling: str


def rescaled_sum(scores: Mapping[str, np.ndarray], parts: Sequence[RescaledPart]) -> np.ndarray:
    """Scores of one video as a weighted sum of parts, each rescaled over the video by itself.

    Args:
        scores: (m,) each, by name.
        parts: Terms of the sum, at least one.

    Returns:
        float64 (m,).

    Raises:
        VadError: If there is no such score; and as ``rescale``.

    Example:
    >>> scores = {"error": np.array([1e-3, 2e-3, 3e-3]), "speed": np.array([4.0, 0.0, 2.0])}
    >>> rescaled_sum(scores, [RescaledPart("error", 1.0, "min_max"), RescaledPart("speed", 0.5, "min_max")]).tolist()
    [0.5, 0.5, 1.25]
    """
    for term in parts:
        if term.part not in scores:
            raise VadError(f"there is no score {term.part!r} to rescale; there are {', '.join(scores)}.")
    return np.sum([term.weight * rescale(scores[term.part], term.rescaling) for term in parts], axis=0)
