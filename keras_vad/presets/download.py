"""One file of a preset from a store to this machine, in as many goes as it takes, and verified."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pooch

from keras_vad.errors import VadError
from keras_vad.presets.index import PresetFile
from keras_vad.presets.store import Store, StoreError, TransferError

Progress = Callable[[int], None]
_TRIES = 4  # in a row that bring nothing
_WAIT = 0.5  # seconds before the second of them; each wait is twice the one before


def download(store: Store, folder: str, file: PresetFile, to: Path, progress: Progress = lambda have: None) -> Path:
    """Bring a file, or what is missing of it.

    pooch looks whether it is there already, verifies it and gives it its name, its hash, only then. What has arrived
    when a transfer breaks off, whatever the reason, stays beside it as ``HASH.part``, and the next call goes on there.
    What turns out to be wrong is deleted.

    Args:
        store: Where it is.
        folder: The folder in the store's zoo that holds it.
        file: What it must be.
        to: Folder to bring it to. Only one process at a time may do so.
        progress: Called with the bytes that are there.

    Returns:
        The verified file.

    Raises:
        StoreError: If the store does not have it, or has something else.
        VadError: If it cannot be written.
    """
    part = to / f"{file.sha256}.part"
    resumed = part.exists()

    def fetch(path: str, output: str, _: object) -> None:
        _complete(store, path, part, file.size, progress)
        part.replace(output)

    pooch.get_logger().setLevel(logging.WARNING)
    try:
        return Path(
            pooch.retrieve(
                f"{folder}/{file.name}",
                known_hash=f"sha256:{file.sha256}",
                fname=file.sha256,
                path=to,
                downloader=fetch,
            )
        )
    except VadError:
        raise
    except OSError as error:
        raise VadError(
            f"{file.name} cannot be kept in {to} ({error.strerror or error}); free some space there or name another "
            "folder."
        ) from error
    except ValueError as error:  # pooch: another hash
        if resumed:  # the part may have been of something else
            return download(store, folder, file, to, progress)
        raise StoreError(
            f"{folder}/{file.name} of {store.name} is not what the index says: its SHA-256 is not {file.sha256}."
        ) from error


def _complete(store: Store, path: str, part: Path, size: int, progress: Progress) -> None:
    """Append to a part until it has its size."""
    part.touch()
    failures, most = 0, part.stat().st_size
    while (have := part.stat().st_size) != size:
        reason = "the transfer ends early"
        try:
            with store.open(path, have if have < size else 0) as (begin, pieces), part.open("r+b") as file:
                file.truncate(begin)
                file.seek(begin)
                for piece in pieces:
                    file.write(piece)
                    progress(min(file.tell(), size))
                    if file.tell() > size:
                        file.truncate(0)
                        raise StoreError(f"{store.name} sends more for {path} than the {size} bytes of the index.")
        except TransferError as error:
            reason = str(error)
        if part.stat().st_size > most:
            failures, most = 0, part.stat().st_size
            continue
        failures += 1
        if failures == _TRIES:
            raise StoreError(f"{store.name} has sent {most} of the {size} bytes of {path}, no more come ({reason}).")
        time.sleep(_WAIT * 2 ** (failures - 1))
