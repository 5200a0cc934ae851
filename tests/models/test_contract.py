"""Every method of the registry keeps the contract."""

import keras
import pytest

import keras_vad
from keras_vad.errors import VadError
from keras_vad.models.local_playback import LocalPlaybackRate
from keras_vad.models.registry import get_method, method_of
from keras_vad.testing.detector_contract import DetectorContract, Tiny


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


def _local_playback_parameters():
    """Trainable weights of the default network: convolutions without bias, their norms, one logit."""
    convolutions = 25 * 8 * 32 + 9 * 32 * 64 + 9 * 64 * 96 + 9 * 96 * 96
    return convolutions + 2 * (32 + 64 + 96 + 96) + 96 + 1


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


def _decoupled_parameters():
    """Trainable weights for gray frames and the (2, 3, 3) kernel, layer by layer (Li et al. 2021, fig. 1)."""

    def convolution(places, before, filters, norm=True):
        return places * before * filters + filters + (2 * filters if norm else 0)

    levels = [(1, 64), (64, 128), (128, 256), (256, 512)]
    encoder = sum(convolution(9, before, filters) + convolution(9, filters, filters) for before, filters in levels)
    assert encoder == 4_688_064
    motion = 3 * convolution(2 * 3 * 3, 512, 512)
    assert motion == 14_160_384
    # Each level: up, then two convolutions, the first of which also sees the previous frame's features.
    decoder = convolution(9, 32, 1, norm=False)
    for before, features, filters in ((512, 256, 128), (128, 128, 64), (64, 64, 32)):
        decoder += convolution(4, before, filters, norm=False)
        decoder += convolution(9, filters + features, filters) + convolution(9, filters, filters)
    assert decoder == 1_079_105
    assert encoder + motion + decoder == 19_927_553
    return encoder + motion + decoder


def _st_dissociation_parameters():
    """Trainable weights of the default networks, layer by layer (Chang et al. 2022, fig. 2 and 4); no biases."""

    def block(before, filters):  # two convolutions and the shortcut's
        return 9 * before * filters + 9 * filters * filters + 9 * before * filters

    stages = [(32, 64), (64, 128), (128, 256)]
    blocks = sum(block(before, filters) for before, filters in stages)
    norms = sum(2 * before for before, _ in stages)
    appearance_encoder = 9 * 3 * 32 + norms + blocks + 9 * 256 * 256
    assert appearance_encoder == 2_139_424
    attention = 64 * 64 + 128 * 128 + 256 * 256
    motion_encoder = 9 * 12 * 32 + blocks + attention + 9 * 256 * 256
    assert motion_encoder == 2_227_584
    # Pixel shuffle leaves a quarter of the channels to each block; the motion decoder's features are joined before it.
    appearance_decoder = block(256 // 4, 256) + block(256 // 4, 128) + block(128 // 4, 64) + 9 * 64 * 3
    assert appearance_decoder == 1_255_104
    motion_decoder = block(256 // 4, 128) + block((128 + 128) // 4, 64) + block((64 + 64) // 4, 64) + 9 * 64 * 3
    assert motion_decoder == 480_960
    centres = 32 * (256 + 256)
    assert centres == 16_384
    total = appearance_encoder + motion_encoder + appearance_decoder + motion_decoder + centres
    assert total == 6_119_456
    return total


def _adaptive_clustering_parameters():
    """Trainable weights for RGB cuboids of 32 x 32, layer by layer (Jacob & Levine 2019, tables I and II)."""

    def convolution(before, filters, norm=True):
        return 9 * before * filters + filters + (2 * filters if norm else 0)

    encoder = convolution(8 * 3, 64) + convolution(64, 128) + convolution(128, 256)
    encoder += (4 * 4 * 256) * 32 + 32 + 2 * 32  # three poolings by 2: 32 x 32 becomes 4 x 4
    decoder = 32 * (4 * 4 * 512) + 4 * 4 * 512
    decoder += convolution(512, 256) + convolution(256, 128) + convolution(128, 64)
    decoder += convolution(64, 32, norm=False) + convolution(32, 8 * 3, norm=False)
    return encoder + decoder


TINY = {
    "adaptive_clustering": Tiny(
        config={
            "image_size": (32, 48),
            "window_length": 4,
            "hop": 1,  # else frames tie
            "cuboid_size": (16, 16),
            "cuboid_stride": 16,
            "channels": (16, 16),
            "noise_stddev": (0.01,),
            "dropout": 0.02,
            "code_size": 16,
            "clusters": 3,
            "components": 3,
            "cuboids_per_window": 5,
            "learning_rate": 0.02,
        },
        parameters=_adaptive_clustering_parameters(),
        without_noise={"noise_stddev": (0.0,), "dropout": 0.0, "cuboids_per_window": None},
        loss="reconstruction",
    ),
    "adv3dcae": Tiny(
        config={
            "image_size": (32, 48),
            "window_length": 8,
            "hop": 5,
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
            "hop": 3,
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
            "hop": 4,
            "channels": (16, 16, 16),
            "optimizer": "adam",
            "learning_rate": 0.01,
        },
        parameters=_conv_ae_parameters(),
        without_noise={"input_scale": 10.0, "weight_decay": 500.0},  # both losses move the weights
        loss="reconstruction",
    ),
    "convlstm_ae": Tiny(
        config={
            "image_size": (27, 35),
            "window_length": 4,
            "hop": 3,
            "channels": (16, 16),
            "lstm_channels": (8, 4, 8),
            "learning_rate": 0.01,
        },
        parameters=_convlstm_ae_parameters(),
        without_noise={},
        loss="reconstruction",
    ),
    "decoupled": Tiny(
        config={
            "image_size": (32, 48),
            "window_length": 4,
            "step": 2,
            "horizon": 2,
            "channels": (4, 4, 8),
            "decay_epochs": None,
            "learning_rate": 0.01,
        },
        parameters=_decoupled_parameters(),
        without_noise={"reconstruction_loss": "mse+gdl+ssim", "weight_decay": 1.0},  # it has none; these move weights
        loss="reconstruction",
    ),
    "local_playback": Tiny(
        config={
            "image_size": (32, 48),
            "channels": (16, 32),
            "window_length": 6,
            "hop": 1,
            "kernel_size": 7,
            "rate_range": (3.0, 4.0),
            "learning_rate": 0.005,
        },
        parameters=_local_playback_parameters(),
        # One clip of each window, and no rectangle, which chance would draw anew on another device.
        without_noise={"accelerated_share": 1.0, "rate_range": (3.0, 3.0), "mirror": False, "mixed": False},
        loss="playback",
    ),
    "luss_ae": Tiny(
        config={
            "image_size": (16, 24),
            "window_length": 8,
            "channels": (4, 4, 4, 4),
            "playback_rates": (2, 3),
            "learning_rate": 0.02,
        },
        parameters=_luss_ae_parameters(),
        without_noise={"accelerated_share": 1.0, "playback_rates": (3,)},  # every clip at one speed
        loss="reconstruction",
    ),
    "st_dissociation": Tiny(
        config={
            "image_size": (32, 48),
            "channels": (4, 8, 8, 8),
            "clusters": 4,
            "pretraining": "apart",
            "cycles": 1,
            "learning_rate": 0.01,
            "centre_learning_rate": 0.01,
        },
        parameters=_st_dissociation_parameters(),
        without_noise={},
        loss="appearance",
    ),
}


class TestContract(DetectorContract):
    @pytest.fixture(scope="class", params=keras_vad.list_models())
    @classmethod
    def key(cls, request):
        return request.param

    @pytest.fixture(scope="class")
    @classmethod
    def method(cls, key):
        return get_method(key)

    @pytest.fixture(scope="class")
    @classmethod
    def tiny(cls, key):
        return TINY[key]

    def test_has_its_public_name(self, detector, key):
        assert method_of(detector) == key

    def test_an_unknown_option_is_named(self, key):
        with pytest.raises(VadError, match=f"{key} has no hyper-parameter colour; it has "):
            keras_vad.build(key, colour=3)


CHEAP = {"test_config_is_plain_and_makes_the_same_detector", "test_anomaly", "test_keras_file_round_trip"}


@keras.saving.register_keras_serializable(package="elsewhere")
class OfOthers(LocalPlaybackRate):
    """A method that is not in the registry."""


class TestContractOfOthers(DetectorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def method(cls):
        return OfOthers

    @pytest.fixture(scope="class")
    @classmethod
    def tiny(cls):
        return TINY["local_playback"]


for name in [name for name in dir(DetectorContract) if name.startswith("test_") and name not in CHEAP]:
    setattr(TestContractOfOthers, name, None)  # the other class runs them
