"""What is particular about the three baselines: their networks, their inputs, their papers' scores."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.errors import VadError
from keras_vad.models.baselines import ConvAE, ConvLSTMAE, build_conv_autoencoder, build_convlstm_autoencoder
from keras_vad.testing.inputs import raw_video, raw_windows

TINY = {
    "conv_ae": {"image_size": (32, 48), "window_length": 4, "channels": (4, 4, 4)},
    "convlstm_ae": {"image_size": (32, 48), "window_length": 4, "channels": (4, 4), "lstm_channels": (3, 2)},
    "conv3d_ae": {"image_size": (32, 48), "window_length": 4, "channels": (4, 4, 4, 4)},
}


def build(key, **config):
    keras.utils.set_random_seed(7)
    detector = keras_vad.build(key, **{**TINY[key], **config})
    detector.compile()
    detector.build_optimizers()
    detector.adapt([raw_video(12, seed=1), raw_video(8, seed=2)])
    return detector


def difference(detector, inputs, scale=1.0):
    """Restored minus original, (batch, T, h, w), as the network sees it."""
    inputs = inputs.numpy() * scale
    return (detector.autoencoder(inputs, training=False).numpy() - inputs)[..., 0].astype(np.float64)


# --- Networks ---


def shapes(model, *names):
    return [tuple(model.get_layer(name).output.shape[1:]) for name in names]


def test_conv_ae_has_the_papers_places():
    model = build_conv_autoencoder((10, 227, 227, 1), (6, 5, 4))
    assert shapes(model, "conv1", "conv2", "conv3") == [(55, 55, 6), (28, 28, 5), (14, 14, 4)]
    assert shapes(model, "deconv3", "unpool2", "deconv2", "unpool1", "deconv1") == [
        (14, 14, 5), (28, 28, 5), (28, 28, 6), (55, 55, 6), (227, 227, 10),
    ]  # fmt: skip
    assert shapes(model, "pad") == [(227, 227, 10)]  # nothing to fill up


def test_convlstm_ae_has_the_papers_places():
    model = build_convlstm_autoencoder((10, 227, 227, 1), (6, 5), (4, 3, 4))
    assert shapes(model, "conv1", "conv2", "deconv2", "deconv1") == [
        (55, 55, 6),
        (26, 26, 5),
        (55, 55, 6),
        (227, 227, 1),
    ]
    assert shapes(model, "lstm1", "lstm2", "lstm3") == [(10, 26, 26, 4), (10, 26, 26, 3), (10, 26, 26, 4)]
    assert shapes(model, "pad") == [(227, 227, 1)]


@pytest.mark.parametrize("size", [(227, 227), (128, 192), (31, 57), (8, 9)])
def test_any_frame_size_is_restored_at_its_size(size):
    for model in (
        build_conv_autoencoder((3, *size, 1), (2, 2, 2)),
        build_convlstm_autoencoder((3, *size, 1), (2, 2), (2,)),
    ):
        assert model(np.zeros((1, 3, *size, 1), "float32")).shape == (1, 3, *size, 1)


def test_every_pixel_of_a_padded_frame_reaches_the_output():
    size = (30, 41)  # both are filled up to reach whole strides
    frames = tf.Variable(np.random.default_rng(0).normal(size=(1, 2, *size, 1)).astype("float32"))
    for model in (
        build_conv_autoencoder((2, *size, 1), (8, 8, 8)),
        build_convlstm_autoencoder((2, *size, 1), (4, 4), (4,)),
    ):
        with tf.GradientTape() as tape:
            output = tf.reduce_sum(tf.abs(model(frames)))
        gradient = tape.gradient(output, frames)[0, ..., 0].numpy()
        assert (np.abs(gradient).max(axis=0) > 0).mean() > 0.95  # max-pooling passes some places over


def test_unpooling_puts_maxima_back_where_they_were():
    model = build_conv_autoencoder((2, 43, 43, 1), (4, 4, 4))
    frames = np.random.default_rng(0).normal(size=(1, 2, 43, 43, 1)).astype("float32")
    names = ("conv1", "deconv2", "unpool1")
    taps = keras.Model(model.input, [model.get_layer(name).output for name in names])
    before, pooled, after = (output.numpy()[0] for output in taps(frames))
    assert before.shape == after.shape == (9, 9, 4)
    expected = np.zeros_like(after)
    for row, column, channel in np.ndindex(pooled.shape):
        box = before[2 * row : 2 * row + 2, 2 * column : 2 * column + 2, channel]
        top, left = np.unravel_index(np.argmax(box), box.shape)
        expected[2 * row + top, 2 * column + left, channel] = pooled[row, column, channel]
    np.testing.assert_array_equal(after, expected)


def test_how_time_flows():
    generator = np.random.default_rng(0)
    frames = generator.normal(size=(1, 4, 32, 32, 1)).astype("float32")
    later = frames.copy()
    later[:, 2] += 1.0

    def changed(model):
        change = np.abs(model(later).numpy() - model(frames).numpy()).max(axis=(0, 2, 3, 4))
        return (change > 1e-7).tolist()

    # The LSTM carries the past into the future only; stacked frames all see each other.
    assert changed(build_convlstm_autoencoder((4, 32, 32, 1), (4, 4), (4, 4))) == [False, False, True, True]
    assert changed(build_conv_autoencoder((4, 32, 32, 1), (4, 4, 4))) == [True, True, True, True]


# --- Inputs ---


def test_the_deviation_makes_inputs_of_unit_variance():
    detector = build("convlstm_ae")
    frames = np.concatenate([raw_video(12, seed=1), raw_video(8, seed=2)])
    inputs = detector.preprocess(tf.constant(frames)).numpy() / float(detector.deviation)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-5)
    assert inputs.std() == pytest.approx(1.0, rel=1e-4)
    assert float(detector.deviation) != pytest.approx(1.0, abs=0.1)


def test_a_still_video_keeps_its_scale():
    detector = build("convlstm_ae")
    detector.adapt([np.full((5, 40, 56, 3), 123, np.uint8)] * 2)
    assert float(detector.deviation) == 1.0


def test_no_frames_to_adapt_to_is_an_error():
    with pytest.raises(VadError, match="there are no training frames"):
        build("convlstm_ae").adapt([])


def test_conv3d_ae_sees_black_as_minus_one_and_white_as_one():
    detector = build("conv3d_ae")
    frames = np.stack([np.zeros((40, 56, 3), np.uint8), np.full((40, 56, 3), 255, np.uint8)])
    inputs = detector.preprocess(tf.constant(frames)).numpy()
    np.testing.assert_allclose(inputs[0], -1.0, atol=1e-6)
    np.testing.assert_allclose(inputs[1], 1.0, atol=1e-6)


def test_conv3d_ae_can_subtract_the_background():
    detector = build("conv3d_ae", subtract_background=True)
    frames = tf.constant(np.concatenate([raw_video(12, seed=1), raw_video(8, seed=2)]))
    inputs = detector.preprocess(frames)
    np.testing.assert_allclose(inputs.numpy().mean(axis=0), 0, atol=1e-6)
    restored = detector.restored(inputs[None, :4])
    expected = np.clip(detector.autoencoder(inputs[None, :4]).numpy() + detector.background.numpy(), 0, 1)
    np.testing.assert_allclose(restored, expected, atol=1e-6)


# --- Losses ---


@pytest.mark.parametrize(
    ("key", "config", "scale"),
    [
        ("conv_ae", {"weight_decay": 0.0}, 1.0),
        ("conv_ae", {"weight_decay": 0.0, "input_scale": 3.0}, 3.0),
        ("convlstm_ae", {}, None),
        ("conv3d_ae", {}, 1.0),
    ],
)
def test_the_loss_is_the_mean_squared_error(key, config, scale):
    detector = build(key, **config)
    frames = tf.constant(raw_windows(detector, batch=3))
    scale = 1 / float(detector.deviation) if scale is None else scale
    expected = np.square(difference(detector, detector.preprocess(frames), scale)).mean()
    losses = detector.compute_losses(frames, training=False)
    assert set(losses) == {"reconstruction"}
    assert float(losses["reconstruction"]) == pytest.approx(expected, rel=1e-5)


def test_weight_decay_weighs_as_in_the_authors_solver():
    detector = build("conv_ae", weight_decay=20.0)
    frames = tf.constant(raw_windows(detector, batch=3))
    losses = {name: float(loss) for name, loss in detector.compute_losses(frames, training=False).items()}
    # The solver minimises half the squared error of a window, summed, plus half the weighted squared weights.
    error = np.square(difference(detector, detector.preprocess(frames))).sum() / 3
    squares = sum(float(np.square(weight.numpy()).sum()) for weight in detector.trainable_variables)
    solver = error / 2 + 20.0 * squares / 2
    assert sum(losses.values()) == pytest.approx(solver * 2 / (4 * 32 * 48), rel=1e-5)
    assert losses["weight_decay"] > 0.01 * losses["reconstruction"]


def steps_of(optimizer, gradients):
    weight = tf.Variable([0.0])
    optimizer = type(optimizer).from_config(optimizer.get_config())  # of other weights
    optimizer.build([weight])
    for gradient in gradients:
        optimizer.apply([tf.constant([gradient], tf.float32)], [weight])
    return float(weight[0])


# Gradients of conv_ae's inner layers are of the order of 1e-7, of conv3d_ae's 3e-7.
@pytest.mark.parametrize(
    ("key", "gradient"),
    [("conv_ae", 1e-3), ("conv_ae", 5e-8), ("conv3d_ae", 1e-3), ("conv3d_ae", 3e-7), ("convlstm_ae", 1e-3)],
)
def test_adam_steps_as_published(key, gradient):
    gradients = [gradient * (1 + number % 3) for number in range(30)]
    # Kingma & Ba 2015, algorithm 1. Of a loss summed over 515,290 pixels, as of conv_ae's authors, the same epsilon
    # means nothing.
    epsilon = 0.0 if key == "conv_ae" else 1e-8
    expected = first = second = 0.0
    for step, g in enumerate(gradients, start=1):
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        expected -= 2e-3 * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + epsilon)
    optimizer = build(key, optimizer="adam", learning_rate=2e-3).optimizer
    assert steps_of(optimizer, gradients) == pytest.approx(expected, rel=0.05 if gradient < 1e-6 else 1e-3)


@pytest.mark.parametrize("gradient", [1e-3, 1e-7])
def test_adagrad_steps_as_published(gradient):
    gradients = [gradient * (1 + number % 3) for number in range(30)]
    expected = squares = 0.0
    for g in gradients:  # Duchi et al. 2011; Caffe's sums begin at 0
        squares += g**2
        expected -= 0.003 * g / np.sqrt(squares)
    optimizer = build("conv_ae", optimizer="adagrad", learning_rate=0.003).optimizer
    assert steps_of(optimizer, gradients) == pytest.approx(expected, rel=1e-3)


def test_the_optimizer_is_the_one_named():
    assert isinstance(build("conv_ae", optimizer="adam").optimizer, keras.optimizers.Adam)
    assert isinstance(build("convlstm_ae", optimizer="adagrad").optimizer, keras.optimizers.Adagrad)
    for key, rate in (("conv_ae", 1e-4), ("convlstm_ae", 1e-3), ("conv3d_ae", 1e-4)):
        assert float(build(key).optimizer.learning_rate) == pytest.approx(rate)


# --- Health ---


@pytest.mark.parametrize("key", TINY)
def test_health_by_hand(key):
    detector = build(key)
    batches = [tf.constant(raw_windows(detector, batch=2)), tf.constant(255 - raw_windows(detector, batch=2))]
    scale = 1 / float(detector.deviation) if key == "convlstm_ae" else 1.0
    errors = squares = 0.0
    for batch in batches:
        inputs = detector.preprocess(batch)
        errors += np.square(difference(detector, inputs, scale)).sum()
        values = inputs.numpy().astype("float64") * scale
        squares += np.square(values - (values.mean(axis=(0, 1)) if key == "conv3d_ae" else 0)).sum()
    figures = detector.health(batches)
    assert set(figures) == set(detector.health_figures)
    assert figures["unrestored_share"] == pytest.approx(errors / squares, rel=1e-4)


def test_health_of_a_network_that_restores_nothing():
    detector = build("conv_ae")
    last = detector.autoencoder.get_layer("deconv1")
    last.set_weights([np.zeros_like(weight) for weight in last.get_weights()])
    figures = detector.health([tf.constant(raw_windows(detector, batch=2))])
    assert figures == {"unrestored_share": pytest.approx(1.0)}


# --- Scores ---


def windows_of(detector, video):
    """Every window that scores a video, by a plain loop: (first frame, preprocessed (1, T, H, W, 1))."""
    inputs = detector.preprocess(tf.constant(video))
    for start in detector.window.starts(len(video)):
        yield start, inputs[None, start : start + detector.window.length]


@pytest.mark.parametrize("key", TINY)
def test_the_score_is_the_papers(key):
    detector = build(key)
    video = raw_video(12)
    expected, maps = np.empty(12), np.empty((12, 32, 48))
    for start, inputs in windows_of(detector, video):
        scale = 1 / float(detector.deviation) if key == "convlstm_ae" else 1.0
        for t, errors in enumerate(difference(detector, inputs, scale)[0]):
            n = errors.size
            if key == "conv_ae":  # sum of the pixels' distances
                maps[start + t], expected[start + t] = np.abs(errors), np.abs(errors).sum() / n
            elif key == "convlstm_ae":  # Euclidean distance of the frames
                maps[start + t], expected[start + t] = errors**2, np.linalg.norm(errors) / np.sqrt(n)
            else:
                maps[start + t], expected[start + t] = errors**2, (errors**2).sum() / n
    scores = detector.score_video(video, maps=True)
    np.testing.assert_allclose(scores.raw, expected, rtol=1e-4)
    np.testing.assert_allclose(scores.maps, maps, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(scores.parts["mean_error"], expected, rtol=1e-4)


def test_a_distance_is_the_root_of_every_pooled_error():
    detector = build("convlstm_ae", error="squared")
    detector.normal_level.assign(0.3)
    root = build("convlstm_ae", error="euclidean", pooling="max")
    root.set_weights(detector.get_weights())
    windows = detector.preprocess(tf.constant(raw_windows(detector, batch=2)))
    squared, distance = detector.anomaly(windows), root.anomaly(windows)
    np.testing.assert_array_equal(distance["maps"], squared["maps"])
    for name in ("mean_error", "excess_error", "max_error"):
        np.testing.assert_allclose(np.square(distance[name]), squared[name], rtol=1e-4, atol=1e-7, err_msg=name)
    np.testing.assert_array_equal(distance["frame_scores"], distance["max_error"])


def test_overlapping_windows_are_averaged():
    detector = build("conv_ae", hop=2)
    video = raw_video(8)
    sums, counts = np.zeros(8), np.zeros(8)
    for start, inputs in windows_of(detector, video):
        sums[start : start + 4] += np.abs(difference(detector, inputs)[0]).mean(axis=(1, 2))
        counts[start : start + 4] += 1
    assert counts.tolist() == [1, 1, 2, 2, 2, 2, 1, 1]
    np.testing.assert_allclose(detector.score_video(video).raw, sums / counts, rtol=1e-4)
    assert keras_vad.build("conv_ae", **TINY["conv_ae"]).window.hop == 4


@pytest.mark.parametrize("key", TINY)
def test_restored_frames_lie_as_far_from_the_frames_as_the_map_says(key):
    detector = build(key, error="absolute", learning_rate=0.01)
    frames = tf.constant(raw_windows(detector, batch=2))
    for _ in range(5):
        detector.train_step(frames)
    windows = detector.preprocess(frames)
    restored = detector.restored(windows).numpy()
    assert restored.shape == (2, 4, 32, 48, 1)
    assert restored.min() >= 0
    assert restored.max() <= 1
    gray = windows.numpy()
    gray = (gray + 1) / 2 if key == "conv3d_ae" else gray + detector.background.numpy()
    unit = {"conv_ae": 1.0, "conv3d_ae": 2.0}.get(key) or 1 / float(detector.deviation)
    inside = (restored > 0) & (restored < 1)  # the rest was clipped
    assert inside.mean() > 0.9
    error = unit * np.abs(restored - gray)[..., 0]
    np.testing.assert_allclose(
        error[inside[..., 0]], detector.anomaly(windows)["maps"].numpy()[inside[..., 0]], atol=1e-4
    )


# --- Options ---


def test_defaults_are_the_papers():
    shared = {"hop": None, "pooling": "mean"}
    papers = {
        "conv_ae": {"image_size": [227, 227], "window_length": 10, "channels": [512, 256, 128], "error": "absolute"}
        | {"optimizer": "adagrad", "learning_rate": 1e-4, "weight_decay": 5e-4, "input_scale": 1.0},
        "convlstm_ae": {"image_size": [227, 227], "window_length": 10, "channels": [128, 64], "error": "euclidean"}
        | {"lstm_channels": [64, 32, 64], "optimizer": "adam", "input_scale": None},
        "conv3d_ae": {"image_size": [256, 256], "window_length": 16, "channels": [96, 128, 256, 256]}
        | {"error": "squared", "optimizer": "adam", "learning_rate": 1e-4, "subtract_background": False},
    }
    for key, paper in papers.items():
        config = json.loads(json.dumps(keras_vad.build(key).get_config()))
        assert {name: config[name] for name in paper | shared} == paper | shared
    assert ConvAE.paper_rescaling == ConvLSTMAE.paper_rescaling == "max"


@pytest.mark.parametrize(
    ("key", "config", "message"),
    [
        ("conv_ae", {"error": "cubic"}, "error is 'cubic', but must be one of 'absolute', 'squared', 'euclidean'"),
        ("conv_ae", {"optimizer": "sgd"}, "optimizer is 'sgd', but must be one of 'adam', 'adagrad'"),
        ("conv_ae", {"learning_rate": 0}, "learning_rate is 0, but must be above 0"),
        ("conv_ae", {"input_scale": 0.0}, "input_scale is 0.0, but must be above 0"),
        ("conv_ae", {"weight_decay": -1.0}, "weight_decay is -1.0, but must be at least 0"),
        ("conv_ae", {"channels": (4, 4)}, r"channels is \(4, 4\), but must hold at least 3 numbers"),
        ("conv_ae", {"channels": (4, 4, 4, 4)}, r"channels is \(4, 4, 4, 4\), but must hold 3 numbers"),
        ("conv_ae", {"input_scale": None}, "input_scale of conv_ae is None, but must be of type float"),
        ("convlstm_ae", {"channels": (4,)}, r"channels is \(4,\), but must hold at least two numbers"),
        ("convlstm_ae", {"channels": (4, 4, 4)}, r"channels is \(4, 4, 4\), but must hold 2 numbers"),
        ("convlstm_ae", {"lstm_channels": ()}, r"lstm_channels is \(\), but must hold at least one number"),
        ("convlstm_ae", {"pooling": "min"}, "pooling is 'min', but must be one of 'mean', 'excess', 'max'"),
        ("conv3d_ae", {"channels": (4,)}, r"channels is \(4,\), but must hold at least two numbers"),
        ("conv3d_ae", {"window_length": 0}, "window length is 0, but must be at least 1"),
        ("conv3d_ae", {"image_size": (0, 9)}, r"image_size is \(0, 9\), but must be"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(key, config, message):
    with pytest.raises(VadError, match=message):
        keras_vad.build(key, **{**TINY[key], **config})
