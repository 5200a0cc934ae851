"""What is particular about luss_ae: three tasks, clips at another speed, blur pooled errors, eq. 15."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.data import FrameCache, open_video
from keras_vad.errors import VadError
from keras_vad.evaluation.evaluate import FRAME_SCORES
from keras_vad.layers.playback import mixed_entropy
from keras_vad.models.luss_ae import LussAE, build_autoencoder, build_playback_head, build_prediction_head, error_maps
from keras_vad.scoring.rescale import rescaled_sum
from keras_vad.testing.inputs import raw_video, raw_windows
from keras_vad.training.phase_batches import PhaseBatches

TINY = {"image_size": (32, 48), "window_length": 8, "channels": (4, 4, 4), "playback_rates": (2, 3)}

# Rows of the paper's tables, and options of ours.
ABLATIONS = {
    "table 2, reconstruction": {"tasks": ("reconstruction",)},
    "table 2, reconstruction and prediction": {"tasks": ("reconstruction", "prediction")},
    "table 2, reconstruction and playback": {"tasks": ("reconstruction", "playback")},
    "table 4, mean squared error": {"error": "mse"},
    "table 4, proximally sensitive error": {"error": "pse"},
    "prediction alone": {"tasks": ("prediction",)},
    "playback alone": {"tasks": ("playback",), "task_scaling": "held_out"},
    "local playback": {"head_kind": "local"},
    "mixed playback": {"head_kind": "local", "playback_range": (1.5, 3.0), "mixed_playback": True},
    "our options": {
        "playback_range": (1.5, 3.0),
        "subtract_background": True,
        "input_scale": 3.0,
        "pooling": "excess",
        "task_scaling": "held_out",
    },
}


def build(**config):
    keras.utils.set_random_seed(7)
    detector = LussAE(**{**TINY, **config})
    detector.compile()
    detector.build_optimizers()
    detector.adapt([raw_video(20, seed=1)])
    return detector


def windows_of(detector, batch=2):
    """Preprocessed windows, (batch, T + 1, 32, 48, 1)."""
    frames = np.stack([raw_video(detector.window.span, seed=seed) for seed in range(batch)])
    return detector.preprocess(tf.constant(frames))


@pytest.mark.parametrize("row", ABLATIONS)
def test_every_row_of_the_ablation_tables_trains_and_scores(row):
    detector = build(**ABLATIONS[row])
    before = [weight.numpy() for weight in detector.trainable_variables]
    logs = detector.train_step(tf.constant(raw_windows(detector, batch=2)))
    assert set(logs) == set(detector.tasks)
    assert all(np.isfinite(value) for value in logs.values())
    assert any((a != b).any() for a, b in zip(before, detector.trainable_variables, strict=True))
    windows = windows_of(detector)
    output = detector.anomaly(windows)
    size = (1, 1) if detector.tasks == ("playback",) else (16, 24) if detector.error == "bpe" else (32, 48)
    assert output["maps"].shape == (2, 1, *size)
    for name in ("frame_scores", *detector.parts):
        assert output[name].shape == (2, 1), name
    assert all(np.isfinite(value).all() for value in output.values())
    again = LussAE.from_config(json.loads(json.dumps(detector.get_config())))
    again.set_weights(detector.get_weights())
    np.testing.assert_array_equal(again.anomaly(windows)["frame_scores"], output["frame_scores"])


# --- Networks ---


def test_only_the_heads_of_chosen_tasks_exist():
    def heads(*tasks):
        detector = build(tasks=tasks)
        return [head is not None for head in (detector.decoder, detector.prediction_head, detector.playback_head)]

    assert heads("reconstruction") == [True, False, False]
    assert heads("prediction") == [True, True, False]
    assert heads("playback") == [False, False, True]
    assert heads("playback", "prediction", "reconstruction") == [True, True, True]


def count(model):
    return sum(weight.shape.num_elements() for weight in model.trainable_variables)


def test_the_autoencoder_is_the_papers():
    model = build_autoencoder((16, 256, 256, 1))
    assert model.output_shape == (None, 16, 256, 256, 1)
    assert model.get_layer("conv4_relu").output.shape == (None, 2, 16, 16, 256)
    assert count(model) == 5_980_801
    assert model.count_params() == 5_983_233  # with the running statistics of all normalisations
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv3D)]
    transposed = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv3DTranspose)]
    assert [layer.strides for layer in convolutions] == [(1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)]
    assert [layer.strides for layer in transposed] == [(2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)]
    assert {layer.kernel_size for layer in convolutions + transposed} == {(3, 3, 3)}
    slopes = [layer.negative_slope for layer in model.layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert slopes == [pytest.approx(0.2)] * 7


def test_both_halves_are_the_autoencoder():
    detector = build()
    model = build_autoencoder((8, 32, 48, 1), (4, 4, 4))
    model.set_weights(detector.encoder.get_weights() + detector.decoder.get_weights())
    clips = windows_of(detector)[:, :8]
    restored = np.tanh(detector.decoder(detector.encoder(clips)))
    np.testing.assert_allclose(model(clips), restored, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 32, 48, 1), (7, 45, 61, 1), (1, 5, 3, 3)])
def test_clips_of_any_size_are_restored_at_their_size(shape):
    model = build_autoencoder(shape, (2, 3, 4, 3))
    assert model.output_shape == (None, *shape)
    assert model(np.zeros((1, *shape), "float32")).shape == (1, *shape)


def test_the_prediction_head_sees_every_decoded_frame():
    head = build_prediction_head((16, 8, 8, 1))
    assert count(head) == 145
    decoded = np.random.default_rng(0).random((1, 16, 8, 8, 1), "float32")
    kernel, bias = (weight.numpy() for weight in head.trainable_variables)
    expected = np.tanh((decoded[0, :, 2:5, 3:6, 0] * kernel[:, :, :, 0].transpose(2, 0, 1)).sum() + bias[0])
    assert float(head(decoded)[0, 3, 4, 0]) == pytest.approx(expected, rel=1e-5)


def test_the_playback_head_ends_in_logits_for_any_latent():
    assert count(build_playback_head((2, 16, 16, 256))) == 143_618
    for shape in ((2, 16, 16, 256), (1, 2, 3, 4), (3, 7, 5, 4)):
        head = build_playback_head(shape)
        logits = head(100 * np.random.default_rng(0).normal(size=(6, *shape)).astype("float32")).numpy()
        assert logits.shape == (6, 2)
        assert np.abs(logits).max() > 1  # no probabilities


# --- Training ---


def test_the_local_head_says_where_and_pools_the_places():
    detector = build(head_kind="local", tasks=("playback",), score_weights=(0.0, 0.0, 0.5))
    assert detector.playback_head.count_params() == 4 + 1
    windows = windows_of(detector)
    latent = detector.encoder(2.0 * windows[:, :8] - 1.0, training=False)
    kernel, bias = (weight.numpy() for weight in detector.playback_head.weights)
    places = latent.numpy() @ kernel.reshape(-1) + bias  # (2, t, 4, 6)
    output = detector.anomaly(windows)
    expected = np.log(np.exp(4.0 * places).mean(axis=(1, 2, 3))) / 4.0
    np.testing.assert_allclose(output["playback_log_odds"][:, 0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output["playback"][:, 0], 1.0 / (1.0 + np.exp(-expected)), rtol=1e-4)
    np.testing.assert_allclose(output["maps"][:, 0], 0.5 / (1.0 + np.exp(-places.max(axis=1))), rtol=1e-4)


def test_the_local_heads_places_are_added_to_the_map_of_errors():
    globally, locally = build(), build(head_kind="local")
    locally.encoder.set_weights(globally.encoder.get_weights())
    locally.decoder.set_weights(globally.decoder.get_weights())
    locally.prediction_head.set_weights(globally.prediction_head.get_weights())
    locally.playback_head.set_weights([np.zeros((1, 1, 1, 4, 1)), np.log([3.0])])
    windows = windows_of(globally)
    added = locally.anomaly(windows)["maps"] - globally.anomaly(windows)["maps"]
    np.testing.assert_allclose(added, 0.75, rtol=1e-4)


def test_losses_are_equations_3_4_and_6():
    detector = build(accelerated_share=1.0, playback_rates=(3,))
    frames = raw_windows(detector, batch=3)
    assert frames.shape[1] == 1 + 7 * 3
    inputs = 2.0 * detector.preprocess(tf.constant(frames)).numpy() - 1.0
    decoded = detector.decoder(detector.encoder(inputs[:, :8]))
    predicted = detector.prediction_head(decoded).numpy()
    logits = detector.playback_head(detector.encoder(inputs[:, ::3])).numpy().astype(float)
    losses = detector.compute_losses(tf.constant(frames), training=False)
    assert float(losses["reconstruction"]) == pytest.approx(np.mean((np.tanh(decoded) - inputs[:, :8]) ** 2), rel=1e-4)
    assert float(losses["prediction"]) == pytest.approx(np.mean((predicted - inputs[:, 8]) ** 2), rel=1e-4)
    entropy = np.log(np.exp(logits).sum(axis=1)) - logits[:, 1]  # of class 2, accelerated
    assert float(losses["playback"]) == pytest.approx(entropy.mean(), rel=1e-4)


@pytest.mark.parametrize("task", ["reconstruction", "prediction", "playback"])
def test_loss_weights_weigh_the_gradients(task):
    number = ("reconstruction", "prediction", "playback").index(task)
    frames = None
    moves = []
    for weight in (1.0, 3.0):
        detector = build(loss_weights=[weight if i == number else 0.0 for i in range(3)])
        detector.compile(optimizer=keras.optimizers.SGD(0.1))
        detector.build_optimizers()
        frames = tf.constant(raw_windows(detector, batch=2)) if frames is None else frames
        before = [w.numpy() for w in detector.encoder.trainable_variables]
        detector.train_step(frames)
        after = detector.encoder.trainable_variables
        moves.append(np.concatenate([(a.numpy() - b).ravel() for a, b in zip(after, before, strict=True)]))
    length = np.linalg.norm(moves[1])
    assert length > 1e-5
    assert np.linalg.norm(moves[1] - 3 * moves[0]) < 0.01 * length


def test_clips_of_equation_5_are_drawn_for_each_example_and_step():
    detector = build(playback_rates=(2, 3, 5))
    span = detector.training_window.length
    assert span == 7 * 5 + 1
    batch = 600
    frames = tf.constant(np.tile(np.arange(span, dtype=np.uint8)[None, :, None, None, None], (batch, 1, 1, 1, 3)))
    clips, accelerated = detector._playback_clips(frames, tf.constant([0, 4]))
    clips = np.rint(clips.numpy()[..., 0, 0, 0] * 255.0).astype(int)
    rates = clips[:, 1] - clips[:, 0]
    np.testing.assert_array_equal(clips, rates[:, None] * np.arange(8))
    np.testing.assert_array_equal(accelerated, rates > 1)
    shares = [np.mean(rates == rate) for rate in (1, 2, 3, 5)]
    assert shares == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6], abs=0.07)
    again, _ = detector._playback_clips(frames, tf.constant([0, 4]))
    np.testing.assert_array_equal(np.rint(again.numpy()[..., 0, 0, 0] * 255.0), clips)
    other, _ = detector._playback_clips(frames, tf.constant([0, 5]))
    assert (np.rint(other.numpy()[..., 0, 0, 0] * 255.0) != clips).any()


def test_a_range_of_speeds_takes_the_place_of_whole_ones():
    detector = build(playback_range=(1.5, 2.5))
    span = detector.training_window.length
    assert span == 19  # 7 * 2.5 + 1, rounded up
    frames = np.tile(10 * np.arange(span, dtype=np.uint8)[None, :, None, None, None], (300, 1, 32, 48, 3))
    clips, accelerated = detector._playback_clips(tf.constant(frames), tf.constant([0, 4]))
    speeds = np.diff(clips.numpy()[..., 0, 0, 0] * 255.0 / 10.0, axis=1).mean(axis=1)
    accelerated = accelerated.numpy() == 1
    assert accelerated.sum() == 150
    np.testing.assert_allclose(speeds[~accelerated], 1.0, atol=1e-3)
    assert 1.5 - 1e-3 <= speeds[accelerated].min() < 1.55
    assert 2.4 < speeds[accelerated].max() <= 2.5 + 1e-3


def test_training_windows_are_no_longer_than_needed():
    assert build(tasks=("prediction",)).training_window == build().window
    assert build(window_length=2, playback_rates=(2,)).training_window.frames == (0, 1, 2)
    default = keras_vad.build("luss_ae", channels=(2, 2), image_size=32)
    assert default.training_window.frames == tuple(range(15 * 5 + 1))
    assert default.window.frames == tuple(range(17))
    assert default.window.scored == (16,)


@pytest.mark.parametrize("tasks", [("reconstruction", "prediction"), ("reconstruction", "prediction", "playback")])
def test_every_frame_can_be_restored_and_predicted_whatever_playback_needs(tasks, tmp_path):
    """Clips of T + 1 frames at every start are restored and predicted from; long windows are played."""
    detector = build(tasks=tasks)
    values = [np.arange(25), 100 + np.arange(22)]
    videos = [np.broadcast_to(one[:, None, None].astype(np.uint8), (len(one), 32, 48)) for one in values]
    cache = FrameCache(tmp_path)
    cached = [cache.get(open_video(video, f"v{number}"), (32, 48)) for number, video in enumerate(videos)]
    (phase,) = detector.phases()
    batches = PhaseBatches(
        detector, cached, [], batch_size=3, speeds=(1,), hop=1, steps=None, validation_steps=0, seed=0,
        codes=tmp_path / "codes",
    )  # fmt: skip
    clips, played = [], []
    for batch in batches(phase, 0, 0):
        short, long = batch if isinstance(batch, tuple) else (batch, None)
        clips += short.numpy()[..., 0, 0, 0].tolist()
        played += [] if long is None else long.numpy()[..., 0, 0, 0].tolist()
    # T = 8, so 17 + 14 starts, of which one is left over by batches of 3: not a start at the end of both videos.
    assert len(clips) == 30
    starts = {clip[0] for clip in clips}
    assert all(clip == list(range(clip[0], clip[0] + 9)) for clip in clips)
    assert len(starts) == 30 and starts < {*range(17), *range(100, 114)}
    assert {16, 113} & starts and max(max(clip) for clip in clips) >= 24
    if "playback" in tasks:  # 7 * 3 + 1 = 22 frames
        assert len(played) == 30
        assert {tuple(window) for window in played} <= {
            *(tuple(range(start, start + 22)) for start in range(4)),
            tuple(range(100, 122)),
        }
    else:
        assert played == []


def test_each_task_learns_from_its_own_kind_of_windows():
    detector = build(accelerated_share=1.0, playback_rates=(3,))
    clips = raw_windows(detector, batch=2, window=detector.window)
    sources, others = raw_windows(detector, batch=2, seed=1), raw_windows(detector, batch=2, seed=2)

    def losses(*frames):
        frames = tuple(tf.constant(one) for one in frames)
        found = detector.compute_losses(frames if len(frames) == 2 else frames[0], training=False)
        return {task: float(loss) for task, loss in found.items()}

    first, other = losses(clips, sources), losses(clips, others)
    assert first["reconstruction"] == other["reconstruction"] and first["prediction"] == other["prediction"]
    assert first["playback"] != other["playback"]
    alone = losses(sources)
    assert alone["playback"] == first["playback"]
    assert alone == losses(sources[:, :9], sources)  # windows of one kind serve all tasks
    step = detector.train_step((tf.constant(clips), tf.constant(sources)))
    assert set(step) == {"reconstruction", "prediction", "playback"}


def mixed(**config):
    return build(head_kind="local", playback_range=(3.0, 3.0), mixed_playback=True, **config)


def test_mixed_clips_are_accelerated_within_a_rectangle_only():
    detector = mixed(accelerated_share=0.5)
    span = detector.training_window.length
    assert span == 22
    frames = np.tile(np.arange(span, dtype=np.uint8)[None, :, None, None, None], (40, 1, 32, 48, 3))
    clips, accelerated, boxes = (value.numpy() for value in detector._mixed_clips(tf.constant(frames), [0, 4]))
    speeds = np.diff(np.rint(clips[..., 0] * 255.0), axis=1)
    rows, columns = (np.arange(32) + 0.5) / 32, (np.arange(48) + 0.5) / 48
    assert accelerated.sum() == 20
    for clip, fast, (top, bottom, left, right) in zip(speeds, accelerated, boxes, strict=True):
        # Pixels at the edge belong to either side.
        clear = 1 / 32
        inside = np.outer(
            (rows > top + clear) & (rows < bottom - clear), (columns > left + clear) & (columns < right - clear)
        )
        outside = ~np.outer(
            (rows > top - clear) & (rows < bottom + clear), (columns > left - clear) & (columns < right + clear)
        )
        assert (clip[:, inside] == (3 if fast else 1)).all()
        assert inside.any() and outside.any() and (clip[:, outside] == 1).all()


def test_mixed_playback_asks_inside_and_around_the_rectangle():
    places = np.random.default_rng(0).normal(size=(2, 2, 4, 4)).astype("float32")
    boxes = np.array([[0.25, 0.75, 0.0, 0.5], [0.0, 1.0, 0.0, 1.0]], "float32")  # the second leaves nothing around
    found = mixed_entropy(tf.constant(places), tf.constant([True, False]), tf.constant(boxes), 4.0)

    def pooled(values):
        return np.log(np.exp(4.0 * values.astype(float)).mean()) / 4.0

    within = np.zeros((4, 4), bool)
    within[1:3, :2] = True
    first = np.log1p(np.exp(-pooled(places[0][:, within]))) + np.log1p(np.exp(pooled(places[0][:, ~within])))
    np.testing.assert_allclose(found, [first, np.log1p(np.exp(pooled(places[1])))], rtol=1e-5)


def test_mixed_playback_is_the_loss():
    detector = mixed(accelerated_share=1.0)
    frames = tf.constant(raw_windows(detector, batch=2))
    clips, accelerated, boxes = detector._mixed_clips(frames, detector.random_seed(tf.constant(0)))
    places = detector.playback_head(detector.encoder(2.0 * clips - 1.0))[..., 0]
    expected = float(tf.reduce_mean(mixed_entropy(places, accelerated, boxes, 4.0)))
    assert float(detector.compute_losses(frames, training=False)["playback"]) == pytest.approx(expected, rel=1e-5)


# --- Health ---


def test_health_compares_the_decoder_with_the_mean_latent_and_with_the_last_frame():
    detector = build(tasks=("reconstruction", "prediction"))
    frames = np.stack([raw_video(9, seed=seed) for seed in range(4)])
    clips = 2.0 * detector.preprocess(tf.constant(frames)).numpy() - 1.0
    latent = detector.encoder(clips[:, :8]).numpy()

    def errors(latent):
        decoded = detector.decoder(latent)
        restored, predicted = np.tanh(decoded), detector.prediction_head(decoded).numpy()
        return np.mean((restored - clips[:, :8]) ** 2), np.mean((predicted - clips[:, 8]) ** 2)

    own, of_mean = errors(latent), errors(np.broadcast_to(latent.mean(axis=0), latent.shape))
    found = detector.health([tf.constant(frames[:2]), tf.constant(frames[2:])])
    assert found == {
        "reconstruction_of_mean": pytest.approx(of_mean[0] / own[0], rel=1e-4),
        "prediction_of_mean": pytest.approx(of_mean[1] / own[1], rel=1e-4),
        "prediction_of_copy": pytest.approx(np.mean((clips[:, 8] - clips[:, 7]) ** 2) / own[1], rel=1e-4),
    }
    assert set(found) < set(detector.health_figures)
    assert detector.health([]) == {}


def test_health_tells_a_decoder_that_ignores_its_latent():
    detector = build(tasks=("reconstruction",))
    first = detector.decoder.get_layer("deconv1")
    first.set_weights([np.zeros_like(weight) for weight in first.get_weights()])
    found = detector.health([tf.constant(raw_windows(detector))])
    assert found["reconstruction_of_mean"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("head", ["global", "local"])
def test_health_plays_the_busiest_tile_faster(head, monkeypatch):
    detector = build(tasks=("playback",), head_kind=head)
    still, span = np.full((2, 22, 32, 48, 3), 100, np.uint8), 22
    # A tile of 11 x 12 pixels gets brighter by 4 a frame in one clip; in the other nothing moves, so nothing is faster.
    still[0, :, :10, 12:24] = (20 + 4 * np.arange(span))[:, None, None, None]
    seen = []

    def brightness_gained(latent, training):
        gained = latent[:, -1] - latent[:, 0]
        seen.append(latent.numpy())
        return tf.stack([tf.zeros_like(gained), gained], axis=1)

    monkeypatch.setattr(detector, "encoder", lambda clips, training: tf.reduce_mean(clips, axis=(2, 3, 4)))
    monkeypatch.setattr(detector, "_playback_logits", brightness_gained)
    assert detector.health([tf.constant(still)]) == {"playback_of_part": 0.75}
    slow, fast = (latent[0, -1] - latent[0, 0] for latent in seen)
    assert fast == pytest.approx(
        10 / 7 * slow, rel=0.3
    )  # frame 10 or 11 in place of 7, beside a part that is as it was


def test_health_compares_what_pulls_at_the_encoder():
    def pull(*loss_weights):
        detector = build(loss_weights=loss_weights)
        found = detector.health([tf.constant(raw_windows(detector))])
        return found["playback_pull"], detector

    both, detector = pull(0.5, 0.5, 0.25)
    assert pull(0.25, 0.25, 0.5)[0] == pytest.approx(4.0 * both, rel=1e-4)
    frames, before = tf.constant(raw_windows(detector)), detector.encoder.get_weights()

    def moved(tasks):
        with tf.GradientTape() as tape:
            losses = detector.compute_losses(frames, training=False)
            loss = tf.add_n([losses[task] * weight for task, weight in tasks.items()])
        gradients = tape.gradient(loss, detector.encoder.trainable_variables)
        return np.sqrt(sum(np.sum(np.square(gradient.numpy(), dtype=float)) for gradient in gradients))

    expected = moved({"playback": 0.25}) / moved({"reconstruction": 0.5, "prediction": 0.5})
    assert both == pytest.approx(expected, rel=1e-4)
    for weight, value in zip(detector.encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)  # nothing is learned, nor are statistics moved


# --- Scores of absent tasks, rescaling ---


@pytest.mark.parametrize("task", ["reconstruction", "prediction"])
def test_a_task_that_is_absent_weighs_nothing(task):
    number = ("reconstruction", "prediction").index(task)
    detector = build(tasks=(task,), task_scaling="held_out", score_weights=(0.3, 0.5, 2.0))
    normal = [raw_video(20, seed=3), raw_video(18, seed=4)]
    detector.fit_normality(tf.data.Dataset.range(0), normal, alarm_quantile=0.5)
    series = [detector.score_video(video) for video in normal]
    errors = np.concatenate([one.parts["mean_error"] for one in series]).astype(float)
    low, high = np.quantile(errors, [0.01, 0.99])
    weight = (0.3, 0.5)[number]
    np.testing.assert_allclose(np.concatenate([one.raw for one in series]), weight * errors / (high - low), rtol=1e-4)


def test_equations_15_and_16_in_every_order():
    detector = build(score_weights=(0.1, 0.8, 1.0), pooling="max")
    video = raw_video(30, seed=2)
    scores = detector.score_video(video)
    named = {FRAME_SCORES: scores.raw, **scores.parts}
    errors = [scores.parts[f"{task}_error"].astype(float) for task in ("reconstruction", "prediction")]
    playback = scores.parts["playback"].astype(float)

    def robust(values):
        low, median, high = np.quantile(values, [0.01, 0.5, 0.99])
        return (values - median) / (high - low)

    def min_max(values):
        return (values - values.min()) / (values.max() - values.min())

    total = 0.1 * errors[0] + 0.8 * errors[1] + playback
    expected = {
        "tasks_robust": 0.1 * robust(errors[0]) + 0.8 * robust(errors[1]) + min_max(playback),
        "tasks_min_max": 0.1 * min_max(errors[0]) + 0.8 * min_max(errors[1]) + min_max(playback),
        "sum_robust": robust(total),
        "sum_min_max": min_max(total),
    }
    assert set(detector.paper_scores) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(rescaled_sum(named, detector.paper_scores[name]), values, rtol=1e-3, atol=1e-5)


def test_what_is_rescaled_is_the_choice_of_the_own_score():
    for rescaling in ("robust", "min_max"):
        detector = build(rescaling=rescaling, rescaled="tasks")
        assert detector.paper_scores["frame_scores"] == detector.paper_scores[f"tasks_{rescaling}"]
    assert "frame_scores" not in build().paper_scores
    assert build(tasks=("prediction",)).paper_scores == {}
    parts = [term.part for term in build(tasks=("playback", "reconstruction")).paper_scores["tasks_robust"]]
    assert parts == ["reconstruction_error", "playback"]


def test_validation_draws_the_same_clips_at_every_step():
    detector = build()
    frames = tf.constant(raw_windows(detector, batch=4))
    before = float(detector.compute_losses(frames, training=False)["playback"])
    detector.optimizer.iterations.assign(17)
    assert float(detector.compute_losses(frames, training=False)["playback"]) == before


# --- Scores ---


def blurred_by_hand(image):
    """5 x 5 Gaussian of deviation 1, outside counts as 0, by a plain loop."""
    kernel = np.array([[np.exp(-(i * i + j * j) / 2) for j in range(-2, 3)] for i in range(-2, 3)])
    kernel /= kernel.sum()
    padded = np.pad(image.astype(float), 2)
    height, width = image.shape
    return np.array([[(padded[y : y + 5, x : x + 5] * kernel).sum() for x in range(width)] for y in range(height)])


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_error_maps_are_equations_8_9_and_11(size):
    residual = np.random.default_rng(0).normal(size=(2, 3, *size)).astype("float32")
    maps = {error: error_maps(tf.constant(residual), error).numpy() for error in ("mse", "pse", "bpe")}
    for index in np.ndindex(2, 3):
        blurred = blurred_by_hand(residual[index])
        pixels = size[0] * size[1]
        assert maps["mse"][index].mean() == pytest.approx((residual[index] ** 2).sum() / pixels, rel=1e-5)
        np.testing.assert_allclose(maps["pse"][index], blurred**2, rtol=1e-4, atol=1e-6)
        kept = [blurred[y, x] for y in range(0, size[0], 2) for x in range(0, size[1], 2)]
        assert maps["bpe"][index].mean() == pytest.approx(np.sum(np.square(kept)) / pixels, rel=1e-5)


def test_the_score_is_equation_15():
    detector = build(error="pse", score_weights=(0.3, 0.6, 0.2))
    windows = windows_of(detector, batch=3)
    inputs = 2.0 * windows.numpy() - 1.0
    latent = detector.encoder(inputs[:, :8])
    decoded = detector.decoder(latent).numpy()
    restored, predicted = np.tanh(decoded), detector.prediction_head(decoded).numpy()
    logits = detector.playback_head(latent).numpy().astype(float)
    accelerated = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    output = detector.anomaly(windows)
    for row in range(3):
        frames = [np.mean(blurred_by_hand((restored - inputs[:, :8])[row, t, :, :, 0]) ** 2) for t in range(8)]
        following = np.mean(blurred_by_hand((predicted - inputs[:, 8])[row, :, :, 0]) ** 2)
        assert float(output["reconstruction_error"][row, 0]) == pytest.approx(np.mean(frames), rel=1e-4)
        assert float(output["prediction_error"][row, 0]) == pytest.approx(following, rel=1e-4)
        assert float(output["playback"][row, 0]) == pytest.approx(accelerated[row], rel=1e-4)
        expected = 0.3 * np.mean(frames) + 0.6 * following + 0.2 * accelerated[row]
        assert float(output["frame_scores"][row, 0]) == pytest.approx(expected, rel=1e-4)
        assert float(output["paper_score"][row, 0]) == pytest.approx(expected, rel=1e-4)


def test_a_score_speaks_of_the_frame_after_the_clip():
    detector = build(tasks=("prediction",), score_weights=(0, 1, 0))
    video = raw_video(12)
    changed = video.copy()
    changed[10] = 255
    before, after = detector.score_video(video), detector.score_video(changed)
    np.testing.assert_array_equal(before.frame_index, [8, 9, 10, 11])
    np.testing.assert_array_equal(before.raw[:2], after.raw[:2])
    assert after.raw[2] > 2 * before.raw[2]


def test_reconstruction_can_be_tested_alone_after_training_with_all_tasks():  # table 3
    detector = build(score_weights=(1.0, 0.0, 0.0))
    output = detector.anomaly(windows_of(detector))
    np.testing.assert_allclose(output["frame_scores"], output["reconstruction_error"], rtol=1e-5)


@pytest.mark.parametrize("head", ["global", "local"])
def test_the_excess_counts_from_the_level_of_normal_errors(head):  # not of playback, which the local head's maps hold
    detector = build(head_kind=head, pooling="excess", pooling_quantile=0.9)
    video = raw_video(30, seed=5)
    detector.fit_normality(tf.data.Dataset.range(0), [video])
    inputs, above = detector.preprocess(tf.constant(video)[None]), []
    detector.score_weights = (*detector.score_weights[:2], 0.0)  # maps without playback
    for start in range(len(video) - detector.window.span + 1):
        maps = detector.anomaly(inputs[:, start : start + detector.window.span])["maps"]
        above.append(detector._blurred(maps).numpy() > float(detector.normal_level))
    assert np.mean(above) == pytest.approx(0.1, abs=0.02)


def test_held_out_scaling_divides_by_the_range_of_normal_frames():
    detector = build(pooling="max", task_scaling="held_out", score_weights=(0.3, 0.5, 2.0))
    normal = [raw_video(20, seed=3), raw_video(18, seed=4)]
    detector.fit_normality(tf.data.Dataset.from_tensors(raw_windows(detector)), normal, alarm_quantile=0.5)
    series = [detector.score_video(video) for video in normal]

    def scaled(name):
        values = [one.parts[name].astype(float) for one in series]
        low, high = np.quantile(np.concatenate(values), [0.01, 0.99])
        return [value / (high - low) for value in values]

    for error, log_odds, one in zip(scaled("max_error"), scaled("playback_log_odds"), series, strict=True):
        np.testing.assert_allclose(one.raw, 0.8 * error + 2.0 * log_odds, rtol=1e-4)
        playback = one.parts["playback"].astype(float)
        np.testing.assert_allclose(one.parts["playback_log_odds"], np.log(playback / (1 - playback)), atol=1e-4)
        np.testing.assert_allclose(one.parts["paper_score"], one.parts["mean_error"] + 2.0 * playback, rtol=1e-4)
    alarms = np.concatenate([one.calibrated for one in series]) > 0.5  # calibrated on the scaled scores
    assert alarms.mean() == pytest.approx(0.5, abs=0.1)


def test_scaled_inputs_stay_within_the_reach_of_tanh():
    detector = build(subtract_background=True, input_scale=4.0)
    background = detector.background.numpy()
    frames = tf.constant(raw_video(5))
    plain = detector.preprocess(frames).numpy()
    np.testing.assert_allclose(detector._scaled(plain), np.clip(4.0 * plain, -1, 1), rtol=1e-6)
    assert np.abs(plain + background).max() <= 1 + 1e-6
    np.testing.assert_allclose(build()._scaled(plain), np.clip(2 * plain - 1, -1, 1), rtol=1e-6)


def test_defaults_are_the_papers():
    config = json.loads(json.dumps(keras_vad.build("luss_ae", channels=(2, 2, 2, 2), image_size=32).get_config()))
    paper = {"window_length": 16, "tasks": ["reconstruction", "prediction", "playback"], "error": "bpe"}
    paper |= {"loss_weights": [0.6, 0.4, 1.0], "score_weights": [0.1, 0.8, 1.0], "playback_rates": [2, 3, 4, 5]}
    paper |= {"accelerated_share": 0.5, "rescaling": "robust", "learning_rate": 1e-4, "pooling": "mean"}
    paper |= {"task_scaling": "none", "subtract_background": False, "input_scale": 1.0, "mixed_playback": False}
    paper |= {"rescaled": "sum"}
    assert {name: config[name] for name in paper} == paper
    assert build().paper_rescaling == "robust"
    assert build(rescaling="min_max").paper_rescaling == "min_max"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"tasks": ()},
            r"tasks is \(\), but must hold at least one of reconstruction, prediction, playback, each once",
        ),
        ({"tasks": ("playback", "playback")}, "each once"),
        ({"tasks": ("flow",)}, "a task is 'flow', but must be one of 'reconstruction', 'prediction', 'playback'"),
        ({"error": "ssim"}, "error is 'ssim', but must be one of 'mse', 'pse', 'bpe'"),
        ({"rescaling": "max"}, "rescaling is 'max', but must be one of 'robust', 'min_max'"),
        ({"task_scaling": "video"}, "task_scaling is 'video', but must be one of 'none', 'held_out'"),
        ({"loss_weights": (1, 1)}, r"loss_weights is \(1, 1\), but must hold three numbers of at least 0"),
        ({"score_weights": (1, -1, 0)}, r"score_weights is \(1, -1, 0\), but must hold three numbers"),
        ({"playback_rates": ()}, r"playback_rates is \(\), but must hold at least one speed"),
        (
            {"playback_rates": (1, 2)},
            r"playback_rates is \(1, 2\), but must hold at least one speed, all of at least 2",
        ),
        ({"rescaled": "parts"}, "rescaled is 'parts', but must be one of 'sum', 'tasks'"),
        (
            {"mixed_playback": True, "playback_range": (1.5, 2)},
            'mixed_playback needs .* give head_kind="local" and a',
        ),
        ({"mixed_playback": True, "head_kind": "local"}, "mixed_playback needs a head that says where, and speeds"),
        ({"head_kind": "both"}, "head_kind is 'both', but must be one of 'global', 'local'"),
        ({"playback_range": (0.5, 2)}, r"playback_range is \(0\.5, 2\), but must hold the lowest and the highest rate"),
        ({"accelerated_share": 1.5}, "accelerated_share is 1.5, but must lie between 0 and 1"),
        ({"channels": ()}, r"channels is \(\), but must hold at least one number above 0"),
        ({"input_scale": 0}, "input_scale is 0, but must be above 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0, but must be above 0"),
        ({"pooling": "median"}, "pooling is 'median', but must be one of 'mean', 'excess', 'max'"),
        ({"window_length": 0}, "window length is 0, but must be at least 1"),
        ({"tasks": "playback"}, r"tasks of luss_ae is 'playback', but must be of type Sequence\[str\]"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(config, message):
    with pytest.raises(VadError, match=message):
        keras_vad.build("luss_ae", **{**TINY, **config})
