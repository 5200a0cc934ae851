import numpy as np
import pytest
import scipy.ndimage

from keras_vad.layers.blur import gaussian_blur


def maps(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3])
def test_blur_is_scipys(sigma):
    x = maps(3, 17, 22)
    expected = scipy.ndimage.gaussian_filter(
        x.astype(float),
        (0, sigma, sigma),
        mode="constant",
        radius=(0, int(np.ceil(3 * sigma)), int(np.ceil(3 * sigma))),
    )
    np.testing.assert_allclose(gaussian_blur(x, sigma), expected, atol=1e-6)


def test_blur_of_a_point_is_the_kernel_and_keeps_its_sum():
    x = np.zeros((1, 31, 31), np.float32)
    x[0, 15, 15] = 5
    blurred = gaussian_blur(x, 2.0).numpy()
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2) ** 2)
    kernel /= kernel.sum()
    np.testing.assert_allclose(blurred[0, 9:22, 9:22], 5 * np.outer(kernel, kernel), rtol=1e-5)
    assert blurred.sum() == pytest.approx(5, rel=1e-5)


def test_the_kernel_can_be_cut_off_earlier():
    x = maps(2, 9, 8)
    expected = scipy.ndimage.gaussian_filter(x.astype(float), (0, 1, 1), mode="constant", radius=(0, 2, 2))
    np.testing.assert_allclose(gaussian_blur(x, 1.0, radius=2), expected, atol=1e-6)
