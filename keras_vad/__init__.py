"""keras_vad: a model zoo for video anomaly detection on TensorFlow and Keras.

The public names are loaded when first used, so that ``import keras_vad`` does not load TensorFlow.

Example:
>>> import keras_vad
>>> keras_vad.list_models("adv*")
['adv3dcae']
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "list_models": "keras_vad.models.registry",
    "build": "keras_vad.models.registry",
    "load": "keras_vad.presets.resolve",
    "list_presets": "keras_vad.presets.pull",
    "pull": "keras_vad.presets.pull",
    "VadError": "keras_vad.errors",
}
__all__ = ["VadError", "build", "list_models", "list_presets", "load", "pull"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'keras_vad' has no attribute {name!r}")
