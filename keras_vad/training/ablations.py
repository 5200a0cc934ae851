"""Ablation tables of papers as data: what each of their rows changes, and the figures that it reached there.

A table is a YAML file. Those that come with the package are found by name, such as ``chang2022-table2``.
"""

import dataclasses
import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from keras_vad.common.suggest import did_you_mean
from keras_vad.errors import VadError
from keras_vad.models.registry import check_hyper, get_method
from keras_vad.training.recipe import Recipe, load_recipe, recipe_stem

#: Figures that a paper may print, and what the columns of a table are called. They are of frames, pooled over videos
#: (``keras_vad.evaluation.evaluate``), but for those of cuboids (``keras_vad.evaluation.cuboids``).
FIGURES = {
    "auroc": "AUROC",
    "eer": "EER",
    "cuboid_auroc": "cuboid AUROC",
    "cuboid_f1": "cuboid F1",
    "cuboid_accuracy": "cuboid accuracy",
}

_REQUIRED = ("title", "paper", "model", "rows")
_OPTIONAL = ("protocol", "figures", "note", "set", "scoring")
_LONGEST_NAME = 120  # of a folder
_ROW_KEYS = ("label", "set", "compact", "scoring", "score", "paper")


@dataclass(frozen=True)
class AblationRow:
    """A row of an ablation table.

    Args:
        label: What the paper calls it; no other row of the table has it.
        overrides: ``section.option`` of the recipe to its value in this row.
        compact: The same for a compact recipe, beside or instead of those in ``overrides``.
        scoring: Constructor arguments of the method that change its score only; rows that differ in nothing else are
            scored with the same weights.
        score: The score whose figures the row reports: ``frame_scores``, the detector's own, or one of its parts.
        paper: Data set to the figures printed for it, keys of ``FIGURES``, in percent.
    """

    label: str
    overrides: dict[str, Any] = field(default_factory=dict)
    compact: dict[str, Any] = field(default_factory=dict)
    scoring: dict[str, Any] = field(default_factory=dict)
    score: str = "frame_scores"
    paper: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class AblationTable:
    """An ablation table of a paper.

    Args:
        name: Its name here.
        title: What is varied.
        paper: The paper and its table.
        model: Key of the method.
        rows: In the paper's order.
        protocol: Key of the evaluation protocol that the paper's figures are comparable under.
        figures: Columns, keys of ``FIGURES``.
        note: What a reader of the table must know; may be empty.
        overrides: As a row's, for all rows; a row's own win.
    """

    name: str
    title: str
    paper: str
    model: str
    rows: tuple[AblationRow, ...]
    protocol: str = "paper"
    figures: tuple[str, ...] = ("auroc",)
    note: str = ""
    overrides: dict[str, Any] = field(default_factory=dict)

    def row(self, wanted: str) -> AblationRow:
        """The row with a label or a number, counted from 1.

        Raises:
            VadError: If there is none.
        """
        for number, row in enumerate(self.rows, start=1):
            if wanted in (row.label, str(number)):
                return row
        labels = ", ".join(f"{number} ({row.label})" for number, row in enumerate(self.rows, start=1))
        raise VadError(f"the table {self.name} has no row {wanted!r}; its rows are {labels}.")

    def recipe(self, row: AblationRow, recipe_name: str, overrides: Sequence[str] = ()) -> Recipe:
        """The recipe that a row's detector is trained with.

        Args:
            row: One of the table's.
            recipe_name: See ``load_recipe``; a name that ends in ``_compact`` takes the row's ``compact`` options, too.
            overrides: ``"section.option=value"`` each; they win over the recipe and the table, the row wins over them.

        Returns:
            The recipe. An option of the method that has its default there, and is not in the recipe's file, is left
            out: rows of several tables that mean the same training have the same recipe.

        Raises:
            VadError: As ``load_recipe``.
        """
        compact = row.compact if recipe_stem(recipe_name).endswith("_compact") else {}
        texts = [*_texts(self.overrides), *overrides, *_texts(row.overrides | compact)]
        recipe, plain = load_recipe(recipe_name, texts), load_recipe(recipe_name)
        check_hyper(self.model, recipe.model)
        parameters = inspect.signature(get_method(self.model)).parameters
        model = {
            option: value
            for option, value in recipe.model.items()
            if option in plain.model or value != parameters[option].default
        }
        return dataclasses.replace(recipe, model=model)


def training_name(recipe: Recipe, recipe_name: str) -> str:
    """A folder's name for what is trained: how the recipe differs from the file it comes from.

    Example:
    >>> recipe = load_recipe("adv3dcae_ucsdped2", ["model.noise=null", "training.epochs=2"])
    >>> training_name(recipe, "adv3dcae_ucsdped2")
    'noise=null,training.epochs=2'
    >>> training_name(load_recipe("adv3dcae_ucsdped2"), "adv3dcae_ucsdped2")
    'recipe'
    """
    plain, parts = load_recipe(recipe_name).to_dict(), []
    for section, options in recipe.to_dict().items():
        prefix = "" if section == "model" else f"{section}."
        for option, value in sorted(options.items()):
            if option not in plain[section] or plain[section][option] != value:
                parts.append(option_name(f"{prefix}{option}", value))
    name = ",".join(parts) or "recipe"
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


def option_name(option: str, value: Any) -> str:
    """An option and its value, as a part of a file's name.

    Example:
    >>> option_name("channels", (8, 16))
    'channels=8-16'
    """
    text = re.sub(r"[^\w.+-]+", "-", json.dumps(value)).strip("-")
    return f"{option}={text}"


def list_ablations() -> list[str]:
    """Names of the tables that come with the package, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def load_ablation(name: str) -> AblationTable:
    """Read and check a table.

    Args:
        name: The name of a table that comes with the package, or a path to a YAML file.

    Raises:
        VadError: If there is no such table, or something in it is missing, unknown or of the wrong type; options of
            recipe and method, too.
    """
    is_file = name.endswith((".yaml", ".yml"))
    if not is_file and name not in list_ablations():
        known = list_ablations()
        raise VadError(
            f"there is no ablation table {name!r}{did_you_mean(name, known)}; give a YAML file or one of "
            f"{', '.join(known)}."
        )
    try:
        text = Path(name).read_text("utf-8") if is_file else (_folder() / f"{name}.yaml").read_text("utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise VadError(f"the ablation table {name} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VadError(f"the ablation table {name} is not valid YAML: {' '.join(str(error).split())}.") from error
    return _table(content, Path(name).stem if is_file else name)


def _folder() -> Any:
    return files("keras_vad") / "ablations"


def _table(content: Any, name: str) -> AblationTable:
    where = f"the ablation table {name}"
    _check_keys(content, where, _REQUIRED, _OPTIONAL)
    from keras_vad.evaluation.protocols import PROTOCOLS  # loads scikit-learn, which the tables' names do not need

    protocol = content.get("protocol", "paper")
    if protocol not in PROTOCOLS:
        raise VadError(f"{where} has the protocol {protocol!r}, but must have one of {', '.join(PROTOCOLS)}.")
    figures = tuple(content.get("figures", ["auroc"]))
    _check_figures(figures, where)
    if not isinstance(content["rows"], list) or not content["rows"]:
        raise VadError(f"{where} must hold a list of at least one row, but holds {content['rows']!r}.")
    common = _mapping(content, "scoring", where)
    table = AblationTable(
        name=name,
        title=content["title"],
        paper=content["paper"],
        model=content["model"],
        rows=tuple(_row(row, number, where, common) for number, row in enumerate(content["rows"], start=1)),
        protocol=protocol,
        figures=figures,
        note=content.get("note", ""),
        overrides=_mapping(content, "set", where),
    )
    labels = [row.label for row in table.rows]
    for label in labels:
        if labels.count(label) > 1:
            raise VadError(f"{where} has {labels.count(label)} rows {label!r}; give each row a label of its own.")
    for row in table.rows:
        origin = f"row {row.label!r} of {where}"
        for compact in ({}, row.compact):
            options = Recipe.from_dict(_nested(table.overrides | row.overrides | compact, origin), origin)
            check_hyper(table.model, options.model | row.scoring)
    return table


def _row(content: Any, number: int, where: str, scoring: dict[str, Any]) -> AblationRow:
    where = f"row {number} of {where}"
    _check_keys(content, where, ("label",), _ROW_KEYS[1:])
    paper = _mapping(content, "paper", where)
    for dataset, figures in paper.items():
        if not isinstance(figures, dict) or not all(isinstance(value, int | float) for value in figures.values()):
            raise VadError(f"{where} reports {figures!r} on {dataset}, but must name each figure, as {{auroc: 91.0}}.")
        _check_figures(figures, where)
    return AblationRow(
        label=str(content["label"]),
        overrides=_mapping(content, "set", where),
        compact=_mapping(content, "compact", where),
        scoring=scoring | _mapping(content, "scoring", where),
        score=content.get("score", "frame_scores"),
        paper=paper,
    )


def _check_keys(content: Any, where: str, required: Sequence[str], optional: Sequence[str]) -> None:
    if not isinstance(content, dict):
        raise VadError(
            f"{where} is {content!r}, but must hold {', '.join(required)} and may hold {', '.join(optional)}."
        )
    for key in content:
        if key not in (*required, *optional):
            raise VadError(f"{where} has an unknown key {key!r}; it may hold {', '.join((*required, *optional))}.")
    for key in required:
        if content.get(key) in (None, ""):
            raise VadError(f"{where} has no {key}, but needs one.")


def _check_figures(figures: Any, where: str) -> None:
    for figure in figures:
        if figure not in FIGURES:
            raise VadError(f"{where} has a figure {figure!r}, but figures are {', '.join(FIGURES)}.")


def _mapping(content: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, dict):
        raise VadError(f"{key} of {where} is {value!r}, but must hold options and their values.")
    return value


def _nested(overrides: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``{"model.noise": None}`` to ``{"model": {"noise": None}}``."""
    sections: dict[str, Any] = {}
    for path, value in overrides.items():
        section, dot, option = str(path).partition(".")
        if not (section and dot and option):
            raise VadError(f"{where} sets {path!r}, but must name section and option, as model.noise.")
        sections.setdefault(section, {})[option] = value
    return sections


def _texts(overrides: Mapping[str, Any]) -> list[str]:
    """As ``--set`` takes them; JSON is YAML."""
    return [f"{path}={json.dumps(value)}" for path, value in overrides.items()]
