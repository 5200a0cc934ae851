import numpy as np
import pytest
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.layers.noise import NOISES, corrupt

INPUTS = np.tile(np.linspace(-0.2, 0.8, 100, dtype=np.float32), (4, 500, 1))


def corrupted(noise, seed=(1, 2), **options):
    return corrupt(tf.constant(INPUTS), noise, seed=tf.constant(seed), **options).numpy()


def test_gaussian_noise_has_the_deviation_asked_for():
    difference = corrupted("gaussian", stddev=0.005) - INPUTS
    assert difference.std() == pytest.approx(0.005, rel=0.01)
    assert difference.mean() == pytest.approx(0, abs=5e-5)


def test_salt_and_pepper_hits_the_share_asked_for_with_both_extremes():
    found = corrupted("salt_and_pepper", signal_to_noise=0.95)
    inner = INPUTS[..., 1:-1]  # the extremes themselves cannot be told from salt and pepper
    hit = found[..., 1:-1] != inner
    assert hit.mean() == pytest.approx(0.05, rel=0.05)
    assert set(np.unique(found[..., 1:-1][hit])) == {INPUTS.min(), INPUTS.max()}
    salt = (found[..., 1:-1] == INPUTS.max())[hit].mean()
    assert salt == pytest.approx(0.5, abs=0.03)


def test_poisson_noise_has_the_mean_and_variance_of_counted_light():
    found = corrupted("poisson").reshape(-1, 100)
    light = INPUTS[0, 0] - INPUTS.min()
    np.testing.assert_allclose(found.mean(axis=0), INPUTS[0, 0], atol=0.01)
    np.testing.assert_allclose(found.var(axis=0), light / 255, rtol=0.15, atol=1e-6)
    np.testing.assert_allclose(((found - INPUTS.min()) * 255) % 1, 0.5, atol=0.51)  # whole counts, up to rounding


def test_no_noise_is_the_input():
    np.testing.assert_array_equal(corrupted(None), INPUTS)


@pytest.mark.parametrize("noise", NOISES)
def test_noise_depends_on_the_seed_alone(noise):
    np.testing.assert_array_equal(corrupted(noise), corrupted(noise))
    assert (corrupted(noise) != corrupted(noise, seed=(1, 3))).any()


def test_an_unknown_noise_is_refused():
    with pytest.raises(
        VadError, match="noise is 'pink', but must be one of gaussian, salt_and_pepper, poisson, or None"
    ):
        corrupted("pink")
