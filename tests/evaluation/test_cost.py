"""Multiply-accumulate operations, by hand."""

from types import SimpleNamespace

import tensorflow as tf

import keras_vad
from keras_vad.evaluation.cost import macs_of, macs_per_frame
from keras_vad.window import Window


def test_a_network_of_2d_convolutions_by_hand() -> None:
    detector = keras_vad.build(
        "local_playback", image_size=(16, 32), window_length=4, hop=2, channels=(3, 5), kernel_size=5
    )
    first = 8 * 16 * 5 * 5 * 4 * 3
    second = 4 * 8 * 3 * 3 * 3 * 5
    last = 4 * 8 * 5
    assert macs_per_frame(detector) == (first + second + last) // 2


def test_transposed_and_3d_convolutions_by_hand() -> None:
    detector = keras_vad.build("conv3d_ae", image_size=32, window_length=8, channels=(2, 2, 2, 2))
    kernel = 3 * 3 * 3
    # Encoder: strides (1,2,2), then (2,2,2); the decoder mirrors it, counted at the places of its inputs.
    encoder = kernel * (8 * 16 * 16 * 1 * 2 + 4 * 8 * 8 * 4 + 2 * 4 * 4 * 4 + 1 * 2 * 2 * 4)
    decoder = kernel * (1 * 2 * 2 * 4 + 2 * 4 * 4 * 4 + 4 * 8 * 8 * 4 + 8 * 16 * 16 * 2 * 1)
    blur = 2 * 8 * 32 * 32 * 7  # of the maps, down and across
    assert macs_per_frame(detector) * 8 == encoder + decoder + blur


def test_recurrent_layers_count_every_step() -> None:
    detector = keras_vad.build("convlstm_ae", image_size=32, window_length=4, channels=(2, 2), lstm_channels=(2, 2, 2))
    convolutions = 2 * 4 * (11 * 11 * 1 * 2 * 7 * 7 + 5 * 5 * 2 * 2 * 2 * 2)
    recurrent = 3 * 4 * 8 * (3 * 3 * 2 * 2 * 2 * 2)  # layers, frames, gates of input and state
    blur = 2 * 4 * 32 * 32 * 7
    assert macs_per_frame(detector) * 4 == convolutions + recurrent + blur


def test_gradients_of_a_convolution_cost_as_much_as_it_does() -> None:
    @tf.function(autograph=False)
    def step(images: tf.Tensor, kernel: tf.Tensor, transposed: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel, transposed])
            hidden = tf.nn.conv2d(images, kernel, 2, "SAME")
            loss = tf.reduce_sum(tf.nn.conv2d_transpose(hidden, transposed, (2, 8, 6, 3), 2, "SAME"))
        return tape.gradient(loss, [images, kernel, transposed])

    shapes = (2, 8, 6, 3), (5, 5, 3, 4), (3, 3, 3, 4)
    graph = step.get_concrete_function(*map(tf.TensorSpec, shapes)).graph
    places = 2 * 4 * 3
    # Each of the two runs once forward and has a gradient of its input and one of its kernel.
    assert macs_of(graph) == 3 * places * (5 * 5 * 3 * 4 + 3 * 3 * 3 * 4)


def test_a_loop_in_the_graph_is_not_guessed() -> None:
    def anomaly(windows: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(
            lambda x: tf.reduce_sum(x) > 0, lambda x: [tf.linalg.matmul(x, x)], [windows[0, 0, ..., 0]]
        )

    window = Window(length=2, size=(4, 4), channels=1)
    assert macs_per_frame(SimpleNamespace(window=window, anomaly=anomaly)) is None
    product = SimpleNamespace(window=window, anomaly=lambda windows: tf.linalg.matmul(windows[..., 0], windows[..., 0]))
    assert macs_per_frame(product) * window.hop == 2 * 4 * 4 * 4
