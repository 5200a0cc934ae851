"""A store of presets, as folders, web servers and object stores are: what each can do, and how it fails."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from keras_vad.errors import VadError
from keras_vad.presets.index import INDEX_NAME, Preset, parse_index

CHUNK = 1 << 18  # bytes of a piece
_INDEX_LIMIT = 1 << 24  # bytes; a thousand presets have a tenth of it


class StoreError(VadError):
    """A store lacks a file or cannot be reached; another one may do."""


class TransferError(Exception):
    """A transfer ended early for a reason that may pass."""


class Store(ABC):
    """A zoo folder anywhere.

    Args:
        name: What it is called in messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def open(self, path: str, start: int = 0) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """A file from a byte on, as a context.

        Args:
            path: Its path in the zoo.
            start: The byte wished for.

        Returns:
            Where the bytes begin, ``start`` or 0, and the bytes in pieces.

        Raises:
            StoreError: If it is not there or cannot be read.
            TransferError: If reading broke off and is worth another try; also raised by the pieces.
        """

    def index(self) -> list[Preset]:
        """Its presets.

        Raises:
            StoreError: If it has no index or cannot be reached.
            VadError: If the index cannot be used.
        """
        text = b""
        try:
            with self.open(INDEX_NAME) as (_, pieces):
                for piece in pieces:
                    text += piece
                    if len(text) > _INDEX_LIMIT:
                        raise VadError(f"the index of {self.name} is longer than {_INDEX_LIMIT} bytes; it is none.")
        except TransferError as error:
            raise StoreError(f"the index of {self.name} did not arrive ({error}); try again later.") from error
        return parse_index(text, self.name)


def shown_address(address: str) -> str:
    """An address as it may be printed: without a user's name and password, and the values of its query.

    Example:
    >>> shown_address("https://me:PW@host/zoo?token=abc")
    'https://host/zoo?token=***'
    """
    parts = urlsplit(address)
    query = re.sub(r"=[^&]*", "=***", parts.query)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query).geturl()
