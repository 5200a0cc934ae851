"""The index of a zoo: which presets it holds, and what each of their files must be.

What an index says may come from anyone, so it is read with suspicion: names and files are plain names, never paths.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from keras_vad.common.files import locked, write_text
from keras_vad.common.names import check_name, serves_as_name
from keras_vad.errors import VadError

INDEX_NAME = "index.json"
FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PresetFile:
    """A file of a preset.

    Args:
        name: Its name in the folder of the version.
        size: Its bytes.
        sha256: Its hash, 64 lower-case hexadecimal digits.
    """

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, file: Path) -> "PresetFile":
        """The entry of a file as it is now."""
        with file.open("rb") as stream:
            return cls(file.name, file.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())

    def check(self, file: Path, shown: Path | None = None) -> None:
        """Compare a file with this entry.

        Args:
            file: The file.
            shown: What it is called in messages; by default its path.

        Raises:
            VadError: If the file is missing or is another.
        """
        try:
            found = PresetFile.of(file)
        except OSError as error:
            raise VadError(f"{shown or file} cannot be read ({error.strerror}); pull the preset again.") from error
        if (found.size, found.sha256) != (self.size, self.sha256):
            raise VadError(
                f"{shown or file} has {found.size} bytes with SHA-256 {found.sha256}, but the index of its zoo says "
                f"{self.size} with {self.sha256}: it is damaged or was changed; pull the preset again."
            )


@dataclass(frozen=True)
class Preset:
    """One version of a trained detector.

    Args:
        name: What it is loaded by.
        version: Its number, from 1; a version never changes.
        files: Its files.
        about: What else the index says: ``licence``, ``dataset`` (its name, fingerprint and terms), ``recipe``,
            ``seed``, ``metrics`` with their protocols, ``input``, ``libraries``, ...
    """

    name: str
    version: int
    files: tuple[PresetFile, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where its files lie in a zoo, in terms of addresses."""
        return f"presets/{self.name}/{self.version}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def file(self, name: str) -> PresetFile:
        """The entry of a file.

        Raises:
            VadError: If the preset has no such file.
        """
        for file in self.files:
            if file.name == name:
                return file
        raise VadError(f"the preset {self.name}/{self.version} has no {name}; publish it again.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the index holds them."""
        files = [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in self.files]
        return {"name": self.name, "version": self.version, "files": files, **self.about}


def parse_index(text: str | bytes, where: str) -> list[Preset]:
    """The presets of an index.

    Args:
        text: The JSON.
        where: What it is the index of, for messages.

    Raises:
        VadError: If it is no index, is of a newer format, or has an entry that must not be trusted.
    """
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise VadError(
                f"{where} has an index of format {content['format']!r}, but this version of keras_vad reads format "
                f"{FORMAT}; install a newer one."
            )
        presets = [_preset(entry) for entry in content["presets"]]
    except VadError as error:
        raise VadError(f"the index of {where} cannot be used: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise VadError(f"{where} has no index of presets ({reason}); name a zoo folder, made by publishing.") from error
    keys = [(preset.name, preset.version) for preset in presets]
    if len(set(keys)) < len(keys):
        raise VadError(f"the index of {where} has a version twice; it must be mended where it was published.")
    return presets


def _preset(entry: Mapping[str, Any]) -> Preset:
    about = dict(entry)
    name, version, files = about.pop("name"), about.pop("version"), about.pop("files")
    check_name(name)
    if type(version) is not int or version < 1:
        raise VadError(f"{name} has the version {version!r}, but versions are numbers from 1.")
    listed = tuple(PresetFile(file["name"], file["size"], file["sha256"]) for file in files)
    for file in listed:
        if not serves_as_name(file.name):
            raise VadError(f"a file of {name} is called {file.name!r}, but files of presets have plain names.")
        if type(file.size) is not int or file.size < 0 or not _SHA256.fullmatch(file.sha256):
            raise VadError(f"the size or the SHA-256 of {file.name} of {name} is none.")
    if len({file.name for file in listed}) < len(listed):
        raise VadError(f"{name} lists a file twice.")
    return Preset(name, version, listed, about)


def read_index(zoo: Path) -> list[Preset]:
    """The presets of a zoo folder, none if it has no index.

    Raises:
        VadError: As ``parse_index``, or if the file cannot be read.
    """
    try:
        return parse_index((zoo / INDEX_NAME).read_bytes(), str(zoo))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise VadError(f"{zoo / INDEX_NAME} cannot be read ({error.strerror}); check the folder.") from error


@contextmanager
def changing_index(zoo: Path) -> Iterator[list[Preset]]:
    """The presets of a zoo folder, to be added to; they are the index when the block ends well.

    One process at a time; a reader sees the index before or after, never half of it.

    Args:
        zoo: The folder; it is created.

    Raises:
        VadError: As ``read_index``, or if the folder cannot be written.
    """
    try:
        zoo.mkdir(parents=True, exist_ok=True)
        lock = zoo / f".{INDEX_NAME}.lock"
        with locked(lock):
            try:
                before = read_index(zoo)
                presets = list(before)
                yield presets
                if presets != before:
                    write_text(zoo / INDEX_NAME, index_text(presets))
            finally:
                lock.unlink(missing_ok=True)
    except OSError as error:
        raise VadError(
            f"the index of {zoo} cannot be written ({error.strerror}); free some space there or name another folder."
        ) from error


def index_text(presets: Iterable[Preset]) -> str:
    """The index as JSON, by name and version."""
    entries = [preset.to_dict() for preset in sorted(presets, key=lambda preset: (preset.name, preset.version))]
    return json.dumps({"format": FORMAT, "presets": entries}, indent=2, ensure_ascii=False) + "\n"


def matching(presets: Iterable[Preset], name: str) -> list[Preset]:
    """The versions that a name or wildcard pattern speaks of, newest first.

    Args:
        presets: Those to choose from.
        name: ``NAME``, ``NAME/VERSION`` or a pattern of either.
    """
    chosen = [one for one in presets if fnmatchcase(one.name, name) or fnmatchcase(f"{one.name}/{one.version}", name)]
    return sorted(chosen, key=lambda preset: preset.version, reverse=True)
