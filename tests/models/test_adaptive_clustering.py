"""What is particular about adaptive_clustering: cuboids, the alternation of clustering and learning, the mixture."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.mixture import GaussianMixture

import keras_vad
from keras_vad.errors import VadError
from keras_vad.evaluation.cuboids import CuboidDetector
from keras_vad.models.adaptive_clustering import AdaptiveClusteringCAE, build_decoder, build_encoder
from keras_vad.testing.inputs import raw_video, raw_windows

TINY = {
    "image_size": (32, 45),
    "window_length": 4,
    "cuboid_size": (12, 16),
    "cuboid_stride": 7,
    "channels": (4, 4),
    "code_size": 6,
    "clusters": 3,
    "cuboids_per_window": 5,
}

# What tables III to VI and the text of the paper vary, some at a time.
OPTIONS = {
    "K, lambda, cuboid size and step": {
        "clusters": 2,
        "clustering_weight": 0.5,
        "cuboid_size": 20,
        "cuboid_stride": 11,
        "window_length": 2,
    },
    "no clustering, all cuboids, gray": {"clustering_weight": 0.0, "cuboids_per_window": None, "image_channels": 1},
    "codes that cannot shrink, centres that forget": {
        "centre_inputs": True,
        "code_scale": False,
        "centre_memory": 150,
        "pretraining_share": 0.5,
        "pooling": "cuboid_log",
    },
    "section IV-E's words, no noise": {
        "membership": "likeliest",
        "noise_stddev": (0.0,),
        "dropout": 0.0,
        "pooling": "excess",
        "cuboid_sampling": "motion",
    },
}


def build(**config):
    keras.utils.set_random_seed(7)
    detector = AdaptiveClusteringCAE(**{**TINY, **config})
    detector.compile()
    detector.build_optimizers()
    detector.adapt([raw_video(20, seed=1)])
    return detector


def windows_of(detector, batch=2, seed=0):
    return detector.preprocess(tf.constant(raw_windows(detector, batch=batch, seed=seed)))


def with_mixture(detector, seed=0):
    """Give the detector a mixture with components that differ, and return it as scikit-learn's."""
    generator = np.random.default_rng(seed)
    size, clusters = detector.code_size, detector.mixture_levels.shape[0]
    mixture = GaussianMixture(clusters, covariance_type="full")
    mixture.means_ = generator.normal(size=(clusters, size))
    roots = generator.normal(size=(clusters, size, size)) + 2 * np.eye(size)
    mixture.covariances_ = roots @ roots.transpose(0, 2, 1)
    mixture.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(mixture.covariances_))
    mixture.weights_ = np.arange(1, clusters + 1) / np.arange(1, clusters + 1).sum()
    detector.set_mixture(mixture)
    return mixture


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_trains_and_scores(name):
    detector = build(**OPTIONS[name])
    windows = raw_windows(detector, batch=2)
    before = [weight.numpy() for weight in detector.trainable_variables]
    for phase in detector.phases():
        detector.set_phase(phase)
        if phase.on_start:
            phase.on_start(detector, tf.data.Dataset.from_tensors(windows))
        logs = detector.train_step(tf.constant(windows))
    assert set(logs) == {"reconstruction", "clustering"}
    assert all(np.isfinite(value) for value in logs.values())
    assert any((a != b).any() for a, b in zip(before, detector.trainable_variables, strict=True))
    detector.fit_normality(tf.data.Dataset.from_tensors(windows), [raw_video(8, seed=2)])
    scores = detector.score_video(raw_video(8))
    assert len(scores) == 8
    assert np.isfinite(scores.raw).all()
    of_cuboids = {"cuboid_distance", "cuboid_top", "cuboid_mean", "cuboid_log"}
    assert set(scores.parts) == of_cuboids | {"mean_error", "excess_error", "max_error"}


# --- Networks ---


def count(model):
    return sum(weight.shape.num_elements() for weight in model.trainable_variables)


def test_table_1_and_2():
    encoder = build_encoder((24, 24, 24), (64, 128, 256), 32, (0.05, 0.03, 0.02), 0.3)
    places = [layer.output.shape[1:3] for layer in encoder.layers if isinstance(layer, keras.layers.AveragePooling2D)]
    assert places == [(12, 12), (6, 6), (3, 3)]
    assert [layer.stddev for layer in encoder.layers if hasattr(layer, "stddev")] == [0.05, 0.03, 0.02]
    assert [layer.rate for layer in encoder.layers if hasattr(layer, "rate")] == [0.3] * 4
    slopes = {layer.negative_slope for layer in encoder.layers if isinstance(layer, keras.layers.LeakyReLU)}
    assert slopes == {0.3}
    norm = 2  # weights of a batch norm for each channel
    assert count(encoder) == (
        (9 * 24 * 64 + 64 + norm * 64)
        + (9 * 64 * 128 + 128 + norm * 128)
        + (9 * 128 * 256 + 256 + norm * 256)
        + (3 * 3 * 256 * 32 + 32 + norm * 32)
    )
    decoder = build_decoder(32, (24, 24, 24), (64, 128, 256))
    assert decoder.get_layer("dense").units == 4608
    assert decoder.get_layer("reshape").output.shape[1:] == (3, 3, 512)
    assert count(decoder) == (
        (32 * 4608 + 4608)
        + (9 * 512 * 256 + 256 + norm * 256)
        + (9 * 256 * 128 + 128 + norm * 128)
        + (9 * 128 * 64 + 64 + norm * 64)
        + (9 * 64 * 32 + 32)
        + (9 * 32 * 24 + 24)
    )


def test_cuboids_of_48_have_a_fourth_stage_with_the_noise_of_the_third():
    encoder = build_encoder((48, 48, 8), (4, 4, 4, 4), 32, (0.05, 0.03, 0.02), 0.3)
    assert [layer.stddev for layer in encoder.layers if hasattr(layer, "stddev")] == [0.05, 0.03, 0.02, 0.02]
    assert encoder.get_layer("pool4").output.shape[1:3] == (3, 3)
    assert build_decoder(32, (48, 48, 8), (4, 4, 4, 4)).output_shape == (None, 48, 48, 8)


def test_defaults_are_the_papers():
    config = json.loads(json.dumps(keras_vad.build("adaptive_clustering", channels=(2, 2, 2)).get_config()))
    paper = {"image_size": [170, 170], "window_length": 8, "cuboid_size": [32, 32], "cuboid_stride": 7}
    paper |= {"noise_stddev": [0.05, 0.03, 0.02], "dropout": 0.3, "code_size": 32, "clusters": 20}
    paper |= {"clustering_weight": 0.001, "cuboids_per_window": None, "membership": "nearest", "pooling": "cuboid"}
    paper |= {
        "centre_inputs": False,
        "code_scale": True,
        "centre_memory": None,
        "components": None,
        "covariance_floor": 1e-6,
    }
    assert {name: config[name] for name in paper} == paper
    assert sum(phase.epochs for phase in AdaptiveClusteringCAE(**TINY).phases()) == 25


# --- Cuboids ---


def test_cuboids_are_cut_as_by_a_plain_loop():
    detector = build()
    assert detector.grid == (3, 5)  # (32 - 12) // 7 + 1, (45 - 16) // 7 + 1
    windows = windows_of(detector).numpy()
    low, high = detector.value_bounds.numpy()
    cuboids = detector.cuboids(tf.constant(windows)).numpy()
    assert cuboids.shape == (2, 15, 12, 16, 12)
    for row in range(3):
        for column in range(5):
            box = windows[:, :, 7 * row : 7 * row + 12, 7 * column : 7 * column + 16]
            for time in range(4):
                for channel in range(3):
                    np.testing.assert_allclose(
                        cuboids[:, 5 * row + column, :, :, 3 * time + channel],
                        (box[:, time, ..., channel] - low) / (high - low),
                        rtol=1e-5,
                    )
    chosen = tf.constant([[14, 0, 7], [3, 3, 11]])
    expected = np.stack([cuboids[window, numbers] for window, numbers in enumerate(chosen.numpy())])
    np.testing.assert_array_equal(detector.cuboids(tf.constant(windows), chosen), expected)


def test_the_bounds_are_those_of_the_training_frames_without_background():
    detector = build()
    video = raw_video(20, seed=1)
    whole = detector.preprocess(tf.constant(video)).numpy()
    np.testing.assert_allclose(detector.value_bounds, [whole.min(), whole.max()], atol=1e-6)
    parts = AdaptiveClusteringCAE(**TINY)
    parts.adapt(iter([video[:3], video[3:]]))
    np.testing.assert_allclose(parts.value_bounds, detector.value_bounds, atol=1e-6)
    np.testing.assert_allclose(parts.background, detector.background, atol=1e-6)
    cuboids = detector.cuboids(tf.constant(whole[None, :4])).numpy()
    assert cuboids.min() >= -1e-6
    assert cuboids.max() <= 1 + 1e-6


def test_frames_that_never_change_have_bounds_too():
    detector = AdaptiveClusteringCAE(**TINY)
    still = np.full((6, 40, 56, 3), 90, np.uint8)
    detector.adapt([still])
    assert np.isfinite(detector.cuboids(detector.preprocess(tf.constant(still[None, :4])))).all()


def test_the_encoder_can_see_unchanged_ground_as_zero():
    plain, centred = build(), build(centre_inputs=True)
    plain.set_weights(centred.get_weights())
    ground = tf.zeros((1, 4, 32, 45, 3))  # as preprocess gives frames that are the background
    cuboids = centred.cuboids(ground)[0]
    low, high = centred.value_bounds.numpy()
    np.testing.assert_allclose(cuboids, np.full(cuboids.shape, -low / (high - low)), rtol=1e-5)
    assert 0.3 < float(cuboids[0, 0, 0, 0]) < 0.7
    still = tf.zeros((1, 12, 16, 12))
    np.testing.assert_allclose(centred.encode(cuboids), plain.encode(still).numpy().repeat(15, axis=0), atol=1e-5)
    losses = centred.losses_of_cuboids(cuboids, tf.zeros(2, tf.int32), training=False)
    assert float(losses["clustering"]) == pytest.approx(plain.centres(plain.encode(still)).numpy().min() / 2, rel=1e-4)
    restored = centred.decoder(centred.encode(cuboids), training=False)  # the decoder restores values in [0, 1]
    expected = (1 - tf.image.ssim(restored, cuboids, 1.0, filter_size=11).numpy()) / 2
    assert float(losses["reconstruction"]) == pytest.approx(expected.mean(), rel=1e-4)


def test_drawn_cuboids_differ_within_a_window_and_by_seed():
    detector = build()
    windows = tf.zeros((200, 4, 32, 45, 3))
    drawn = detector.draw(windows, 5, tf.constant([1, 2])).numpy()
    assert drawn.shape == (200, 5)
    assert all(len(set(row)) == 5 for row in drawn.tolist())
    counts = np.bincount(drawn.ravel(), minlength=15)
    assert (counts > 30).all()  # 67 on average
    np.testing.assert_array_equal(drawn, detector.draw(windows, 5, tf.constant([1, 2])))
    assert (drawn != detector.draw(windows, 5, tf.constant([1, 3])).numpy()).any()


def test_cuboids_can_be_drawn_by_their_motion():
    detector = build(cuboid_sampling="motion", window_length=2)
    windows = np.zeros((4000, 2, 32, 45, 3), "float32")
    windows[:, 1, 2, 1] = 1.0  # inside the first cuboid only
    windows[:, 1, 16, 12] = 0.5  # inside four cuboids
    drawn = detector.draw(tf.constant(windows), 1, tf.constant([1, 2])).numpy().ravel()
    change = np.zeros(15)
    change[0] = 1.0
    change[[5, 6, 10, 11]] += 0.5  # rows 7 to 18 and 14 to 25, columns 0 to 15 and 7 to 22
    assert [number for number in range(15) if change[number] == 0.5] == [5, 6, 10, 11]
    weights = change / change.mean() + 0.1
    np.testing.assert_allclose(np.bincount(drawn, minlength=15) / 4000, weights / weights.sum(), atol=0.02)
    still = detector.draw(tf.zeros((400, 2, 32, 45, 3)), 15, tf.constant([1, 2])).numpy()
    assert all(sorted(row) == list(range(15)) for row in still.tolist())


# --- Learning ---


def test_losses_by_hand():
    detector = build(noise_stddev=(0.0,), dropout=0.0, cuboids_per_window=None, ssim_window=5)
    cuboids = tf.reshape(detector.cuboids(windows_of(detector)), [-1, 12, 16, 12])
    seed = tf.zeros(2, tf.int32)
    losses = detector.losses_of_cuboids(cuboids, seed, training=False)
    codes = detector.encode(cuboids).numpy().astype(float)
    centres = detector.centres.centres.numpy().astype(float)
    nearest = np.array([min(((code - centre) ** 2).sum() for centre in centres) for code in codes])
    assert float(losses["clustering"]) == pytest.approx(nearest.mean() / 2, rel=1e-4)
    restored = detector.decoder(codes, training=False)
    expected = (1 - tf.image.ssim(restored, cuboids, 1.0, filter_size=5).numpy()) / 2
    assert float(losses["reconstruction"]) == pytest.approx(expected.mean(), rel=1e-4)


def test_centres_move_as_by_the_update_of_one_code_after_the_other():
    detector = build()
    generator = np.random.default_rng(0)
    detector.counts.assign([100.0, 2.0, 7.0])
    centres, counts = detector.centres.centres.numpy().astype(float), [100, 2, 7]
    for _ in range(3):
        codes = generator.normal(size=(40, 6)).astype("float32")
        assigned = generator.integers(0, 2, 40)  # none to the last one
        for code, own in zip(codes, assigned, strict=True):
            counts[own] += 1
            centres[own] -= (centres[own] - code) / counts[own]
        detector.update_centres(tf.constant(codes), tf.one_hot(assigned, 3))
    np.testing.assert_allclose(detector.centres.centres, centres, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(detector.counts, counts)
    assert counts[2] == 7


def test_a_centre_with_a_memory_counts_only_so_many_codes():
    detector = build(centre_memory=50)
    detector.counts.assign([100.0, 2.0, 7.0])
    before = detector.centres.centres.numpy().astype(float)
    codes = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    detector.update_centres(tf.constant(codes), tf.one_hot([0] * 10 + [1] * 30, 3))
    first = (50 * before[0] + codes[:10].sum(axis=0)) / 60  # 100 earlier ones weigh as much as 50
    second = (2 * before[1] + codes[10:].sum(axis=0)) / 32
    np.testing.assert_allclose(detector.centres.centres, [first, second, before[2]], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(detector.counts, [60, 32, 7])


def test_pretraining_takes_its_share_of_the_epochs():
    def epochs(share):
        return [phase.epochs for phase in AdaptiveClusteringCAE(**TINY, pretraining_share=share).phases()]

    assert [epochs(0.2), epochs(0.6), epochs(0.001), epochs(0.999)] == [[5, 20], [15, 10], [1, 24], [24, 1]]


def test_a_step_moves_the_centres_to_the_codes_of_the_new_networks():
    detector = build(noise_stddev=(0.0,), dropout=0.0, cuboids_per_window=None, clustering_weight=0.1)
    detector.set_phase(detector.phases()[1])
    frames = tf.constant(raw_windows(detector, batch=2))
    centres = detector.centres.centres.numpy()
    detector.train_step(frames)
    cuboids = tf.reshape(detector.cuboids(detector.preprocess(frames)), [-1, 12, 16, 12])
    codes = detector.encode(cuboids).numpy()
    assigned = ((codes[:, None] - centres[None]) ** 2).sum(axis=-1).argmin(axis=1)
    for number, centre in enumerate(centres):
        own = codes[assigned == number]
        expected = (100 * centre + own.sum(axis=0)) / (100 + len(own))
        np.testing.assert_allclose(detector.centres.centres[number], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(detector.counts, 100 + np.bincount(assigned, minlength=3))


def test_pretraining_leaves_the_centres_alone_and_clustering_pulls_the_codes_together():
    detector = build(clustering_weight=1.0, learning_rate=0.01)
    windows = raw_windows(detector)
    pretraining, clustering = detector.phases()
    detector.set_phase(pretraining)
    before = detector.centres.centres.numpy(), detector.counts.numpy()
    detector.train_step(tf.constant(windows))
    np.testing.assert_array_equal(detector.centres.centres, before[0])
    np.testing.assert_array_equal(detector.counts, before[1])

    detector.set_phase(clustering)
    clustering.on_start(detector, tf.data.Dataset.from_tensors(windows))
    assert (detector.centres.centres.numpy() != before[0]).any()
    np.testing.assert_array_equal(detector.counts, [100] * 3)
    step = tf.function(detector.train_step, jit_compile=False, autograph=False)
    losses = [float(step(tf.constant(windows))["clustering"]) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert not any(weight is detector.centres.centres for weight in detector.trainable_variables)


def windows_of_kinds(batch):
    """Gray windows, 4 frames of 32 x 45: on each quarter a disc of its own size, moving its own way, or nothing."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:32, :45]
    windows = np.full((batch, 4, 32, 45, 3), 90, np.uint8)
    for window in range(batch):
        for top, left in ((0, 0), (0, 22), (16, 0), (16, 22)):
            kind = generator.integers(4)
            radius, (down, right) = (0, 3, 5, 7)[kind], ((0, 0), (0, 2), (1, 0), (0, -1))[kind]
            for time in range(4):
                place = (y - top - 8 - down * time) ** 2 + (x - left - 11 - right * time) ** 2 < radius**2
                windows[window, time, place] = 30 + 60 * kind
    return windows


def alternated(**config):
    """A detector after pretraining and an alternation in which the clustering weighs much, and its health."""
    detector = build(
        image_channels=1, clusters=4, clustering_weight=0.3, learning_rate=0.01, cuboids_per_window=None, **config
    )
    windows = windows_of_kinds(12)
    detector.adapt([windows.reshape(-1, 32, 45, 3)])
    step = tf.function(detector.train_step, jit_compile=False, autograph=False)
    for phase, steps in zip(detector.phases(), (40, 90), strict=True):
        detector.set_phase(phase)
        if phase.on_start:
            phase.on_start(detector, tf.data.Dataset.from_tensors(windows))
        for _ in range(steps):
            step(tf.constant(windows))
    return detector.health([tf.constant(windows)])


def test_without_a_scale_clusters_stay_in_use_and_codes_as_wide_as_the_centres():
    figures = alternated(code_scale=False, centre_memory=500)
    assert figures["clusters_used"] == 4
    assert figures["largest_cluster"] < 0.7  # half of the places are empty
    assert figures["code_spread"] == pytest.approx(1, abs=0.3)
    assert figures["code_variance"] > 0.3


def test_with_a_scale_the_codes_shrink():
    figures = alternated()
    assert figures["clusters_used"] < 4
    assert figures["largest_cluster"] > 0.8
    assert figures["code_spread"] < 0.2


def test_health_by_hand():
    detector = build(cuboids_per_window=None, noise_stddev=(0.0,), dropout=0.0, clustering_weight=0.5, ssim_window=5)
    batches = [tf.constant(raw_windows(detector, batch=2, seed=seed)) for seed in (0, 1)]
    detector.set_phase(detector.phases()[0])
    cuboids = tf.concat(
        [tf.reshape(detector.cuboids(detector.preprocess(one)), [-1, 12, 16, 12]) for one in batches], 0
    )
    codes = detector.encode(cuboids).numpy().astype(float)  # all 15 of each window
    variance = codes.var(axis=0).mean()
    assert detector.health(batches) == {"code_variance": pytest.approx(variance, rel=1e-4)}

    detector.set_phase(detector.phases()[1])
    far = 100 * np.ones(6)  # a centre that nothing belongs to
    centres = np.stack([codes[0], codes[1], far])
    detector.centres.centres.assign(centres)
    squares = ((codes[:, None] - centres) ** 2).sum(axis=-1)
    shares = np.bincount(squares.argmin(axis=1), minlength=3) / 60
    assert (shares[:2] > 0.1 / 3).all() and shares[2] == 0
    losses = detector.losses_of_cuboids(cuboids, tf.zeros(2, tf.int32), training=False)
    clustering = 0.5 * squares.min(axis=1).mean() / 2
    assert clustering == pytest.approx(0.5 * float(losses["clustering"]), rel=1e-3)
    figures = detector.health(batches)
    assert set(figures) == set(detector.health_figures)
    assert figures == pytest.approx(
        {
            "code_variance": variance,
            "code_spread": variance / centres.var(axis=0).mean(),
            "clusters_used": 2,
            "largest_cluster": shares.max(),
            "clustering_share": clustering / (clustering + float(losses["reconstruction"])),
        },
        rel=1e-3,
    )


def test_kmeans_finds_the_centres_of_drawn_codes():
    detector = build(clusters=2, cuboids_per_window=None)
    windows = tf.data.Dataset.from_tensor_slices(raw_windows(detector, batch=6)).batch(2)
    detector.initialise_centres(windows)
    codes = detector.codes(detector.preprocess(tf.constant(raw_windows(detector, batch=6)))).numpy().reshape(-1, 6)
    assigned = np.asarray(detector.assign(tf.constant(codes)))
    for number in range(2):  # where k-means ends, every centre is the mean of its codes
        np.testing.assert_allclose(
            detector.centres.centres[number], codes[assigned == number].mean(axis=0), rtol=1e-3, atol=1e-4
        )


# --- Scores ---


def test_a_distance_is_equation_12_and_13():
    detector = build()
    mixture = with_mixture(detector)
    codes = np.random.default_rng(1).normal(size=(2, 50, 6))
    found = detector.distances(tf.constant(codes, tf.float32)).numpy()
    chosen = set()
    for index in np.ndindex(2, 50):
        code = codes[index]
        nearest = min(range(3), key=lambda k: np.linalg.norm(code - mixture.means_[k]))
        offset = code - mixture.means_[nearest]
        expected = np.sqrt(offset @ np.linalg.inv(mixture.covariances_[nearest]) @ offset)
        assert found[index] == pytest.approx(expected, rel=1e-3)
        chosen.add(nearest)
    assert len(chosen) == 3


def test_the_likeliest_component_is_scikit_learns():
    detector = build(membership="likeliest")
    mixture = with_mixture(detector)
    codes = np.random.default_rng(1).normal(size=(80, 6))
    own = mixture.predict(codes)
    offsets = codes - mixture.means_[own]
    expected = np.sqrt(np.einsum("ni,nij,nj->n", offsets, np.linalg.inv(mixture.covariances_)[own], offsets))
    np.testing.assert_allclose(detector.distances(tf.constant(codes, tf.float32)), expected, rtol=1e-3)
    nearest = build()
    with_mixture(nearest)
    assert (np.abs(nearest.distances(tf.constant(codes, tf.float32)) - expected) > 0.1).any()


def test_fit_normality_fits_the_mixture_to_the_training_cuboids():
    detector = build(covariance_floor=1e-3)
    windows = raw_windows(detector, batch=6)
    detector.fit_normality(tf.data.Dataset.from_tensor_slices(windows).batch(2), [raw_video(12)], alarm_quantile=0.9)
    codes = detector.codes(detector.preprocess(tf.constant(windows))).numpy().reshape(-1, 6).astype(float)
    means, factors = detector.mixture_means.numpy(), detector.mixture_factors.numpy()
    precisions = factors @ factors.transpose(0, 2, 1)
    # Where EM ends, the components' means, weighted by what belongs to them, add up to the mean of all codes.
    floor = 1e-3 * codes.var(axis=0).mean()
    expected = GaussianMixture(3, reg_covar=floor, max_iter=200, random_state=0).fit(codes)
    order, expected_order = means[:, 0].argsort(), expected.means_[:, 0].argsort()
    np.testing.assert_allclose(means[order], expected.means_[expected_order], atol=0.05)
    np.testing.assert_allclose(
        precisions[order], expected.precisions_[expected_order], rtol=0.2, atol=0.02 * precisions.max()
    )
    distances = detector.distances(tf.constant(codes, tf.float32)).numpy()
    assert (distances > float(detector.normal_distance)).mean() == pytest.approx(0.1, abs=0.03)


def test_the_floor_of_the_mixture_is_a_share_of_the_variance_of_the_codes():
    windows = raw_windows(build(), batch=6)
    detector = build(clusters=1, covariance_floor=0.5)
    detector.fit_normality(tf.data.Dataset.from_tensors(windows), [raw_video(8)])
    codes = detector.codes(detector.preprocess(tf.constant(windows))).numpy().reshape(-1, 6).astype(float)
    precision = detector.mixture_factors.numpy()[0] @ detector.mixture_factors.numpy()[0].T
    expected = np.cov(codes.T, bias=True) + 0.5 * codes.var(axis=0).mean() * np.eye(6)
    np.testing.assert_allclose(precision @ expected, np.eye(6), atol=0.01)


def test_fewer_cuboids_than_components():
    detector = build(clusters=16)
    with pytest.raises(VadError, match="there are 15 training cuboids, but the mixture has 16 components; give more"):
        detector.fit_normality(tf.data.Dataset.from_tensors(raw_windows(detector, batch=1)), [raw_video(8)])


def test_the_mixture_may_have_more_components_than_there_are_centres():
    detector = build(clusters=2, components=4)
    assert detector.centres.centres.shape == (2, 6) and detector.mixture_means.shape == (4, 6)
    windows = tf.data.Dataset.from_tensors(raw_windows(detector, batch=8))
    detector.fit_normality(windows, [raw_video(8)])
    assert len(np.unique(detector.mixture_means.numpy(), axis=0)) == 4
    again = AdaptiveClusteringCAE.from_config(json.loads(json.dumps(detector.get_config())))
    again.set_weights(detector.get_weights())
    few = windows_of(detector)
    np.testing.assert_array_equal(again.cuboid_scores(few), detector.cuboid_scores(few))


def test_frames_and_maps_are_made_of_cuboids():
    detector = build()
    with_mixture(detector)
    windows = windows_of(detector)
    scores = detector.cuboid_scores(windows).numpy()
    assert scores.shape == (2, 3, 5)
    codes = detector.codes(windows).numpy().reshape(2, 3, 5, 6)
    np.testing.assert_allclose(detector.distances(tf.constant(codes)), scores, rtol=1e-5)
    output = detector.anomaly(windows)
    np.testing.assert_array_equal(output["frame_scores"], np.repeat(scores.max(axis=(1, 2))[:, None], 4, axis=1))
    total, covering = np.zeros((2, 32, 45)), np.zeros((32, 45))
    for row in range(3):
        for column in range(5):
            box = np.s_[7 * row : 7 * row + 12, 7 * column : 7 * column + 16]
            total[(slice(None), *box)] += scores[:, row, column, None, None]
            covering[box] += 1
    assert (covering == 0).any()
    expected = total / np.maximum(covering, 1)
    for time in range(4):
        np.testing.assert_allclose(output["maps"][:, time], expected, rtol=1e-4)
    np.testing.assert_allclose(output["mean_error"][:, 0], expected.mean(axis=(1, 2)), rtol=1e-4)


@pytest.mark.parametrize(
    ("pooling", "score"),
    [
        ("cuboid", lambda distances: distances.max()),
        ("cuboid_top", lambda distances: np.sort(distances)[-6:].mean()),  # 2 x 3 cuboids of 12 x 16 every 7 pixels
        ("cuboid_mean", np.mean),
        ("cuboid_log", lambda distances: np.log(distances).mean()),
    ],
)
def test_a_frame_can_be_scored_by_its_cuboids(pooling, score):
    detector = build(pooling=pooling)
    with_mixture(detector)
    windows = windows_of(detector)
    distances = detector.cuboid_scores(windows).numpy().reshape(2, 15)
    output = detector.anomaly(windows)
    expected = np.repeat([[score(of_window)] for of_window in distances], 4, axis=1)
    np.testing.assert_allclose(output["frame_scores"], expected, rtol=1e-4)
    part = {"cuboid": "cuboid_distance"}.get(pooling, pooling)
    np.testing.assert_array_equal(output["frame_scores"], output[part])
    assert part in detector.parts


def test_a_distance_of_zero_has_a_logarithm():
    detector = build(pooling="cuboid_log")
    assert np.isfinite(detector.anomaly(tf.zeros((1, 4, 32, 45, 3)))["frame_scores"]).all()


@pytest.mark.parametrize("pooling", ["mean", "excess", "max"])
def test_a_frame_can_be_scored_by_its_map(pooling):
    detector = build(pooling=pooling)
    with_mixture(detector)
    output = detector.anomaly(windows_of(detector))
    np.testing.assert_array_equal(output["frame_scores"], output[f"{pooling}_error"])
    assert (output["frame_scores"] != output["cuboid_distance"]).numpy().any()
    assert detector.get_config()["pooling"] == pooling


def test_it_offers_what_the_evaluation_of_cuboids_needs():
    assert isinstance(build(), CuboidDetector)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"image_channels": 2}, "image_channels is 2, but must be one of 1, 3"),
        (
            {"cuboid_size": 14},
            r"cuboid_size is \(14, 14\), but must be a multiple of 4, because the encoder's 2 stages",
        ),
        ({"cuboid_size": 36}, r"cuboid_size is \(36, 36\), but must fit into image_size, \(32, 45\); make it smaller"),
        ({"cuboid_size": 0}, r"cuboid_size is 0, but must be \(height, width\)"),
        ({"cuboid_stride": 0}, "cuboid_stride is 0, but must be at least 1"),
        ({"ssim_window": 13}, r"ssim_window is 13, but must be at least 1 and fit into cuboid_size, \(12, 16\)"),
        ({"cuboids_per_window": 16}, "cuboids_per_window is 16, but a window has 15 cuboids; give a number between 1"),
        ({"cuboids_per_window": 0}, "cuboids_per_window is 0, but a window has 15 cuboids"),
        ({"channels": ()}, r"channels is \(\), but must hold at least one number"),
        ({"code_size": 0}, "code_size is 0, but must be at least 1"),
        ({"clusters": 0}, "clusters is 0, but must be at least 1"),
        ({"components": 0}, "components is 0, but must be at least 1"),
        ({"clustering_weight": -1}, "clustering_weight is -1, but must be at least 0"),
        ({"noise_stddev": (0.1, -0.1)}, "noise_stddev is -0.1, but must be at least 0"),
        ({"noise_stddev": ()}, "noise_stddev holds no number, but must hold at least one"),
        ({"dropout": 1.0}, r"dropout is 1.0, but must be at least 0 and below 1"),
        ({"cuboid_sampling": "best"}, "cuboid_sampling is 'best', but must be one of 'uniform', 'motion'"),
        ({"membership": "random"}, "membership is 'random', but must be one of 'nearest', 'likeliest'"),
        ({"covariance_floor": 0}, "covariance_floor is 0, but must be above 0"),
        ({"pooling": "median"}, "pooling is 'median', but must be one of 'cuboid', 'cuboid_top', 'cuboid_mean', 'cubo"),
        ({"centre_memory": 0}, "centre_memory is 0, but must be at least 1"),
        ({"pretraining_share": 1.0}, "pretraining_share is 1.0, but must lie between 0 and 1, for example 0.2"),
        ({"pooling_sigma": 0}, "pooling_sigma is 0, but must be above 0"),
        ({"learning_rate": 0}, "learning_rate is 0, but must be above 0"),
    ],
)
def test_bad_options_are_named(config, message):
    with pytest.raises(VadError, match=message):
        AdaptiveClusteringCAE(**{**TINY, **config})
