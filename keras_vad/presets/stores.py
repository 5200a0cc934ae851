"""Where presets come from: a zoo folder on disk, on a web server or in an object store, all in the same layout."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import keras_vad
from keras_vad.errors import VadError
from keras_vad.presets.index import INDEX_NAME, Preset, read_index
from keras_vad.presets.store import CHUNK, Store, StoreError, TransferError, shown_address

STORES_VARIABLE = "KERAS_VAD_STORES"


class FolderStore(Store):
    """A folder on this machine, or mounted on it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder

    @contextmanager
    def open(self, path: str, start: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See ``Store``."""
        try:
            file = (self.folder / path).open("rb")
        except OSError as error:
            raise StoreError(f"{self.folder / path} cannot be read ({error.strerror}).") from error
        with file:
            yield start, _pieces(file, start)

    def index(self) -> list[Preset]:
        """See ``Store``; a folder in which nothing was published has no presets."""
        if not self.folder.is_dir():
            raise StoreError(f"there is no zoo folder {self.folder}.")
        return read_index(self.folder)


class ObjectStore(Store):
    """What fsspec reads: ``s3://``, ``gs://``, ``az://``, ``hf://``, ``sftp://``, ...; each needs its own package."""

    def __init__(self, address: str) -> None:
        super().__init__(shown_address(address))
        scheme = address.split("://")[0]
        try:
            import fsspec

            self._files, self._root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise VadError(
                f"{self.name} cannot be read ({error}); install keras_vad[objects], and what fsspec needs for {scheme}://."
            ) from error
        except ValueError as error:
            raise VadError(f"{self.name} is no store of presets ({error}); name a folder or an address.") from error

    @contextmanager
    def open(self, path: str, start: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See ``Store``."""
        try:
            file = self._files.open(f"{self._root.rstrip('/')}/{path}", "rb")
        except FileNotFoundError as error:
            raise StoreError(f"{self.name} has no {path}.") from error
        except Exception as error:  # every file system has its own
            raise TransferError(str(error) or type(error).__name__) from error
        with file:
            yield start, _pieces(file, start)


def _pieces(file: IO[bytes], start: int) -> Iterator[bytes]:
    try:
        file.seek(start)
        while piece := file.read(CHUNK):
            yield piece
    except Exception as error:  # file systems of fsspec raise anything
        raise TransferError(str(error) or type(error).__name__) from error


def open_store(address: str | os.PathLike[str]) -> Store:
    """The store at an address.

    Args:
        address: A folder, or an address with ``http``, ``https``, ``file`` or a scheme that fsspec knows.

    Raises:
        VadError: If nothing reads such addresses.
    """
    text = os.fspath(address)
    scheme = text.split("://")[0].lower() if "://" in text else ""
    if scheme in ("http", "https"):
        from keras_vad.presets.http import HttpStore

        return HttpStore(text)
    if scheme in ("", "file"):
        return FolderStore(Path(url2pathname(urlsplit(text).path)) if scheme else Path(text))
    return ObjectStore(text)


def open_stores(addresses: Sequence[str | os.PathLike[str]] | None = None) -> list[Store]:
    """The stores that presets are looked for in, in order.

    Args:
        addresses: Where to look; ``None`` for those of ``$KERAS_VAD_STORES``, separated by commas, or, where it is not
            set, the zoo of the checkout that keras_vad runs from.

    Raises:
        VadError: As ``open_store``.
    """
    if addresses is None:
        told = os.environ.get(STORES_VARIABLE)
        own = Path(keras_vad.__file__).parents[1] / "zoo"
        if told is not None:
            addresses = [address.strip() for address in told.split(",") if address.strip()]
        else:
            addresses = [own] if (own / INDEX_NAME).is_file() else []
    return [open_store(address) for address in addresses]


def cache_zoo() -> Path:
    """The zoo folder of this user that presets are pulled to, unless told otherwise; it may be deleted at any time."""
    folder = os.environ.get("KERAS_VAD_CACHE")
    return (Path(folder) if folder else Path.home() / ".cache" / "keras_vad") / "zoo"
