"""How far a training step on two devices is from one on one device, for ``DetectorContract``.

A process of its own, because the CPU can be split into devices only before TensorFlow runs.
It prints JSON.
"""

import inspect
import json

import keras
import numpy as np
import tensorflow as tf

from keras_vad.testing.inputs import raw_windows
from keras_vad.training.strategy import make_strategy


def one_step(strategy, method, config, initial, batch, freeze):
    """Weights and losses after one step."""
    with strategy.scope():
        detector = method(**config)
        # Adaptive optimizers turn rounding errors into whole steps; the gradients are what is compared.
        names = [name for name in inspect.signature(detector.compile).parameters if name.endswith("optimizer")]
        detector.compile(**{name: keras.optimizers.SGD(0.1) for name in names})
        detector.build_optimizers()
    detector.set_weights(initial)
    if freeze:
        for layer in [layer for network in detector.layers for layer in getattr(network, "layers", [network])]:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(batch).batch(len(batch)))

    logs = strategy.run(detector.train_step, args=(next(iter(data)),))
    logs = {name: strategy.experimental_local_results(value) for name, value in logs.items()}
    return detector.get_weights(), {name: [float(value) for value in values] for name, values in logs.items()}


def main(method, config):
    two = make_strategy("mirrored", 2)
    assert two.num_replicas_in_sync == 2
    keras.utils.set_random_seed(3)
    detector = method(**config)
    batch = raw_windows(detector)
    detector.adapt(raw_windows(detector, seed=1))  # inputs that are exactly centred hardly move the weights
    initial = detector.get_weights()
    result = {}
    for case, windows in (("frozen", batch), ("halves", np.concatenate([batch[:2], batch[:2]]))):
        runs = [
            one_step(strategy, method, config, initial, windows, freeze=case == "frozen")
            for strategy in (tf.distribute.OneDeviceStrategy("CPU:0"), two)
        ]
        (weights_1, losses_1), (weights_2, losses_2) = runs
        differences = [np.abs(a - b).max() for a, b in zip(weights_1, weights_2, strict=True)]
        moves = [np.abs(a - b).max() for a, b in zip(weights_1, initial, strict=True)]
        losses = [abs(losses_1[name][0] - value) for name, values in losses_2.items() for value in values]
        result[case] = {"weights": float(max(differences)), "moved": float(max(moves)), "losses": max(losses)}
    print(json.dumps(result))
