"""Trained detectors by name or path."""

import os
from pathlib import Path

import keras

from keras_vad.errors import VadError
from keras_vad.export import DETECTOR_FILE, versions
from keras_vad.models import registry
from keras_vad.models.detector import VideoAnomalyDetector


def load(name_or_path: str | os.PathLike[str], zoo: str | os.PathLike[str] = "zoo") -> VideoAnomalyDetector:
    """A trained detector, ready to score.

    Args:
        name_or_path: A ``.keras`` file, a run folder, a model's folder in a zoo (its newest version), the folder of one
            version, or the name of a model in ``zoo``.
        zoo: The zoo folder in which names are looked up.

    Raises:
        VadError: If there is no such detector, or its file is damaged or of another program.
    """
    file = _find(Path(name_or_path), Path(zoo))
    assert registry.MODELS  # importing the registry registers the classes with Keras
    try:
        detector = keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises anything from KeyError to BadZipFile for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise VadError(
            f"{file} cannot be loaded as a detector ({reason}); it may be damaged: fetch or train it again."
        ) from error
    if not isinstance(detector, VideoAnomalyDetector):
        raise VadError(f"{file} holds a {type(detector).__name__}, but a detector of keras_vad is needed.")
    return detector


def _find(path: Path, zoo: Path) -> Path:
    for place in (path, zoo / path):
        if place.is_file() and place.suffix == ".keras":
            return place
        newest = [place / str(number) for number in reversed(versions(place))]
        for candidate in (place / "detector.keras", *(folder / DETECTOR_FILE for folder in [place, *newest])):
            if candidate.is_file():
                return candidate
    known = sorted(entry.parents[1].name for entry in zoo.glob("*/*/saved_model.pb")) if zoo.is_dir() else []
    there = f"{zoo} holds {', '.join(dict.fromkeys(known))}" if known else f"the zoo folder {zoo} holds no models"
    raise VadError(f"there is no detector {str(path)!r}: it is no .keras file, run or zoo folder, and {there}.")
