"""Every method of the registry keeps the contract."""

import pytest

import keras_vad
from tests.models.detector_contract import DetectorContract, Tiny


def _adv3dcae_parameters():
    """Trainable weights of the paper's network with our default channels, layer by layer (Sun et al. 2020, fig. 2)."""

    def convolution(places, before, filters, norm=True):
        return places * before * filters + filters + (2 * filters if norm else 0)

    encoder = (
        convolution(1 * 2 * 2, 1, 64)
        + convolution(3 * 3 * 3, 64, 128)
        + convolution(27, 128, 256)
        + convolution(27, 256, 256)
        + convolution(27, 256, 256)
    )
    decoder = (
        convolution(27, 256, 256)
        + convolution(27, 256, 256)
        + convolution(27, 256, 128)
        + convolution(27, 128, 64)
        + convolution(1 * 2 * 2, 64, 1, norm=False)
    )
    # Three poolings by 2: 16 x 224 x 224 becomes 2 x 28 x 28.
    discriminator = (
        convolution(27, 1, 16, norm=False)
        + convolution(27, 16, 32, norm=False)
        + convolution(27, 32, 64, norm=False)
        + (2 * 28 * 28 * 64) * 64
        + 64  # first dense layer
        + 64 * 1
        + 1  # logit
    )
    return encoder + decoder + discriminator


TINY = {
    "adv3dcae": Tiny(
        config={
            "image_size": (32, 48),
            "window_length": 8,
            "window_stride": 5,
            "channels": (4, 4, 4, 4, 4),
            "discriminator_channels": (2, 2, 2),
            "learning_rate": 0.01,
        },
        parameters=_adv3dcae_parameters(),
        without_noise={"noise": None},
        loss="reconstruction",
    ),
}


class TestContract(DetectorContract):
    @pytest.fixture(scope="class", params=keras_vad.list_models())
    @classmethod
    def key(cls, request):
        return request.param

    @pytest.fixture(scope="class")
    @classmethod
    def tiny(cls, key):
        return TINY[key]
