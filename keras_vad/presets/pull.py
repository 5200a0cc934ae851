"""Finding presets and bringing them here: whole and verified, or not at all."""

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from keras_vad.common.files import locked
from keras_vad.errors import VadError
from keras_vad.presets.download import download
from keras_vad.presets.index import Preset, changing_index, matching, read_index
from keras_vad.presets.store import Store, StoreError
from keras_vad.presets.stores import STORES_VARIABLE, FolderStore, cache_zoo, open_stores

logger = logging.getLogger(__name__)

Address = str | os.PathLike[str]


def list_presets(pattern: str = "*", zoo: Address = "zoo", stores: Sequence[Address] | None = None) -> list[str]:
    """Names of the presets that can be loaded, sorted.

    Args:
        pattern: A wildcard pattern.
        zoo: The zoo folder to look in, besides the stores and what was pulled before.
        stores: See ``pull``.

    Returns:
        The names, each once whatever its versions. Without a network, those that are on this machine.

    Raises:
        VadError: If an index cannot be used.

    Example:
    >>> list_presets("no_such_*", zoo="no_such_zoo", stores=[])
    []
    """
    presets = [preset for folder in (Path(zoo), cache_zoo()) for preset in read_index(folder)]
    for store in open_stores(stores):
        try:
            presets += store.index()
        except StoreError as error:
            logger.warning("only presets of other stores are listed: %s", error)
    return sorted({preset.name for preset in matching(presets, pattern)})


def pull(name: str, *, zoo: Address | None = None, stores: Sequence[Address] | None = None) -> Path:
    """Bring a preset to this machine.

    The first store that lists it decides what its files must be; the others are mirrors, asked for files that the
    first does not deliver. The version appears when all its files are there and have the hashes of the index; until
    then what has arrived lies in a hidden folder, where the next call goes on with it. A folder that presets are pulled
    to is a zoo that others can pull from. Several processes may pull at once: one downloads, the others wait.

    Args:
        name: ``NAME``, for its newest version, or ``NAME/VERSION``.
        zoo: The zoo folder to bring it to; by default the user's, where ``keras_vad.load`` finds it from anywhere:
            ``$KERAS_VAD_CACHE/zoo``, or ``~/.cache/keras_vad/zoo``.
        stores: Zoo folders, here or elsewhere, in order: paths, ``http(s)://`` or what fsspec reads. By default those
            of ``$KERAS_VAD_STORES``, separated by commas, or the zoo of the checkout that keras_vad runs from.

    Returns:
        The folder of the version.

    Raises:
        VadError: If no store has the preset, none delivers what its index promises, ``zoo`` has another preset of this
            name and version, or it cannot be written.
    """
    places = open_stores(stores)
    preset, store = _wanted(name, places)
    mirrors = [store, *(place for place in places if place is not store)]
    folder = cache_zoo() if zoo is None else Path(zoo)
    target = folder / preset.folder
    with _pulling(folder, preset) as work:
        _check_same(folder, preset)
        if not is_intact(target, preset):
            _bring(preset, mirrors, work)
            _put(preset, work, target)
        with changing_index(folder) as presets:
            if preset not in presets:
                presets.append(preset)
    return target


def local_zoos(zoo: Address, stores: Sequence[Address] | None = None) -> list[Path]:
    """The zoo folders on this machine: the one named, those among the stores, and the user's."""
    folders = [store.folder for store in open_stores(stores) if isinstance(store, FolderStore)]
    return list(dict.fromkeys([Path(zoo), *folders, cache_zoo()]))


def is_intact(folder: Path, preset: Preset) -> bool:
    """Whether a folder holds what the index says of a preset."""
    try:
        for file in preset.files:
            file.check(folder / file.name)
    except VadError:
        return False
    return True


def _wanted(name: str, places: Sequence[Store]) -> tuple[Preset, Store]:
    """The preset that a name speaks of, and the first store that lists it."""
    if any(sign in name for sign in "*?["):
        raise VadError(f"{name!r} is a pattern, but one preset is pulled at a time; list_presets tells their names.")
    if not places:
        raise VadError(
            f"no store of presets is known: set {STORES_VARIABLE} to the address of a zoo, or name one with --store."
        )
    told, failed = [], False
    for place in places:
        try:
            presets = place.index()
        except StoreError as error:
            told.append(str(error).removesuffix("."))
            failed = True
            continue
        if found := matching(presets, name):
            return found[0], place
        names = ", ".join(sorted({preset.name for preset in presets}))
        told.append(f"{place.name} has {names or 'no presets'}")
    remedy = "try again later, or name another store" if failed else "choose one of these, or name another store"
    raise VadError(f"there is no preset {name!r}: {'; '.join(told)}; {remedy}.")


@contextmanager
def _pulling(folder: Path, preset: Preset) -> Iterator[Path]:
    """A folder for downloads that one process uses at a time, and that outlives it if the block fails."""
    work = folder / f".{preset.name}-{preset.version}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(lock := work.with_suffix(".lock")):
            try:
                work.mkdir(exist_ok=True)
                yield work
                shutil.rmtree(work)
            finally:
                with suppress(OSError):
                    work.rmdir()  # which it cannot be if something has arrived
                lock.unlink(missing_ok=True)
    except OSError as error:
        raise VadError(
            f"the preset {preset.name} cannot be kept in {folder} ({error.strerror or error}); free some space there, "
            "or name another folder."
        ) from error


def _check_same(folder: Path, preset: Preset) -> None:
    for there in read_index(folder):
        if (there.name, there.version) == (preset.name, preset.version) and there.files != preset.files:
            raise VadError(
                f"{folder} already has {preset.name}/{preset.version} with other files, and a version never changes; "
                "pull to another folder, or delete that one if you do not need it."
            )


def _bring(preset: Preset, stores: Sequence[Store], work: Path) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"pulling {preset.name}/{preset.version}", total=preset.size)
        done = 0
        for file in preset.files:
            failures: list[str] = []
            for store in stores:
                try:
                    download(store, preset.folder, file, work, partial(_show, bar, task, done))
                    break
                except StoreError as error:
                    failures.append(str(error).removesuffix("."))
            else:
                raise VadError(
                    f"the preset {preset.name}/{preset.version} could not be pulled: {'; '.join(failures)}; try again "
                    "later, or name another store."
                )
            done += file.size


def _show(bar: Progress, task: TaskID, before: int, have: int) -> None:
    bar.update(task, completed=before + have)


def _put(preset: Preset, work: Path, target: Path) -> None:
    """Make the version of the files that have arrived; it appears at once, in place of a damaged one."""
    version = work / "version"
    shutil.rmtree(version, ignore_errors=True)  # of a process that was killed
    version.mkdir()
    for file in preset.files:
        shutil.copyfile(work / file.sha256, version / file.name)
        file.check(version / file.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(work / "damaged", ignore_errors=True)
        target.rename(work / "damaged")
    version.rename(target)
