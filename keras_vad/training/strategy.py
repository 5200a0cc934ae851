"""Where training runs: one device, or all local devices under MirroredStrategy."""

import keras
import tensorflow as tf

from keras_vad.errors import VadError

STRATEGIES = ("auto", "mirrored", "none")
_CONVOLUTIONS_3D = (keras.layers.Conv3D, keras.layers.Conv3DTranspose)


def make_strategy(name: str = "auto", devices: int | None = None) -> tf.distribute.Strategy:
    """The distribution strategy for a training run.

    Args:
        name: ``"mirrored"`` for ``tf.distribute.MirroredStrategy``, ``"none"`` for one device, ``"auto"`` for mirrored
            where there are several devices.
        devices: How many devices to use. Without GPUs the CPU is split into so many logical devices, which must
            happen before TensorFlow is first used. ``None`` takes every GPU, or the CPU.

    Raises:
        VadError: If there are not so many GPUs, TensorFlow already runs with other logical devices, or the strategy is
            unknown.
    """
    if name not in STRATEGIES:
        raise VadError(f"strategy is {name!r}, but must be one of {', '.join(STRATEGIES)}.")
    if devices is not None and devices < 1:
        raise VadError(f"devices is {devices}, but must be at least 1.")
    if name == "none" and devices is not None and devices > 1:
        raise VadError(f"strategy none uses one device, but {devices} were asked for; use --strategy mirrored.")
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [f"GPU:{i}" for i in range(devices or len(gpus))]
        if len(names) > len(gpus):
            raise VadError(f"{devices} devices were asked for, but this machine has {len(gpus)} GPUs; ask for fewer.")
    else:
        names = [f"CPU:{i}" for i in range(devices or 1)]
        _split_cpu(len(names))
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "auto" and len(names) == 1:
        return tf.distribute.get_strategy()
    # The default all-reduce fails on CPU once a second, different model trains in the same process ("expected shape
    # [1] but another member in the group expected shape ..."); copying through one device does not.
    return tf.distribute.MirroredStrategy(names, cross_device_ops=tf.distribute.HierarchicalCopyAllReduce())


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or [None]) >= count:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise VadError(
            f"the CPU cannot be split into {count} devices any more, because TensorFlow already runs; choose the "
            "devices before anything else uses TensorFlow."
        ) from error


def check_precision(precision: str, detector: keras.Model | None = None) -> None:
    """Refuse a precision in which this machine cannot train.

    Args:
        precision: Name of a policy of Keras.
        detector: What is to be trained, which may have no 3D convolutions in it; ``None`` if it is not known.

    Raises:
        VadError: If there are no float16 kernels, or the bfloat16 gradients of 3D convolutions are wrong. (On CPUs with
            AVX-512 BF16 but without AMX, TensorFlow 2.21 gives values far off or NaN for small feature maps.)
    """
    if tf.config.list_physical_devices("GPU"):
        return
    if precision == "mixed_float16":
        raise VadError(
            "precision mixed_float16 needs a GPU, because TensorFlow has no float16 3D pooling on CPU; use "
            "mixed_bfloat16 or float32."
        )
    exposed = detector is None or has_bfloat16_convolutions_3d(detector)
    if precision == "mixed_bfloat16" and exposed and not _bfloat16_gradients_are_right():
        raise VadError(
            "this CPU computes wrong bfloat16 gradients of 3D convolutions (a fault of TensorFlow's kernel for it); "
            "train with --precision float32."
        )


def has_bfloat16_convolutions_3d(detector: keras.Model) -> bool:
    """Whether any 3D convolution of a detector computes in bfloat16, whose gradients some CPUs get wrong."""
    return any(
        isinstance(layer, _CONVOLUTIONS_3D) and layer.compute_dtype == "bfloat16"
        for layer in detector._flatten_layers()
    )


def _bfloat16_gradients_are_right() -> bool:
    inputs = tf.random.stateless_normal((2, 2, 4, 6, 4), seed=(0, 0))
    upstream = tf.random.stateless_normal((2, 2, 4, 6, 4), seed=(0, 1))

    def gradient(dtype: tf.DType) -> tf.Tensor:
        return tf.cast(
            tf.raw_ops.Conv3DBackpropFilterV2(
                input=tf.cast(inputs, dtype),
                filter_sizes=(3, 3, 3, 4, 4),
                out_backprop=tf.cast(upstream, dtype),
                strides=[1] * 5,
                padding="SAME",
            ),
            tf.float32,
        )

    exact = gradient(tf.float32)
    # Wrong values come and go between calls. bfloat16 has 8 bits: 1 % of the largest value is its rounding.
    errors = [tf.reduce_max(tf.abs(gradient(tf.bfloat16) - exact)) for _ in range(5)]
    return all(float(error) < 0.05 * float(tf.reduce_max(tf.abs(exact))) for error in errors)
