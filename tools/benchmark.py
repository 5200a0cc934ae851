"""Measure speed and memory on this machine; results are for comparing on one machine, not for quoting.

Examples:
python tools/benchmark.py training --model adv3dcae --dataset ucsdped2 --data-dir UCSDped2 --recipe compact
python tools/benchmark.py memory --frames 100000 --size 256 --dir /tmp/long
python tools/benchmark.py streaming --recipe decoupled_ucsdped2
python tools/benchmark.py cameras --model local_playback --recipe local_playback_ucsdped2_compact
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_vad.cli.process import load_tensorflow, run
from keras_vad.errors import VadError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark and print its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    kinds = parser.add_subparsers(dest="kind", required=True)
    training = kinds.add_parser(
        "training", help="GFLOP/s of each phase's training step beside this machine's limit, and the input pipeline"
    )
    for option in ("model", "dataset"):
        training.add_argument(f"--{option}", required=True)
    training.add_argument("--data-dir", required=True, type=Path)
    training.add_argument("--recipe", help="recipe, as for keras-vad train")
    training.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE")
    training.add_argument("--steps", type=int, default=20, help="training steps to time (default: %(default)s)")
    memory = kinds.add_parser("memory", help="peak memory of a training run on long generated videos")
    memory.add_argument("--frames", type=int, default=100_000, help="frames in all (default: %(default)s)")
    memory.add_argument("--size", type=int, default=256, help="height and width (default: %(default)s)")
    memory.add_argument("--steps", type=int, default=50, help="training steps (default: %(default)s)")
    memory.add_argument("--dir", required=True, type=Path, help="new folder for videos, cache and run; delete it later")
    streaming = kinds.add_parser("streaming", help="frames per second of decoupled, by windows and frame by frame")
    streaming.add_argument("--recipe", default="decoupled_ucsdped2", help="its model, with random weights")
    streaming.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE")
    streaming.add_argument("--frames", type=int, default=60, help="frames of the video (default: %(default)s)")
    cameras = kinds.add_parser("cameras", help="how many cameras one core keeps up with, by calls in this process")
    cameras.add_argument("--model", required=True, help="key of the method")
    cameras.add_argument("--recipe", required=True, help="its model, with random weights")
    cameras.add_argument("--fps", type=float, default=10.0, help="frames a second of a camera (default: %(default)g)")
    cameras.add_argument("--frames", type=int, default=512, help="frames of the video (default: %(default)s)")
    args = parser.parse_args(argv)
    kinds_of = {
        "training": _training,
        "memory": _memory,
        "streaming": _streaming,
        "cameras": _cameras,
    }
    result = kinds_of[args.kind](args)
    print(json.dumps(result, indent=2))
    return 0


def _training(args: argparse.Namespace) -> dict[str, Any]:
    load_tensorflow()
    import tensorflow as tf

    from keras_vad.data import FrameCache, hold_out, open_dataset
    from keras_vad.evaluation.cost import macs_of
    from keras_vad.models.registry import build
    from keras_vad.training.loop import Schedule
    from keras_vad.training.phase_batches import PhaseBatches
    from keras_vad.training.recipe import find_recipe, load_recipe

    recipe = load_recipe(find_recipe(args.recipe, args.model, args.dataset), args.set)
    detector = build(args.model, precision=recipe.training.precision, **recipe.model)
    detector.compile()
    detector.build_optimizers()
    cache = FrameCache()
    dataset = open_dataset(args.dataset, args.data_dir)
    videos, held_out = (
        [cache.get(video, detector.window.size) for video in each]
        for each in hold_out(dataset.train_videos(), recipe.data.validation_share, seed=0)
    )
    schedule = Schedule.of(detector.phases(), recipe.training.epochs, recipe.training.schedule)
    limit = _limit_of_convolutions(recipe.training.precision)
    phases: dict[str, dict[str, Any]] = {}
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        batches = PhaseBatches(
            detector,
            videos,
            held_out,
            batch_size=recipe.training.batch_size,
            speeds=recipe.data.speeds,
            hop=recipe.data.hop,
            steps=recipe.training.steps_per_epoch,
            validation_steps=0,
            seed=0,
            codes=Path(folder) / "codes",
        )
        measured: dict[Any, dict[str, Any]] = {}
        for phase in schedule.phases:
            kind = phase.trainable, phase.windows, phase.encode, phase.batch_factor
            if kind not in measured:
                detector.set_phase(phase)
                if phase.on_start:
                    phase.on_start(detector, batches(phase, 0, 0))
                step = tf.function(detector.train_step, jit_compile=False, autograph=False)
                first = next(iter(batches(phase, 0, 0)))
                macs = macs_of(step.get_concrete_function(first).graph)
                step(first)
                measured[kind] = _rates(step, partial(batches, phase), args.steps)
                gflops = None if macs is None else 2e-9 * macs / measured[kind]["seconds_per_step"]
                measured[kind] |= {
                    "batch_size": recipe.training.batch_size * phase.batch_factor,
                    "gflop_per_second": gflops and round(gflops, 1),
                    "share_of_limit": gflops and round(gflops / limit, 2),
                }
            steps = batches.steps(phase) * phase.epochs
            seconds += steps * measured[kind]["seconds_per_step"]
            phases[phase.name] = measured[kind] | {"steps": steps}
    return {
        "precision": recipe.training.precision,
        "limit_gflop_per_second": round(limit, 1),
        "phases": phases,
        "estimated_hours": round(seconds / 3600, 2),
    }


def _rates(step: Callable[..., Any], batches: Callable[[int, int], Any], steps: int) -> dict[str, Any]:
    """Seconds of a step, and how many times as fast the input pipeline is.

    Alternately, so that a machine whose speed drifts treats both alike.
    """
    pipeline, training = [], []
    for repeat in range(3):
        started, count = time.perf_counter(), 0
        for _ in batches(repeat, 0).take(max(50, steps)):
            count += 1
        pipeline.append((time.perf_counter() - started) / count)
        started, count = time.perf_counter(), 0
        for batch in batches(repeat, 0).take(max(1, steps // 3)):
            float(next(iter(step(batch).values())))
            count += 1
        training.append((time.perf_counter() - started) / count)
    return {
        "seconds_per_step": round(float(np.median(training)), 4),
        "pipeline_over_training": round(float(np.median(training) / np.median(pipeline)), 1),
    }


def _limit_of_convolutions(precision: str) -> float:
    """GFLOP/s of a convolution with 128 channels, forward and both gradients: what a training step could reach here."""
    import tensorflow as tf

    dtype = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}.get(precision, tf.float32)
    images, kernel = (tf.cast(tf.random.normal(shape), dtype) for shape in ((8, 32, 48, 128), (3, 3, 128, 128)))

    @tf.function(autograph=False)
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            loss = tf.reduce_sum(tf.square(tf.nn.conv2d(images, kernel, 1, "SAME")))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, [images, kernel])]

    seconds = []
    for _ in range(8):
        started = time.perf_counter()
        [value.numpy() for value in step()]
        seconds.append(time.perf_counter() - started)
    return 3 * 2e-9 * 8 * 32 * 48 * 9 * 128 * 128 / float(np.median(seconds[2:]))


def _memory(args: argparse.Namespace) -> dict[str, Any]:
    if args.dir.exists():
        raise VadError(f"{args.dir} exists; name a new folder.")
    per_video = 5000
    started = time.perf_counter()
    for number, start in enumerate(range(0, args.frames, per_video)):
        path = args.dir / "videos" / "train" / f"{number:03d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_video(path, min(per_video, args.frames - start), args.size, seed=number)
    written = time.perf_counter() - started
    options = {
        "model.image_size": args.size,
        "model.channels": "[4,8,8,8,8]",
        "model.discriminator_channels": "[4,4,4]",
        "training.epochs": 1,
        "training.steps_per_epoch": args.steps,
        "training.batch_size": 2,
        "data.speeds": "[1,2,3]",
        "data.validation_share": 0.05,
    }
    command = [sys.executable, "-m", "keras_vad", "train", "--model", "adv3dcae", "--dataset", "folder"]
    command += ["--data-dir", str(args.dir / "videos"), "--recipe", "adv3dcae_shapes_compact", "--no-export"]
    command += ["--run-dir", str(args.dir / "run")]
    for name, value in options.items():
        command += ["--set", f"{name}={value}"]
    started = time.perf_counter()
    finished = subprocess.run(command, check=False, env={**os.environ, "KERAS_VAD_CACHE": str(args.dir / "cache")})
    if finished.returncode:
        raise VadError(f"the training run failed with exit code {finished.returncode}; see its error above.")
    return {
        "frames": args.frames,
        "size": args.size,
        "seconds_writing_videos": round(written),
        "seconds_of_the_run": round(time.perf_counter() - started),
        "gib_of_cached_frames": round(sum(p.stat().st_size for p in (args.dir / "cache").iterdir()) / 2**30, 2),
        "peak_gib_of_the_run": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
    }


def _streaming(args: argparse.Namespace) -> dict[str, Any]:
    load_tensorflow()
    import tensorflow as tf

    from keras_vad.models.decoupled_stream import DecoupledStream
    from keras_vad.models.registry import build
    from keras_vad.training.recipe import load_recipe

    detector = build("decoupled", **load_recipe(args.recipe, args.set).model)
    window = detector.window
    if args.frames < window.span:
        raise VadError(f"--frames is {args.frames}, but this model needs at least {window.span}.")
    video = np.random.default_rng(0).integers(0, 256, (args.frames, *window.size, 3), dtype=np.uint8)
    stream = DecoupledStream(detector)
    score_window = tf.function(lambda frames: detector.anomaly(detector.preprocess(frames))["frame_scores"])

    starts = window.starts(len(video))

    # Each returns how many frames it scored.
    def windowed() -> int:
        for start in starts:
            score_window(tf.constant(video[None, np.add(start, window.frames)])).numpy()
        return len(starts)

    def chunked() -> int:
        detector.score_video(video)
        return len(starts)

    def streaming() -> int:
        for frame in video:  # the video goes on from round to round
            stream.push(frame)
        return len(video)

    # Alternately, so that a machine whose speed drifts treats all alike; the first round builds the graphs.
    rates: dict[str, list[float]] = {}
    for repeat in range(4):
        for score in (windowed, chunked, streaming):
            started = time.perf_counter()
            rate = score() / (time.perf_counter() - started)
            if repeat:
                rates.setdefault(score.__name__, []).append(rate)
    medians = {name: float(np.median(values)) for name, values in rates.items()}
    return {
        "recipe": args.recipe,
        "window_frames": len(window.frames),
        **{f"{name}_frames_per_second": round(rate, 2) for name, rate in medians.items()},
        "streaming_over_windowed": round(medians["streaming"] / medians["windowed"], 1),
    }


def _cameras(args: argparse.Namespace) -> dict[str, Any]:
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # before TensorFlow counts the processors
    load_tensorflow()

    from keras_vad.models.registry import build
    from keras_vad.training.recipe import load_recipe

    detector = build(args.model, **load_recipe(args.recipe).model)
    video = np.random.default_rng(0).integers(0, 256, (args.frames, *detector.window.size, 3), dtype=np.uint8)
    rates = []
    for repeat in range(4):  # the first one builds the graph
        started = time.perf_counter()
        detector.score_video(video)
        if repeat:
            rates.append(len(video) / (time.perf_counter() - started))
    rate = float(np.median(rates))
    return {
        "model": args.model,
        "input": list(detector.window.size),
        "frames_per_second_on_one_core": round(rate, 1),
        f"cameras_of_{args.fps:g}_fps": int(rate / args.fps),
    }


def _write_video(path: Path, n_frames: int, size: int, seed: int) -> None:
    """A coloured texture that drifts, with a bright square that wanders over it."""
    import av

    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 255, (size // 8, size // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=size, height=size, pix_fmt="yuv420p")
        for number in range(n_frames):
            frame = np.roll(texture, number // 4, axis=1)
            y, x = (number * 3) % (size - 16), (number * 5) % (size - 16)
            frame[y : y + 16, x : x + 16] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    sys.exit(run(main))
