"""keras_vad: a model zoo for video anomaly detection on TensorFlow and Keras.

The public names are loaded when first used, so that ``import keras_vad`` does not load TensorFlow.

Example:
>>> import keras_vad
>>> keras_vad.list_models("adv*")
['adv3dcae']
"""

from typing import TYPE_CHECKING

from keras_vad.common.lazy import lazy_names
from keras_vad.common.quiet import keep_tensorflow_quiet

if TYPE_CHECKING:
    from keras_vad.errors import VadError
    from keras_vad.models.detector import VideoAnomalyDetector
    from keras_vad.models.registry import build, list_models
    from keras_vad.presets.pull import list_presets, pull
    from keras_vad.presets.resolve import load
    from keras_vad.scoring.series import VideoScores

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "VadError": "keras_vad.errors",
        "VideoAnomalyDetector": "keras_vad.models.detector",
        "VideoScores": "keras_vad.scoring.series",
        "build": "keras_vad.models.registry",
        "list_models": "keras_vad.models.registry",
        "list_presets": "keras_vad.presets.pull",
        "load": "keras_vad.presets.resolve",
        "pull": "keras_vad.presets.pull",
    },
)
keep_tensorflow_quiet()
