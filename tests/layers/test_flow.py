import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from keras_vad.layers.flow import optical_flow


def texture(height=96, width=128, seed=0):
    """A smooth picture with structure in all directions, float64 in [0, 1]."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    smooth = scipy.ndimage.gaussian_filter(noise, 3)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def moving(u, v, n=3):
    """n frames of a picture that moves u pixels right and v pixels down a frame, float32 (1, n, 64, 96, 1)."""
    picture = texture()
    frames = [scipy.ndimage.shift(picture, (v * t, u * t), order=3, mode="wrap")[16:80, 16:112] for t in range(n)]
    return np.stack(frames)[None, ..., None].astype(np.float32)


@pytest.mark.parametrize(("u", "v"), [(0.5, 0.0), (-0.4, 0.3), (1.0, -1.0), (1.5, 0.5)])
def test_a_known_translation_is_recovered(u, v):
    flow = optical_flow(moving(u, v)).numpy()
    inside = flow[0, 0, 6:-6, 6:-6]
    # The damping shortens the flow, most where there is little texture.
    np.testing.assert_allclose(np.median(inside, axis=(0, 1)), [u, v, np.hypot(u, v)], rtol=0.2, atol=0.03)


def test_still_frames_have_no_flow():
    still = np.repeat(moving(0, 0, n=1), 4, axis=1)
    np.testing.assert_array_equal(optical_flow(still), np.zeros((1, 4, 32, 48, 3)))


def test_a_plain_picture_that_brightens_has_no_flow():
    frames = np.linspace(0.2, 0.8, 3, dtype=np.float32)[None, :, None, None, None] * np.ones(
        (1, 1, 32, 32, 1), "float32"
    )
    np.testing.assert_allclose(optical_flow(frames), 0, atol=1e-3)


def test_magnitude_and_shape():
    flow = optical_flow(moving(0.5, -0.5)[:, :, :63, :95]).numpy()
    assert flow.shape == (1, 3, 32, 48, 3)
    np.testing.assert_allclose(flow[..., 2], np.hypot(flow[..., 0], flow[..., 1]), rtol=1e-5)
    np.testing.assert_array_equal(flow[:, -1], flow[:, -2])


def test_videos_of_a_batch_are_independent():
    both = np.concatenate([moving(0.5, 0.0), moving(0.0, -0.7)])
    together = optical_flow(both).numpy()
    for row in range(2):
        np.testing.assert_allclose(together[row], optical_flow(both[row : row + 1])[0], atol=1e-5)


def test_in_a_graph_with_an_unknown_batch():
    graph = tf.function(optical_flow, input_signature=[tf.TensorSpec((None, 3, 64, 96, 1), tf.float32)])
    np.testing.assert_allclose(graph(moving(0.5, 0.2)), optical_flow(moving(0.5, 0.2)), atol=1e-5)
