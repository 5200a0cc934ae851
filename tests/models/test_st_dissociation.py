"""What is particular about st_dissociation: its streams, deep k-means in turns, its score, its ablations."""

import json
from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.errors import VadError
from keras_vad.models.st_dissociation import SpatioTemporalDissociation, _Encoded
from keras_vad.testing.detector_contract import weights_of
from keras_vad.testing.inputs import raw_video, raw_windows
from keras_vad.training.loop import Schedule, TrainingData, train

TINY = {"image_size": (32, 48), "channels": (4, 8, 8, 8), "clusters": 4, "cycles": 2}

# Rows of the paper's tables.
ABLATIONS = {
    "table 2, appearance": {"streams": "appearance", "clusters": None},
    "table 2, motion": {"streams": "motion", "attention": None, "clusters": None},
    "table 2, both": {"attention": None, "clusters": None},
    "table 2, both and attention": {"clusters": None},
    "table 2, both and k-means": {"attention": None},
    "table 3, 2 clusters": {"clusters": 2},
    "clusters of appearance": {"streams": "appearance"},
    "clusters of motion": {"streams": "motion"},
    "equation 13 by its letter": {"error": "norm"},
    "equation 9 by its letter": {"attention": "softmax"},
    "streams of equal weight": {"code_norm": "length"},
    "streams apart": {"pretraining": "apart", "cluster_weight": 0.0},
    "our pooling": {"pooling": "excess"},
}


def build(**config):
    keras.utils.set_random_seed(7)
    detector = SpatioTemporalDissociation(**{**TINY, **config})
    detector.compile()
    detector.build_optimizers()
    return detector


@pytest.fixture(scope="module")
def detector():
    """For tests that change nothing."""
    return build()


@pytest.fixture(scope="module")
def raw(detector):
    return tf.constant(raw_windows(detector, batch=2))


@pytest.fixture(scope="module")
def windows(detector, raw):
    """Preprocessed, (2, 5, 32, 48, 3)."""
    return detector.preprocess(raw)


@pytest.fixture(scope="module")
def outputs(detector, windows):
    """First and last frames, the restored first frames and the predicted differences, by hand from the networks."""
    frames = windows.numpy()
    first, last = frames[:, 0], frames[:, 4]
    stacked = np.concatenate([frames[:, time] for time in range(4)], axis=-1)
    restored = detector.appearance_decoder(detector.appearance_encoder(first)).numpy()
    difference = detector.motion_decoder(detector.motion_encoder(stacked)[:3]).numpy()
    return first.astype(float), last.astype(float), restored.astype(float), difference.astype(float)


def distance_by_loops(codes, centres, alpha):
    """Equation 10, place by place."""
    result = np.zeros(codes.shape[:-1])
    for place in np.ndindex(*result.shape):
        norms = [np.linalg.norm(codes[place] - centre) for centre in centres]
        shares = np.exp([-alpha * norm for norm in norms])
        result[place] = sum(share / shares.sum() * norm**2 for share, norm in zip(shares, norms, strict=True))
    return result


@pytest.mark.parametrize("row", ABLATIONS)
def test_every_row_of_the_ablation_tables_trains_and_scores(row):
    detector = build(**ABLATIONS[row])
    before = weights_of(detector)
    logs = detector.train_step(tf.constant(raw_windows(detector, batch=2)))
    expected = set()
    expected |= {"appearance"} if detector.streams != "motion" else set()
    expected |= {"motion", "gradient"} if detector.streams != "appearance" else set()
    expected |= {"cluster"} if detector.clusters else set()
    assert set(logs) == expected
    assert all(np.isfinite(value) for value in logs.values())
    after = weights_of(detector)
    assert all((before[weight.path] != after[weight.path]).any() for weight in detector.trainable_variables)

    frames = tf.constant(raw_video(7)[None])
    scores = detector.score_chunk(frames, maps=True)
    assert scores["raw_scores"].shape == (1, 3)
    assert scores["maps"].shape == (1, 3, 32, 48)
    assert all(np.isfinite(value).all() for value in scores.values())
    again = SpatioTemporalDissociation.from_config(json.loads(json.dumps(detector.get_config())))
    again.set_weights(detector.get_weights())
    np.testing.assert_array_equal(again.score_chunk(frames)["raw_scores"], scores["raw_scores"])


# --- Networks ---


def test_the_five_parts_have_the_counted_weights():
    detector = keras_vad.build("st_dissociation")
    parts = {
        "appearance_encoder": 2_139_424,
        "motion_encoder": 2_227_584,
        "appearance_decoder": 1_255_104,
        "motion_decoder": 480_960,
        "cluster_centres": 16_384,
    }
    for name, expected in parts.items():
        weights = getattr(detector, name).trainable_variables
        assert sum(weight.shape.num_elements() for weight in weights) == expected, name
    assert detector.appearance_encoder.output_shape == (None, 32, 32, 256)
    assert [tuple(shape[1:]) for shape in detector.motion_encoder.output_shape] == [
        (32, 32, 256),
        (64, 64, 128),
        (128, 128, 64),
        *[(16, 16)] * 3,
    ]
    assert detector.appearance_decoder.output_shape == detector.motion_decoder.output_shape == (None, 256, 256, 3)


def test_only_the_appearance_encoder_normalises_batches(detector):
    def norms(network):
        return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]

    assert len(norms(detector.appearance_encoder)) == 3
    for network in (detector.appearance_decoder, detector.motion_encoder, detector.motion_decoder):
        assert norms(network) == []


def test_codes_of_the_streams_add_up_to_one_and_the_joined_code_has_unit_length(detector, windows):
    appearance = detector.appearance_encoder(windows[:, 0]).numpy()
    assert appearance.min() >= 0
    np.testing.assert_allclose(appearance.sum(axis=-1), 1, rtol=1e-5)
    codes = detector.codes(windows).numpy()
    assert codes.shape == (2, 4, 6, 16)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=-1), 1, rtol=1e-5)
    direction = appearance / np.linalg.norm(appearance, axis=-1, keepdims=True)
    found = codes[..., :8] / np.linalg.norm(codes[..., :8], axis=-1, keepdims=True)
    np.testing.assert_allclose(found, direction, atol=1e-5)


def test_the_motion_stream_never_sees_the_last_frame(detector, windows):
    other = tf.concat([windows[:, :4], tf.reverse(windows[:, 4:], axis=[2])], axis=1)
    np.testing.assert_array_equal(detector.codes(other), detector.codes(windows))
    for changed in range(4):
        other = tf.concat([windows[:, :changed], 1 - windows[:, changed : changed + 1], windows[:, changed + 1 :]], 1)
        assert not np.allclose(detector.codes(other)[..., 8:], detector.codes(windows)[..., 8:])


# --- Losses ---


def test_the_losses_are_equations_3_6_and_11(detector, raw, windows, outputs):
    first, last, restored, difference = outputs
    true = last - first
    gradient = 0.0
    for axis in (1, 2):
        gradient += np.abs(np.abs(np.diff(true, axis=axis)) - np.abs(np.diff(difference, axis=axis))).mean()
    codes = detector.codes(windows).numpy().astype(float)
    centres = detector.cluster_centres.centres.numpy().astype(float)
    expected = {
        "appearance": ((first - restored) ** 2).mean(),
        "motion": ((true - difference) ** 2).mean(),
        "gradient": gradient,
        "cluster": distance_by_loops(codes, centres, alpha=25.0).mean(),
    }
    losses = detector.test_step(raw)
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(value, rel=1e-4), name


def test_only_what_learns_is_computed():
    detector = build(pretraining="apart", cluster_weight=0.0)
    batch = tf.constant(raw_windows(detector, batch=2))
    losses = []
    for phase in detector.phases():
        detector.set_phase(phase)
        losses.append(set(detector.train_step(batch[:, : len(phase.windows[0].frames)] if phase.windows else batch)))
    turns = [{"appearance", "motion", "gradient", "cluster"}, {"cluster"}] * 2
    assert losses == [{"appearance"}, {"motion", "gradient"}, *turns]


def test_the_networks_learn_from_the_weighted_sum():
    detector = build(cluster_weight=0.5, gradient_weight=2.0)
    batch = tf.constant(raw_windows(detector, batch=2))
    weights = detector.motion_encoder.trainable_variables
    with tf.GradientTape() as tape:
        losses = detector.compute_losses(batch, training=True)
        loss = losses["appearance"] + losses["motion"] + 2.0 * losses["gradient"] + 0.5 * losses["cluster"]
    expected = tape.gradient(loss, weights)
    detector.compile(motion_optimizer=keras.optimizers.SGD(0.5))
    detector.build_optimizers()
    before = [weight.numpy() for weight in weights]
    detector.train_step(batch)
    for weight, old, gradient in zip(weights, before, expected, strict=True):
        np.testing.assert_allclose(weight, old - 0.5 * gradient, atol=1e-5, err_msg=weight.path)


# --- Deep k-means ---


def test_the_schedule_is_section_4_2():
    phases = SpatioTemporalDissociation(**{**TINY, "cycles": 10}).phases()
    assert [phase.name for phase in phases[:4]] == ["pretraining", "networks 1", "centres 1", "networks 2"]
    assert len(phases) == 21
    assert phases[0].epochs == 50
    assert sum(phase.epochs for phase in phases[1:]) == 100
    assert [phase.learning_rate for phase in phases[1::2]] == [None] * 5 + [pytest.approx(1e-5)] * 5
    assert [bool(phase.on_start) for phase in phases] == [False, True] + [False] * 19
    assert phases[0].loss_weights == {"cluster": 0}
    assert all(phase.loss_weights == {"cluster": 0.1} for phase in phases[1:])
    (pretraining, early, late) = SpatioTemporalDissociation(**{**TINY, "clusters": None}).phases()
    assert pretraining.epochs == 50
    assert (early.epochs, early.learning_rate) == (50, None)
    assert (late.epochs, late.learning_rate) == (50, pytest.approx(1e-5))


def test_appearance_learns_from_single_frames_when_the_streams_learn_apart():
    phases = SpatioTemporalDissociation(**{**TINY, "pretraining": "apart"}).phases()
    appearance, motion = phases[:2]
    assert appearance.trainable == ("appearance_encoder", "appearance_decoder")
    assert [window.frames for window in appearance.windows] == [(0,)]
    assert appearance.epochs == 2 * motion.epochs
    assert motion.trainable == ("motion_encoder", "motion_decoder")
    assert motion.windows == ()
    assert [bool(phase.on_start) for phase in phases[:4]] == [False, False, True, False]
    together = SpatioTemporalDissociation(**TINY).phases()
    assert [phase.name for phase in phases[2:]] == [phase.name for phase in together[1:]]


def test_a_single_frame_teaches_appearance_what_a_window_does():
    detector = build(pretraining="apart")
    batch = tf.constant(raw_windows(detector, batch=2))
    detector.set_phase(detector.phases()[0])
    of_window, of_frame = (detector.test_step(frames)["appearance"] for frames in (batch, batch[:, :1]))
    assert float(of_window) == float(of_frame)


@pytest.mark.parametrize(("phase", "learns"), [(0, "networks"), (1, "networks"), (2, "centres")])
def test_in_its_turn_one_learns_and_the_other_stands_still(phase, learns):
    detector = build()
    detector.set_phase(detector.phases()[phase])
    before = weights_of(detector)
    detector.train_step(tf.constant(raw_windows(detector, batch=2)))
    changed = {path for path, weight in weights_of(detector).items() if (before[path] != weight).any()}
    centres = detector.cluster_centres.centres.path
    if learns == "centres":
        assert changed == {centres}  # the running statistics stand still, too
    else:
        assert centres not in changed
        networks = [
            weight.path for name in detector.phases()[0].trainable for weight in getattr(detector, name).weights
        ]
        assert changed <= set(networks)
        assert {weight.path for weight in detector.trainable_variables} <= changed


def test_the_cluster_loss_draws_codes_to_the_centres_only_after_pretraining():
    detector = build(cluster_weight=1000.0)
    batch = tf.constant(raw_windows(detector, batch=2))
    detector.initialise_centres(tf.data.Dataset.from_tensors(batch))
    centres = detector.cluster_centres.centres
    initial = detector.get_weights()

    def two_steps(phase, factor):
        """The motion encoder's first kernel after two steps, and the cluster losses before and after the first."""
        detector.compile(optimizer=keras.optimizers.SGD(1e-6), motion_optimizer=keras.optimizers.SGD(1e-6))
        detector.build_optimizers()
        detector.set_weights(initial)
        centres.assign(centres * factor)
        detector.set_phase(detector.phases()[phase])
        losses = [float(detector.train_step(batch)["cluster"]) for _ in range(2)]
        return detector.motion_encoder.weights[0].numpy(), losses

    np.testing.assert_array_equal(two_steps(0, 1)[0], two_steps(0, -1)[0])
    kernel, (before, after) = two_steps(1, 1)
    assert not np.array_equal(kernel, two_steps(1, -1)[0])
    assert after < before


def test_networks_do_not_learn_from_the_clusters_without_their_weight():
    weights = []
    for factor in (1, -1):
        detector = build(cluster_weight=0.0)
        detector.cluster_centres.centres.assign(detector.cluster_centres.centres * factor)
        detector.set_phase(detector.phases()[1])
        detector.train_step(tf.constant(raw_windows(detector, batch=2)))
        networks = detector.phases()[0].trainable
        weights.append([weight.numpy() for name in networks for weight in getattr(detector, name).weights])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_centres_start_at_the_means_of_k_means():
    detector = build(clusters=2)
    dark, bright = np.zeros((2, 5, 32, 48, 3), np.uint8), np.full((2, 5, 32, 48, 3), 255, np.uint8)
    dark[..., 0] = 200  # codes do not tell how bright, but which colour
    batches = tf.data.Dataset.from_tensor_slices(np.stack([dark, bright]))
    detector.initialise_centres(batches)
    centres = detector.cluster_centres.centres.numpy()
    codes = np.concatenate([detector.codes(detector.preprocess(batch)).numpy().reshape(-1, 16) for batch in batches])
    distances = np.linalg.norm(codes[:, None] - centres, axis=-1)
    nearest = distances.argmin(axis=1)
    assert set(nearest) == {0, 1}
    for number in (0, 1):
        np.testing.assert_allclose(centres[number], codes[nearest == number].mean(axis=0), atol=1e-5)
    np.testing.assert_array_equal(detector.cluster_of(codes), nearest)


def test_the_loop_starts_k_means_once_and_takes_turns():
    detector = build(learning_rate=0.001, centre_learning_rate=0.001)
    rows = np.stack([raw_windows(detector, batch=2, seed=seed) for seed in range(2)])
    detector.cluster_centres.centres.assign(np.full((4, 16), 9.0))  # far from any code
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            centres = detector.cluster_centres.centres.numpy()
            seen.append((logs["phase"], centres, float(logs["cluster"])))

    schedule = Schedule.of(detector.phases(), 5, "constant")
    data = TrainingData(lambda phase, epoch, skip: tf.data.Dataset.from_tensor_slices(rows), lambda phase: 2)
    train(detector, schedule, data, callbacks=[Look()])
    phases, centres, losses = zip(*seen, strict=True)
    assert phases == ("pretraining", "networks 1", "centres 1", "networks 2", "centres 2")
    assert np.abs(centres[0]).min() == 9
    assert np.linalg.norm(centres[1], axis=1).max() <= 1.0001  # means of codes of unit length
    moved = [not np.array_equal(a, b) for a, b in pairwise(centres)]
    assert moved == [True, True, False, True]
    assert max(losses[1:]) < losses[0] / 10


def test_streams_of_equal_length_are_halves_of_the_joined_code(windows):
    detector = build(code_norm="length")
    codes = detector.codes(windows).numpy().astype(float)
    np.testing.assert_allclose((codes[..., :8] ** 2).sum(axis=-1), 0.5, rtol=1e-5)
    np.testing.assert_allclose((codes[..., 8:] ** 2).sum(axis=-1), 0.5, rtol=1e-5)
    appearance = detector.appearance_encoder(windows[:, 0]).numpy()
    direction = appearance / np.linalg.norm(appearance, axis=-1, keepdims=True)
    np.testing.assert_allclose(codes[..., :8], direction / np.sqrt(2), atol=1e-5)


def test_the_sum_of_magnitudes_favours_the_sparser_code():
    # Codes (1, 0, 0, 0) and (1, 1, 1, 1): divided by their sums, lengths 1 and 1/2, so 80 % and 20 % of the whole.
    detector = build()
    sparse, dense = tf.constant([[1.0, 0, 0, 0]]), tf.constant([[0.25, 0.25, 0.25, 0.25]])
    detector.appearance_encoder = lambda frame, training: sparse
    detector.motion_encoder = lambda frames, training: [dense]
    for code_norm, share in (("sum", 0.8), ("length", 0.5)):
        detector.code_norm = code_norm
        codes = detector.codes(tf.zeros((1, 5, 32, 48, 3))).numpy()
        assert (codes[0, :4] ** 2).sum() == pytest.approx(share)


# --- Health ---


def _with_codes(detector, codes, attention=()):
    """The detector, as if it made these joined codes (windows, places, size) and attention maps of any frames."""
    encoded = _Encoded(None, [], tf.constant(codes, tf.float32), [tf.constant(maps, tf.float32) for maps in attention])
    detector._encode = lambda windows, training, **streams: encoded
    return detector


def test_health_by_hand(raw):
    detector = build(clusters=2, channels=(4, 8, 8, 4))
    centres = np.eye(8, dtype="float32")[[0, 4]]
    detector.cluster_centres.centres.assign(centres)
    codes = np.zeros((1, 10, 8))
    codes[0, :5, 0] = 1.0  # half of them at the first centre, of appearance
    codes[0, 5:, 4], codes[0, 5:, 5] = 0.6, 0.8  # and half near the second, of motion
    # Variances: a channel that is a in half of the places and else 0 has a^2 / 4: 0.25; 0.09, 0.16.
    maps = [[[[0.0, 1.0]], [[0.0, 2.0]]], [[[0.5, 0.5]], [[0.0, 0.1]]], [[[0.0, 9.0]], [[0.0, 9.0]]]]
    health = _with_codes(detector, codes, maps).health([raw, raw])
    assert health == {
        "code_variance": pytest.approx(0.5),
        "appearance_share": pytest.approx(0.5),
        "clusters_used": 2.0,
        "attention_range": pytest.approx((1 + np.exp(0.1)) / 2),  # of the second stage
    }


def test_a_cluster_is_used_if_it_has_a_tenth_of_its_fair_share(raw):
    detector = build(clusters=4, channels=(4, 8, 8, 4))
    detector.cluster_centres.centres.assign(np.eye(8, dtype="float32")[:4])
    codes = np.eye(8)[[0] * 97 + [1] * 1 + [2] * 2][None]  # a tenth of a quarter is 2.5 of 100
    assert _with_codes(detector, codes).health([raw])["clusters_used"] == 1
    codes = np.eye(8)[[0] * 97 + [1] * 3][None]
    assert _with_codes(detector, codes).health([raw])["clusters_used"] == 2


def test_there_are_no_clusters_to_use_before_k_means_and_no_codes_of_single_frames(raw):
    detector = build(pretraining="apart")
    phases = detector.phases()
    detector.set_phase(phases[0])
    assert detector.health([raw[:, :1]]) == {}
    detector.set_phase(phases[1])
    assert set(detector.health([raw])) == {"code_variance", "appearance_share", "attention_range"}
    detector.set_phase(phases[2])
    assert set(detector.health([raw])) == set(detector.health_figures)
    alone = build(streams="appearance", clusters=None)
    assert set(alone.health([raw])) == {"code_variance"}


def test_attention_acts_from_the_start(raw):
    assert build().health([raw])["attention_range"] > 1.1
    assert build(attention="softmax").health([raw])["attention_range"] < 1.1


def test_clusters_are_in_use_after_the_alternation():
    rows = []
    for seed in range(4):
        frames = np.zeros((4, 5, 32, 48, 3), np.uint8)
        frames[:] = np.array([(200, 20, 20), (20, 200, 20), (20, 20, 200), (200, 200, 20)])[:, None, None, None]
        rows.append(frames ^ np.random.default_rng(seed).integers(0, 16, frames.shape, dtype=np.uint8))
    data = TrainingData(
        lambda phase, epoch, skip: tf.data.Dataset.from_tensor_slices(np.stack(rows)),
        lambda phase: len(rows),
        lambda phase: [tf.constant(rows[0])],
    )
    detector = build(cluster_weight=0.0, code_norm="length", learning_rate=0.003, centre_learning_rate=0.003, cycles=3)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append({name: value for name, value in logs.items() if name.startswith("health_")})

    train(detector, Schedule.of(detector.phases(), 12, "constant"), data, callbacks=[Look()])
    assert "health_clusters_used" not in seen[3]
    assert all(health["health_clusters_used"] == 4 for health in seen[4:])
    assert seen[-1]["health_code_variance"] > seen[3]["health_code_variance"] / 2


# --- Scores ---


def test_the_score_is_equation_13(detector, windows, outputs):
    first, last, restored, difference = outputs
    prediction = restored + difference
    codes = detector.codes(windows).numpy().astype(float)
    centres = detector.cluster_centres.centres.numpy().astype(float)
    distance = distance_by_loops(codes, centres, alpha=25.0)
    expected, by_letter = np.zeros((2, 32, 48)), np.zeros((2, 32, 48))
    for b, h, w in np.ndindex(*expected.shape):
        residual = last[b, h, w] - prediction[b, h, w]
        expected[b, h, w] = (residual**2).mean() * distance[b, h // 8, w // 8]
        by_letter[b, h, w] = np.sqrt((residual**2).sum()) * distance[b, h // 8, w // 8]
    output = detector.anomaly(windows)
    np.testing.assert_allclose(output["maps"][:, 0], expected, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(output["frame_scores"][:, 0], expected.mean(axis=(1, 2)), rtol=1e-3)
    np.testing.assert_allclose(output["norm_error"][:, 0], by_letter.mean(axis=(1, 2)), rtol=1e-3)
    parts = {
        "appearance_error": ((first - restored) ** 2).mean(axis=-1),
        "motion_error": ((last - first - difference) ** 2).mean(axis=-1),
        "plain_error": ((last - prediction) ** 2).mean(axis=-1),
        "cluster_distance": distance,
    }
    for name, maps in parts.items():
        np.testing.assert_allclose(output[name][:, 0], maps.mean(axis=(1, 2)), rtol=1e-3, err_msg=name)


def test_the_norm_has_the_same_rows(windows, outputs, detector):
    first, last, restored, difference = outputs
    norm = build(error="norm")
    norm.set_weights(detector.get_weights())
    output, squared = norm.anomaly(windows), detector.anomaly(windows)
    np.testing.assert_allclose(output["frame_scores"], squared["norm_error"], rtol=1e-4)
    np.testing.assert_allclose(output["squared_error"], squared["frame_scores"], rtol=1e-4)
    parts = {
        "appearance_error": first - restored,
        "motion_error": last - first - difference,
        "plain_error": last - restored - difference,
    }
    for name, residual in parts.items():
        expected = np.linalg.norm(residual, axis=-1).mean(axis=(1, 2))
        np.testing.assert_allclose(output[name][:, 0], expected, rtol=1e-3, err_msg=name)


def test_the_public_code_takes_the_distance_without_its_square(windows, outputs, detector):
    _, last, restored, difference = outputs
    codes = detector.codes(windows).numpy().astype(float)
    centres = detector.cluster_centres.centres.numpy().astype(float)
    distances = np.linalg.norm(codes[..., None, :] - centres, axis=-1)
    shares = np.exp(-25.0 * distances)
    distance = (shares / shares.sum(axis=-1, keepdims=True) * distances).sum(axis=-1)
    error = ((last - restored - difference) ** 2).mean(axis=-1)
    expected = (error * distance.repeat(8, axis=1).repeat(8, axis=2)).mean(axis=(1, 2))
    for kind in ("squared", "norm"):
        scored = build(error=kind)
        scored.set_weights(detector.get_weights())
        np.testing.assert_allclose(scored.anomaly(windows)["public_error"][:, 0], expected, rtol=1e-3)


@pytest.mark.parametrize(("streams", "of"), [("appearance", "first frame"), ("motion", "difference")])
def test_one_stream_scores_by_its_own_error(streams, of, windows, outputs, detector):
    alone = build(streams=streams, clusters=None)
    for name in ("encoder", "decoder"):
        network = f"{streams}_{name}"
        getattr(alone, network).set_weights(getattr(detector, network).get_weights())
    first, last, restored, difference = outputs
    error = first - restored if of == "first frame" else last - first - difference
    output = alone.anomaly(windows)
    np.testing.assert_allclose(output["maps"][:, 0], (error**2).mean(axis=-1), rtol=1e-3, atol=1e-6)


def test_the_last_frame_of_a_window_is_scored(detector):
    assert detector.window.frames == (0, 1, 2, 3, 4)
    assert detector.score_video(raw_video(9)).frame_index.tolist() == [4, 5, 6, 7, 8]
    assert build(window_length=3).window.frames == (0, 1, 2)


def test_the_papers_regularity_is_rescaled_only_where_it_is_the_score():
    assert build().paper_rescaling == "inverse_min_max"
    assert build(pooling="excess").paper_rescaling == "min_max"


# --- Pictures ---


def test_attention_maps_are_those_of_the_three_stages(detector, windows):
    maps = detector.attention_maps(windows)
    assert [tuple(attention.shape) for attention in maps] == [(2, 2, 3)] * 3
    for attention in maps:
        np.testing.assert_allclose(tf.reduce_sum(attention**2, axis=(1, 2)), 1, rtol=1e-5)
    stacked = tf.reshape(tf.transpose(windows[:, :4], [0, 2, 3, 1, 4]), [2, 32, 48, 12])
    for attention, expected in zip(maps, detector.motion_encoder(stacked)[3:], strict=True):
        np.testing.assert_allclose(attention, expected, rtol=1e-5)


@pytest.mark.parametrize("config", [{"attention": None}, {"streams": "appearance"}])
def test_without_attention_there_are_no_maps(config, windows):
    with pytest.raises(VadError, match=r"the detector has no attention .* train one with attention"):
        build(**config).attention_maps(windows)


def test_without_clusters_a_code_belongs_to_none(windows):
    detector = build(clusters=None)
    codes = detector.codes(windows)
    with pytest.raises(VadError, match="no clusters"):
        detector.cluster_of(codes)


# --- Options ---


def test_defaults_are_the_papers():
    config = json.loads(json.dumps(SpatioTemporalDissociation(image_size=32).get_config()))
    paper = {"window_length": 5, "channels": [32, 64, 128, 256], "streams": "both", "attention": "l2", "clusters": 32}
    paper |= {"learning_rate": 1e-4, "centre_learning_rate": 1e-5, "gradient_weight": 1.0, "pooling": "mean"}
    paper |= {"pretraining": "together"}
    paper |= {"sharpness": 25.0, "cluster_weight": 0.1, "error": "squared", "code_norm": "sum"}  # the public code's
    assert {name: config[name] for name in paper} == paper


@pytest.mark.parametrize(("given", "meant"), [(True, "softmax"), (False, None), ("l2", "l2"), (None, None)])
def test_detectors_saved_with_attention_on_or_off_are_what_they_were(given, meant):
    assert build(attention=given).get_config()["attention"] == meant


def test_the_update_is_that_of_adam_for_small_gradients():
    """After many equal gradients its step is rate * g / (g + epsilon) (Kingma & Ba 2015), epsilon 1e-8 in PyTorch."""
    for optimizer in build().optimizers():
        variable = keras.Variable([0.0])
        optimizer = type(optimizer).from_config(optimizer.get_config())
        optimizer.build([variable])
        for _ in range(3000):
            before = float(variable[0])
            optimizer.apply([keras.ops.array([3e-8])])
        step = (before - float(variable[0])) / float(optimizer.learning_rate)
        assert step == pytest.approx(0.75, rel=0.15)  # with Keras' 1e-7 it is 0.23


def test_the_optimizers_are_the_papers():
    rates = [(type(optimizer), float(optimizer.learning_rate)) for optimizer in build().optimizers()]
    adam = keras.optimizers.Adam
    assert rates == [(adam, pytest.approx(rate)) for rate in (1e-4, 1e-4, 1e-5)]
    assert len(build(clusters=None).optimizers()) == 2
    assert len(build(streams="motion", clusters=None).optimizers()) == 1


def test_the_gradient_of_each_stream_is_cut_and_that_of_the_centres_is_not():
    appearance, motion, centres = build(gradient_clip=0.5).optimizers()
    variables = [keras.Variable([0.0]), keras.Variable([0.0])]
    for optimizer in (appearance, motion):
        optimizer = keras.optimizers.SGD(1.0, global_clipnorm=optimizer.global_clipnorm)
        before = [float(variable[0]) for variable in variables]
        optimizer.build(variables)
        optimizer.apply([keras.ops.array([3.0]), keras.ops.array([4.0])])
        steps = [old - float(variable[0]) for old, variable in zip(before, variables, strict=True)]
        assert steps == pytest.approx([0.3, 0.4])
    assert centres.global_clipnorm is None


def test_the_first_step_of_the_later_stream_is_as_large_as_its_rate():
    detector = build(pretraining="apart", learning_rate=0.001)
    batch = tf.constant(raw_windows(detector, batch=2))
    appearance, motion = detector.phases()[:2]
    detector.set_phase(appearance)
    for _ in range(20):
        detector.train_step(batch[:, :1])
    detector.set_phase(motion)
    kernel = detector.motion_encoder.weights[0]
    before = kernel.numpy()
    detector.train_step(batch)
    assert np.abs(kernel.numpy() - before).max() == pytest.approx(0.001, rel=0.01)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"image_size": (32, 40)}, r"image_size is \(32, 40\), but height and width must be multiples of 16"),
        ({"streams": "sound"}, "streams is 'sound', but must be one of 'both', 'appearance', 'motion'"),
        ({"channels": (4, 8, 8)}, r"channels is \(4, 8, 8\), but must hold at least 4 numbers above 0"),
        (
            {"channels": (4, 8, 6, 8)},
            r"channels are \(4, 8, 6, 8\), but must be four numbers, the last three multiples",
        ),
        ({"channels": (4, 8, 8, 8, 8)}, "but must be four numbers"),
        ({"window_length": 1}, "window_length is 1, but must be at least 2"),
        ({"clusters": 0}, "clusters is 0, but must be at least 1"),
        ({"cycles": 0}, "cycles is 0, but must be at least 1"),
        ({"cluster_weight": -1.0}, r"cluster_weight is -1.0, but must be at least 0"),
        ({"gradient_weight": -0.5}, r"gradient_weight is -0.5, but must be at least 0"),
        ({"sharpness": 0.0}, "sharpness is 0.0, but must be above 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, but must be above 0"),
        ({"centre_learning_rate": 0.0}, "centre_learning_rate is 0.0, but must be above 0"),
        ({"gradient_clip": 0.0}, "gradient_clip is 0.0, but must be above 0"),
        ({"attention": "hard"}, "attention is 'hard', but must be one of 'l2', 'softmax'"),
        ({"code_norm": "max"}, "code_norm is 'max', but must be one of 'sum', 'length'"),
        ({"pretraining": "none"}, "pretraining is 'none', but must be one of 'together', 'apart'"),
        ({"error": "cubed"}, "error is 'cubed', but must be one of 'norm', 'squared'"),
        ({"pooling": "median"}, "pooling is 'median', but must be one of 'mean', 'excess', 'max'"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(config, message):
    with pytest.raises(VadError, match=message):
        keras_vad.build("st_dissociation", **{**TINY, **config})
