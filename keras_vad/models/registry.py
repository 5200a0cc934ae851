"""Every method by its public name."""

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from keras_vad.errors import VadError
from keras_vad.models.adaptive_clustering import AdaptiveClusteringCAE
from keras_vad.models.adv3dcae import Adv3DCAE
from keras_vad.models.baselines import Conv3DAE, ConvAE, ConvLSTMAE
from keras_vad.models.decoupled import DecoupledAppearanceMotion
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.models.local_playback import LocalPlaybackRate
from keras_vad.models.luss_ae import LussAE
from keras_vad.models.st_dissociation import SpatioTemporalDissociation
from keras_vad.settings import own_settings

MODELS: dict[str, type[VideoAnomalyDetector]] = {
    "adaptive_clustering": AdaptiveClusteringCAE,
    "adv3dcae": Adv3DCAE,
    "decoupled": DecoupledAppearanceMotion,
    "conv3d_ae": Conv3DAE,
    "conv_ae": ConvAE,
    "convlstm_ae": ConvLSTMAE,
    "local_playback": LocalPlaybackRate,
    "luss_ae": LussAE,
    "st_dissociation": SpatioTemporalDissociation,
}


def list_models(pattern: str = "*") -> list[str]:
    """Names of the methods that match a wildcard pattern, sorted.

    Example:
    >>> list_models("adv*")
    ['adv3dcae']
    """
    return sorted(key for key in MODELS if fnmatchcase(key, pattern))


def get_model(key: str) -> type[VideoAnomalyDetector]:
    """The class of a method.

    Raises:
        VadError: If there is no such method.
    """
    if key not in MODELS:
        raise VadError(f"there is no model {key!r}; the models are {', '.join(list_models())}.")
    return MODELS[key]


def model_key(detector: VideoAnomalyDetector) -> str:
    """The public name of a detector's method."""
    return next(key for key, cls in MODELS.items() if type(detector) is cls)


def method_of(detector: VideoAnomalyDetector) -> str:
    """The public name of a detector's method; that of its class if it is not one of ours."""
    return next((key for key, cls in MODELS.items() if type(detector) is cls), type(detector).__name__)


def by_method(detectors: Sequence[VideoAnomalyDetector]) -> dict[str, VideoAnomalyDetector]:
    """Detectors that score together, by the public names of their methods, in order.

    Raises:
        VadError: If two are of one method.
    """
    named = {model_key(detector): detector for detector in detectors}
    if len(named) < len(detectors):
        raise VadError(
            f"the parts are {', '.join(map(model_key, detectors))}, but each must be of another method; what one "
            "cannot see, its like cannot either."
        )
    return named


def build(key: str, *, precision: str = "float32", **hyper: Any) -> VideoAnomalyDetector:
    """A detector with random weights; hyper-parameters that are not given have the paper's values.

    Args:
        key: Name of the method, see ``list_models``.
        precision: Name of the Keras dtype policy to train in, for example ``"mixed_bfloat16"``; what the process has
            set counts nothing.
        hyper: Constructor arguments of its class.

    Raises:
        VadError: If there is no such method, it has no such hyper-parameter, or a value is not of its type.
    """
    check_hyper(key, hyper)
    with own_settings(precision):
        return get_model(key)(**hyper)


def check_hyper(key: str, hyper: Mapping[str, Any]) -> None:
    """Check names and types of hyper-parameters, without building a detector.

    Raises:
        VadError: As ``build``.
    """
    cls = get_model(key)
    hints = typing.get_type_hints(cls.__init__)
    known = [name for name in inspect.signature(cls).parameters if name != "name"]
    for name, value in hyper.items():
        if name not in hints:
            raise VadError(f"{key} has no hyper-parameter {name}; it has {', '.join(known)}.")
        if not _is_a(value, hints[name]):
            wanted = inspect.formatannotation(hints[name]).replace("collections.abc.", "")
            raise VadError(f"{name} of {key} is {value!r}, but must be of type {wanted}.")


def _is_a(value: Any, hint: Any) -> bool:
    """Whether a value has the type that a constructor's annotation asks for."""
    kind, parts = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind in (types.UnionType, typing.Union):
        return any(_is_a(value, part) for part in parts)
    if kind is Sequence:
        return isinstance(value, list | tuple) and all(_is_a(item, parts[0]) for item in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)
