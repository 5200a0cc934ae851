"""Recipes: every choice of a training run in one YAML file.

A recipe's header says what it reproduces, where from, on what hardware, how long it takes and what to expect. Recipes
that come with the package are found by name; ``compact`` is short for ``<model>_<dataset>_compact``.
"""

import copy
import dataclasses
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from keras_vad.common.renamed import name_now, names_now
from keras_vad.common.suggest import did_you_mean
from keras_vad.errors import VadError
from keras_vad.training.health import Range, check_range_of_health

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SCHEDULES = ("constant", "cosine")
BUDGETS = ("compact", "medium")  # recipes of minutes, and of an hour or so, on two CPU cores


@dataclass(frozen=True)
class DataOptions:
    """Which windows are trained on.

    Args:
        speeds: Speeds at which windows are shown: 2 takes every second frame.
        hop: Frames between the starts of consecutive training windows.
        validation_share: Share of the training videos, whole ones, held out as normal validation data.
        train_frames: Train on so many frames only: the first ones of the training videos that are not held out, in
            order; ``None`` takes all.
        fps: Frames a second of videos that do not tell theirs.
    """

    speeds: tuple[int, ...] = (1,)
    hop: int = 1
    validation_share: float = 0.15
    train_frames: int | None = None
    fps: float | None = None


@dataclass(frozen=True)
class TrainingOptions:
    """How long, how fast and how exactly.

    Args:
        epochs: Epochs in all, shared out among the method's phases as it proposes; ``None`` takes what it proposes.
        steps_per_epoch: Batches of an epoch; ``None`` shows every window once.
        batch_size: Windows of a batch on all devices together.
        schedule: Learning rate over the epochs of a phase: ``constant``, or ``cosine`` down to 2 %.
        learning_rate_factor: Multiplies the method's learning rates, for example to start gently from trained weights.
        precision: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``.
        validation_steps: Batches of held-out windows after each epoch.
        checkpoint_every: Steps between checkpoints; one is also written after every epoch.
        alarm_quantile: Share of held-out normal frames below the alarm boundary.
        false_alarms_per_hour: Alarms per hour that held-out normal video may raise, in place of the quantile.
        enforce_health: Whether a health figure outside its range stops the run; if not, the log tells it.
    """

    epochs: int | None = None
    steps_per_epoch: int | None = None
    batch_size: int = 16
    schedule: str = "constant"
    learning_rate_factor: float = 1.0
    precision: str = "float32"
    validation_steps: int = 8
    checkpoint_every: int = 500
    alarm_quantile: float = 0.99
    false_alarms_per_hour: float | None = None
    enforce_health: bool = True


@dataclass(frozen=True)
class ScoringOptions:
    """How scores are read after the model.

    Args:
        smoothing: Frames of the trailing mean over scores that evaluation reports beside the plain ones; 1 for none.
    """

    smoothing: int = 1


@dataclass(frozen=True)
class Recipe:
    """Every choice of a training run but the data's place, the seed and the devices.

    Args:
        model: Constructor arguments of the method that differ from the paper's.
        data: See ``DataOptions``.
        training: See ``TrainingOptions``.
        scoring: See ``ScoringOptions``.
        health: Lowest and highest value that a health figure of the method may have at the end of a phase, ``None`` for
            no bound, by name (``keras_vad.training.health``).
    """

    model: dict[str, Any] = field(default_factory=dict)
    data: DataOptions = DataOptions()
    training: TrainingOptions = TrainingOptions()
    scoring: ScoringOptions = ScoringOptions()
    health: dict[str, Range | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], origin: str = "the recipe") -> "Recipe":
        """Check and convert plain values.

        Raises:
            VadError: If a section or option is unknown or has the wrong type, naming it and ``origin``.
        """
        sections: dict[str, Any] = {}
        for name, content in values.items():
            if name not in SECTIONS:
                raise VadError(
                    f"{origin} has no section {name!r}{did_you_mean(name, SECTIONS)}; the sections are "
                    f"{', '.join(SECTIONS)}."
                )
            if not isinstance(content or {}, dict):
                raise VadError(f"section {name!r} of {origin} is {content!r}, but must hold options.")
            sections[name] = _section(name, names_now(name, content or {}), origin)
        recipe = cls(**sections)
        for name, bounds in recipe.health.items():
            check_range_of_health(name, bounds)
        training = recipe.training
        _check_range("data.hop", recipe.data.hop, 1)
        _check_range("data.train_frames", recipe.data.train_frames, 1)
        _check_range("training.epochs", training.epochs, 1)
        _check_range("training.steps_per_epoch", training.steps_per_epoch, 1)
        _check_range("training.batch_size", training.batch_size, 1)
        _check_range("training.validation_steps", training.validation_steps, 0)
        _check_range("training.checkpoint_every", training.checkpoint_every, 1)
        _check_range("scoring.smoothing", recipe.scoring.smoothing, 1)
        _check_share("data.validation_share", recipe.data.validation_share)
        _check_share("training.alarm_quantile", training.alarm_quantile)
        _check_above_zero("data.fps", recipe.data.fps)
        _check_above_zero("training.learning_rate_factor", training.learning_rate_factor)
        _check_above_zero("training.false_alarms_per_hour", training.false_alarms_per_hour)
        _check_choice("training.precision", training.precision, PRECISIONS)
        _check_choice("training.schedule", training.schedule, SCHEDULES)
        return recipe


#: The sections of a recipe and what each holds.
SECTIONS = {
    "model": dict,
    "data": DataOptions,
    "training": TrainingOptions,
    "scoring": ScoringOptions,
    "health": dict,
}


def list_recipes() -> list[str]:
    """Names of the recipes that come with the package, sorted."""
    return sorted(entry.name[: -len(".yaml")] for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def about_recipe(name: str) -> str:
    """The first line of the header of a recipe that comes with the package."""
    return (_folder() / f"{name}.yaml").read_text("utf-8").partition("\n")[0].removeprefix("#").strip()


def find_recipe(name: str | None, model: str, dataset: str) -> str:
    """The name or path of the recipe that is meant.

    Args:
        name: A recipe's name, a YAML file, ``"compact"`` or ``"medium"`` for ``<model>_<dataset>_compact`` or
            ``..._medium``, or ``None`` for ``<model>_<dataset>``.
        model: Name of the method.
        dataset: Name of the data set.
    """
    if name is None:
        return f"{model}_{dataset}"
    return f"{model}_{dataset}_{name}" if name in BUDGETS else name


def recipe_stem(name: str) -> str:
    """What a recipe is called in results: its name, or that of its file without folder and ending."""
    return Path(name).stem if name.endswith((".yaml", ".yml")) else name


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name: The name of a recipe that comes with the package, or a path to a YAML file.
        overrides: ``"section.option=value"`` each, the value in YAML.

    Raises:
        VadError: If there is no such recipe, or it or an override is not understood.
    """
    return resolve_recipe(_read(name), overrides, name)


def resolve_recipe(values: dict[str, Any], overrides: Sequence[str], origin: str) -> Recipe:
    """The recipe of plain values with options changed.

    Args:
        values: Sections with options, as in the YAML file; not changed.
        overrides: See ``load_recipe``.
        origin: What the values are from, for messages.

    Raises:
        VadError: If a section, an option or an override is not understood.
    """
    values = {
        section: names_now(section, content) if isinstance(content, dict) else content
        for section, content in copy.deepcopy(values).items()
    }
    for override in overrides:
        _apply(override, values)
    return Recipe.from_dict(values, origin)


def _read(name: str) -> dict[str, Any]:
    is_file = name.endswith((".yaml", ".yml"))
    if not is_file and name not in list_recipes():
        known = list_recipes()
        raise VadError(
            f"there is no recipe {name!r}{did_you_mean(name, known)}; give a YAML file or one of {', '.join(known)}."
        )
    try:
        text = Path(name).read_text("utf-8") if is_file else (_folder() / f"{name}.yaml").read_text("utf-8")
        values = _read_yaml(text) or {}
    except OSError as error:
        raise VadError(f"the recipe {name} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VadError(f"the recipe {name} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise VadError(f"the recipe {name} must hold sections ({', '.join(SECTIONS)}), but holds {values!r}.")
    return values


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 1e-4 for text; YAML 1.2 takes it for a number, as everybody does."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), "-+0123456789")


def _read_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def _folder() -> Any:
    return files("keras_vad") / "recipes"


def _apply(override: str, values: dict[str, Any]) -> None:
    path, equals, text = override.partition("=")
    section, dot, option = path.partition(".")
    if not (equals and dot and section and option):
        raise VadError(f"--set {override} is not understood; write --set section.option=value, as in model.noise=null.")
    try:
        value = _read_yaml(text)
    except yaml.YAMLError as error:
        raise VadError(f"the value of --set {override} is not valid YAML: {' '.join(str(error).split())}.") from error
    if values.get(section) is None:
        values[section] = {}
    if isinstance(values[section], dict):  # what else it may be, Recipe.from_dict refuses
        values[section][name_now(section, option)] = value


def _section(name: str, content: dict[str, Any], origin: str) -> Any:
    cls = SECTIONS[name]
    if cls is dict:
        return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    known = typing.get_type_hints(cls)
    converted = {}
    for key, value in content.items():
        if key not in known:
            raise VadError(
                f"{origin} has no option {name}.{key}{did_you_mean(key, known)}; section {name} has {', '.join(known)}."
            )
        converted[key] = _convert(f"{name}.{key}", value, known[key])
    return cls(**converted)


def _convert(path: str, value: Any, wanted: Any) -> Any:
    allowed = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    if value is None and type(None) in allowed:
        return None
    kind = next(option for option in allowed if option is not type(None))
    if typing.get_origin(kind) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        if items and all(isinstance(item, int) and item >= 1 for item in items):
            return tuple(items)
        raise VadError(f"{path} is {value!r}, but must be a list of whole numbers of at least 1.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise VadError(f"{path} is {value!r}, but must be of type {kind.__name__}.")
    return value


def _check_range(path: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise VadError(f"{path} is {value}, but must be at least {least}.")


def _check_above_zero(path: str, value: float | None) -> None:
    if value is not None and value <= 0:
        raise VadError(f"{path} is {value}, but must be above 0.")


def _check_share(path: str, value: float) -> None:
    if not 0 < value < 1:
        raise VadError(f"{path} is {value}, but must lie between 0 and 1.")


def _check_choice(path: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise VadError(f"{path} is {value!r}, but must be one of {', '.join(allowed)}.")
