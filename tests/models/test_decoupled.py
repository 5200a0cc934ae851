"""What is particular about decoupled: its losses and phases, its scores, its motion models."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.errors import VadError
from keras_vad.models.decoupled import DecoupledAppearanceMotion, build_encoder, build_motion_model
from keras_vad.testing.detector_contract import weights_of
from keras_vad.testing.inputs import raw_video, raw_windows

TINY = {"image_size": (32, 48), "window_length": 4, "step": 2, "horizon": 2, "channels": (4, 4, 8)}

# Rows of the paper's tables, and our options.
ABLATIONS = {
    "table 4, GDL": {"reconstruction_loss": "gdl"},
    "table 4, SSIM": {"reconstruction_loss": "ssim"},
    "table 4, MSE and GDL": {"reconstruction_loss": "mse+gdl"},
    "table 4, MSE and SSIM": {"reconstruction_loss": "mse+ssim"},
    "table 4, all": {"reconstruction_loss": "mse+gdl+ssim"},
    "table 5, pixels": {"score": "p_mse"},
    "table 5, reconstruction": {"score": "r_mse"},
    "table 5, ConvLSTM": {"motion": "convlstm", "score": "p_mse"},
    "table 5, autoregressive": {"motion": "autoregressive", "score": "r_mse"},
    "section 3.2, kernel": {"motion_kernel": (3, 3, 3)},
    "RGB, six frames": {"image_channels": 3, "window_length": 6},
    "cosine, excess": {"score": "cosine", "pooling": "excess"},
    "the finest level of the frame before left out": {"previous_levels": 1, "score": "p_mse"},
    "code alone": {"previous_levels": 0, "score": "p_mse"},
    "stopped gradient": {"stop_gradient": True},
}
# What our recipes do for the code.
NEEDED_CODE = {"previous_levels": 0, "appearance_prediction": 0.0, "train_encoder_for_motion": False}


def build(images=100.0, **config):
    """A detector whose decoder's first images, which are faint, are multiplied so that they count in scores."""
    keras.utils.set_random_seed(7)
    detector = DecoupledAppearanceMotion(**{**TINY, **config})
    last = detector.decoder.get_layer("frame").kernel
    last.assign(images * last)
    detector.compile()
    detector.build_optimizers()
    detector.adapt([raw_video(20, seed=1)])
    return detector


def some_windows(detector, batch=2):
    return detector.preprocess(tf.constant(raw_windows(detector, batch)))


def squared(a, b):
    return (np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2


@pytest.mark.parametrize("row", ABLATIONS)
def test_every_row_of_the_ablation_tables_trains_and_scores(row):
    detector = build(**ABLATIONS[row])
    before = weights_of(detector)
    logs = detector.train_step(tf.constant(raw_windows(detector, batch=2)))
    assert set(logs) == {"reconstruction", "prediction", "weights"}
    assert all(np.isfinite(value) for value in logs.values())
    learned = {weight.path for weight in detector.trainable_variables}
    assert all((weights_of(detector)[path] != before[path]).any() for path in learned)
    output = detector.anomaly(some_windows(detector))
    assert set(detector.parts) <= set(output)
    assert all(np.isfinite(value).all() for value in output.values())
    again = DecoupledAppearanceMotion.from_config(json.loads(json.dumps(detector.get_config())))
    assert again.get_config() == detector.get_config()


def test_the_window_holds_past_frames_the_one_before_and_the_predicted_one():
    window = DecoupledAppearanceMotion(**{**TINY, "window_length": 8, "horizon": 6}).window
    assert window.frames == (0, 2, 4, 6, 8, 10, 12, 14, 24, 26)
    assert window.scored == (26,)


def test_five_levels_are_the_encoder_of_ped1():
    encoder = build_encoder((128, 192, 1), (64, 128, 256, 512, 1024))
    added = (9 * 512 * 1024 + 1024) + (9 * 1024 * 1024 + 1024) + 2 * 2 * 1024
    assert sum(w.shape.num_elements() for w in encoder.trainable_variables) == 4_688_064 + added
    assert encoder.output_shape[-1] == (None, 8, 12, 1024)
    assert [shape[-1] for shape in encoder.output_shape[:-1]] == [64, 128, 256, 512]


@pytest.mark.parametrize("length", [2, 3, 4, 5, 6, 7, 8])
def test_three_strides_bring_any_window_to_one_code(length):
    model = build_motion_model(length, (4, 6, 5))
    assert model.output_shape == (None, 4, 6, 5)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv3D)]
    assert [layer.strides for layer in convolutions] == [(2, 1, 1)] * 3
    assert [layer.kernel_size for layer in convolutions] == [(2, 3, 3)] * 3


def test_the_autoregressive_model_sees_no_channel_that_it_predicts():
    keras.utils.set_random_seed(3)
    model = build_motion_model(2, (4, 6, 5), "autoregressive")
    generator = np.random.default_rng(0)
    past = tf.constant(generator.normal(size=(1, 2, 4, 6, 5)), tf.float32)
    code = generator.normal(size=(1, 4, 6, 5)).astype("float32")
    predicted = model([past, tf.constant(code)]).numpy()
    for channel in range(5):
        changed = code.copy()
        changed[..., channel] += 1
        difference = np.abs(model([past, tf.constant(changed)]).numpy() - predicted).max(axis=(0, 1, 2))
        assert (difference[: channel + 1] == 0).all()
        assert (difference[channel + 1 :] > 0).all()
    assert (np.abs(model([past + 1, tf.constant(code)]).numpy() - predicted).max(axis=(0, 1, 2)) > 0).all()


# --- Losses and training ---


def test_the_decoder_begins_with_the_background():
    """What is left of a frame without it is small, and so must the first restored frames be."""
    detector = build(images=1.0, channels=(16, 32, 64), appearance_prediction=0.0)
    phase = detector.phases()[0]
    window = phase.windows[0]
    detector.adapt([moving_squares(detector, window, 16, seed=0)[:, 0]])
    frames = tf.constant(moving_squares(detector, window, 8, seed=1))
    of_background = squared(detector.preprocess(frames[:, 1]), 0).mean()
    assert float(detector.compute_losses(frames, training=True)["reconstruction"]) < 1.5 * of_background


def test_losses_are_those_of_equation_1():
    detector = build(image_channels=3, weight_decay=0.5)
    frames = raw_windows(detector, batch=2)
    inputs = detector.preprocess(tf.constant(frames)).numpy()
    encoded = [detector.encoder(inputs[:, t], training=False) for t in (0, 1, 2, 3, 5)]
    reconstruction = 0.0  # the sum over frames 2 to k of eq. 1, of one window
    for q in (1, 2, 3):
        restored = detector.decoder([encoded[q][-1], *encoded[q - 1][:-1]], training=False)
        reconstruction += squared(restored, inputs[:, q]).sum() / 2
    codes = np.stack([outputs[-1] for outputs in encoded], axis=1)
    predicted = detector.motion_model(codes[:, :4], training=False)
    prediction = squared(predicted, codes[:, 4]).sum() / 2
    kernels = sum((w.numpy() ** 2).sum() for w in detector.trainable_variables if w.name == "kernel")

    losses = detector.compute_losses(tf.constant(frames), training=False)
    values = 3 * 32 * 48 * 3
    assert float(losses["reconstruction"]) == pytest.approx(reconstruction / values, rel=1e-4)
    assert float(losses["prediction"]) == pytest.approx(prediction / (8 * 12 * 8), rel=1e-4)
    assert float(losses["weights"]) == pytest.approx(kernels, rel=1e-4)
    for phase in detector.phases()[:2]:
        detector.set_phase(phase)
        lambda_r, lambda_p = phase.loss_weights["reconstruction"], phase.loss_weights["prediction"]
        expected = (lambda_r * reconstruction + lambda_p * prediction + 0.5 * kernels) / values
        assert float(detector.objective(losses)) == pytest.approx(expected, rel=1e-4)


def test_phases_are_the_papers_schedule():
    phases = DecoupledAppearanceMotion(**TINY).phases()
    assert [phase.epochs for phase in phases] == [10, 10, 20, 10]
    assert [phase.learning_rate for phase in phases] == pytest.approx([1e-4, 1e-4, 1e-5, 1e-6])
    assert phases[0].loss_weights == {"reconstruction": 1.0, "prediction": 0.001}
    assert [phase.loss_weights for phase in phases[1:]] == [{"reconstruction": 0.001, "prediction": 1.0}] * 3
    assert all(phase.trainable == () for phase in phases)


@pytest.mark.parametrize(
    ("options", "epochs", "factors"),
    [
        ({"appearance_epochs": 3, "motion_epochs": 5, "decay_epochs": None}, [3, 5], [1, 1]),
        ({"appearance_epochs": 5, "motion_epochs": 5, "decay_epochs": 2}, [2, 2, 1, 1, 2, 2], [0, 1, 2, 2, 3, 4]),
        ({"appearance_epochs": 4, "motion_epochs": 2, "decay_epochs": 4}, [4, 2], [0, 1]),
    ],
)
def test_the_learning_rate_falls_every_so_many_epochs(options, epochs, factors):
    phases = DecoupledAppearanceMotion(**TINY, **options).phases()
    assert [phase.epochs for phase in phases] == epochs
    decays = [0] * len(epochs) if options["decay_epochs"] is None else factors
    assert [phase.learning_rate for phase in phases] == pytest.approx([1e-4 * 0.1**n for n in decays])
    assert [phase.name.split("_")[0] for phase in phases] == sorted(phase.name.split("_")[0] for phase in phases)


def test_the_encoder_can_rest_while_the_motion_model_learns():
    detector = build(train_encoder_for_motion=False)
    batch = tf.constant(raw_windows(detector))
    detector.set_phase(detector.phases()[1])
    before = weights_of(detector)
    step = tf.function(detector.train_step, autograph=False)
    losses = [step(batch) for _ in range(3)]
    after = weights_of(detector)
    changed = {path for path in after if (after[path] != before[path]).any()}
    motion = {weight.path for weight in detector.motion_model.weights}
    assert {weight.path for weight in detector.motion_model.trainable_variables} <= changed <= motion
    assert "reconstruction" not in losses[0]
    assert "reconstruction" in detector.test_step(batch)
    assert float(losses[2]["prediction"]) < float(losses[0]["prediction"])


def first_batch(phase, detector, batch=2, seed=0):
    """What a phase learns from, cut from raw windows."""
    windows = raw_windows(detector, batch, seed, *(phase.windows or (detector.training_window,)))
    if phase.encode is None:
        return tf.constant(windows)
    images = windows.reshape(-1, *windows.shape[2:])
    codes = getattr(detector, phase.encode)(tf.constant(images))
    return tf.reshape(codes, [batch, -1, *codes.shape[1:]])


def test_without_a_prediction_loss_the_first_phase_restores_single_frames_or_pairs():
    for levels, length in ((None, 2), (1, 2), (0, 1)):
        detector = build(previous_levels=levels, appearance_prediction=0.0)
        (first, *_) = detector.phases()
        assert first.trainable == ("encoder", "decoder")
        assert first.loss_weights == {"reconstruction": 1.0, "prediction": 0.0}
        (window,) = first.windows
        assert (window.frames, window.size) == (tuple(range(0, 2 * length, 2)), (32, 48))
        detector.set_phase(first)
        frames = first_batch(first, detector)
        inputs = detector.preprocess(frames)
        features = detector.encoder(inputs[:, 0], training=False)[:-1]
        used = {None: features, 1: features[1:], 0: []}[levels]
        code = detector.encoder(inputs[:, -1], training=False)[-1]
        error = squared(detector.decoder([code, *used], training=False), inputs[:, -1]).mean()
        losses = detector.compute_losses(frames, training=False)
        assert set(losses) == {"reconstruction", "weights"}
        assert float(losses["reconstruction"]) == pytest.approx(error, rel=1e-4)
        step = tf.function(detector.train_step, autograph=False)
        assert float(step(frames)["reconstruction"]) > float(step(frames)["reconstruction"])


def test_the_code_alone_restores_the_frame():
    detector = build(previous_levels=0, score="r_mse")
    assert len(detector.decoder.inputs) == 1
    windows = some_windows(detector).numpy()
    expected = detector.anomaly(windows)["r_mse"]
    windows[:, -2] += 1.0  # the frame before
    np.testing.assert_array_equal(detector.anomaly(windows)["r_mse"], expected)


def test_the_motion_model_learns_from_codes_what_it_learns_from_frames():
    detector = build(train_encoder_for_motion=False)
    phase = detector.phases()[1]
    detector.set_phase(phase)
    assert (phase.trainable, phase.encode) == (("motion_model",), "encode_frames")
    assert phase.windows[0].frames == (0, 2, 4, 6, 10)
    frames = raw_windows(detector, batch=2)
    codes = detector.encode_frames(tf.constant(frames[:, [0, 1, 2, 3, 5]].reshape(-1, 40, 56, 3)))
    assert codes.dtype == tf.float32
    codes = tf.reshape(codes, [2, 5, 8, 12, 8])
    for training in (False, True):
        of_codes = detector.compute_losses(codes, training)
        of_frames = detector.compute_losses(tf.constant(frames), training)
        assert set(of_codes) == {"prediction", "weights"}
        for name, value in of_codes.items():
            assert float(value) == pytest.approx(float(of_frames[name]), rel=1e-4)


@pytest.mark.parametrize("stop", [False, True])
def test_the_true_code_can_be_taken_as_given(stop):
    detector = build(stop_gradient=stop)
    codes = tf.random.stateless_normal([2, 5, 8, 12, 8], seed=(1, 2))
    with tf.GradientTape() as tape:
        tape.watch(codes)
        loss = detector.compute_losses(codes, training=True)["prediction"]
    size = tf.reduce_max(tf.abs(tape.gradient(loss, codes)), axis=(0, 2, 3, 4)).numpy()
    assert (size[:4] > 0).all()
    assert (size[4] == 0) is np.bool_(stop)


def test_a_step_of_the_optimizer_is_one_on_the_sums_of_equation_1():
    detector = build(**NEEDED_CODE)
    detector.set_phase(detector.phases()[0])
    generator = np.random.default_rng(0)
    gradients = [
        tf.constant(1e-9 * generator.normal(size=weight.shape), tf.float32) for weight in detector.trainable_variables
    ]
    before = [weight.numpy() for weight in detector.trainable_variables]
    on_sums = [tf.Variable(weight) for weight in before]
    keras.optimizers.Adam(1e-4).apply_gradients(
        [(3 * 32 * 48 * gradient, weight) for gradient, weight in zip(gradients, on_sums, strict=True)]
    )
    detector.optimizer.apply_gradients(zip(gradients, detector.trainable_variables, strict=True))
    for weight, first, expected in zip(detector.trainable_variables, before, on_sums, strict=True):
        assert np.abs(expected.numpy() - first).max() > 1e-5
        np.testing.assert_allclose(weight.numpy(), expected.numpy(), rtol=1e-5, atol=1e-7)


def test_a_resting_encoder_gives_codes_as_in_training():
    """Running statistics begin at 1 and must have come down to the values of small inputs after 150 steps."""
    detector = build(**NEEDED_CODE)
    phase = detector.phases()[0]
    detector.set_phase(phase)
    detector.optimizer.learning_rate = 0.0
    frames = first_batch(phase, detector, batch=8)
    step = tf.function(detector.train_step, autograph=False)
    for _ in range(150):
        step(frames)
    inputs = detector.preprocess(frames[:, 0])
    in_training = detector.encoder(inputs, training=True)[-1].numpy()
    at_rest = detector.encode_frames(frames[:, 0]).numpy()
    assert at_rest.std() == pytest.approx(in_training.std(), rel=0.02)


# --- Health ---


def moving_squares(detector, window, batch, seed):
    """Windows of bright and dark squares that move two pixels a frame on gray, uint8 (batch, T, 40, 56, 3)."""
    generator = np.random.default_rng(seed)
    frames = np.full((batch, len(window.frames), 40, 56, 3), 120, np.uint8)
    for clip in frames:
        for _ in range(3):
            top, left, colour = generator.integers(0, 32), generator.integers(-20, 48), generator.choice([20, 220])
            direction = generator.choice([-2, 2])
            for offset, frame in zip(window.frames, clip, strict=True):
                x = left + direction * offset
                frame[top : top + 8, max(0, x) : max(0, x + 8)] = colour
    return frames


def test_the_mean_code_restores_clearly_worse_than_the_own_code():
    detector = build(images=1.0, **NEEDED_CODE, channels=(8, 16, 32), learning_rate=0.01)
    phase = detector.phases()[0]
    (window,) = phase.windows
    detector.adapt([moving_squares(detector, window, 16, seed=0)[:, 0]])
    detector.set_phase(phase)
    step = tf.function(detector.train_step, autograph=False)
    for number in range(150):
        step(tf.constant(moving_squares(detector, window, 8, seed=number)))
    held_out = [tf.constant(moving_squares(detector, window, 8, seed=1000))]
    assert detector.health(held_out)["mean_code_error_ratio"] > 2


def test_health_is_that_of_the_definitions():
    detector = build(previous_levels=1)
    frames = [tf.constant(raw_windows(detector, batch, seed)) for batch, seed in ((2, 0), (3, 1))]
    health = detector.health(frames)
    assert set(health) == set(detector.health_figures)
    inputs = np.concatenate([detector.preprocess(batch) for batch in frames])
    codes = np.stack([detector.encoder(inputs[:, t])[-1] for t in (0, 1, 2, 3, 5)], axis=1).astype("float64")
    last = codes[:, 4]
    variance = last.var(axis=0).mean()
    features = detector.encoder(inputs[:, 2])[1:2]
    own = squared(detector.decoder([tf.constant(codes[:, 3], tf.float32), *features]), inputs[:, 3]).mean()
    mean_code = np.repeat(last.mean(0, keepdims=True), 5, axis=0).astype("float32")
    mean = squared(detector.decoder([tf.constant(mean_code), *features]), inputs[:, 3]).mean()
    predicted = squared(detector.motion_model(codes[:, :4].astype("float32")), last).mean()
    repeated = squared(codes[:, 3], last).mean()
    expected = {
        "code_variance": variance,
        "mean_code_error_ratio": mean / own,
        "prediction_error_share": predicted / variance,
        "repeated_code_error_ratio": repeated / predicted,
    }
    assert health == pytest.approx(expected, rel=1e-3)

    # The figures of codes are those of the frames; without past frames there are none of the motion model.
    of_codes = detector.health([tf.constant(codes[:2], tf.float32), tf.constant(codes[2:], tf.float32)])
    assert of_codes == pytest.approx(
        {name: expected[name] for name in set(expected) - {"mean_code_error_ratio"}}, rel=1e-3
    )
    of_pairs = detector.health([batch[:, 2:4] for batch in frames])
    assert set(of_pairs) == {"code_variance", "mean_code_error_ratio"}


# --- Scores ---


def test_the_scores_are_those_of_equation_2_and_table_5():
    detector = build(score="p_mse")
    windows = some_windows(detector)
    encoded = [detector.encoder(windows[:, t], training=False) for t in range(6)]
    code = encoded[5][-1].numpy()
    predicted = detector.motion_model(np.stack([outputs[-1] for outputs in encoded[:4]], axis=1)).numpy()
    before = encoded[4][:-1]
    expected = {
        "z_mse": squared(predicted, code).mean(axis=(1, 2, 3)),
        "r_mse": squared(detector.decoder([tf.constant(code), *before]), windows[:, 5]).mean(axis=(1, 2, 3)),
        "p_mse": squared(detector.decoder([tf.constant(predicted), *before]), windows[:, 5]).mean(axis=(1, 2, 3)),
        "cosine": 1
        - ((predicted * code).sum(-1) / np.linalg.norm(predicted, axis=-1) / np.linalg.norm(code, axis=-1)).mean(
            (1, 2)
        ),
    }
    output = detector.anomaly(windows)
    for name, values in expected.items():
        np.testing.assert_allclose(output[name][:, 0], values, rtol=1e-4, err_msg=name)
        detector = build(score=name)
        found = detector.anomaly(windows)
        np.testing.assert_allclose(found["frame_scores"][:, 0], values, rtol=1e-4, err_msg=name)
        size = (32, 48) if name in ("r_mse", "p_mse") else (8, 12)
        assert found["maps"].shape == (2, 1, *size)
        np.testing.assert_allclose(tf.reduce_mean(found["maps"], (2, 3))[:, 0], values, rtol=1e-4, err_msg=name)


def test_scores_of_codes_leave_the_decoder_alone():
    for score in ("z_mse", "cosine"):
        detector = build(score=score)
        windows = some_windows(detector)
        expected = detector.anomaly(windows)["frame_scores"].numpy()
        for weight in detector.decoder.weights:
            weight.assign(np.full(weight.shape, np.nan))
        np.testing.assert_array_equal(detector.anomaly(windows)["frame_scores"], expected)
        assert not {"r_mse", "p_mse"} & set(detector.parts)


@pytest.mark.parametrize("config", [{}, {"score": "p_mse"}, {"motion": "autoregressive", "pooling": "excess"}])
def test_chunks_encode_once_and_give_the_scores_of_windows(config):
    detector = build(**config)
    detector.normal_level.assign(0.05)
    video = raw_video(2 * 14).reshape(2, 14, 40, 56, 3)
    found = detector.score_chunk(tf.constant(video), maps=True)
    np.testing.assert_array_equal(found["frame_offsets"], [[10, 11, 12, 13]] * 2)
    inputs = detector.preprocess(tf.constant(video))
    for i, start in enumerate(detector.window.starts(14)):
        expected = detector.anomaly(tf.gather(inputs, np.add(start, detector.window.frames), axis=1))
        np.testing.assert_allclose(found["raw_scores"][:, i], expected["frame_scores"][:, 0], rtol=1e-4)
        np.testing.assert_allclose(found["maps"][:, i], expected["maps"][:, 0], rtol=1e-3, atol=1e-6)
        for name in detector.parts:
            np.testing.assert_allclose(found[f"part/{name}"][:, i], expected[name][:, 0], rtol=1e-4, err_msg=name)


def test_the_level_of_normal_errors_is_of_latent_maps():
    detector = build(pooling="excess", pooling_sigma=0.1, pooling_quantile=0.9)
    video = raw_video(30, seed=5)
    detector.fit_normality(tf.data.Dataset.range(0), [video])
    maps = tf.constant(detector.score_video(video, maps=True).maps)[None]
    assert maps.shape[2:] == (8, 12)
    blurred = detector._blurred(maps).numpy()
    assert (blurred > float(detector.normal_level)).mean() == pytest.approx(0.1, abs=0.02)


def test_the_rescaling_of_long_videos_is_an_option():
    assert DecoupledAppearanceMotion(**TINY).paper_rescaling == "min_max"
    assert DecoupledAppearanceMotion(**TINY, rescaling="sliding_min_max").paper_rescaling == "sliding_min_max"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image_size": (30, 48)},
            r"image_size is \(30, 48\), but must be divisible by 4, as 3 levels halve it 2 times",
        ),
        ({"window_length": 9}, "window_length is 9, but must lie between 2 and 8"),
        ({"window_length": 1}, "window_length is 1, but must lie between 2 and 8"),
        ({"horizon": 0}, "horizon is 0, but must be at least 1"),
        ({"motion": "lstm"}, "motion is 'lstm', but must be one of 'conv3d', 'convlstm', 'autoregressive'"),
        ({"motion_kernel": (3, 3)}, r"motion_kernel is \(3, 3\), but must be three numbers"),
        ({"motion": "autoregressive", "score": "p_mse"}, "sees the code that it predicts"),
        ({"reconstruction_loss": "l1"}, "reconstruction_loss is 'l1', but must be one of 'mse', 'gdl'"),
        ({"rescaling": "max"}, "rescaling is 'max', but must be one of 'min_max', 'sliding_min_max'"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0, but must be at least 0"),
        ({"decay_epochs": 0}, "decay_epochs is 0, but must be at least 1"),
        ({"previous_levels": 3}, "previous_levels is 3, but must lie between 0 and 2, the levels above the code"),
        ({"appearance_prediction": -0.1}, "appearance_prediction is -0.1, but must be at least 0"),
        ({"channels": (4,)}, r"channels is \(4,\), but must hold at least two numbers"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(VadError, match=message):
        keras_vad.build("decoupled", **{**TINY, **options})
