"""Load a served model with many camera streams at once, beside the same model called in process.

Example: python tools/load_test.py --model local_playback_ucsdped2 --seconds 600

Server, streams and the calls in process run one after the other or beside each other on the machine at hand, so its
figures are ratios of one machine, not speeds to quote.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from keras_vad_client import VadClient
from keras_vad_client.chunks import fit_chunk_length, new_frames
from keras_vad_client.window import Window

from keras_vad.cli.process import run
from keras_vad.errors import VadError

_DISTINCT_FRAMES = 256
_IN_PROCESS = """
import sys, time
import numpy as np, tensorflow as tf
path, batches, length, height, width, new, seconds = *sys.argv[1:3], *map(int, sys.argv[3:7]), float(sys.argv[7])
score = tf.saved_model.load(path).signatures["serving_default"]
for rows in map(int, batches.split(",")):
    frames = np.random.default_rng(0).integers(0, 256, (rows, length, height, width, 3), np.uint8)
    for _ in range(2):
        score(frames=tf.constant(frames))["scores"].numpy()
    started, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < seconds:
        score(frames=tf.constant(frames))["scores"].numpy()
        count += rows * new
    print(count / spent)
"""


@dataclass(frozen=True)
class Load:
    """What is asked of the server.

    Args:
        streams: Cameras at once, each a client of its own.
        seconds: How long.
        fps: Frames a second of each camera; ``None`` for as many as the server takes.
        chunk_length: Frames in a request; the client's default if ``None``.
    """

    streams: int = 16
    seconds: float = 600.0
    fps: float | None = None
    chunk_length: int | None = None


class _TimedClient(VadClient):
    """Keeps how long every request took, from the first try to the answer, in seconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seconds: list[float] = []

    def _ask(self, request: Any, stopped: threading.Event) -> Any:
        started = time.perf_counter()
        answer = super()._ask(request, stopped)
        self.seconds.append(time.perf_counter() - started)
        return answer


def main(argv: Sequence[str] | None = None) -> int:
    """Run one load test and print its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--model", required=True, help="name in the zoo")
    add("--zoo", type=Path, default=Path("zoo"), help="zoo folder (default: %(default)s)")
    add("--streams", type=int, default=16, help="cameras at once (default: %(default)s)")
    add("--seconds", type=float, default=600.0, help="how long (default: %(default)g)")
    add("--fps", type=float, help="frames a second of a camera (default: all that the server takes)")
    add("--chunk", type=int, help="frames in a request (default: the client's)")
    add(
        "--max-batch", type=int, default=1, metavar="N", help="chunks that are computed together (default: %(default)s)"
    )
    add("--in-process-seconds", type=float, default=30.0, help="of each measurement (default: %(default)g)")
    args = parser.parse_args(argv)
    load = Load(args.streams, args.seconds, args.fps, args.chunk)
    print(json.dumps(load_test(args.zoo, args.model, load, args.max_batch, args.in_process_seconds), indent=2))
    return 0


def load_test(
    zoo: Path, model: str, load: Load, max_batch: int = 1, in_process_seconds: float = 30.0
) -> dict[str, Any]:
    """Serve a model with the local server, let cameras ask it, and compare with calls in process.

    Args:
        zoo: The zoo folder.
        model: Name of the model in it; its newest version is measured.
        load: What the cameras do.
        max_batch: Chunks that the server computes together.
        in_process_seconds: How long the model is called in process, before and after the load, in each way.

    Returns:
        ``in_process_frames_per_second``, the best of chunks one by one, 8 and ``max_batch`` at once, mean of before and
        after; ``served_frames_per_second``; ``ratio``; ``request_seconds`` (p50, p99, the highest); ``server_mib`` (the
        process's memory after a quarter of the time and at the end, and the highest); ``frames``, ``lost_frames`` and
        ``requests``.

    Raises:
        VadError: If the model is not there or the server does not start.
    """
    versions = sorted(int(path.parent.name) for path in (zoo / model).glob("*/saved_model.pb"))
    if not versions:
        raise VadError(f"{zoo / model} holds no exported model; export one with tools/export.py.")
    path = zoo / model / str(versions[-1])
    with _Server(zoo, max_batch, load.streams) as server:
        with VadClient(server.target, model) as client:
            client.wait_ready(120)
            window = client.window
        length = fit_chunk_length(window, load.chunk_length)
        shape = (length, *window.size, new_frames(window, length))
        before = _in_process(path, shape, max_batch, in_process_seconds)  # the server has nothing to do meanwhile
        result = _run_streams(server, model, load, window)
    after = _in_process(path, shape, max_batch, in_process_seconds)
    called = (before + after) / 2
    return {
        "model": f"{model}/{versions[-1]}",
        "streams": load.streams,
        "seconds": load.seconds,
        "fps": load.fps,
        "in_process_frames_per_second": round(called, 1),
        "in_process_before_and_after": [round(before, 1), round(after, 1)],
        "ratio": round(result["served_frames_per_second"] / called, 3),
        **result,
    }


def _run_streams(server: "_Server", model: str, load: Load, window: Window) -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (_DISTINCT_FRAMES, *window.size, 3), np.uint8)
    # A method of prediction scores no frame before its first prediction.
    never_scored = window.span - 1 - max(window.offsets) + min(window.offsets)
    end = time.perf_counter() + load.seconds

    def camera(number: int) -> Iterator[np.ndarray]:
        taken = 0
        started = time.perf_counter()
        while time.perf_counter() < end:
            if load.fps is not None:
                time.sleep(max(0.0, started + taken / load.fps - time.perf_counter()))
            yield images[(number * 16 + taken) % _DISTINCT_FRAMES]
            taken += 1
        sent[number] = taken

    def watch(number: int) -> tuple[int, list[float]]:
        client = _TimedClient(server.target, model, chunk_length=load.chunk_length)
        with client:
            in_order, last = 0, -1
            for result in client.stream(camera(number)):
                in_order += result.frame > last
                last = result.frame
            return in_order, client.seconds

    sent = [0] * load.streams
    memory: list[tuple[float, float]] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(1.0):
            memory.append((time.perf_counter(), server.mib()))

    sampler = threading.Thread(target=sample, daemon=True)
    started = time.perf_counter()
    sampler.start()
    with ThreadPoolExecutor(load.streams) as pool:
        outcomes = list(pool.map(watch, range(load.streams)))
    spent = time.perf_counter() - started
    stop.set()
    sampler.join()
    seconds = np.array([value for _, times in outcomes for value in times])
    quarter = next((mib for when, mib in memory if when - started > spent / 4), float("nan"))
    frames = sum(scored for scored, _ in outcomes)
    return {
        "served_frames_per_second": round(frames / spent, 1),
        "request_seconds": {
            "p50": round(float(np.quantile(seconds, 0.5)), 3),
            "p99": round(float(np.quantile(seconds, 0.99)), 3),
            "highest": round(float(seconds.max()), 3),
        },
        "server_mib": {
            "after_a_quarter": round(quarter),
            "at_the_end": round(memory[-1][1]) if memory else None,
            "highest": round(max((mib for _, mib in memory), default=float("nan"))),
        },
        "frames": frames,
        "lost_frames": sum(taken - never_scored for taken in sent if taken >= window.span) - frames,
        "requests": len(seconds),
    }


def _in_process(path: Path, shape: tuple[int, int, int, int], max_batch: int, seconds: float) -> float:
    """Frames a second of the best way: one chunk at a time, or batches of usual or of this size."""
    batches = ",".join(map(str, sorted({1, 8, max_batch})))
    arguments = [str(path), batches, *map(str, shape), str(seconds)]
    done = subprocess.run([sys.executable, "-c", _IN_PROCESS, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise VadError(f"{path} cannot be called in process: {done.stderr.strip().splitlines()[-1]}")
    return max(map(float, done.stdout.split()))


class _Server:
    """``tools/serve.py`` in a process of its own, on a free port."""

    def __init__(self, zoo: Path, max_batch: int, streams: int) -> None:
        self._batching = NamedTemporaryFile("w", prefix="vad_batching_", suffix=".config")  # noqa: SIM115 (in __exit__)
        self._batching.write(
            f"max_batch_size {{ value: {max_batch} }} batch_timeout_micros {{ value: 2000 }} "
            f"max_enqueued_batches {{ value: {4 * streams} }} num_batch_threads {{ value: {os.cpu_count() or 1} }}"
        )
        self._batching.flush()
        options = ["--zoo", str(zoo), "--port", "0", "--batching-parameters-file", self._batching.name]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "keras_vad", "serve", *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        port = None
        for line in self._process.stdout:
            found = re.match(r"serving .*:(\d+)$", line.strip())
            if found:
                port = found[1]
                break
        if port is None:
            raise VadError(f"the server of {zoo} did not start; run tools/serve.py --zoo {zoo} to see why.")
        self.target = f"localhost:{port}"

    def __enter__(self) -> "_Server":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._batching.close()

    def mib(self) -> float:
        """Resident memory of the process."""
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


if __name__ == "__main__":
    sys.exit(run(main))
