"""What the steps of phases get: kinds of windows drawn apart, larger batches, frames that were encoded once."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vad.data import FrameCache, Video
from keras_vad.data.video import ArrayFrames
from keras_vad.models.detector import TrainingPhase, VideoAnomalyDetector
from keras_vad.training.phase_batches import PhaseBatches
from keras_vad.window import Window

CLIP, LONG, FRAME = (Window(length=length, size=(2, 2)) for length in (2, 5, 1))


class Halving(VideoAnomalyDetector):
    """Its code of a frame is half of its red channel."""

    def __init__(self):
        super().__init__(CLIP)
        self.encoded = 0

    def halve(self, frames):
        return tf.cast(frames[..., 0], tf.float32) / 2


@pytest.fixture
def made(tmp_path):
    """A function that gives the batches of two training videos, of 8 and 6 frames, and a held-out one of 6."""

    def make(**options):
        cache = FrameCache(tmp_path / "cache")

        def video(name, first, count):
            frames = np.arange(first, first + count, dtype=np.uint8)[:, None, None, None] + np.zeros(
                (2, 2, 3), np.uint8
            )
            return cache.get(Video(name, ArrayFrames(frames)), (2, 2))

        defaults = {"batch_size": 2, "speeds": (1,), "hop": 1, "steps": None, "validation_steps": 1, "seed": 3}
        return PhaseBatches(
            Halving(),
            [video("a", 0, 8), video("b", 50, 6)],
            [video("c", 100, 6)],
            codes=tmp_path / "codes",
            **(defaults | options),
        )

    return make


def firsts(batches):
    """Number of the first frame of every window, batch by batch."""
    return [[int(window[0, 0, 0, 0]) for window in batch.numpy()] for batch in batches]


def test_a_phase_without_windows_has_the_training_window(made):
    phase = TrainingPhase("all", 1)
    assert made().steps(phase) == 6  # 7 and 5 windows in batches of 2
    assert sorted(np.ravel(firsts(made()(phase, 0, 0)))) == [*range(7), *range(50, 55)]
    assert firsts(made()(phase, 1, 2)) == firsts(made()(phase, 1, 0))[2:]


def test_single_frames_in_larger_batches(made):
    phase = TrainingPhase("frames", 1, windows=(FRAME,), batch_factor=3)
    batches = list(made()(phase, 0, 0))
    assert made().steps(phase) == 2
    assert [batch.shape for batch in batches] == [(6, 1, 2, 2, 3)] * 2
    assert made().validation(phase).element_spec.shape == (6, 1, 2, 2, 3)


def test_two_kinds_of_windows_are_drawn_apart_and_each_is_seen_whole(made):
    phase = TrainingPhase("both", 1, windows=(CLIP, LONG))
    batches = made()
    assert batches.steps(phase) == 6
    epochs = [list(batches(phase, epoch, 0)) for epoch in (0, 1)]
    assert [(short.shape[1], long.shape[1]) for short, long in epochs[0]] == [(2, 5)] * 6
    # All starts of the short windows in each epoch, the last ones of a video among them; the six long ones twice.
    for epoch in epochs:
        assert sorted(np.ravel(firsts(short for short, _ in epoch))) == [*range(7), *range(50, 55)]
        assert sorted(np.ravel(firsts(long for _, long in epoch))) == sorted([0, 1, 2, 3, 50, 51] * 2)
    assert firsts(short for short, _ in epochs[0]) != firsts(long for _, long in epochs[0])
    resumed = list(batches(phase, 1, 4))
    assert [firsts([long]) for _, long in resumed] == [firsts([long]) for _, long in epochs[1][4:]]


def test_an_epoch_longer_than_a_pass_goes_round_again(made):
    phase = TrainingPhase("all", 1)
    batches = made(steps=9)
    assert (batches.steps(phase), batches.available(phase)) == (9, 6)
    shown = [one for epoch in range(2) for one in firsts(batches(phase, epoch, 0))]
    every = sorted([*range(7), *range(50, 55)])
    for one_pass in range(3):
        assert sorted(np.ravel(shown[one_pass * 6 : one_pass * 6 + 6])) == every
    assert shown[:6] != shown[6:12]
    assert firsts(batches(phase, 1, 4)) == shown[13:]


def test_frames_are_encoded_once_when_a_phase_begins(made, tmp_path):
    batches = made()
    phase = TrainingPhase("codes", 1, encode="halve")
    plain = [batch.numpy()[..., 0] / 2 for batch in batches(TrainingPhase("plain", 1), 0, 0)]
    codes = list(batches(phase, 0, 0))
    assert codes[0].dtype == tf.float32
    np.testing.assert_array_equal(codes, plain)
    (held_out,) = batches.validation(phase)
    assert held_out.shape == (2, 2, 2, 2)
    assert 50 <= held_out.numpy().min() <= held_out.numpy().max() <= 52.5
    assert len(list((tmp_path / "codes").iterdir())) == 3
    batches.close()
    assert not (tmp_path / "codes").exists()


def test_too_few_held_out_windows_make_no_validation(made):
    assert made(validation_steps=0).validation(TrainingPhase("all", 1)) == ()
    assert made(batch_size=6).validation(TrainingPhase("all", 1)) == ()
