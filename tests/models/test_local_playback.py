"""What is particular about local_playback: clips at any rate, one answer for every place."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.errors import VadError
from keras_vad.models.local_playback import LocalPlaybackRate

TINY = {"image_size": (32, 48), "window_length": 6, "channels": (16, 32), "kernel_size": 7, "rate_range": (2.0, 4.0)}


def build(**config):
    keras.utils.set_random_seed(7)
    detector = LocalPlaybackRate(**{**TINY, **config})
    detector.compile()
    detector.build_optimizers()
    return detector


def street(n_frames, speeds, seed):
    """Squares of 7 pixels on two lanes of a textured ground, each lane at a speed, uint8 (n, 32, 48, 3)."""
    generator = np.random.default_rng(seed)
    video = np.tile(generator.integers(80, 110, (32, 48, 1)), (n_frames, 1, 1, 3)).astype(np.uint8)
    for top, speed in zip((4, 21), speeds, strict=True):
        places = generator.uniform(0, 60) + np.arange(3) * 20.0
        grays = generator.integers(0, 60, 3)
        for time, frame in enumerate(video):
            for place, gray in zip(places, grays, strict=True):
                left = int((place + speed * time) % 60) - 8
                frame[top : top + 7, max(0, left) : max(0, left + 7)] = gray
    return video


# --- Clips ---


def ramp(detector, batch):
    """Windows whose brightness is 4 times the number of the frame, so that a clip shows when its frames are from."""
    length = detector.training_window.length
    frames = np.broadcast_to(4 * np.arange(length, dtype=np.uint8)[:, None, None, None], (length, 32, 48, 3))
    return tf.constant(np.tile(frames, (batch, 1, 1, 1, 1)))


def test_clips_run_at_a_rate_of_the_range_or_at_the_original_one():
    detector = build(mixed=False)
    assert detector.training_window.length == 5 * 4 + 1
    clips, accelerated, boxes = detector.clips(ramp(detector, 400), tf.constant([1, 2]))
    np.testing.assert_array_equal(boxes, np.tile([[0.0, 1.0, 0.0, 1.0]], (400, 1)))
    times = clips.numpy()[:, :, 0, 0, 0] * 255.0 / 4.0
    np.testing.assert_allclose(times, np.round(times), atol=1e-3)  # whole frames, not blends
    rates = np.diff(times, axis=1)
    assert rates.min() > 0.9  # no frame comes twice
    assert (rates - rates[:, :1]).max() < 1.1  # one rate all through, to the frame
    rate, accelerated = rates.mean(axis=1), accelerated.numpy() == 1.0
    assert 0.4 < accelerated.mean() < 0.6
    np.testing.assert_allclose(rate[~accelerated], 1.0, atol=1e-3)
    assert rate[accelerated].min() == pytest.approx(2.0, abs=0.21) and rate[accelerated].max() == pytest.approx(
        4.0, abs=0.21
    )
    assert np.median(rate[accelerated]) == pytest.approx(np.sqrt(8.0), abs=0.3)  # uniform in the logarithm
    assert times.min() >= 0.0 and times.max() <= 20.0 + 1e-3  # anywhere in the window
    assert times[~accelerated, 0].max() > 13.0


def test_half_of_the_clips_are_mirrored():
    frames = np.zeros((200, build().training_window.length, 32, 48, 3), np.uint8)
    frames[:, :, :, 24:] = 255
    for mirror, share in ((True, 0.5), (False, 0.0)):
        clips, _, _ = build(mirror=mirror).clips(tf.constant(frames), tf.constant([3, 4]))
        assert (clips.numpy()[:, 0, 0, 0, 0] > 0.5).mean() == pytest.approx(share, abs=0.1)


def test_a_mixed_clip_is_accelerated_in_its_rectangle_only():
    detector = build()
    clips, accelerated, boxes = (value.numpy() for value in detector.clips(ramp(detector, 60), tf.constant([5, 6])))
    rates = np.diff(clips[..., 0] * 255.0 / 4.0, axis=1).mean(axis=1)  # of every pixel
    heights, widths = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    assert boxes.min() >= 0.0 and boxes.max() <= 1.0 + 1e-6
    assert heights.min() >= 0.2 and heights.max() <= 0.7 and widths.min() >= 0.15 and widths.max() <= 0.6
    for rate, fast, (top, bottom, left, right) in zip(rates, accelerated, boxes, strict=True):
        rows, columns = np.arange(32)[:, None] + 0.5, np.arange(48) + 0.5
        inside = (32 * top < rows) & (rows < 32 * bottom) & (48 * left < columns) & (columns < 48 * right)
        edge = np.minimum.reduce(  # pixels that the border crosses may count to either side
            np.broadcast_arrays(
                *(
                    np.abs(a - b)
                    for a, b in ((rows, 32 * top), (rows, 32 * bottom), (columns, 48 * left), (columns, 48 * right))
                )
            )
        )
        clear = edge > 1.0
        np.testing.assert_allclose(rate[~inside & clear], 1.0, atol=1e-3)
        if fast:
            assert rate[inside & clear].min() > 1.7
        else:
            np.testing.assert_allclose(rate[inside & clear], 1.0, atol=1e-3)


def test_the_loss_asks_within_the_rectangle_and_outside():
    detector = build(least_motion=0.0)
    frames = tf.constant(street(detector.training_window.length, (1, 1), 3)[None].repeat(4, axis=0))
    clips, accelerated, boxes = detector.clips(frames, detector.random_seed(tf.constant(0)))
    places = detector.network(detector.seen(clips), training=False).numpy()
    losses = []
    for sample, fast, (top, bottom, left, right) in zip(places, accelerated.numpy(), boxes.numpy(), strict=True):
        rows = np.clip(np.minimum(8 * bottom, np.arange(8) + 1) - np.maximum(8 * top, np.arange(8)), 0, 1)
        columns = np.clip(np.minimum(12 * right, np.arange(12) + 1) - np.maximum(12 * left, np.arange(12)), 0, 1)
        cover = rows[:, None] * columns
        log_odds = [np.log(np.exp(4.0 * sample[mask]).mean()) / 4.0 for mask in (cover > 0.5, cover < 0.05)]
        losses.append(np.log1p(np.exp(log_odds[0])) - fast * log_odds[0] + np.log1p(np.exp(log_odds[1])))
    loss = detector.compute_losses(frames, training=False)["playback"]
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_rectangle_in_which_nothing_moves_teaches_nothing():
    still = tf.constant(street(1, (1, 1), 4)[None].repeat(build().training_window.length, axis=1).repeat(4, axis=0))
    everything = build(least_motion=0.0).compute_losses(still, training=False)["playback"]
    telling = build(least_motion=0.012).compute_losses(still, training=False)["playback"]
    # The two accelerated clips of four are left out within their rectangles; what they would have added is positive.
    assert 0.0 < float(telling) < float(everything)


# --- Scores ---


def test_what_stands_still_is_not_seen():
    detector = build()
    moving = street(6, (2, 1), 5)
    brighter = moving + 40
    windows = [detector.preprocess(tf.constant(video[None])) for video in (moving, brighter)]
    scores = [detector.anomaly(window)["frame_scores"].numpy() for window in windows]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    everything = build(subtract_clip_mean=False)
    scores = [everything.anomaly(window)["frame_scores"].numpy() for window in windows]
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_places_are_pooled_by_their_log_mean_exp():
    detector = build(sharpness=2.0)
    places = np.random.default_rng(0).normal(size=(3, 8, 12)).astype("float32")
    expected = np.log(np.exp(2.0 * places).mean(axis=(1, 2))) / 2.0
    np.testing.assert_allclose(detector.pool(tf.constant(places)), expected, rtol=1e-5)


def test_the_map_is_the_softplus_of_the_places():
    detector = build()
    windows = detector.preprocess(tf.constant(street(6, (1, 1), 0)[None]))
    places = detector.network(detector.seen(windows), training=False).numpy()[0]
    output = {name: value.numpy()[0] for name, value in detector.anomaly(windows).items()}
    np.testing.assert_allclose(output["maps"], np.tile(np.log1p(np.exp(places)), (6, 1, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(output["max_log_odds"], places.max(), rtol=1e-5)
    np.testing.assert_allclose(output["mean_log_odds"], places.mean(), rtol=1e-4, atol=1e-6)


def test_frames_are_padded_alike_on_all_sides():
    network = build(channels=(1,), kernel_size=5).network
    network.get_layer("conv1").kernel.assign(np.ones((5, 5, 6, 1)))
    sums = (
        keras.Model(network.inputs, network.get_layer("conv1").output)(np.ones((1, 6, 32, 48, 1))).numpy()[0, ..., 0]
        / 6.0
    )
    # Cell 0 looks 2 pixels to every side of pixel 0, the last one of pixel 46 of 48.
    np.testing.assert_allclose(sums[5, [0, 1, 5, -1]], [15.0, 25.0, 25.0, 20.0])
    np.testing.assert_allclose(sums[[0, 1, 5, -1], 5], [15.0, 25.0, 25.0, 20.0])


def test_it_learns_to_see_what_is_fast_and_where():
    detector = build(learning_rate=0.005, rate_range=(2.0, 3.0))
    length = detector.training_window.length
    videos = [street(60, (1, 1), seed) for seed in range(4)]
    generator = np.random.default_rng(0)
    step = tf.function(detector.train_step, autograph=False)
    for _ in range(150):
        starts = generator.integers(0, 60 - length + 1, 8)
        clips = [videos[number % 4][start : start + length] for number, start in enumerate(starts)]
        step(tf.constant(np.stack(clips)))
    normal = detector.score_video(street(40, (1, 1), 10), maps=True)
    upper = detector.score_video(street(40, (2.5, 1), 11), maps=True)
    lower = detector.score_video(street(40, (1, 2.5), 12), maps=True)
    assert np.median(upper.raw) > normal.raw.max() and np.median(lower.raw) > normal.raw.max()
    for scores, fast, slow in ((upper, np.s_[:4], np.s_[4:]), (lower, np.s_[4:], np.s_[:4])):
        assert scores.maps[:, fast].mean() > 2.0 * scores.maps[:, slow].mean()


# --- Options ---


def test_it_is_light():
    assert 4 * keras_vad.build("local_playback").count_params() < 1_000_000  # bytes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"rate_range": (0.5, 2.0)},
            r"rate_range is \(0.5, 2.0\), but must hold the lowest and the highest rate, both",
        ),
        ({"rate_range": (3.0, 2.0)}, r"rate_range is \(3.0, 2.0\), but must hold"),
        ({"rate_range": (2.0,)}, r"rate_range is \(2.0,\), but must hold"),
        ({"accelerated_share": 1.5}, "accelerated_share is 1.5, but must lie between 0 and 1"),
        ({"least_motion": -0.1}, "least_motion is -0.1, but must be at least 0"),
        ({"window_length": 1}, "window_length is 1, but must be at least 2"),
        ({"kernel_size": 4}, "kernel_size is 4, but must be odd"),
        ({"channels": ()}, r"channels is \(\), but must hold at least one number above 0"),
        ({"sharpness": 0.0}, "sharpness is 0.0, but must be above 0"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(config, message):
    with pytest.raises(VadError, match=message):
        keras_vad.build("local_playback", **{**TINY, **config})
