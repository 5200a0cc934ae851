"""What is particular about adv3dcae: the paper's score, its ablations, its two inputs besides frames."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.errors import VadError
from keras_vad.layers.unpooling import MaxPoolWithArgmax
from keras_vad.models.adv3dcae import Adv3DCAE, build_autoencoder, build_discriminator
from keras_vad.testing.inputs import raw_video, raw_windows

TINY = {"image_size": (32, 48), "window_length": 8, "channels": (4, 4, 4, 4, 4), "discriminator_channels": (2, 2, 2)}

# Rows of the paper's tables; in the order of the constructor's arguments.
ABLATIONS = {
    "table V, without 3D convolution": {"convolution": "2d"},
    "table V, without 3D pooling": {"max_pooling": "2d"},
    "table V, without GAN": {"adversarial_weight": 0},
    "table V, without recording locations": {"record_locations": False},
    "table V, without 3D convolution or locations": {"convolution": "2d", "record_locations": False},
    "table VI, no noise": {"noise": None},
    "table VI, Gaussian noise": {"noise": "gaussian"},
    "table VI, salt and pepper noise": {"noise": "salt_and_pepper"},
    "table VI, Poisson noise": {"noise": "poisson"},
    "table VII, 6 layers": {"channels": (4, 4, 4)},
    "table VIII, objects": {"object_crops": "foreground", "channels": (4, 4, 4), "crop_size": 16, "max_objects": 3},
    "table VIII, people": {"object_crops": "people", "channels": (4, 4, 4), "crop_size": 16, "max_objects": 2},
    "table IX, appearance and flow": {"optical_flow": True},
    "table IX, without 3D convolution": {"optical_flow": True, "convolution": "2d"},
    "table IX, without GAN": {"optical_flow": True, "adversarial_weight": 0},
    "our score": {"pooling": "excess", "input_scale": 20},
    "inner frames": {"edge_frames": 2, "hop": 1},
}


@keras.saving.register_keras_serializable(package="keras_vad_tests")
def two_boxes(frame, difference):
    """The same two boxes in every frame: an object detector of one's own."""
    return np.array([[4, 8, 20, 24], [10, 30, 26, 46]], np.float32)


def build(**config):
    keras.utils.set_random_seed(7)
    detector = Adv3DCAE(**{**TINY, **config})
    detector.compile()
    detector.build_optimizers()
    detector.adapt([raw_video(20, seed=1)])
    return detector


def windows_of(detector, video):
    """Every window that scores a video, by a plain loop: (first frame, preprocessed (1, T, H, W, 1))."""
    inputs = detector.preprocess(tf.constant(video))
    for start in detector.window.starts(len(video)):
        yield start, inputs[None, start : start + detector.window.length]


@pytest.mark.parametrize("row", ABLATIONS)
def test_every_row_of_the_ablation_tables_trains_and_scores(row):
    detector = build(**ABLATIONS[row])
    before = [weight.numpy() for weight in detector.trainable_variables]
    logs = detector.train_step(tf.constant(raw_windows(detector, batch=2)))
    expected = {"reconstruction"} | ({"adversarial", "discriminator"} if detector.adversarial_weight else set())
    assert set(logs) == expected
    assert all(np.isfinite(value) for value in logs.values())
    if row != "table VIII, people":  # OpenCV's detector sees nobody in our pictures
        assert any((a != b).any() for a, b in zip(before, detector.trainable_variables, strict=True))
    frames = tf.constant(raw_video(9)[None])
    scores = detector.score_chunk(frames, maps=True)
    m = 9 - 2 * detector.edge_frames
    assert scores["raw_scores"].shape == (1, m)
    assert scores["maps"].shape == (1, m, 32, 48)
    assert all(np.isfinite(value).all() for value in scores.values())
    again = Adv3DCAE.from_config(json.loads(json.dumps(detector.get_config())))
    again.set_weights(detector.get_weights())
    np.testing.assert_array_equal(again.score_chunk(frames)["raw_scores"], scores["raw_scores"])


def count(model):
    return sum(weight.shape.num_elements() for weight in model.trainable_variables)


def test_the_paper_has_ten_layers_and_the_small_one_six():
    for channels, layers in (((4, 4, 4, 4, 4), 10), ((4, 4, 4), 6)):
        model = build_autoencoder((8, 32, 48, 1), channels)
        kinds = (keras.layers.Conv3D, keras.layers.Conv3DTranspose)
        convolutions = [layer for layer in model.layers if isinstance(layer, kinds)]
        assert len(convolutions) == layers
        assert convolutions[0].kernel_size == convolutions[-1].kernel_size == (1, 2, 2)
        assert {layer.kernel_size for layer in convolutions[1:-1]} == {(3, 3, 3)}
        boxes = [layer.pool_size for layer in model.layers if isinstance(layer, MaxPoolWithArgmax)]
        assert boxes == [(1, 2, 2)] + [(2, 2, 2)] * (len(channels) - 2)
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        assert len(norms) == layers - 1  # none after the last


def test_2d_convolutions_take_the_frames_as_channels():
    # 16 frames in; 3 x 3 kernels but the first and last, 2 x 2.
    model = build_autoencoder((16, 32, 32, 1), (4, 5, 6), convolution="2d")
    encoder = (4 * 16 * 4 + 4 + 8) + (9 * 4 * 5 + 5 + 10) + (9 * 5 * 6 + 6 + 12)
    decoder = (9 * 6 * 5 + 5 + 10) + (9 * 5 * 4 + 4 + 8) + (4 * 4 * 16 + 16)
    assert count(model) == encoder + decoder


def test_the_discriminator_gives_one_logit_and_has_no_batch_normalisation():
    model = build_discriminator((8, 32, 48, 1), (2, 3, 4))
    assert model.output_shape == (None, 1)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    # 8 x 32 x 48 halved three times: 1 x 4 x 6 places.
    assert count(model) == (27 * 2 + 2) + (27 * 2 * 3 + 3) + (27 * 3 * 4 + 4) + (24 * 4 * 4 + 4) + (4 + 1)


@pytest.mark.parametrize("size", [(32, 48), (45, 61)])
@pytest.mark.parametrize("convolution", ["3d", "2d"])
def test_any_frame_size_is_restored_at_its_size(size, convolution):
    model = build_autoencoder((7, *size, 1), (2, 3, 4, 3, 2), convolution=convolution)
    assert model.output_shape == (None, 7, *size, 1)
    assert model(np.zeros((1, 7, *size, 1), "float32")).shape == (1, 7, *size, 1)


def test_the_score_is_equation_13():
    detector = build()
    video = raw_video(16)
    expected = np.empty(16)
    maps = np.empty((16, 32, 48))
    for start, inputs in windows_of(detector, video):
        restored = detector.appearance_autoencoder(inputs, training=False).numpy().astype(np.float64)
        for t in range(8):
            error = (inputs.numpy()[0, t, :, :, 0] - restored[0, t, :, :, 0]) ** 2
            expected[start + t], maps[start + t] = error.sum() / (32 * 48), error
    scores = detector.score_video(video, maps=True)
    np.testing.assert_allclose(scores.raw, expected, rtol=1e-4)
    np.testing.assert_allclose(scores.maps, maps, rtol=1e-3, atol=1e-6)


def test_overlapping_windows_are_averaged_as_a_plain_loop_does():
    detector = build(hop=3)
    video = raw_video(22)  # windows at 0, 3, ..., 12 and a last one at 14
    errors = {frame: [] for frame in range(22)}
    for start, inputs in windows_of(detector, video):
        scores = detector.anomaly(inputs)["frame_scores"].numpy()[0]
        for t, score in enumerate(scores):
            if start < 14 or start + t >= 12 + 8:  # the last window counts where no other reaches
                errors[start + t].append(score)
    assert [len(errors[frame]) for frame in (0, 3, 7, 21)] == [1, 2, 3, 1]
    expected = [np.mean(errors[frame]) for frame in range(22)]
    for chunk_length in (None, 11):
        scores = detector.score_video(video, chunk_length=chunk_length)
        np.testing.assert_allclose(scores.raw, expected, rtol=1e-4)


def test_windows_do_not_overlap_unless_told_to():
    assert Adv3DCAE(**TINY).window.hop == 8
    assert Adv3DCAE(**TINY, hop=3).window.hop == 3


def test_the_edges_of_windows_can_be_left_out():
    detector = build(edge_frames=2, optical_flow=True, flow_weight=0.5)
    assert detector.window.scored == (2, 3, 4, 5)
    assert detector.window.hop == 4
    whole = build(optical_flow=True, flow_weight=0.5)
    whole.set_weights(detector.get_weights())
    video = raw_video(21)  # windows at 0, 4, 8, 12 and a last one at 13
    expected, flow_errors, maps = {}, {}, {}
    for start, inputs in windows_of(detector, video):
        output = whole.anomaly(inputs)
        for t in (2, 3, 4, 5):
            if start != 13 or start + t > 12 + 5:
                expected[start + t] = float(output["frame_scores"][0, t])
                flow_errors[start + t] = float(output["flow_error"][0, t])
                maps[start + t] = output["maps"].numpy()[0, t]
    assert sorted(expected) == list(range(2, 19))  # the first two and the last two frames of the video have no score
    for chunk_length in (None, 12):
        scores = detector.score_video(video, maps=True, chunk_length=chunk_length)
        np.testing.assert_array_equal(scores.frame_index, sorted(expected))
        np.testing.assert_allclose(scores.raw, [expected[t] for t in range(2, 19)], rtol=1e-4)
        np.testing.assert_allclose(scores.parts["flow_error"], [flow_errors[t] for t in range(2, 19)], rtol=1e-4)
        np.testing.assert_allclose(scores.maps, [maps[t] for t in range(2, 19)], rtol=1e-3, atol=1e-6)


def test_pooling_of_blurred_errors_against_scipy():
    detector = build(pooling="excess", pooling_sigma=0.05)
    detector.normal_level.assign(0.1)
    video = raw_video(8)
    ((_, inputs),) = windows_of(detector, video)
    output = detector.anomaly(inputs)
    from scipy.ndimage import gaussian_filter

    sigma = 0.05 * 32
    for t in range(8):
        blurred = gaussian_filter(
            output["maps"].numpy()[0, t].astype(float), sigma, mode="constant", radius=int(np.ceil(3 * sigma))
        )
        expected = np.maximum(blurred - 0.1, 0).mean()
        assert float(output["frame_scores"][0, t]) == pytest.approx(expected, rel=1e-3)
        assert float(output["max_error"][0, t]) == pytest.approx(blurred.max(), rel=1e-3)


def test_the_level_is_the_quantile_of_normal_errors():
    detector = build(pooling="excess", pooling_quantile=0.9)
    video = raw_video(24, seed=5)
    detector.fit_normality(tf.data.Dataset.from_tensors(raw_windows(detector)), [video])
    maps = tf.constant(detector.score_video(video, maps=True).maps)[None]
    blurred = detector._blurred(maps).numpy()
    assert (blurred > float(detector.normal_level)).mean() == pytest.approx(0.1, abs=0.02)


def test_flow_errors_are_added_to_those_of_appearance():
    detector = build(optical_flow=True, flow_weight=0.5)
    windows = detector.preprocess(tf.constant(raw_windows(detector, batch=2)))
    output = detector.anomaly(windows)
    flow = output["flow_error"].numpy()
    assert (flow > 0).all()
    # The map of the flow, at half the resolution, is enlarged, so its mean changes a little.
    np.testing.assert_allclose(output["mean_error"], output["appearance_error"] + 0.5 * flow, rtol=0.02)
    alone = build()
    alone.appearance_autoencoder.set_weights(detector.appearance_autoencoder.get_weights())
    np.testing.assert_allclose(alone.anomaly(windows)["mean_error"], output["appearance_error"], rtol=1e-5)


def test_held_out_video_sets_the_weight_of_the_flow():
    detector = build(optical_flow=True, flow_weight=None)
    held_out = [raw_video(16, seed=3), raw_video(16, seed=4)]
    detector.fit_normality(tf.data.Dataset.from_tensors(raw_windows(detector)), held_out)
    parts = [detector.score_video(video).parts for video in held_out]
    appearance, flow = (np.concatenate([p[name] for p in parts]) for name in ("appearance_error", "flow_error"))
    weight = float(detector.normal_flow_weight)
    assert weight == pytest.approx(appearance.std() / flow.std(), rel=1e-3)
    assert weight != pytest.approx(1.0, abs=0.01)
    again = Adv3DCAE.from_config(json.loads(json.dumps(detector.get_config())))
    again.set_weights(detector.get_weights())
    given = build(optical_flow=True, flow_weight=weight)
    given.set_weights([w.numpy() for w in detector.weights if w is not detector.normal_flow_weight])
    windows = detector.preprocess(tf.constant(raw_windows(detector)))
    for other in (again, given):
        np.testing.assert_allclose(other.anomaly(windows)["mean_error"], detector.anomaly(windows)["mean_error"])


def test_health_by_hand():
    detector = build(optical_flow=True, noise=None, input_scale=2.0)
    batches = [tf.constant(raw_windows(detector, batch=2)), tf.constant(raw_windows(detector, batch=2)[::-1].copy())]
    figures = detector.health(batches)
    assert set(figures) == set(detector.health_figures)
    errors, squares, right, losses = [0.0, 0.0], [0.0, 0.0], [], []
    for batch in batches:
        for number, stream in enumerate(detector._streams(detector.preprocess(batch))):
            inputs = stream.inputs.numpy() * (2.0 if number == 0 else 1.0)
            restored = stream.autoencoder(inputs, training=False).numpy()
            errors[number] += np.square(restored - inputs).sum()
            squares[number] += np.square(inputs).sum()
            for windows, sign in ((inputs, 1), (restored, -1)):
                for logit in stream.discriminator(windows).numpy()[:, 0] * sign:
                    right.append(logit > 0)
                    losses.append(np.log1p(np.exp(-logit)))
    assert figures["unrestored_share"] == pytest.approx(errors[0] / squares[0], rel=1e-4)
    assert figures["unrestored_flow_share"] == pytest.approx(errors[1] / squares[1], rel=1e-4)
    assert figures["discriminator_accuracy"] == pytest.approx(np.mean(right))
    assert figures["discriminator_loss"] == pytest.approx(2 * np.mean(losses), rel=1e-4)


def test_health_of_variants():
    batch = [tf.constant(raw_windows(build(), batch=2))]
    assert set(build(adversarial_weight=0).health(batch)) == {"unrestored_share"}
    detector = build()
    logit = detector.appearance_discriminator.get_layer("logit")
    logit.set_weights([np.zeros_like(weight) for weight in logit.get_weights()])
    assert detector.health(batch)["discriminator_loss"] == pytest.approx(2 * np.log(2))
    last = detector.appearance_autoencoder.get_layer("deconv5")
    last.set_weights([np.zeros_like(weight) for weight in last.get_weights()])
    assert detector.health(batch)["unrestored_share"] == pytest.approx(1.0)
    still = build(object_crops="foreground", channels=(4, 4, 4), crop_size=16)
    frames = np.full((2, 7, 40, 56, 3), 90, np.uint8)
    still.adapt(frames)
    assert still.health([tf.constant(frames)]) == {}  # no object, no figure


def test_the_flow_sees_the_frames_with_their_background():
    detector = build(optical_flow=True)
    windows = raw_windows(detector, batch=1)
    still = np.repeat(windows[:, :1], 8, axis=1)
    streams = detector._streams(detector.preprocess(tf.constant(still)))
    assert streams[1].inputs.shape == (1, 8, 16, 24, 3)
    np.testing.assert_allclose(streams[1].inputs, 0, atol=1e-5)


def test_an_objects_score_is_the_largest_error_of_its_crops():
    detector = build(object_crops=two_boxes, channels=(4, 4, 4), crop_size=16, max_objects=3)
    assert detector.window.length == 7
    assert detector.window.scored == (3,)
    video = np.random.default_rng(3).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
    expected = []
    for _, inputs in windows_of(detector, video):
        crops = np.stack([inputs[0, :, 4:20, 8:24], inputs[0, :, 10:26, 30:46]])
        restored = detector.appearance_autoencoder(crops, training=False).numpy()
        errors = ((crops - restored) ** 2).mean(axis=(1, 2, 3, 4))
        expected.append((errors.max(), errors))
    scores = detector.score_video(video, maps=True)
    np.testing.assert_array_equal(scores.frame_index, [3, 4, 5])
    np.testing.assert_allclose(scores.raw, [largest for largest, _ in expected], rtol=1e-4)
    for error_map, (_, errors) in zip(scores.maps, expected, strict=True):
        expected_map = np.zeros((32, 48))
        expected_map[4:20, 8:24] = errors[0]
        expected_map[10:26, 30:46] = errors[1]
        np.testing.assert_allclose(error_map, expected_map, rtol=1e-4)


def test_a_detector_of_ones_own_is_saved_by_its_registered_name(tmp_path):
    detector = build(object_crops=two_boxes, channels=(4, 4, 4), crop_size=16, max_objects=2)
    detector.save(tmp_path / "detector.keras")
    again = keras_vad.load(tmp_path / "detector.keras")
    assert again.object_crops is two_boxes
    np.testing.assert_array_equal(again.score_video(raw_video(9)).raw, detector.score_video(raw_video(9)).raw)


def test_frames_without_objects_score_zero_and_teach_nothing():
    detector = build(object_crops="foreground", channels=(4, 4, 4), crop_size=16)
    still = np.full((2, 7, 40, 56, 3), 90, np.uint8)
    detector.adapt(still)
    before = [weight.numpy() for weight in detector.trainable_variables]
    logs = detector.train_step(tf.constant(still))
    assert {name: float(value) for name, value in logs.items()} == dict.fromkeys(logs, 0.0)
    for weight, expected in zip(detector.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(weight, expected, err_msg=weight.path)
    np.testing.assert_array_equal(detector.score_video(still[0]).raw, [0.0])


def test_object_crops_cannot_be_exported(tmp_path):
    detector = build(object_crops="foreground", channels=(4, 4, 4), crop_size=16)
    from keras_vad.artifacts.saved_model import export

    with pytest.raises(VadError, match="cannot be exported: its object detector runs outside the TensorFlow graph"):
        export(detector, tmp_path, "objects")
    assert list(tmp_path.iterdir()) == []


def test_noise_is_repeatable_and_differs_by_step():
    def loss(step, seed):
        detector = build(noise="salt_and_pepper")
        detector.seed = seed
        detector.optimizer.iterations.assign(step)
        frames = tf.constant(raw_windows(detector, batch=2))
        return float(detector.compute_losses(frames, training=True)["reconstruction"])

    assert loss(3, 0) == loss(3, 0)
    assert len({loss(3, 0), loss(4, 0), loss(3, 1)}) == 3


def test_the_adversarial_loss_teaches_the_autoencoder_and_not_the_discriminator():
    detector = build(adversarial_weight=1000.0)
    frames = tf.constant(raw_windows(detector, batch=2))
    with tf.GradientTape(persistent=True) as tape:
        losses = detector.compute_losses(frames, training=True)
    autoencoder = detector.appearance_autoencoder.trainable_variables
    discriminator = detector.appearance_discriminator.trainable_variables
    assert any(np.abs(g).max() > 0 for g in tape.gradient(losses["adversarial"], autoencoder))
    assert {id(w) for w in detector._autoencoder_weights()} == {id(w) for w in autoencoder}
    assert {id(w) for w in detector._discriminator_weights()} == {id(w) for w in discriminator}


def test_losses_are_equations_7_and_8_by_hand():
    detector = build(noise=None, input_scale=2.0)
    frames = tf.constant(raw_windows(detector, batch=3))
    originals = 2.0 * detector.preprocess(frames).numpy()
    restored = detector.appearance_autoencoder(originals, training=False).numpy().astype("float64")

    def probability(windows):
        return 1 / (1 + np.exp(-detector.appearance_discriminator(windows).numpy()[:, 0].astype("float64")))

    of_original, of_restored = probability(originals), probability(restored)
    losses = {name: float(loss) for name, loss in detector.compute_losses(frames, training=False).items()}
    assert losses.pop("reconstruction") == pytest.approx(np.square(restored - originals).mean(), rel=1e-4)
    assert losses.pop("adversarial") == pytest.approx(-np.log(of_restored).mean(), rel=1e-4)
    expected = -(np.log(of_original) + np.log(1 - of_restored)).mean()
    assert losses.pop("discriminator") == pytest.approx(expected, rel=1e-4)
    assert losses == {}


def test_a_step_descends_equations_9_and_10():
    detector = build(noise=None, adversarial_weight=0.7)
    rate = 0.5
    detector.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
    detector.build_optimizers()
    frames = tf.constant(raw_windows(detector, batch=2))
    inputs = detector.preprocess(frames)
    generator, discriminator = detector.appearance_autoencoder, detector.appearance_discriminator
    statistics = [(weight, weight.numpy()) for weight in generator.non_trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        restored = generator(inputs, training=True)
        real, fake = tf.sigmoid(discriminator(inputs)), tf.sigmoid(discriminator(restored))
        loss_r = tf.reduce_mean((restored - inputs) ** 2) - 0.7 * tf.reduce_mean(tf.math.log(fake))
        loss_d = -tf.reduce_mean(tf.math.log(real) + tf.math.log(1 - fake))
    for weight, value in statistics:
        weight.assign(value)
    expected = {}
    for loss, network in ((loss_r, generator), (loss_d, discriminator)):
        for weight in network.trainable_variables:
            expected[weight.path] = weight.numpy() - rate * tape.gradient(loss, weight).numpy()
    assert len(expected) == len(detector.trainable_variables)
    detector.train_step(frames)
    for weight in detector.trainable_variables:
        np.testing.assert_allclose(weight, expected[weight.path], rtol=1e-3, atol=1e-5, err_msg=weight.path)


def test_a_discriminator_below_its_floor_rests():
    frames = None
    for floor, rests in ((1.2, False), (1.5, True), (0.0, False)):
        detector = build(noise=None, discriminator_floor=floor, optical_flow=True)
        logits = [d.get_layer("logit") for d in (detector.appearance_discriminator, detector.flow_discriminator)]
        kernel = np.zeros_like(logits[0].get_weights()[0])
        logits[0].set_weights([kernel, np.zeros(1, "float32")])  # a loss of 2 ln 2, about 1.39
        frames = tf.constant(raw_windows(detector, batch=2)) if frames is None else frames
        restored = detector.appearance_autoencoder.trainable_variables[0].numpy()
        detector.train_step(frames)
        assert (np.abs(logits[0].get_weights()[0] - kernel).max() == 0) == rests
        assert np.abs(detector.appearance_autoencoder.trainable_variables[0].numpy() - restored).max() > 0
    detector = build(noise=None, discriminator_floor=2.0, optical_flow=True)
    logits = [d.get_layer("logit") for d in (detector.appearance_discriminator, detector.flow_discriminator)]
    for layer, bias in zip(logits, (0.0, 3.0), strict=True):  # "original" to all: ln(1 + e^-3) + ln(1 + e^3) = 3.1
        layer.set_weights([kernel, np.full(1, bias, "float32")])
    detector.train_step(frames)
    moved = [np.abs(layer.get_weights()[1] - bias).max() > 0 for layer, bias in zip(logits, (0.0, 3.0), strict=True)]
    assert moved == [False, True]  # each stream for itself


def test_a_confused_discriminator_has_the_loss_of_figure_3():
    detector = build(noise=None)
    logit = detector.appearance_discriminator.get_layer("logit")
    logit.set_weights([np.zeros_like(weight) for weight in logit.get_weights()])
    losses = detector.compute_losses(tf.constant(raw_windows(detector, batch=2)), training=False)
    assert float(losses["discriminator"]) == pytest.approx(2 * np.log(2))


@pytest.mark.parametrize("which", [0, 1], ids=["auto-encoder", "discriminator"])
@pytest.mark.parametrize("gradient", [1e-1, 1e-5, 1e-6])
def test_both_optimizers_step_as_the_papers_framework_does(which, gradient):
    optimizers = build().optimizers()
    assert len(optimizers) == 2
    optimizer = type(optimizers[which]).from_config(optimizers[which].get_config())
    weight = tf.Variable([0.0])
    optimizer.build([weight])
    # PyTorch's RMSprop with its defaults: v = 0.99 v + 0.01 g^2, w = w - rate g / (sqrt(v) + 1e-8).
    expected = mean_square = 0.0
    for number in range(60):
        g = gradient * (1 + number % 3)
        mean_square = 0.99 * mean_square + 0.01 * g**2
        expected -= 2e-4 * g / (np.sqrt(mean_square) + 1e-8)
        optimizer.apply([tf.constant([g])], [weight])
    assert float(weight[0]) == pytest.approx(expected, rel=0.02)


def test_without_an_adversarial_loss_there_is_one_optimizer():
    assert len(build(adversarial_weight=0).optimizers()) == 1


def test_norms_are_those_of_the_papers_framework():
    model = build_autoencoder((8, 32, 48, 1), (4, 4, 4))
    norm = model.get_layer("conv1_norm")
    # The first layer's output of background-subtracted frames: variances of 1e-4 must not be damped by epsilon.
    values = 0.01 * np.random.default_rng(0).standard_normal((2, 8, 32, 48, 4)).astype("float32")
    variance = values.var(axis=(0, 1, 2, 3))
    normed = norm(values, training=True).numpy()
    expected = (values - values.mean(axis=(0, 1, 2, 3))) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(normed, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}


def test_defaults_are_the_papers():
    config = json.loads(json.dumps(keras_vad.build("adv3dcae", channels=(2, 2), image_size=224).get_config()))
    paper = {
        "image_size": [224, 224],
        "window_length": 16,
        "hop": None,
        "noise": "gaussian",
        "edge_frames": 0,
    }
    paper |= {"noise_stddev": 0.005, "learning_rate": 2e-4, "input_scale": 1.0, "pooling": "mean"}
    assert {name: config[name] for name in paper} == paper
    assert Adv3DCAE.paper_rescaling == "max"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"noise": "pink"}, "noise is 'pink', but must be one of 'gaussian', 'salt_and_pepper', 'poisson', None"),
        ({"convolution": "4d"}, "convolution is '4d', but must be one of '3d', '2d'"),
        ({"max_pooling": "1d"}, "max_pooling is '1d', but must be one of '3d', '2d'"),
        ({"pooling": "sum"}, "pooling is 'sum', but must be one of 'mean', 'excess', 'max'"),
        ({"channels": (4,)}, r"channels is \(4,\), but must hold at least two numbers"),
        ({"object_crops": "cats"}, "object_crops is 'cats', but must be one of foreground, people, a callable"),
        ({"object_crops": "people", "optical_flow": True}, "object_crops and optical_flow exclude each other"),
        ({"object_crops": "people", "pooling": "excess"}, "leave pooling at mean"),
        ({"adversarial_weight": -1.0}, "adversarial_weight is -1.0, but must be at least 0"),
        ({"noise_stddev": -0.1}, "noise_stddev is -0.1, but must be at least 0"),
        ({"learning_rate": 0}, "learning_rate is 0, but must be above 0"),
        ({"image_size": 0}, r"image_size is 0, but must be \(height, width\), or one number for both, of at least 1"),
        ({"image_size": (1, 2, 3)}, r"image_size is \(1, 2, 3\), but must be"),
        ({"image_size": "large"}, r"image_size of adv3dcae is 'large', but must be of type int \| Sequence\[int\]"),
        ({"object_crops": "people", "crop_size": 0}, "crop_size is 0, but must be"),
        ({"channels": (4, 0)}, r"channels is \(4, 0\), but must hold at least two numbers above 0"),
        ({"channels": 8}, r"channels of adv3dcae is 8, but must be of type Sequence\[int\]"),
        ({"channels": (4, 2.5)}, r"channels of adv3dcae is \(4, 2.5\), but must be of type Sequence\[int\]"),
        ({"discriminator_channels": ()}, r"discriminator_channels is \(\), but must hold at least one number above 0"),
        ({"optical_flow": 1}, "optical_flow of adv3dcae is 1, but must be of type bool"),
        ({"noise_stddev": True}, "noise_stddev of adv3dcae is True, but must be of type float"),
        ({"learning_rate": "fast"}, "learning_rate of adv3dcae is 'fast', but must be of type float"),
        ({"edge_frames": 4}, "edge_frames is 4, but must leave frames to score .* of 8; give at most 3"),
        ({"discriminator_floor": -1.0}, "discriminator_floor is -1.0, but must be at least 0"),
        ({"edge_frames": -1}, "edge_frames is -1, but must be at least 0"),
        ({"flow_weight": -1.0}, "flow_weight is -1.0, but must be at least 0"),
        ({"window_length": 0}, "window length is 0, but must be at least 1"),
        ({"hop": -2}, "window hop is -2, but must be at least 1"),
        ({"pooling_quantile": 1.5}, "pooling_quantile is 1.5, but must lie between 0 and 1"),
        ({"max_objects": 0}, "max_objects is 0, but must be above 0"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(config, message):
    with pytest.raises(VadError, match=message):
        keras_vad.build("adv3dcae", **{**TINY, **config})


def test_a_detector_saved_without_the_epsilon_of_its_norms_scores_as_it_did():
    config = build().get_config()
    assert config.pop("norm_epsilon") == 1e-5
    norms = [layer for layer in Adv3DCAE.from_config(config).appearance_autoencoder.layers if "norm" in layer.name]
    assert norms
    assert {layer.epsilon for layer in norms} == {1e-3}
