"""Training that is interrupted in the middle of an epoch and resumed, for ``DetectorContract``.

A process of its own, because determinism is a switch of the whole process.
It prints JSON.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from keras_vad.testing.inputs import phase_batch
from keras_vad.training.loop import Checkpoints, Schedule, TrainingData, train

STEPS = 4
EPOCHS_PER_PHASE = 2


class StopAt(keras.callbacks.Callback):
    """Raises KeyboardInterrupt after some batches, and remembers the first batch it saw."""

    def __init__(self, batches=None):
        super().__init__()
        self.batches, self.seen, self.first = batches, 0, None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.first = self.first or [self.epoch, batch]
        self.seen += 1
        if self.seen == self.batches:
            raise KeyboardInterrupt


def run(method, config, folder, stop=None):
    keras.utils.set_random_seed(5)
    detector = method(**config)
    detector.seed = 5
    detector.compile()
    detector.build_optimizers()
    initial = detector.get_weights()
    callback = StopAt(stop)

    def batches(phase, epoch, skip):
        rows = [phase_batch(detector, phase, batch=2, seed=10 * epoch + step) for step in range(STEPS)]
        stacked = tf.nest.map_structure(lambda *each: np.stack(each), *rows)
        return tf.data.Dataset.from_tensor_slices(stacked).skip(skip)

    phases = detector.phases()
    try:
        train(
            detector,
            Schedule.of(phases, EPOCHS_PER_PHASE * len(phases), "cosine"),
            TrainingData(batches, lambda phase: STEPS),
            checkpoints=Checkpoints(folder, detector),
            checkpoint_every=2,
            callbacks=[callback],
        )
    except KeyboardInterrupt:
        assert stop
    return detector, initial, callback.first


def main(method, config, folder):
    tf.config.experimental.enable_op_determinism()
    whole, initial, _ = run(method, config, folder / "whole")
    # Stopped after the last batch before the end of an epoch, whose newest checkpoint is one batch older.
    run(method, config, folder / "parts", stop=STEPS - 1)
    resumed, _, first = run(method, config, folder / "parts")
    different = [
        weight.path
        for weight, expected in zip(resumed.weights, whole.weights, strict=True)
        if not np.array_equal(weight, expected)
    ]
    trained = any(not np.array_equal(a, b) for a, b in zip(initial, whole.get_weights(), strict=True))
    print(
        json.dumps(
            {"different_weights": different, "trained": trained, "interrupted_at": [0, 2], "resumed_from": first}
        )
    )
