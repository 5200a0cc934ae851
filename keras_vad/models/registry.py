"""Every method by its public name, and its options, known without loading TensorFlow.

A method's options are the arguments of its class's constructor. They are read from the class's source, so that a name
or a value that does not fit is told in a moment; the class is imported when it is needed.
"""

import ast
import builtins
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vad.common.suggest import did_you_mean
from keras_vad.errors import VadError

if TYPE_CHECKING:
    from keras_vad.models.detector import VideoAnomalyDetector

#: Each method's module and class.
METHODS = {
    "adaptive_clustering": ("keras_vad.models.adaptive_clustering", "AdaptiveClusteringCAE"),
    "adv3dcae": ("keras_vad.models.adv3dcae", "Adv3DCAE"),
    "conv3d_ae": ("keras_vad.models.baselines", "Conv3DAE"),
    "conv_ae": ("keras_vad.models.baselines", "ConvAE"),
    "convlstm_ae": ("keras_vad.models.baselines", "ConvLSTMAE"),
    "decoupled": ("keras_vad.models.decoupled", "DecoupledAppearanceMotion"),
    "local_playback": ("keras_vad.models.local_playback", "LocalPlaybackRate"),
    "luss_ae": ("keras_vad.models.luss_ae", "LussAE"),
    "st_dissociation": ("keras_vad.models.st_dissociation", "SpatioTemporalDissociation"),
}


class _Types(dict[str, Any]):
    """Names in annotations to types."""

    def __missing__(self, name: str) -> Any:
        known = {"Any": Any, "Literal": typing.Literal, "Sequence": Sequence}
        return known.get(name) or getattr(builtins, name, Callable)


@dataclass(frozen=True)
class Option:
    """An option of a method, as its constructor's source has it.

    Args:
        annotation: The type, as written.
        default: The default, as written; ``None`` if it must be given.
    """

    annotation: str
    default: str | None

    @property
    def hint(self) -> Any:
        """The type. Names of modules' own types stand for functions: no option is an object of another kind."""
        return eval(self.annotation, {}, _Types())  # of our own source


def list_models(pattern: str = "*") -> list[str]:
    """Names of the methods that match a wildcard pattern, sorted.

    Example:
    >>> list_models("adv*")
    ['adv3dcae']
    """
    return sorted(key for key in METHODS if fnmatchcase(key, pattern))


def check_method(key: str) -> None:
    """Refuse a name that is no method's.

    Raises:
        VadError: If there is no such method.
    """
    if key not in METHODS:
        raise VadError(
            f"there is no method {key!r}{did_you_mean(key, METHODS)}; the methods are {', '.join(list_models())}."
        )


def get_method(key: str) -> "type[VideoAnomalyDetector]":
    """The class of a method.

    Raises:
        VadError: If there is no such method.
    """
    check_method(key)
    module, name = METHODS[key]
    return getattr(import_module(module), name)


def import_methods() -> None:
    """Import every method, which makes its class known to Keras."""
    for key in METHODS:
        get_method(key)


def method_of(detector: "VideoAnomalyDetector") -> str:
    """The public name of a detector's method; that of its class if it is not one of ours."""
    cls = type(detector)
    return next((key for key, place in METHODS.items() if place == (cls.__module__, cls.__qualname__)), cls.__name__)


def by_method(detectors: "Sequence[VideoAnomalyDetector]") -> "dict[str, VideoAnomalyDetector]":
    """Detectors that score together, by the public names of their methods, in order.

    Raises:
        VadError: If two are of one method.
    """
    named = {method_of(detector): detector for detector in detectors}
    if len(named) < len(detectors):
        raise VadError(
            f"the parts are {', '.join(map(method_of, detectors))}, but each must be of another method; what one "
            "cannot see, its like cannot either."
        )
    return named


def build(key: str, *, precision: str = "float32", **hyper: Any) -> "VideoAnomalyDetector":
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
    from keras_vad.common.settings import own_settings

    with own_settings(precision):
        return get_method(key)(**hyper)


def about_method(key: str) -> str:
    """The first line of a method's description."""
    return (ast.get_docstring(_source_of(key)) or "").partition("\n")[0]


@cache
def options_of(key: str) -> dict[str, Option]:
    """The options of a method, in the constructor's order.

    Raises:
        VadError: If there is no such method.

    Example:
    >>> options_of("adv3dcae")["adversarial_weight"]
    Option(annotation='float', default='0.001')
    """
    body = _source_of(key).body
    (init,) = (node for node in body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    positional = init.args.args[1:]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(init.args.defaults)) + [*init.args.defaults]
    arguments = [*zip(positional, defaults, strict=True)]
    arguments += [*zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)]
    return {
        argument.arg: Option(
            "Any" if argument.annotation is None else ast.unparse(argument.annotation),
            None if default is None else ast.unparse(default),
        )
        for argument, default in arguments
    }


@cache
def _source_of(key: str) -> ast.ClassDef:
    check_method(key)
    module, name = METHODS[key]
    spec = find_spec(module)  # which imports no more than the packages that the module lies in
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    (cls,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return cls


def check_hyper(key: str, hyper: Mapping[str, Any]) -> None:
    """Check names and types of hyper-parameters, without building a detector or loading TensorFlow.

    Raises:
        VadError: As ``build``.
    """
    options = options_of(key)
    known = [name for name in options if name != "name"]
    for name, value in hyper.items():
        if name not in options:
            raise VadError(
                f"{key} has no hyper-parameter {name}{did_you_mean(name, known)}; it has {', '.join(known)}."
            )
        if not _is_a(value, options[name].hint):
            raise VadError(f"{name} of {key} is {value!r}, but must be of type {options[name].annotation}.")


def _is_a(value: Any, hint: Any) -> bool:
    """Whether a value has the type that a constructor's annotation asks for."""
    kind, parts = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is Any:
        return True
    if kind is typing.Literal:
        return value in parts
    if kind in (types.UnionType, typing.Union):
        return any(_is_a(value, part) for part in parts)
    if kind is Sequence:
        return isinstance(value, list | tuple) and all(_is_a(item, parts[0]) for item in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)
