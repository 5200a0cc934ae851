"""Files and folders that appear only when they are complete."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_vad.errors import VadError


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write a file or folder to; what still has that name when the block ends is removed.

    Args:
        path: Where the file or folder shall go in the end. Its parent is created.

    Raises:
        VadError: If it cannot be written, for example because the disk is full. Nothing is left behind then.
    """
    # Random, not the process's number: containers that share a zoo all have the number 1.
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}.partial{path.suffix}")
    new_folders = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
    except OSError as error:
        reason = error.strerror or str(error)
        raise VadError(f"{path} cannot be written ({reason}); free some space there or name another place.") from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with suppress(OSError):
                partial.unlink()
        for folder in new_folders:
            with suppress(OSError):
                folder.rmdir()  # which it cannot be if something appeared in it


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write a file or folder to; it takes the name ``path`` when the block ends well.

    Args:
        path: The file, which is replaced if it exists, or the folder, which must not exist. Its parent is created.

    Raises:
        VadError: If it cannot be written, for example because the disk is full. Nothing is left behind then.
    """
    with scratch(path) as partial:
        yield partial
        partial.rename(path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with appearing(path) as partial:
        partial.write_text(text, "utf-8")


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Try whether a file or folder can be written, before an hour's work for it; nothing is left behind.

    Args:
        path: The file or folder to be.
        overwrite: Whether a file that exists may be replaced.

    Raises:
        VadError: If it exists and may not be replaced, or cannot be written.
    """
    if path.is_dir():
        raise VadError(f"{path} is a folder that exists; name another place.")
    if path.exists() and not overwrite:
        raise VadError(f"{path} exists; pass --overwrite to replace it, or name another file.")
    with scratch(path) as partial:
        partial.touch()


def check_folder(path: Path) -> None:
    """Try whether files can be written into a folder, which need not exist; nothing is left behind.

    Raises:
        VadError: If they cannot.
    """
    with scratch(path / "file") as partial:
        partial.touch()


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Create a file, or take over one that is there, and lock it until the end of the block.

    The file stays when the block ends, unless the block renames or deletes it, which it may: whoever waits for it sees
    that. A process that is killed gives its lock up.

    Args:
        path: The file. Its parent must exist.

    Yields:
        Its descriptor, open for reading and writing.

    Raises:
        OSError: If it cannot be created.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                yield file
                return
            # Another process renamed or deleted the file while this one waited: the lock is worth nothing.
        finally:
            os.close(file)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
