"""A tiny detector with the signatures of an exported one, and its scores by plain NumPy.

A frame's score in a window is how far its mean lies from the window's mean, so it depends on the window, as a real
detector's does, and wrong chunks give wrong scores.
"""

import functools
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_vad.window import Window

WINDOW = Window(length=4, size=(8, 6), channels=1, hop=3)


class TinyDetector(tf.Module):
    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = tf.Variable(gain, trainable=False)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")])
    def score(self, frames):
        return {name: value for name, value in self._score(frames).items() if name != "maps"}

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")])
    def score_maps(self, frames):
        return self._score(frames)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, name="query")])
    def describe(self, query):
        numbers = {
            "length": WINDOW.length,
            "step": WINDOW.step,
            "span": WINDOW.span,
            "hop": WINDOW.hop,
            "height": WINDOW.size[0],
            "width": WINDOW.size[1],
            "channels": WINDOW.channels,
        }
        outputs = {name: tf.zeros_like(query) + number for name, number in numbers.items()}
        outputs["offsets"] = tf.zeros_like(query)[:, None] + tf.constant([WINDOW.scored])
        return outputs

    def _score(self, frames):
        span, hop = WINDOW.span, WINDOW.hop
        too_short = f"a chunk must have at least {span} frames"
        with tf.control_dependencies([tf.debugging.assert_greater_equal(tf.shape(frames)[1], span, message=too_short)]):
            frames = tf.identity(frames)  # what is computed with too few of them fails in other words
        batch, n = tf.shape(frames)[0], tf.shape(frames)[1]
        images = tf.reduce_mean(tf.cast(frames, tf.float32), axis=-1) / 255.0
        means = tf.reduce_mean(images, axis=(2, 3))

        def errors(starts):
            places = starts[:, None] + tf.range(span)
            windows = tf.gather(means, places, axis=1)
            deviation = tf.abs(windows - tf.reduce_mean(windows, axis=2, keepdims=True))
            hits = tf.one_hot(tf.reshape(places, [-1]), n)
            total = tf.matmul(tf.reshape(deviation, [batch, -1]), hits)
            return total, tf.reduce_sum(hits, axis=0)

        total, count = errors(tf.range(0, n - span + 1, hop))
        tail, _ = errors(tf.reshape(n - span, [1]))
        raw = self.gain * tf.where(count > 0, tf.math.divide_no_nan(total, count), tail)
        offsets = tf.zeros((batch, 1), tf.int32) + tf.range(n)
        return {"scores": raw / (1 + raw), "raw_scores": raw, "frame_offsets": offsets, "maps": images}


@functools.cache
def _traced() -> TinyDetector:
    """One for all exports, as tracing takes most of the time."""
    return TinyDetector()


def export_tiny(folder: Path, gain: float = 1.0) -> None:
    """Write the tiny detector's SavedModel."""
    module = _traced()
    module.gain.assign(gain)
    signatures = {"serving_default": module.score, "score_maps": module.score_maps, "describe": module.describe}
    tf.saved_model.save(module, str(folder), signatures=signatures)


class Sleeper(tf.Module):
    """A model that takes as long as it is asked to."""

    @tf.function(input_signature=[tf.TensorSpec((), tf.float64, name="seconds")])
    def sleep(self, seconds):
        end = tf.timestamp() + seconds
        (now,) = tf.while_loop(lambda now: now < end, lambda _: (tf.timestamp(),), (tf.timestamp(),))
        return {"end": now}


def reference_scores(frames: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Raw scores of a whole video, window by window."""
    means = frames.astype(np.float64).mean(axis=(1, 2, 3)) / 255
    *regular, last = WINDOW.starts(len(frames))
    if last % WINDOW.hop == 0:
        regular.append(last)
        last = None
    scores = [[] for _ in frames]
    for start in regular:
        window = means[start : start + WINDOW.span]
        for place, error in enumerate(np.abs(window - window.mean())):
            scores[start + place].append(error)
    if last is not None:
        window = means[last:]
        for place, error in enumerate(np.abs(window - window.mean())):
            if last + place >= regular[-1] + WINDOW.span:
                scores[last + place].append(error)
    return gain * np.array([np.mean(values) for values in scores])
