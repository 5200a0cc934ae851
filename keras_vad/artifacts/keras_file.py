"""Loading the file of a detector, which may come from anyone: a detector of keras_vad comes out of it, or an error."""

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import keras

from keras_vad.common.settings import own_settings
from keras_vad.errors import VadError
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.models.registry import import_methods

_MEMBERS = ["config.json", "metadata.json", "model.weights.h5"]


def load_detector(file: Path, shown: str | os.PathLike[str] | None = None) -> VideoAnomalyDetector:
    """Load a ``.keras`` file.

    Keras loads it in safe mode, so nothing in it is run. Beyond that the file must be what ``save`` writes: a detector
    class of this package and its weights, nothing else. Its arguments are plain values, or functions that the running
    program has registered with Keras under the names that stand in the file. It scores in float32, as when it was
    calibrated, whatever the process has set.

    Args:
        file: The file.
        shown: What it is called in messages; by default its path.

    Raises:
        VadError: If it is damaged, of another program, or holds anything else.
    """
    import_methods()
    name = file if shown is None else shown
    try:
        _check_content(file, name)
        with own_settings():
            detector = keras.models.load_model(file, compile=False, safe_mode=True)
    except VadError:
        raise
    except Exception as error:  # Keras raises anything from KeyError to BadZipFile for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise VadError(
            f"{name} cannot be loaded as a detector ({reason}); it may be damaged: fetch or train it again."
        ) from error
    return detector


def _check_content(file: Path, name: str | os.PathLike[str]) -> None:
    with zipfile.ZipFile(file) as archive:
        members = sorted(archive.namelist())
        config = json.loads(archive.read("config.json"))
    cls = keras.saving.get_registered_object(config.get("registered_name"))
    if not (isinstance(cls, type) and issubclass(cls, VideoAnomalyDetector)):
        raise VadError(f"{name} holds a {config.get('class_name')}, but a detector of keras_vad is needed.")
    if members != _MEMBERS:
        strange = next((member for member in members if member not in _MEMBERS), "a file twice")
        raise VadError(f"{name} is not loaded: it also holds {strange}, which no file of a detector does.")
    for inner in _objects(config["config"]):
        if "class_name" in inner and not _is_registered_function(inner):
            raise VadError(
                f"{name} is not loaded: an argument of its {config['class_name']} is an object of its own "
                f"({inner['class_name']}); if it is a function of yours, register it with Keras before you load this."
            )


def _is_registered_function(value: dict[str, Any]) -> bool:
    if value["class_name"] != "function" or not isinstance(value.get("config"), str):
        return False
    return isinstance(keras.saving.get_registered_object(value["config"]), FunctionType)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object within a value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)
