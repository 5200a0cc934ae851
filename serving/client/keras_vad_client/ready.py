"""Waiting for a model: how long each question may take, and what its answer means."""

from __future__ import annotations

import time
from dataclasses import dataclass

import grpc

from keras_vad_client import messages
from keras_vad_client.errors import VadClientError
from keras_vad_client.retry import RETRIED

POLL_SECONDS = 0.25

_PASSES = RETRIED | {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.DEADLINE_EXCEEDED}
_SHORTEST_QUESTION = 1.0  # seconds; less would give up a server that is only far away


@dataclass(frozen=True)
class ModelStatus:
    """What the server says of one version of a model.

    Args:
        version: Its number.
        state: START, LOADING, AVAILABLE, UNLOADING, END or UNKNOWN.
        error: Why it is not available, if something went wrong; else empty.
    """

    version: int
    state: str
    error: str


class Waiting:
    """One wait for a model.

    Args:
        timeout: Seconds in all.
        longest_question: Seconds to wait for one answer at most.
    """

    def __init__(self, timeout: float, longest_question: float) -> None:
        self.timeout = timeout
        self.statuses: list[ModelStatus] = []
        self.error: VadClientError | None = None
        self._longest_question = longest_question
        self._end = time.monotonic() + timeout

    @property
    def seconds(self) -> float:
        """How long the next question may take; 1 at least, also when less is left."""
        return min(self._longest_question, max(_SHORTEST_QUESTION, self._end - time.monotonic()))

    @property
    def over(self) -> bool:
        """Whether the time is."""
        return time.monotonic() >= self._end

    def take(self, statuses: list[ModelStatus]) -> int | None:
        """The highest version that answers, if one does."""
        self.statuses, self.error = statuses, None
        return next((one.version for one in statuses if one.state == messages.STATE_NAMES[messages.AVAILABLE]), None)

    def fail(self, error: VadClientError) -> None:
        """Take an error for an answer.

        Raises:
            VadClientError: The error, if it will not pass.
        """
        if error.code not in _PASSES:
            raise error
        self.statuses, self.error = [], error
