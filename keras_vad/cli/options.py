"""Options that several verbs have: each has one name and one meaning."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vad.cli.parser import above_zero
from keras_vad.common.files import check_output
from keras_vad.errors import VadError

if TYPE_CHECKING:
    from keras_vad.artifacts.run_folder import RunFolder
    from keras_vad.data.base import VideoDataset


def add_trained(parser: argparse.ArgumentParser) -> None:
    """``--model`` and ``--zoo``: a trained detector."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="NAME_OR_PATH",
        help="a trained model: its name in the zoo, a preset's name, a run folder or a .keras file",
    )
    add_zoo(parser, "that names are looked up in first")


def add_second(parser: argparse.ArgumentParser) -> None:
    """``--with``: the other part of a two-part score."""
    parser.add_argument(
        "--with",
        dest="second",
        metavar="NAME_OR_PATH",
        help="give the two-part score of --model and this model, which is of another method (see docs/evaluation.md)",
    )


def add_zoo(parser: argparse.ArgumentParser, purpose: str) -> None:
    """``--zoo``: the zoo folder."""
    parser.add_argument(
        "--zoo", type=Path, default=Path("zoo"), metavar="DIR", help=f"zoo folder {purpose} (default: %(default)s)"
    )


def add_data(
    parser: argparse.ArgumentParser, *, required: bool = True, key: str = "", folder: str = "its folder"
) -> None:
    """``--dataset`` and ``--data-dir``.

    Args:
        parser: The verb's.
        required: Whether they must be given.
        key: What to add to the help of ``--dataset``.
        folder: The help of ``--data-dir``.
    """
    about = f"key of the data set, such as shapes or folder; keras-vad data lists them{key}"
    parser.add_argument("--dataset", required=required, metavar="KEY", help=about)
    parser.add_argument("--data-dir", required=required, type=Path, metavar="DIR", help=folder)


def opened_data(args: argparse.Namespace) -> "VideoDataset":
    """The data set that ``--dataset`` and ``--data-dir`` name.

    Raises:
        VadError: As ``open_dataset``.
    """
    from keras_vad.data.datasets import open_dataset

    return open_dataset(args.dataset, args.data_dir)


def add_recipe(parser: argparse.ArgumentParser, default: str) -> None:
    """``--recipe`` and ``--set``."""
    parser.add_argument(
        "--recipe",
        help="name of a recipe, a YAML file, or compact or medium for MODEL_DATASET_compact or _medium; "
        f"keras-vad recipes lists them (default: {default})",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.OPTION=VALUE",
        help="override an option of the recipe, as in --set training.epochs=3; may be repeated",
    )


def add_stores(parser: argparse.ArgumentParser) -> None:
    """``--store``: where presets come from."""
    parser.add_argument(
        "--store",
        action="append",
        metavar="URL",
        help="zoo that presets come from: a folder, http(s)://, or what fsspec reads; may be repeated, for mirrors "
        "(default: KERAS_VAD_STORES, or this project's zoo)",
    )


def add_boundary(parser: argparse.ArgumentParser) -> None:
    """``--boundary``."""
    parser.add_argument(
        "--boundary",
        choices=["empirical", "tail"],
        help="how the boundary for a promised rate is found: by the scores that the footage shows, or by their tail "
        "(default: empirical)",
    )


def add_pattern(parser: argparse.ArgumentParser) -> None:
    """``PATTERN``, of the names that are listed."""
    parser.add_argument(
        "pattern", nargs="?", default="*", metavar="PATTERN", help="names with wildcards (default: all)"
    )


def add_fps(parser: argparse.ArgumentParser) -> None:
    """``--fps``."""
    parser.add_argument("--fps", type=above_zero, metavar="F", help="frames a second of videos that do not tell theirs")


def rate_of_training(training: Mapping[str, Any] | None) -> float | None:
    """The ``--fps`` that a training was given, which holds for footage of the same camera; ``None`` if none was."""
    return (((training or {}).get("options") or {}).get("data") or {}).get("fps")


def add_json(parser: argparse.ArgumentParser, content: str) -> None:
    """``--json`` and ``--overwrite``."""
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"write {content}")
    add_overwrite(parser)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """``--overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def configs_of(runs: "Sequence[RunFolder | None]") -> str | None:
    """The configurations of runs, for a report; ``None`` if there are none."""
    return "\n".join(run.config_file.read_text("utf-8") for run in runs if run is not None) or None


def check_outputs(args: argparse.Namespace, *names: str) -> None:
    """Try the files that a verb will write, before it works for them.

    Args:
        args: Of the verb, with ``overwrite``.
        names: Options that name files; those that were not given are passed over.

    Raises:
        VadError: If one exists and ``--overwrite`` was not given, or cannot be written.
    """
    files = [file for name in names if (file := getattr(args, name)) is not None]
    for number, file in enumerate(files):
        if file in files[:number]:
            raise VadError(f"{file} is named twice; name a file for each output.")
        check_output(file, overwrite=args.overwrite)
