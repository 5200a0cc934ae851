"""Trained detectors by name or path."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_vad.artifacts.card import CARD_NAME, training_of_run
from keras_vad.artifacts.keras_file import DETECTOR_NAME, load_detector
from keras_vad.artifacts.saved_model import DETECTOR_FILE
from keras_vad.common.names import serves_as_name, version_number, versions
from keras_vad.errors import VadError
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.presets.index import Preset, PresetFile, matching, read_index
from keras_vad.presets.pull import local_zoos, pull
from keras_vad.presets.stores import cache_zoo


def load(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] = "zoo") -> VideoAnomalyDetector:
    """A trained detector, ready to score.

    A preset that is not on this machine is pulled (``keras_vad.presets.pull``) to the user's own zoo folder. Its file
    is loaded only if it is what the index of its zoo says.

    Args:
        name_or_path: A ``.keras`` file, a run folder, a model's folder in a zoo (its newest version), the folder of one
            version, the name of a model in ``zoo``, or the name of a preset, ``NAME`` (its newest version on this
            machine) or ``NAME/VERSION``.
        zoo: The zoo folder in which names are looked up first.

    Raises:
        VadError: If there is no such detector, it cannot be pulled, or its file is damaged or of another program.
    """
    file, preset = _resolve(Path(name_or_path), Path(zoo))
    return load_detector(file) if preset is None else _load_verified(file, preset)


@dataclass(frozen=True)
class Origin:
    """What a trained detector is known by.

    Args:
        name: The model's or preset's name; of a run its folder's, of a single file the file's without its suffix.
        version: Its version; ``None`` for runs and single files.
        sha256: Hash of its file.
        training: Where its weights come from, see ``card.training_of_run``; ``None`` if nothing says so.
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


def origin_of(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] = "zoo") -> Origin:
    """What is known of the detector that ``load`` would load.

    Args:
        name_or_path: See ``load``.
        zoo: See ``load``.

    Raises:
        VadError: As ``load``.
    """
    file, preset = _resolve(Path(name_or_path), Path(zoo))
    sha256 = (PresetFile.of(file) if preset is None else preset.file(DETECTOR_NAME)).sha256
    card = card_of(name_or_path, zoo)
    if card is not None:
        return Origin(card["name"], card["version"], sha256, card.get("training"))
    if file.name == DETECTOR_NAME and (training := training_of_run(file.parent)) is not None:
        return Origin(file.parent.resolve().name, None, sha256, training)
    return Origin(file.stem, None, sha256, None)


def card_of(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] = "zoo") -> dict[str, Any] | None:
    """The card of what ``load`` would load; ``None`` if it has none, as runs and single files.

    Args:
        name_or_path: See ``load``.
        zoo: See ``load``.

    Raises:
        VadError: As ``load``.
    """
    file, preset = _resolve(Path(name_or_path), Path(zoo))
    card = file.with_name(CARD_NAME)
    if preset is not None:
        preset.file(CARD_NAME).check(card)
    return json.loads(card.read_text("utf-8")) if card.is_file() else None


def _resolve(path: Path, zoo: Path) -> tuple[Path, Preset | None]:
    """The file of a detector, and for a preset what the index says of it; pulled if it is not here."""
    file = _find(path, zoo)
    if file is not None:
        return file, None
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
    return place / preset.folder / DETECTOR_NAME, preset


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


def _load_verified(file: Path, preset: Preset) -> VideoAnomalyDetector:
    """Load a copy that nobody else can change between the check and the loading."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / DETECTOR_NAME
        try:
            shutil.copyfile(file, copy)
        except OSError as error:
            raise VadError(f"{file} cannot be read ({error.strerror}); pull the preset again.") from error
        preset.file(DETECTOR_NAME).check(copy, shown=file)
        return load_detector(copy, shown=file)
