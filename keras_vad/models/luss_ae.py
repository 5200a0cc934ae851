"""One auto-encoder taught by three tasks (Lohani et al. 2023)."""

from collections.abc import Sequence

import keras
from keras import layers


def build_autoencoder(
    input_shape: tuple[int, int, int, int],
    channels: Sequence[int] = (96, 128, 256, 256),
    name: str | None = None,
) -> keras.Model:
    """The 3D convolutional auto-encoder of Gong et al. (ICCV 2019), section 4.3.

    Args:
        input_shape: (T, height, width, image channels), of any size.
        channels: Channels of the encoder's convolutions; the decoder mirrors them.
        name: Name of the model.

    Returns:
        A model from float32 (batch, *input_shape) in [-1, 1] to the same shape, float32 in (-1, 1).
    """
    inputs = keras.Input(input_shape, name="window")
    decoded = _decode(_encode(inputs, channels), input_shape, channels)
    return keras.Model(inputs, layers.Activation("tanh", dtype="float32", name="restored")(decoded), name=name)


def _encode(x: keras.KerasTensor, channels: Sequence[int]) -> keras.KerasTensor:
    """Convolutions 3 x 3 x 3 with stride 2 (the first 1 x 2 x 2), each with batch normalisation and leaky ReLU."""
    for number, filters in enumerate(channels, start=1):
        strides = (1, 2, 2) if number == 1 else (2, 2, 2)
        x = layers.Conv3D(filters, 3, strides, padding="same", name=f"conv{number}")(x)
        x = _activated(x, f"conv{number}")
    return x


def _decode(x: keras.KerasTensor, shape: tuple[int, int, int, int], channels: Sequence[int]) -> keras.KerasTensor:
    """The encoder mirrored; the last of its transposed convolutions is linear and gives ``shape``."""
    sizes = [shape[:3]]  # of the encoder's input and of what its convolutions give
    for number in range(1, len(channels)):
        length, height, width = sizes[-1]
        sizes.append((length if number == 1 else -(-length // 2), -(-height // 2), -(-width // 2)))
    for number, filters in enumerate([*reversed(channels[:-1]), shape[3]], start=1):
        last = number == len(channels)
        strides = (1, 2, 2) if last else (2, 2, 2)
        dtype = "float32" if last else None
        x = layers.Conv3DTranspose(filters, 3, strides, padding="same", dtype=dtype, name=f"deconv{number}")(x)
        crops = tuple((0, have - want) for have, want in zip(x.shape[1:4], sizes.pop(), strict=True))
        if any(surplus for _, surplus in crops):  # odd sizes were rounded up
            x = layers.Cropping3D(crops, dtype=dtype, name=f"crop{number}")(x)
        if not last:
            x = _activated(x, f"deconv{number}")
    return x


def _activated(x: keras.KerasTensor, layer: str) -> keras.KerasTensor:
    # The statistics move as in the public code, whose framework calls this momentum 0.1.
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{layer}_norm")(x)
    return layers.LeakyReLU(0.2, name=f"{layer}_relu")(x)
