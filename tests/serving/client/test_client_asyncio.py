"""The asyncio twin: the same scores, in order, bounded, while other things run."""

import asyncio
import random
import threading
import time

import grpc
import numpy as np
import pytest
from client_server import make_video
from keras_vad_client import AsyncVadClient, Retry, VadClient, VadClientError
from tiny_detector import WINDOW, reference_scores

SHORT = 7


def assert_complete(frames, results):
    assert [result.frame for result in results] == list(range(len(frames)))
    np.testing.assert_allclose([result.raw for result in results], reference_scores(frames, gain=2), atol=1e-6)


async def asynchronous(frames, pause=0.0):
    for frame in frames:
        await asyncio.sleep(pause)
        yield frame


@pytest.mark.parametrize("n", [4, 40, 41])
def test_same_scores(target, n):
    frames = make_video(n, size=(16, 13))

    async def both():
        async with AsyncVadClient(target, "tiny", chunk_length=10, smoothing=3) as client:
            assert await client.wait_ready(20) == 10
            assert (await client.window()).size == WINDOW.size
            return await client.score(frames, maps=True), await client.score(asynchronous(frames), maps=True)

    with VadClient(target, "tiny", smoothing=3) as client:
        expected = client.score(frames, maps=True)
    for found in asyncio.run(both()):
        np.testing.assert_array_equal(found.frame_index, expected.frame_index)
        np.testing.assert_allclose(found.raw, expected.raw, atol=1e-6)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-6)
        np.testing.assert_array_equal(found.maps, expected.maps)


def test_many_cameras_in_order_though_answers_are_not(proxy):
    chance = random.Random(0)
    server = proxy(before=lambda number, context: time.sleep(chance.uniform(0, 0.02)))
    videos = [make_video(60, seed=seed) for seed in range(4)]

    async def watch(client, frames):
        return [result async for result in client.stream(asynchronous(frames))]

    async def all_of_them():
        async with AsyncVadClient(server.target, "tiny", chunk_length=SHORT, max_in_flight=3) as client:
            return await asyncio.gather(*(watch(client, frames) for frames in videos))

    for frames, results in zip(videos, asyncio.run(all_of_them()), strict=True):
        assert_complete(frames, results)
    assert 1 < server.most_at_once <= 12


def test_a_slow_server_bounds_what_is_taken(proxy):
    released = threading.Event()
    server = proxy(before=lambda number, context: released.wait(20) if number > 1 else None)
    frames = make_video(300)
    taken = []

    async def camera():
        for number, frame in enumerate(frames):
            taken.append(number)
            yield frame

    async def watch():
        async with AsyncVadClient(server.target, "tiny", chunk_length=SHORT, max_in_flight=3) as client:
            task = asyncio.create_task(client.score(camera()))
            end = time.monotonic() + 20
            while server.requests < 4 and time.monotonic() < end:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)  # in which a fifth request would come
            assert server.requests == 4
            assert len(taken) <= 5 * (SHORT + WINDOW.hop)
            released.set()
            return await task

    np.testing.assert_allclose(asyncio.run(watch()).raw, reference_scores(frames, gain=2), atol=1e-6)
    assert server.most_at_once == 3


def test_scores_come_while_the_next_frame_is_waited_for(target):
    frames = make_video(SHORT)

    async def watch():
        held = asyncio.Event()

        async def camera():
            for frame in frames:
                yield frame
            await held.wait()

        async with AsyncVadClient(target, "tiny", chunk_length=SHORT) as client:
            stream = client.stream(camera())
            first = await asyncio.wait_for(anext(stream), 20)
            held.set()
            return [first, *[result async for result in stream]]

    assert_complete(frames, asyncio.run(watch()))


def test_a_camera_that_blocks_does_not_stop_the_loop(target):
    frames = make_video(10)

    def camera():
        for frame in frames:
            time.sleep(0.05)
            yield frame

    async def watch():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with AsyncVadClient(target, "tiny") as client:
            await client.score(camera())
        ticking.cancel()
        return ticks

    assert asyncio.run(watch()) > 10


def test_repeats_what_passes_and_nothing_else(proxy):
    code = grpc.StatusCode
    server = proxy(before=lambda number, context: context.abort(code.UNAVAILABLE, "soon") if number % 3 else None)
    frames = make_video(60)

    async def score(target):
        async with AsyncVadClient(target, "tiny", chunk_length=SHORT, retry=Retry(first=0.01, longest=0.04)) as client:
            return [result async for result in client.stream(frames)]

    assert_complete(frames, asyncio.run(score(server.target)))
    refusing = proxy(before=lambda number, context: context.abort(code.PERMISSION_DENIED, "no"))
    with pytest.raises(VadClientError, match="PERMISSION_DENIED: no"):
        asyncio.run(score(refusing.target))
    assert refusing.requests == 1


def test_a_model_that_never_comes(target):
    async def wait():
        async with AsyncVadClient(target, "nope") as client:
            await client.wait_ready(0.5)

    with pytest.raises(VadClientError, match="has no model 'nope'"):
        asyncio.run(wait())


def test_an_error_of_the_camera_passes(target):
    async def camera():
        yield make_video(1)[0]
        raise OSError("unplugged")

    async def watch():
        async with AsyncVadClient(target, "tiny") as client:
            await client.score(camera())

    with pytest.raises(OSError, match="unplugged"):
        asyncio.run(watch())
