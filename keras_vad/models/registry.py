"""Every method by its public name."""

from fnmatch import fnmatchcase
from typing import Any

from keras_vad.errors import VadError
from keras_vad.models.adv3dcae import Adv3DCAE
from keras_vad.models.detector import VideoAnomalyDetector

MODELS: dict[str, type[VideoAnomalyDetector]] = {
    "adv3dcae": Adv3DCAE,
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


def build(key: str, **hyper: Any) -> VideoAnomalyDetector:
    """A detector with random weights; hyper-parameters that are not given have the paper's values.

    Args:
        key: Name of the method, see ``list_models``.
        hyper: Constructor arguments of its class.

    Raises:
        VadError: If there is no such method, or it has no such hyper-parameter.
    """
    cls = get_model(key)
    try:
        return cls(**hyper)
    except TypeError as error:
        import inspect

        known = [name for name in inspect.signature(cls).parameters if name != "name"]
        unknown = [name for name in hyper if name not in known]
        if not unknown:
            raise
        raise VadError(f"{key} has no hyper-parameter {', '.join(unknown)}; it has {', '.join(known)}.") from error
