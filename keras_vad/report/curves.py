"""Curves of long videos with fewer points, and yes-or-no series as intervals."""

from dataclasses import dataclass

import numpy as np

MOST_BUCKETS = 6000


@dataclass(frozen=True)
class Buckets:
    """Equal stretches of the m scores of a video; the last may be shorter.

    Args:
        length: Scores in a bucket.
        starts: int64 (b,), index of the first score of each.
    """

    length: int
    starts: np.ndarray

    @classmethod
    def of(cls, count: int, most: int = MOST_BUCKETS) -> "Buckets":
        """At most ``most`` buckets of ``count`` scores; each score is one of its own if they are few."""
        length = max(1, -(-count // most))
        return cls(length, np.arange(0, count, length))

    def extremes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest value of every bucket, so that no peak is lost.

        Args:
            values: (m,).

        Returns:
            Both (b,).

        Example:
        >>> low, high = Buckets.of(5, most=2).extremes(np.array([1, 9, 2, 4, 3]))
        >>> low.tolist(), high.tolist()
        ([1, 3], [9, 4])
        """
        return np.minimum.reduceat(values, self.starts), np.maximum.reduceat(values, self.starts)


def intervals(flags: np.ndarray) -> list[tuple[int, int]]:
    """Where a series is true, as (first, behind the last).

    Args:
        flags: bool (n,).

    Example:
    >>> intervals(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.pad(np.asarray(flags, bool), 1).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
