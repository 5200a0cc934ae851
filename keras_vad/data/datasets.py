"""The data sets by their keys."""

import os
from collections.abc import Callable
from pathlib import Path

from keras_vad.data.base import VideoDataset
from keras_vad.data.folder import FolderDataset
from keras_vad.data.ucsd import PED1, PED2, UCSDDataset
from keras_vad.errors import VadError

DATASETS: dict[str, Callable[[Path], VideoDataset]] = {
    "shapes": lambda path: UCSDDataset("shapes", path),
    "ucsdped1": lambda path: UCSDDataset("ucsdped1", path, PED1),
    "ucsdped2": lambda path: UCSDDataset("ucsdped2", path, PED2),
    "folder": FolderDataset,
}


def open_dataset(key: str, data_dir: str | os.PathLike[str]) -> VideoDataset:
    """Open a data set and check that it is complete.

    Args:
        key: One of ``DATASETS``.
        data_dir: Where it lies (see docs/data.md for the layouts).

    Raises:
        VadError: If the key is unknown or the folder is not that data set, complete.
    """
    if key not in DATASETS:
        raise VadError(f"there is no data set {key!r}; choose one of {', '.join(DATASETS)}.")
    path = Path(data_dir)
    if not path.is_dir():
        found = "is not a folder" if path.exists() else "does not exist"
        raise VadError(f"the data folder {path} {found}; give the folder that holds the data set {key}.")
    return DATASETS[key](path)
