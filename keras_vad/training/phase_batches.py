"""What the steps of each phase of a training get: windows of frames, of several kinds, or of frames encoded once."""

import functools
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_vad.data import CachedFrames, steps_per_epoch, window_dataset
from keras_vad.data.encoded import EncodedFrames, encode_video
from keras_vad.models.detector import TrainingPhase, VideoAnomalyDetector
from keras_vad.window import Window

_NEXT_KIND = 7919  # between the seeds of the kinds of windows of one phase


class PhaseBatches:
    """Batches of training and of held-out windows for every phase.

    Args:
        detector: Whose phases they are; it says how frames are encoded.
        train: Training videos.
        held_out: Normal videos that training does not see.
        batch_size: Windows of a global batch, before a phase's ``batch_factor``.
        speeds: See ``window_dataset``.
        hop: See ``window_dataset``.
        steps: Batches of an epoch; ``None`` shows every window of the first kind once.
        validation_steps: Batches of held-out windows at most.
        seed: Of the order of windows.
        codes: Folder for encoded frames, which ``close`` deletes.
    """

    def __init__(
        self,
        detector: VideoAnomalyDetector,
        train: Sequence[CachedFrames],
        held_out: Sequence[CachedFrames],
        *,
        batch_size: int,
        speeds: Sequence[int],
        hop: int,
        steps: int | None,
        validation_steps: int,
        seed: int,
        codes: Path,
    ) -> None:
        self._detector = detector
        self._train = train
        self._held_out = held_out
        self._batch_size = batch_size
        self._options: dict[str, Any] = {"speeds": speeds, "hop": hop}
        self._steps = steps
        self._validation_steps = validation_steps
        self._seed = seed
        self._codes = codes
        self._encoded_for: str | None = None
        self._encoded: tuple[Sequence[EncodedFrames], Sequence[EncodedFrames]] = ((), ())

    def __call__(self, phase: TrainingPhase, epoch: int, skip: int) -> tf.data.Dataset:
        """The rest of an epoch, after ``skip`` batches; a tuple a batch if the phase has several kinds of windows.

        The first kind comes in an order of each epoch. The others go on through epochs where they stopped, in an order
        of each pass over all of their windows, and begin again when they are through: they may be fewer or more. So
        does the first kind if an epoch is longer than one pass over it.
        """
        videos, _ = self._videos(phase)
        options = self._options | {"batch_size": self._batch_size * phase.batch_factor}
        steps = self.steps(phase)
        streams = []
        for number, window in enumerate(self._windows(phase)):
            seed = self._seed + number * _NEXT_KIND
            in_a_pass = steps_per_epoch(videos, window, **options)
            if number == 0 and steps <= in_a_pass:
                streams.append(window_dataset(videos, window, seed=seed, epoch=epoch, skip_batches=skip, **options))
                continue
            parts, next_batch, end = [], epoch * steps + skip, (epoch + 1) * steps
            while next_batch < end:
                one_pass, skipped = divmod(next_batch, in_a_pass)
                count = min(in_a_pass - skipped, end - next_batch)
                part = window_dataset(videos, window, seed=seed, epoch=one_pass, skip_batches=skipped, **options)
                parts.append(part.take(count))
                next_batch += count
            streams.append(functools.reduce(tf.data.Dataset.concatenate, parts))
        return streams[0] if len(streams) == 1 else tf.data.Dataset.zip(tuple(streams))

    def steps(self, phase: TrainingPhase) -> int:
        """Batches of an epoch."""
        return self._steps or self.available(phase)

    def available(self, phase: TrainingPhase) -> int:
        """Batches of one pass over the windows of the first kind."""
        batch_size = self._batch_size * phase.batch_factor
        return steps_per_epoch(self._train, self._windows(phase)[0], batch_size=batch_size, **self._options)

    def validation(self, phase: TrainingPhase) -> tf.data.Dataset | tuple[()]:
        """The same few batches after every epoch, spread over the held-out videos; empty if there is none."""
        kinds, batch_size = self._windows(phase), self._batch_size * phase.batch_factor
        most = min(steps_per_epoch(self._held_out, window, batch_size=1) // batch_size for window in kinds)
        if min(most, self._validation_steps) == 0:
            return ()
        _, videos = self._videos(phase)
        streams = [window_dataset(videos, window, batch_size=batch_size, seed=0) for window in kinds]
        windows = streams[0] if len(streams) == 1 else tf.data.Dataset.zip(tuple(streams))
        return windows.take(min(most, self._validation_steps)).cache()

    def close(self) -> None:
        """Delete what was encoded."""
        self._encoded_for, self._encoded = None, ((), ())
        shutil.rmtree(self._codes, ignore_errors=True)

    def _windows(self, phase: TrainingPhase) -> Sequence[Window]:
        return phase.windows or (self._detector.training_window,)

    def _videos(self, phase: TrainingPhase) -> tuple[Sequence[Any], Sequence[Any]]:
        """Training and held-out videos, as frames or as what the phase's encoder makes of them."""
        if phase.encode is None:
            return self._train, self._held_out
        if self._encoded_for != phase.name:
            self.close()
            encode = tf.function(getattr(self._detector, phase.encode), reduce_retracing=True, autograph=False)

            def encoded(videos: Iterable[CachedFrames], what: str) -> list[EncodedFrames]:
                return [
                    encode_video(video, encode, self._codes / f"{what}-{number}.npy")
                    for number, video in enumerate(videos)
                ]

            self._encoded = encoded(self._train, "train"), encoded(self._held_out, "held_out")
            self._encoded_for = phase.name
        return self._encoded
