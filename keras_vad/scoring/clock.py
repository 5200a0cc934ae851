"""When frames are shown: seconds of frames, where a rate or the frames' own time stamps tell them."""

import numpy as np

from keras_vad.errors import VadError


def times_at(frames: np.ndarray | int, fps: float | None) -> np.ndarray | None:
    """Seconds of frames that are shown at a constant rate.

    Args:
        frames: int (n,), frame numbers from 0; or their count.
        fps: Frames a second; ``None`` if not known.

    Returns:
        float64 (n,); ``None`` if the rate is not known.

    Raises:
        VadError: If the rate is not above 0.

    Example:
    >>> times_at(3, fps=10.0).tolist()
    [0.0, 0.1, 0.2]
    """
    if fps is None:
        return None
    if not fps > 0:
        raise VadError(f"frame rate is {fps}, but must be above 0.")
    return np.arange(frames) / fps if isinstance(frames, int) else np.asarray(frames) / fps


def durations(times: np.ndarray) -> np.ndarray:
    """Seconds for which each frame is shown: until the next one, the last one as long as the others on average.

    Args:
        times: float64 (n,), seconds of the frames, increasing.

    Returns:
        float64 (n,); 0 for a frame that is alone.

    Example:
    >>> durations(np.array([0.0, 1.0, 1.5, 3.0])).tolist()
    [1.0, 0.5, 1.5, 1.0]
    """
    steps = np.diff(times)
    return np.append(steps, steps.mean() if steps.size else 0.0)
