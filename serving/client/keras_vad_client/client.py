"""The client with threads: scores of a video, or of a live camera, from a served detector."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np

from keras_vad_client.base import ClientBase, read_outputs, read_statuses
from keras_vad_client.chunks import Chunk
from keras_vad_client.errors import VadClientError
from keras_vad_client.ready import POLL_SECONDS, ModelStatus, Waiting
from keras_vad_client.results import Assembler, FrameScore, VideoScores
from keras_vad_client.retry import Backoff
from keras_vad_client.window import Window

# What the channel raises; ValueError when it is closed.
_FAILURES = (grpc.RpcError, ValueError)
_Pending = tuple[Chunk, "Future[Mapping[str, np.ndarray]]"]


class VadClient(ClientBase):
    """A detector behind TensorFlow Serving or the local server; scores videos as the detector in process does.

    It asks the model itself for its window (signature ``describe``), so an address and a name are all it needs. One
    client may score several videos at once, each in a thread of its own.

    Args:
        target: Address of the server, ``HOST:PORT``.
        model: Name of the model.
        version: Number of the version; the server's newest if ``None``.
        version_label: Label of the version, such as ``"stable"``; not together with ``version``.
        chunk_length: Frames sent in one request, rounded up to what the window needs; 64 if ``None``. The scores do not
            depend on it; a live stream's are up to so many frames late. Keep it the same for all clients of a server,
            as TensorFlow Serving batches only requests of equal shape.
        timeout: Seconds to wait for the answer to one request.
        max_in_flight: Requests of one stream that may wait for their answers; this bounds memory.
        retry: Seconds for which a request is repeated when the server is away, too busy or stops (UNAVAILABLE,
            RESOURCE_EXHAUSTED, CANCELLED), with growing waits; 0 for never. A ``Retry`` sets the waits too.
        tls: Encrypt the connection.
        transport: ``"raw"`` sends pixels; ``"jpeg"`` a tenth of the bytes, and scores that differ a little.
        resize: Resize frames to the model's size before they are sent; the pixels are those that the graph would make.
        smoothing: Frames over which ``score`` of a result averages, looking back; 1 for none.

    Raises:
        VadClientError: If an argument is out of range, or a certificate cannot be read.

    Example:
    >>> with VadClient("localhost:8500", "adv3dcae_ucsdped2", smoothing=9) as client:    # doctest: +SKIP
    ...     client.wait_ready(60)
    ...     for result in client.stream(camera):
    ...         print(result.frame, result.score, result.alarm)
    """

    _api = grpc

    def __enter__(self) -> VadClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; requests that wait for an answer are given up."""
        self._closed.set()
        self._channel.close()

    @property
    def window(self) -> Window:
        """The model's window; asks the server the first time.

        Raises:
            VadClientError: If the server or the model does not answer, or the model is no detector.
        """
        if self._window is None:
            self._described(self._ask(self._describe_request(), self._closed))
        assert self._window is not None
        return self._window

    def status(self) -> list[ModelStatus]:
        """The model's versions on the server, highest first; asks once.

        Raises:
            VadClientError: If the server does not answer, or knows no such model.
        """
        return self._statuses(self._timeout)

    def wait_ready(self, timeout: float = 60.0) -> int:
        """Wait until the model can be asked.

        Args:
            timeout: Seconds to wait for a server that is away, silent, busy or still loads the model; 0 asks once. A
                question that is on its way then may take a second more.

        Returns:
            The version that is available; the highest of them, also where the client has a ``version_label``, as
            servers do not say which version has it.

        Raises:
            VadClientError: If it is not available in time, or the server refuses the question.
        """
        waiting = Waiting(timeout, self._timeout)
        while True:
            try:
                version = waiting.take(self._statuses(waiting.seconds))
                if version is not None:
                    return version
            except VadClientError as error:
                waiting.fail(error)
            if waiting.over or self._closed.wait(POLL_SECONDS):
                raise self._not_ready(waiting)

    def score(self, frames: Iterable[np.ndarray | bytes], maps: bool = False) -> VideoScores:
        """Score a video, chunk by chunk.

        Args:
            frames: uint8 (H, W, 3) RGB each, in order; read once, never held whole.
            maps: Whether to ask for the error maps too; all are held.

        Raises:
            VadClientError: If the server or the model does not answer, a frame is none, or the video is shorter than
                the model's window.
        """
        return VideoScores.collect(self.stream(frames, maps))

    def stream(self, frames: Iterable[np.ndarray | bytes], maps: bool = False) -> Iterator[FrameScore]:
        """Score frames as they come, such as a live camera's.

        A chunk is sent with the frame that fills it. Its scores are given out, in order, when the answer is there, at
        the latest with the frame after that. Frames are taken in the caller's thread; while the consumer is busy, none
        is taken.

        Args:
            frames: uint8 (H, W, 3) RGB each, in order; bytes of encoded images too where they travel as JPEG.
            maps: Whether to ask for the error maps too.

        Returns:
            The scores of the scored frames, each once. Whether the server has been restarted meanwhile does not show.

        Raises:
            VadClientError: As ``score``; scores of frames before have been given out by then.
        """
        self._check_maps(maps)
        window = self.window
        preparer, chunker, assembler = self._preparer(window), self._chunker(window), self._assembler(window, maps)
        pending: deque[_Pending] = deque()
        stopped = threading.Event()
        pool = ThreadPoolExecutor(self._max_in_flight, thread_name_prefix="keras_vad_client")
        latest: Future[Mapping[str, np.ndarray]] | None = None
        try:
            for frame in frames:
                chunk = chunker.push(preparer.prepare(frame))
                if chunk is not None:
                    yield from self._make_room(pending, assembler)
                    latest = pool.submit(self._score_chunk, chunk, maps, window, stopped)
                    pending.append((chunk, latest))
                while pending and pending[0][1].done():
                    yield from _take(pending, assembler)
            for chunk in chunker.finish():
                yield from self._make_room(pending, assembler)
                if chunk.frames is not None or latest is None:
                    latest = pool.submit(self._score_chunk, chunk, maps, window, stopped)
                pending.append((chunk, latest))
            while pending:
                yield from _take(pending, assembler)
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _make_room(self, pending: deque[_Pending], assembler: Assembler) -> Iterator[FrameScore]:
        while len(pending) >= self._max_in_flight:
            yield from _take(pending, assembler)

    def _score_chunk(self, chunk: Chunk, maps: bool, window: Window, stopped: threading.Event) -> dict[str, np.ndarray]:
        response = self._ask(self._chunk_request(chunk, maps), stopped)
        for question in self._questions(response):
            self._described(self._ask(question, stopped))
        self._check_same(window, response)
        return read_outputs(response)

    def _ask(self, request: bytes, stopped: threading.Event) -> Any:
        """The answer to one request, which is repeated while that is worth it and nobody has stopped it."""
        backoff = Backoff(self._retry)
        while True:
            try:
                return self._predict(request, timeout=self._timeout)
            except _FAILURES as error:
                wait = self._pause(error, backoff)
                if wait is None or stopped.wait(wait):
                    raise self._error(error) from error

    def _statuses(self, seconds: float) -> list[ModelStatus]:
        try:
            return read_statuses(self._get_status(self._status_request(), timeout=seconds))
        except _FAILURES as error:
            raise self._error(error, seconds) from error


def _take(pending: deque[_Pending], assembler: Assembler) -> Iterator[FrameScore]:
    """Wait for the oldest request, and give its scores out."""
    chunk, answer = pending.popleft()
    yield from assembler.take(chunk, answer.result())
