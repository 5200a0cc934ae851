"""Keras' settings of a process, which shall not change what a detector is."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_vad.errors import VadError


def check_backend() -> None:
    """Refuse another backend of Keras than TensorFlow. Keras is not loaded for that.

    Raises:
        VadError: If Keras runs on another one, or is set to.
    """
    keras = sys.modules.get("keras")
    backend = keras.config.backend() if keras is not None else os.environ.get("KERAS_BACKEND") or _backend_of_file()
    if backend != "tensorflow":
        raise VadError(
            f"Keras runs on {backend}, but keras_vad needs TensorFlow; unset KERAS_BACKEND, or set it or the backend "
            "in keras.json to tensorflow, before Keras is imported."
        )


def _backend_of_file() -> str:
    """The backend in Keras' own file of settings, where Keras looks for it."""
    home = os.environ.get("KERAS_HOME")
    file = (Path(home) if home else Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(file.read_text("utf-8")).get("backend", "tensorflow")
    except (OSError, ValueError):
        return "tensorflow"


@contextmanager
def own_settings(precision: str = "float32") -> Iterator[None]:
    """Keras' defaults, and a precision, for the block; the process has its own settings again afterwards.

    Detectors are built within, so that their layers do not take over what the process has set for its own models.

    Args:
        precision: Name of a dtype policy, for example ``"mixed_bfloat16"``.
    """
    import keras

    config = keras.config
    before = config.dtype_policy(), config.floatx(), config.image_data_format(), config.epsilon()
    try:
        config.set_floatx("float32")
        config.set_image_data_format("channels_last")
        config.set_epsilon(1e-7)
        config.set_dtype_policy(precision)
        yield
    finally:
        policy, floatx, data_format, epsilon = before
        config.set_floatx(floatx)
        config.set_image_data_format(data_format)
        config.set_epsilon(epsilon)
        config.set_dtype_policy(policy)


def check_layout() -> None:
    """Refuse to build a detector's layers with settings that would make them other layers.

    Raises:
        VadError: If Keras is set to ``channels_first``, or to another float than float32.
    """
    import keras

    for name, found, needed in (
        ("image_data_format", keras.config.image_data_format(), "channels_last"),
        ("floatx", keras.config.floatx(), "float32"),
    ):
        if found != needed:
            raise VadError(
                f"Keras' {name} is {found}, but a detector needs {needed}; use keras_vad.build, which sees to it, or "
                f"set it with keras.config.set_{name}({needed!r}) before."
            )
