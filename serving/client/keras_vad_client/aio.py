"""The client with asyncio: as ``VadClient``, for programs that do much at once in one thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any, Union

import grpc
import numpy as np

from keras_vad_client.base import ClientBase, read_outputs, read_statuses
from keras_vad_client.chunks import Chunk
from keras_vad_client.errors import VadClientError
from keras_vad_client.ready import POLL_SECONDS, ModelStatus, Waiting
from keras_vad_client.results import FrameScore, VideoScores
from keras_vad_client.retry import Backoff
from keras_vad_client.window import Window

# Python 3.9 knows no `|` between types at run time.
Frames = Union[Iterable[Any], AsyncIterable[Any]]
# What the channel raises; UsageError when it is closed.
_FAILURES = (grpc.RpcError, grpc.aio.UsageError)
_Answer = Mapping[str, np.ndarray]


class AsyncVadClient(ClientBase):
    """The twin of ``VadClient``, whose methods are to be awaited; see there for the arguments.

    To be made inside a running event loop.

    Example:
    >>> async def watch(camera):
    ...     async with AsyncVadClient("localhost:8500", "adv3dcae_ucsdped2") as client:
    ...         await client.wait_ready(60)
    ...         async for result in client.stream(camera):
    ...             print(result.frame, result.score, result.alarm)
    """

    _api = grpc.aio

    async def __aenter__(self) -> AsyncVadClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; requests that wait for an answer are given up."""
        self._closed.set()
        await self._channel.close()

    async def window(self) -> Window:
        """The model's window; asks the server the first time.

        Raises:
            VadClientError: If the server or the model does not answer, or the model is no detector.
        """
        if self._window is None:
            self._described(await self._ask(self._describe_request()))
        assert self._window is not None
        return self._window

    async def status(self) -> list[ModelStatus]:
        """The model's versions on the server, highest first; asks once.

        Raises:
            VadClientError: If the server does not answer, or knows no such model.
        """
        return await self._statuses(self._timeout)

    async def wait_ready(self, timeout: float = 60.0) -> int:
        """Wait until the model can be asked; see ``VadClient.wait_ready``."""
        waiting = Waiting(timeout, self._timeout)
        while True:
            try:
                version = waiting.take(await self._statuses(waiting.seconds))
                if version is not None:
                    return version
            except VadClientError as error:
                waiting.fail(error)
            if waiting.over:
                raise self._not_ready(waiting)
            await asyncio.sleep(POLL_SECONDS)

    async def score(self, frames: Frames, maps: bool = False) -> VideoScores:
        """Score a video; see ``VadClient.score``."""
        return VideoScores.collect([result async for result in self.stream(frames, maps)])

    async def stream(self, frames: Frames, maps: bool = False) -> AsyncIterator[FrameScore]:
        """Score frames as they come; see ``VadClient.stream``.

        Scores are given out as soon as the answer is there, also while the next frame is waited for.

        Args:
            frames: uint8 (H, W, 3) RGB each, in order. Of an iterable that is not asynchronous, each frame is taken in
                a thread, so that a camera or decoder that blocks does not stop the event loop.
            maps: Whether to ask for the error maps too.
        """
        self._check_maps(maps)
        window = await self.window()
        preparer, chunker, assembler = self._preparer(window), self._chunker(window), self._assembler(window, maps)
        take = _taker(frames)

        async def next_item() -> tuple[bool, Any]:
            more, frame = await take()
            return more, await asyncio.to_thread(preparer.prepare, frame) if more else None

        pending: deque[tuple[Chunk, asyncio.Task[_Answer]]] = deque()
        waiting: deque[Chunk] = deque()  # chunks that are not sent yet, as enough requests are in flight
        latest: asyncio.Task[_Answer] | None = None
        coming: asyncio.Task[tuple[bool, Any]] | None = asyncio.create_task(next_item())
        try:
            while coming or waiting or pending:
                while waiting and len(pending) < self._max_in_flight:
                    chunk = waiting.popleft()
                    if chunk.frames is not None or latest is None:
                        latest = asyncio.create_task(self._score_chunk(chunk, maps, window))
                    pending.append((chunk, latest))
                # While a chunk cannot be sent, no frame is looked at, so that memory is bounded.
                watched: set[asyncio.Task[Any]] = {coming} if coming and not waiting else set()
                if pending:
                    watched.add(pending[0][1])
                await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                while pending and pending[0][1].done():
                    chunk, answer = pending.popleft()
                    for result in assembler.take(chunk, answer.result()):
                        yield result
                if coming in watched and coming is not None and coming.done():
                    more, item = coming.result()
                    filled = [chunker.push(item)] if more else chunker.finish()
                    waiting.extend(chunk for chunk in filled if chunk is not None)
                    coming = asyncio.create_task(next_item()) if more else None
        finally:
            for task in [coming, latest, *(answer for _, answer in pending)]:
                if task is not None:
                    task.cancel()
                    task.add_done_callback(_look_at)

    async def _score_chunk(self, chunk: Chunk, maps: bool, window: Window) -> dict[str, np.ndarray]:
        response = await self._ask(self._chunk_request(chunk, maps))
        for question in self._questions(response):
            self._described(await self._ask(question))
        self._check_same(window, response)
        return read_outputs(response)

    async def _ask(self, request: bytes) -> Any:
        """The answer to one request, which is repeated while that is worth it."""
        backoff = Backoff(self._retry)
        while True:
            try:
                return await self._call(self._predict, request, self._timeout)
            except _FAILURES as error:
                wait = self._pause(error, backoff)
                if wait is None:
                    raise self._error(error) from error
            await asyncio.sleep(wait)

    async def _statuses(self, seconds: float) -> list[ModelStatus]:
        try:
            return read_statuses(await self._call(self._get_status, self._status_request(), seconds))
        except _FAILURES as error:
            raise self._error(error, seconds) from error

    async def _call(self, method: Any, request: Any, seconds: float) -> Any:
        try:
            return await method(request, timeout=seconds)
        except asyncio.CancelledError:
            # So ends a call whose channel is closed, too; who waits for it has not been cancelled.
            if self._closed.is_set():
                raise grpc.aio.UsageError("the channel is closed") from None
            raise


def _look_at(task: asyncio.Task[Any]) -> None:
    """Asyncio logs an error that nobody looks at; nobody waits for this one any more."""
    if not task.cancelled():
        task.exception()


def _taker(frames: Frames) -> Any:
    """A function to await for (whether there is a frame, the frame)."""
    if isinstance(frames, AsyncIterable):
        asynchronous = frames.__aiter__()

        async def take() -> tuple[bool, Any]:
            try:
                return True, await asynchronous.__anext__()
            except StopAsyncIteration:
                return False, None

        return take
    blocking = iter(frames)
    end = object()

    async def take_in_thread() -> tuple[bool, Any]:
        frame = await asyncio.to_thread(next, blocking, end)
        return frame is not end, frame

    return take_in_thread
