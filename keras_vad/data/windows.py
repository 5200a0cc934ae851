"""Windows of frames as tf.data, for training and for fitting what the score needs from normal data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_vad.data.cache import CachedFrames
from keras_vad.data.encoded import EncodedFrames
from keras_vad.errors import VadError
from keras_vad.window import Window


@dataclass(frozen=True)
class _Index:
    """All windows of some videos, numbered; a run is a video at a speed.

    Args:
        runs: (video, speed) of every run.
        ends: int64, number of windows up to and including each run.
        hop: Frames between the starts of consecutive windows.
    """

    runs: tuple[tuple[CachedFrames | EncodedFrames, int], ...]
    ends: np.ndarray
    hop: int

    def __len__(self) -> int:
        return int(self.ends[-1])

    def locate(self, number: int) -> tuple[CachedFrames | EncodedFrames, int, int]:
        """(video, first frame, speed) of a window."""
        run = int(np.searchsorted(self.ends, number, side="right"))
        video, speed = self.runs[run]
        before = int(self.ends[run - 1]) if run else 0
        return video, (number - before) * self.hop, speed


def window_dataset(
    videos: Sequence[CachedFrames | EncodedFrames],
    window: Window,
    *,
    batch_size: int,
    speeds: Sequence[int] = (1,),
    hop: int = 1,
    shuffle: bool = True,
    seed: int = 0,
    epoch: int = 0,
    skip_batches: int = 0,
    drop_remainder: bool = True,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """One epoch of windows.

    The order is a permutation drawn from ``(seed, epoch)`` alone, so an epoch can be repeated, resumed in the middle
    without reading what is skipped, and split among workers that do not speak to each other.

    A window holds the frames ``window.frames``, their offsets times the speed. Speeds above 1 show the same scene
    faster (an augmentation of Hasan et al., CVPR 2016).

    Args:
        videos: Cached or encoded videos of one size.
        window: Which frames make a window.
        batch_size: Windows of a global batch.
        speeds: Every window is given at each of these speeds; a video too short for a speed above the first is left
            out at that speed.
        hop: Frames between the starts of consecutive windows.
        shuffle: Whether to permute the windows; if not, they come in order.
        seed: Together with ``epoch`` it fixes the order.
        epoch: Number of the epoch.
        skip_batches: Batches to leave out at the beginning.
        drop_remainder: Whether to leave out the last windows that do not fill a batch.
        shard: (i, n) gives the i-th of n equal parts of every batch.

    Returns:
        ``tf.data.Dataset`` of uint8 (B, T, H, W, 3), of encoded videos float32 (B, T, ...): B is ``batch_size / n``, T
        is the number of ``window.frames``. It is deterministic and prefetches.

    Raises:
        VadError: If a video is shorter than a window, sizes differ, or the windows do not fill one batch.
    """
    index = _index_windows(videos, window, speeds, hop)
    part, parts = shard
    steps = _steps(len(index), batch_size, drop_remainder)
    if batch_size % parts or not 0 <= part < parts:
        raise VadError(
            f"a batch of {batch_size} windows cannot be split into {parts} equal parts; change the batch size."
        )
    if parts > 1 and not drop_remainder:
        raise VadError("the last, smaller batch cannot be split among workers; use drop_remainder=True.")
    order = np.random.default_rng([seed, epoch]).permutation(len(index)) if shuffle else np.arange(len(index))

    share = batch_size // parts
    shape, dtype = (len(window.frames), *videos[0].frame_shape), videos[0].dtype

    def gather(step: np.ndarray) -> np.ndarray:
        first = int(step) * batch_size + part * share
        numbers = order[first : first + share]
        batch = np.empty((len(numbers), *shape), dtype)
        for out, number in zip(batch, numbers, strict=True):
            video, start, speed = index.locate(int(number))
            video.read_into(out[: window.length], start, window.step * speed)
            for position, target in enumerate(window.targets, start=window.length):
                video.read_into(out[position : position + 1], start + target * speed)
        return batch

    def load(step: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(gather, [step], dtype, stateful=False)
        return tf.ensure_shape(batch, (share if drop_remainder else None, *shape))

    steps_left = tf.data.Dataset.range(skip_batches, steps)
    # Reading waits for the disk when the videos are larger than the memory: four batches at a time keep it busy.
    windows = steps_left.map(load, num_parallel_calls=4, deterministic=True).prefetch(2)
    # Nothing is left to tune, and the tuner's thread, which sleeps up to a minute, now and then holds up the end of an
    # epoch until it wakes: 8 s after an epoch of 12 s.
    options = tf.data.Options()
    options.autotune.enabled = False
    return windows.with_options(options)


def steps_per_epoch(
    videos: Sequence[CachedFrames | EncodedFrames],
    window: Window,
    *,
    batch_size: int,
    speeds: Sequence[int] = (1,),
    hop: int = 1,
    drop_remainder: bool = True,
) -> int:
    """Batches that ``window_dataset`` gives in an epoch with the same arguments.

    Raises:
        VadError: As ``window_dataset``.
    """
    return _steps(len(_index_windows(videos, window, speeds, hop)), batch_size, drop_remainder)


def _steps(n_windows: int, batch_size: int, drop_remainder: bool) -> int:
    if batch_size < 1:
        raise VadError(f"the batch size is {batch_size}, but must be at least 1.")
    if drop_remainder and n_windows < batch_size:
        raise VadError(
            f"the videos hold {n_windows} windows, but a batch has {batch_size}; give longer videos or a smaller batch."
        )
    return n_windows // batch_size if drop_remainder else -(-n_windows // batch_size)


def _index_windows(
    videos: Sequence[CachedFrames | EncodedFrames], window: Window, speeds: Sequence[int], hop: int
) -> _Index:
    if not videos:
        raise VadError("there are no videos to take windows from; give at least one.")
    for name, value in (("hop", hop), ("speed", min(speeds, default=0))):
        if value < 1:
            raise VadError(f"the smallest {name} of the windows is {value}, but must be at least 1.")
    reach = max(window.frames)
    runs: list[tuple[CachedFrames | EncodedFrames, int]] = []
    counts: list[int] = []
    for video in videos:
        if video.size != videos[0].size:
            raise VadError(
                f"{video.name} is cached at {video.size[1]}x{video.size[0]}, but {videos[0].name} at "
                f"{videos[0].size[1]}x{videos[0].size[0]}; cache all videos at one size."
            )
        for speed in sorted(speeds):
            last_start = len(video) - 1 - reach * speed
            if last_start >= 0:
                runs.append((video, speed))
                counts.append(last_start // hop + 1)
            elif speed == min(speeds):
                raise VadError(
                    f"{video.name} has {len(video)} frames, but a window spans {1 + reach * speed}; leave that video "
                    "out or give a longer one."
                )
    return _Index(tuple(runs), np.cumsum(counts), hop)
