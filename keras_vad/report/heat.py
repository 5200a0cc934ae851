"""The colours of anomaly maps: from clear, where a place looks normal, to a bright yellow."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np

from keras_vad.errors import VadError
from keras_vad.scoring.series import VideoScores

_NORMAL_QUANTILE = 0.99  # of the places of frames without an alarm: what looks normal stays clear
_HOT_QUANTILE = 0.995  # of the places of frames with an alarm: an object covers few of them
_MOST_VALUES = 5_000_000  # that quantiles are taken of; frames in between are left out
_FIRST_COLOUR = 0.2  # plasma's dark blue end would look like a shadow
_STRONGEST = 0.72  # opacity


@dataclass(frozen=True)
class HeatScale:
    """The range of map values that colours stand for; one for all frames that are compared.

    Args:
        low: At and below this, a place is clear.
        high: At and above this, it has the last colour; above ``low``.
    """

    low: float
    high: float

    @classmethod
    def of(cls, scores: Sequence[VideoScores]) -> "HeatScale":
        """The scale of some videos' maps: clear up to what 99 % of the places of frames without an alarm stay below.

        Args:
            scores: Scores with maps.

        Raises:
            VadError: If scores have no maps, or maps are not finite.
        """
        if not scores or any(one.maps is None for one in scores):
            raise VadError("the scores have no maps; score the video with map_size to show them.")
        total = sum(one.maps.size for one in scores if one.maps is not None)
        every = -(-total // _MOST_VALUES)
        quiet, loud = (
            np.concatenate(
                [
                    one.maps[np.flatnonzero(one.alarm == alarm)[::every]].ravel()
                    for one in scores
                    if one.maps is not None
                ]
            )
            for alarm in (False, True)
        )
        if not (np.isfinite(quiet).all() and np.isfinite(loud).all()):
            raise VadError("the maps hold NaN or infinite values; the model may have diverged: train it again.")
        low = float(np.quantile(quiet if quiet.size else loud, _NORMAL_QUANTILE if quiet.size else 0.95))
        high = float(np.quantile(loud, _HOT_QUANTILE)) if loud.size else float(quiet.max())
        if high <= low:  # nothing stands out: the largest value of all has the last colour, or nothing has any
            high = max(float(one.max()) for one in (quiet, loud) if one.size)
        return cls(low, high if high > low else low + 1.0)

    def bytes_of(self, maps: np.ndarray) -> np.ndarray:
        """Map values as indices of ``heat_colours``.

        Args:
            maps: float, any shape.

        Returns:
            uint8 of that shape, 0 at ``low`` and below, 255 at ``high`` and above.
        """
        share = (np.asarray(maps, np.float32) - self.low) / (self.high - self.low)
        return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)


def heat_colours() -> np.ndarray:
    """Colours of equal perceived steps (matplotlib's plasma), from clear to nearly opaque: uint8 (256, 4), RGBA.

    Example:
    >>> heat_colours()[0, 3], heat_colours()[255].tolist()
    (np.uint8(0), [240, 249, 33, 184])
    """
    share = np.linspace(0, 1, 256)
    colours = matplotlib.colormaps["plasma"](_FIRST_COLOUR + (1 - _FIRST_COLOUR) * share)
    colours[:, 3] = _STRONGEST * np.sqrt(share)
    return np.round(255 * colours).astype(np.uint8)
