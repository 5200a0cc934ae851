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


def _luss_ae_parameters():
    """Trainable weights of the paper's network, layer by layer (Lohani et al. 2023, section 4.3 and table 6)."""

    def convolution(places, before, filters, norm=True):
        return places * before * filters + filters + (2 * filters if norm else 0)

    encoder = convolution(27, 1, 96) + convolution(27, 96, 128) + convolution(27, 128, 256) + convolution(27, 256, 256)
    decoder = convolution(27, 256, 256) + convolution(27, 256, 128) + convolution(27, 128, 96)
    decoder += convolution(27, 96, 1, norm=False)
    assert encoder + decoder == 5_980_801
    prediction_head = convolution(9, 16, 1, norm=False)
    # The latent's 2 x 16 x 16 places are pooled to 8 x 8 before the convolution and to 4 x 4 after it.
    playback_head = convolution(9, 256, 32, norm=False)
    playback_head += (4 * 4 * 32) * 128 + 128 + 128 * 32 + 32 + 32 * 2 + 2
    assert playback_head == 143_618
    assert encoder + decoder + prediction_head + playback_head == 6_124_564
    return encoder + decoder + prediction_head + playback_head


def _conv_ae_parameters():
    """Trainable weights of Hasan et al. 2016, section 3.2, layer by layer: kernels and biases."""
    encoder = (121 * 10 * 512 + 512) + (25 * 512 * 256 + 256) + (9 * 256 * 128 + 128)
    decoder = (9 * 128 * 256 + 256) + (25 * 256 * 512 + 512) + (121 * 512 * 10 + 10)
    return encoder + decoder


def _convlstm_ae_parameters():
    """Trainable weights of Chong & Tay 2017, figures 2 and 3, layer by layer."""

    def lstm(before, filters):  # four gates, each from the input and from the state
        return 4 * (9 * before * filters + 9 * filters * filters + filters)

    encoder = (121 * 1 * 128 + 128) + (25 * 128 * 64 + 64)
    decoder = (25 * 64 * 128 + 128) + (121 * 128 * 1 + 1)
    return encoder + lstm(64, 64) + lstm(64, 32) + lstm(32, 64) + decoder


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
    "conv3d_ae": Tiny(
        config={
            "image_size": (16, 24),
            "window_length": 4,
            "window_stride": 3,
            "channels": (8, 8, 8, 8),
            "learning_rate": 0.01,
        },
        parameters=5_980_801,  # counted in the public code of Gong et al. 2019
        without_noise={},
        loss="reconstruction",
    ),
    "conv_ae": Tiny(
        config={
            "image_size": (32, 48),
            "window_length": 6,
            "window_stride": 4,
            "channels": (16, 16, 16),
            "optimizer": "adam",
            "learning_rate": 0.01,
        },
        parameters=_conv_ae_parameters(),
        without_noise={},
        loss="reconstruction",
    ),
    "convlstm_ae": Tiny(
        config={
            "image_size": (27, 35),
            "window_length": 4,
            "window_stride": 3,
            "channels": (16, 16),
            "lstm_channels": (8, 4, 8),
            "learning_rate": 0.01,
        },
        parameters=_convlstm_ae_parameters(),
        without_noise={},
        loss="reconstruction",
    ),
    "luss_ae": Tiny(
        config={
            "image_size": (32, 48),
            "window_length": 8,
            "channels": (4, 4, 4, 4),
            "playback_rates": (2, 3),
            "learning_rate": 0.02,
        },
        parameters=_luss_ae_parameters(),
        without_noise={"accelerated_share": 1.0, "playback_rates": (3,)},  # every clip at one speed
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
