"""When a request is worth repeating, and after how long."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import grpc

# The server is away, has more to do than it takes on, or goes away and gives up what it has not answered: all pass. Any
# other answer would come again.
RETRIED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED})


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with jitter, bounded by a total time.

    Args:
        total: Seconds after a request's first failure in which it may be sent again; 0 for never.
        first: Longest wait before the first repetition in seconds.
        factor: How much longer each wait is than the one before.
        longest: No wait is longer.
    """

    total: float = 60.0
    first: float = 0.2
    factor: float = 2.0
    longest: float = 3.0


class Backoff:
    """The waits of one request."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._wait = retry.first
        self._failed_first: float | None = None

    def next(self, code: grpc.StatusCode) -> float | None:
        """Seconds to wait before the request is sent again, after it has failed with ``code``; ``None`` to give up."""
        if code not in RETRIED:
            return None
        now = time.monotonic()
        if self._failed_first is None:
            self._failed_first = now
        # Half of the wait is drawn by chance, so that clients which failed together do not come back together.
        wait = self._wait * random.uniform(0.5, 1.0)
        self._wait = min(self._wait * self._retry.factor, self._retry.longest)
        return wait if now + wait - self._failed_first < self._retry.total else None
