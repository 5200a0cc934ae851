"""Trained detectors by name or path: a name is looked up once, and loading it is another step."""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vad.artifacts.layout import CARD_NAME, DETECTOR_FILE, DETECTOR_NAME
from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.common.names import serves_as_name, version_number, versions
from keras_vad.errors import VadError
from keras_vad.models.registry import METHODS
from keras_vad.presets.index import Preset, PresetFile, matching, read_index
from keras_vad.presets.pull import local_zoos, pull
from keras_vad.presets.stores import cache_zoo

if TYPE_CHECKING:
    from keras_vad.models.detector import VideoAnomalyDetector


def load(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] = "zoo") -> "VideoAnomalyDetector":
    """A trained detector, ready to score.

    Args:
        name_or_path: See ``resolve``.
        zoo: See ``resolve``.

    Raises:
        VadError: If there is no such detector, it cannot be pulled, or its file is damaged or of another program.
    """
    return resolve(name_or_path, zoo).load()


def resolve(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] = "zoo") -> "TrainedDetector":
    """Look a trained detector up, without loading it or TensorFlow.

    A preset that is not on this machine is pulled (``keras_vad.presets.pull``) to the user's own zoo folder.

    Args:
        name_or_path: A ``.keras`` file, a run folder, a model's folder in a zoo (its newest version), the folder of one
            version, the name of a model in ``zoo``, or the name of a preset, ``NAME`` (its newest version on this
            machine) or ``NAME/VERSION``.
        zoo: The zoo folder in which names are looked up first.

    Raises:
        VadError: If there is no such detector, or it cannot be pulled.
    """
    path, zoo = Path(name_or_path), Path(zoo)
    file = _find(path, zoo)
    if file is not None:
        return TrainedDetector(file)
    held = f"{zoo} holds {names}" if (names := _models(zoo)) else f"the zoo folder {zoo} holds no models"
    unknown = f"there is no detector {str(path)!r}: it is no .keras file, run or zoo folder"
    if not _is_preset_name(path):
        raise VadError(f"{unknown}, and {held}.")
    found = _find_preset(path.as_posix(), local_zoos(zoo))
    if found is None:
        try:
            pull(path.as_posix())
        except VadError as error:
            raise VadError(f"{unknown}, {held}, and {error}") from error
        found = _find_preset(path.as_posix(), [cache_zoo()])
        assert found is not None
    place, preset = found
    return TrainedDetector(place / preset.folder / DETECTOR_NAME, preset)


@dataclass(frozen=True)
class Origin:
    """What a trained detector is known by.

    Args:
        name: The model's or preset's name; of a run its folder's, of a single file the file's without its suffix.
        version: Its version; ``None`` for runs and single files.
        sha256: Hash of its file.
        training: Where its weights come from, see ``RunFolder.training``; ``None`` if nothing says so.
    """

    name: str
    version: int | None
    sha256: str
    training: Mapping[str, Any] | None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values: ``name``, ``version``, ``sha256``."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


@dataclass(frozen=True)
class TrainedDetector:
    """A trained detector on this machine that a name or a path stands for.

    Args:
        file: Its ``.keras`` file.
        preset: What the index of its zoo says of it, if it is a preset.
    """

    file: Path
    preset: Preset | None = None

    def load(self) -> "VideoAnomalyDetector":
        """Load it; a preset only if its file is what the index of its zoo says.

        Raises:
            VadError: If the file is damaged or of another program.
        """
        from keras_vad.artifacts.keras_file import load_detector

        if self.preset is None:
            return load_detector(self.file)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / DETECTOR_NAME  # that nobody else can change between the check and the loading
            try:
                shutil.copyfile(self.file, copy)
            except OSError as error:
                raise VadError(f"{self.file} cannot be read ({error.strerror}); pull the preset again.") from error
            self.preset.file(DETECTOR_NAME).check(copy, shown=self.file)
            return load_detector(copy, shown=self.file)

    @cached_property
    def method(self) -> str | None:
        """Public name of its method, as the file has it; ``None`` if it is none of ours, or nothing can be read."""
        try:
            with zipfile.ZipFile(self.file) as archive:
                name = json.loads(archive.read("config.json"))["class_name"]
        except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
            return None  # loading will say what is wrong
        return next((key for key, (_, cls) in METHODS.items() if cls == name), None)

    @property
    def run(self) -> RunFolder | None:
        """The run folder that it lies in, if it does."""
        run = RunFolder(self.file.parent)
        return run if self.file.name == DETECTOR_NAME and run.started else None

    @cached_property
    def card(self) -> dict[str, Any] | None:
        """Its card; ``None`` if it has none, as runs and single files.

        Raises:
            VadError: If it is the card of a preset and not what the index says.
        """
        card = self.file.with_name(CARD_NAME)
        if self.preset is not None:
            self.preset.file(CARD_NAME).check(card)
        return json.loads(card.read_text("utf-8")) if card.is_file() else None

    @cached_property
    def origin(self) -> Origin:
        """What it is known by.

        Raises:
            VadError: As ``card``.
        """
        file = PresetFile.of(self.file) if self.preset is None else self.preset.file(DETECTOR_NAME)
        if self.card is not None:
            return Origin(self.card["name"], self.card["version"], file.sha256, self.card.get("training"))
        if self.run is not None:
            return Origin(self.run.path.resolve().name, None, file.sha256, self.run.training())
        return Origin(self.file.stem, None, file.sha256, None)

    @property
    def calibration(self) -> dict[str, Any] | None:
        """How its alarm boundary came about, as its run or its card tells it; ``None`` if neither does."""
        told = None if self.run is None else self.run.calibration()
        return told or (self.card or {}).get("calibration")


def _find(path: Path, zoo: Path) -> Path | None:
    for place in (path, zoo / path):
        if place.is_file() and place.suffix == ".keras":
            return place
        newest = [place / str(number) for number in reversed(versions(place))]
        for candidate in (place / DETECTOR_NAME, *(folder / DETECTOR_FILE for folder in [place, *newest])):
            if candidate.is_file():
                return candidate
    return None


def _models(zoo: Path) -> str:
    known = sorted(entry.parents[1].name for entry in zoo.glob("*/*/saved_model.pb")) if zoo.is_dir() else []
    return ", ".join(dict.fromkeys(known))


def _is_preset_name(path: Path) -> bool:
    name, *version = path.parts or ("",)
    return serves_as_name(name) and (not version or (len(version) == 1 and version_number(version[0]) is not None))


def _find_preset(name: str, zoos: Sequence[Path]) -> tuple[Path, Preset] | None:
    """The newest version that a name speaks of in the first zoo that has one, and that zoo."""
    for zoo in zoos:
        if found := matching(read_index(zoo), name):
            return zoo, found[0]
    return None
