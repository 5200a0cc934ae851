"""Where: figures of anomaly maps against pixel masks.

Maps and masks are compared at one size, ``EVALUATION_HEIGHT`` rows and as many columns as keep the shape of the masks:
maps are resized to it, a place is anomalous if at least half of its pixels are.

* Pixel AUROC: of all places of all frames, pooled.
* RBDC and TBDC (Ramachandra & Jones 2020, "Street Scene"): a region of the ground truth is found if a region of the map
  above the threshold overlaps it with an intersection over union of at least 0.1; a region that overlaps none so is
  false. A track is found if a tenth of its regions are. RBDC (TBDC) is the area under the rate of found regions
  (tracks) over the number of false regions a frame, from 0 to 1.
  Deviation: regions are connected components of masks, and a track joins regions that overlap in consecutive frames,
  because the data sets have pixel masks, not boxes with identities. Regions are compared by their pixels, not by boxes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from keras_vad.errors import VadError

EVALUATION_HEIGHT = 120
_THRESHOLDS = 48  # of RBDC and TBDC
_OVERLAP = 0.1  # beta of the paper
_TRACK_SHARE = 0.1  # alpha of the paper
_DROPPED_BITS = 12  # of a float32 that the histogram drops: scores that agree to 1 part in 2,000 tie


def evaluation_size(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) at which maps are compared with masks of ``height`` x ``width`` pixels."""
    rows = min(EVALUATION_HEIGHT, height)
    return rows, max(1, round(width * rows / height))


def resized_maps(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps, float (n, h, w), at the size of evaluation: float32 (n, *size)."""
    if maps.shape[1:] == size:
        return maps.astype(np.float32)
    shrinks = maps.shape[1] >= size[0] and maps.shape[2] >= size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.stack([cv2.resize(one.astype(np.float32), size[::-1], interpolation=how) for one in maps])


def resized_masks(masks: Iterable[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Masks, bool (H, W) each, at the size of evaluation: bool (n, *size), True where at least half of the area is."""
    shares = [cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) for mask in masks]
    return np.stack(shares) >= 0.5


class PixelAuroc:
    """AUROC of places of many videos without keeping them: counts of scores rounded to 20 bits of a float32."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, 1 << (32 - _DROPPED_BITS)), np.int64)

    def add(self, masks: np.ndarray, maps: np.ndarray) -> None:
        """Count the places of some frames.

        Args:
            masks: bool (n, h, w).
            maps: float32 (n, h, w), finite.

        Raises:
            VadError: If shapes differ or a value is not finite.
        """
        if masks.shape != maps.shape:
            raise VadError(f"masks are {masks.shape}, but maps {maps.shape}; resize them to one size.")
        if not np.isfinite(maps).all():
            raise VadError("a map holds NaN or infinite values; the model may have diverged: train it again.")
        # Positive floats are ordered as their bits are, negative ones the other way round.
        bits = np.ascontiguousarray(maps + np.float32(0), np.float32).view(np.uint32)  # -0.0 + 0 is 0.0
        ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)) >> _DROPPED_BITS
        for kind in (0, 1):
            found = np.bincount(ordered[masks == bool(kind)].ravel(), minlength=self._counts.shape[1])
            self._counts[kind] += found

    def value(self) -> float | None:
        """In [0, 1], ties counting half; ``None`` if only one class is there."""
        normal, anomalous = self._counts.astype(np.float64)
        if normal.sum() == 0 or anomalous.sum() == 0:
            return None
        below = np.cumsum(normal) - normal
        return float((anomalous * (below + normal / 2)).sum() / (normal.sum() * anomalous.sum()))


@dataclass
class RegionFigures:
    """RBDC and TBDC over many videos, which are given to ``add`` one by one.

    Args:
        thresholds: (t,), descending.
    """

    thresholds: np.ndarray
    _found_regions: np.ndarray = field(init=False)
    _false_regions: np.ndarray = field(init=False)
    _found_tracks: np.ndarray = field(init=False)
    _regions: int = 0
    _tracks: int = 0
    _frames: int = 0

    def __post_init__(self) -> None:
        zeros = np.zeros(len(self.thresholds))
        self._found_regions, self._false_regions, self._found_tracks = zeros.copy(), zeros.copy(), zeros.copy()

    def add(self, masks: np.ndarray, maps: np.ndarray) -> None:
        """Count the regions of one video.

        Args:
            masks: bool (n, h, w), consecutive frames.
            maps: float32 (n, h, w).
        """
        truth, tracks = track_regions(masks)
        sizes = np.bincount(tracks, minlength=0) if tracks.size else np.zeros(0, int)
        found_of_track = np.zeros((len(self.thresholds), len(sizes)))
        self._regions += len(tracks)
        self._tracks += len(sizes)
        self._frames += len(masks)
        first = 0
        for labelled, one in zip(truth, maps, strict=True):
            count = int(labelled.max())
            highest = one.max()
            for number, threshold in enumerate(self.thresholds):
                if highest <= threshold:
                    continue
                found, false = _matched(labelled, count, one > threshold)
                self._false_regions[number] += false
                self._found_regions[number] += found.sum()
                np.add.at(found_of_track[number], tracks[first : first + count][found], 1)
            first += count
        self._found_tracks += (found_of_track >= _TRACK_SHARE * sizes).sum(axis=1) if len(sizes) else 0

    def rbdc(self) -> float | None:
        """Area under found regions over false regions a frame, in [0, 1]; ``None`` without regions."""
        return _area(self._false_regions, self._found_regions, self._frames, self._regions)

    def tbdc(self) -> float | None:
        """Area under found tracks over false regions a frame, in [0, 1]; ``None`` without tracks."""
        return _area(self._false_regions, self._found_tracks, self._frames, self._tracks)


def thresholds_of(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Thresholds for ``RegionFigures``: quantiles of the frames' largest values, denser at the top, and lower ones.

    Args:
        maps: Of each video, float32 (n_i, h, w).

    Returns:
        float64, descending, without doubles.
    """
    peaks = np.concatenate([video.max(axis=(1, 2)) for video in maps]).astype(np.float64)
    levels = np.concatenate([video.reshape(len(video), -1)[:, ::97].ravel() for video in maps]).astype(np.float64)
    top = np.quantile(peaks, 1 - np.geomspace(1e-3, 1, _THRESHOLDS - 16))
    # False regions grow to more than one a frame only below most frames' peaks.
    lower = np.quantile(levels, np.linspace(0.999, 0.5, 16))
    return np.unique(np.concatenate([top, lower]))[::-1]


def track_regions(masks: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Regions of masks, joined into tracks where they overlap in consecutive frames.

    Args:
        masks: bool (n, h, w).

    Returns:
        Of each frame, int32 (h, w): 0 where nothing is, else the number of the region from 1. And the track of every
        region of all frames in order, int (regions,), from 0.

    Example:
    >>> masks = np.zeros((3, 4, 4), bool)
    >>> masks[0, 0, 0:2], masks[1, 0, 1:3], masks[2, 3, 3] = True, True, True
    >>> track_regions(masks)[1].tolist()
    [0, 0, 1]
    """
    labelled: list[np.ndarray] = []
    tracks: list[int] = []
    before, new = np.zeros(masks.shape[1:], np.int32), 0
    before_tracks: list[int] = []
    for mask in masks:
        count, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        own: list[int] = []
        for number in range(1, count):
            under = before[regions == number]
            under = under[under > 0]
            if under.size:  # the track with the largest overlap
                own.append(before_tracks[np.bincount(under).argmax() - 1])
            else:
                own.append(new)
                new += 1
        labelled.append(regions)
        tracks += own
        before, before_tracks = regions, own
    return labelled, np.array(tracks, int)


def _matched(labelled: np.ndarray, count: int, flagged: np.ndarray) -> tuple[np.ndarray, int]:
    """Which of the frame's ``count`` regions are found, bool (count,), and how many flagged regions are false."""
    n_flagged, regions = cv2.connectedComponents(flagged.astype(np.uint8), connectivity=8)
    joint = np.bincount(
        (labelled.astype(np.int64) * n_flagged + regions).ravel(), minlength=(count + 1) * n_flagged
    ).reshape(count + 1, n_flagged)
    union = joint.sum(axis=1, keepdims=True) + joint.sum(axis=0, keepdims=True) - joint
    overlaps = (joint / np.maximum(union, 1))[1:, 1:] >= _OVERLAP
    return overlaps.any(axis=1), int((~overlaps.any(axis=0)).sum())


def _area(false: np.ndarray, found: np.ndarray, frames: int, of: int) -> float | None:
    """Area below the best rate reached with at most so many false regions a frame, from 0 to 1."""
    if of == 0 or frames == 0:
        return None
    order = np.argsort(false, kind="stable")
    x, y = false[order] / frames, np.maximum.accumulate(found[order]) / of
    x, y = np.concatenate([[0.0], x]), np.concatenate([[0.0], y])
    end = float(np.interp(1.0, x, y))
    inside = x <= 1
    return float(np.trapezoid(np.append(y[inside], end), np.append(x[inside], 1.0)))
