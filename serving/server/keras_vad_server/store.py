"""The models of a zoo folder: which versions are loaded, and how new ones take over from old ones."""

import enum
import gc
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from keras_vad.common.names import version_number
from keras_vad.errors import VadError
from keras_vad_server.config import ModelSettings
from keras_vad_server.models import ServedModel
from keras_vad_server.status import RequestError, invalid

logger = logging.getLogger(__name__)

_ENDED_VERSIONS_KEPT = 10


class State(enum.IntEnum):
    """Where a version is in its life; the numbers are those of TensorFlow Serving's ``ModelVersionStatus.State``."""

    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """What is known of a version.

    Args:
        version: Its number.
        state: Where it is in its life.
        error: Why it could not be loaded; empty if it could, or is to be.
    """

    version: int
    state: State
    error: str = ""


@dataclass(eq=False)
class _Entry:
    number: int
    state: State = State.LOADING
    error: str = ""
    model: ServedModel | None = None
    requests: int = 0
    # Of the files that could not be loaded: the version is tried again when they have changed.
    fingerprint: object = None

    def end(self) -> None:
        self.state, self.model = State.END, None


class ModelStore:
    """The models that are served, by name and version; follows what is published in their folders.

    A new version is loaded beside the one that is served, then takes over; the old one goes when its requests are
    answered. A version that cannot be loaded replaces nothing. Folders whose name is no number, such as a version that
    is being written, are no versions.

    Args:
        zoo: The zoo folder: every ``<zoo>/<name>`` with a ``<version>/saved_model.pb`` is served, in its highest
            version.
        models: Serve these instead; see ``keras_vad_server.config.read_models``.
        any_labels: Whether a label may be given to a version that is not available, unless it is taken from another.

    Example:
    >>> store = ModelStore("zoo")                        # doctest: +SKIP
    >>> store.refresh()                                  # doctest: +SKIP
    >>> with store.lease("adv3dcae_ucsdped2") as model:  # doctest: +SKIP
    ...     print(model.version)
    1
    """

    def __init__(
        self, zoo: str | Path, models: Sequence[ModelSettings] | None = None, any_labels: bool = False
    ) -> None:
        self.zoo = Path(zoo)
        self._settings = None if models is None else {settings.name: settings for settings in models}
        self._any_labels = any_labels
        self._labels: dict[str, dict[str, int]] = {}
        self._entries: dict[str, dict[int, _Entry]] = {}
        self._dropped = False  # whether a model was dropped that may still be in memory
        # The first is held while versions are loaded, the second only for moments: requests need it.
        self._changing = threading.Lock()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def refresh(self) -> None:
        """Load what is to be served and is not, and drop what is not to be served any more.

        Raises:
            VadError: If the folder is missing, a model has no version, a version cannot be loaded, or a label names a
                version that is not available.
        """
        with self._changing:
            failures = self._update()
            if failures:
                raise failures[0]
            self._check_not_empty()
            if self._settings is not None:
                try:
                    self._labels = self._checked_labels(list(self._settings.values()))
                except RequestError as error:
                    raise VadError(f"the labels cannot be given: {error}; publish it or mend the label.") from error

    def watch(self, seconds: float) -> None:
        """Look for changes again and again, in a thread, until ``close``.

        Args:
            seconds: Time between two looks.
        """

        def poll() -> None:
            while not self._stop.wait(seconds):
                self.poll()

        self._watcher = threading.Thread(target=poll, name="zoo-watcher", daemon=True)
        self._watcher.start()

    def poll(self) -> None:
        """As ``refresh``; but what goes wrong is logged, and what is served stays."""
        with self._changing:
            try:
                self._update()
            except Exception:
                logger.exception("looking for new versions failed; what is served stays")

    def close(self) -> None:
        """End ``watch``."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()

    def reload(self, models: Sequence[ModelSettings]) -> None:
        """Serve these models from now on; one that is served already keeps the versions that stay.

        Args:
            models: All models to serve; others are dropped.

        Raises:
            RequestError: FAILED_PRECONDITION if a label names a version that is not available; nothing changes then.
                UNKNOWN if a new model has no version that can be served; the others are served.
        """
        with self._changing:
            labels = self._checked_labels(models)
            served = {model.name for model in self.models()}
            with self._lock:
                self._settings = {settings.name: settings for settings in models}
                self._labels = labels
            logger.info("the configuration is replaced", extra={"models": sorted(self._settings)})
            self._update()
            available = {model.name for model in self.models()}
            missing = [settings.name for settings in models if settings.name not in served | available]
        if missing:
            reasons = ", ".join(self._why_not(name) for name in missing)
            raise RequestError(
                grpc.StatusCode.UNKNOWN, f"{len(missing)} model(s) did not become available: {{{reasons}}}"
            )

    def models(self) -> list[ServedModel]:
        """All loaded versions, ordered by name and version."""
        with self._lock:
            return [
                entry.model
                for _, entries in sorted(self._entries.items())
                for _, entry in sorted(entries.items())
                if entry.model is not None and entry.state is State.AVAILABLE
            ]

    def versions(self, name: str) -> list[int]:
        """The loaded versions of a model, in order; none if the model is unknown."""
        return [model.version for model in self.models() if model.name == name]

    def statuses(self, name: str) -> list[VersionStatus]:
        """What is known of a model's versions, in order; nothing if the model is unknown."""
        with self._lock:
            entries = sorted(self._entries.get(name, {}).items())
            return [VersionStatus(number, entry.state, entry.error) for number, entry in entries]

    @contextmanager
    def lease(self, name: str, version: int | None = None, label: str | None = None) -> Iterator[ServedModel]:
        """The model to ask, which stays loaded for the duration of the block.

        Args:
            name: Name of the model.
            version: Number of the version; the highest if ``None``.
            label: Its label, in place of a number.

        Raises:
            RequestError: INVALID_ARGUMENT if the model has no such label, NOT_FOUND if the version is not loaded.
        """
        with self._lock:
            if label is not None:
                version = self._labelled(name, label)
            entries = self._entries.get(name, {})
            available = [number for number, entry in entries.items() if entry.state is State.AVAILABLE]
            number = max(available, default=None) if version is None else version
            if number not in available:
                request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request}")
            entry = entries[number]
            model = entry.model
            assert model is not None
            entry.requests += 1
        try:
            yield model
        finally:
            with self._lock:
                entry.requests -= 1
                if entry.state is State.UNLOADING and not entry.requests:
                    entry.end()
                    self._dropped = True

    def _labelled(self, name: str, label: str) -> int:
        version = self._labels.get(name, {}).get(label)
        if version is None:
            raise invalid(f"Unrecognized servable version label: {label}")
        return version

    def _update(self) -> list[VadError]:
        """Bring what is loaded in line with folders and settings; returns what could not be loaded."""
        settings = self._discovered() if self._settings is None else self._settings
        failures = []
        for model in settings.values():
            failures += self._update_model(model)
        for name in [name for name in self._entries if name not in settings]:
            self._retire(name, keep=())
        if self._dropped:
            self._dropped = False
            gc.collect()  # A loaded model refers to itself, and is large.
        return failures

    def _discovered(self) -> dict[str, ModelSettings]:
        if not self.zoo.is_dir():
            raise VadError(f"there is no zoo folder {self.zoo}; export a model into it, or name another with --zoo.")
        return {
            folder.name: ModelSettings(folder.name, folder)
            for folder in sorted(self.zoo.iterdir())
            if not folder.name.startswith(".") and _holds_a_model(folder)
        }

    def _update_model(self, settings: ModelSettings) -> list[VadError]:
        try:
            found = _numbered(settings.base_path)
        except OSError as error:
            # A network folder that is gone for a moment is no reason to drop what is served.
            logger.warning("%s cannot be read: %s", settings.base_path, error.strerror, extra={"model": settings.name})
            return []
        aspired = settings.policy.choose(found)
        failures = []
        for number in aspired:
            try:
                self._load(settings.name, number, found[number])
            except VadError as error:
                failures.append(error)
        if not aspired or set(aspired) & set(self.versions(settings.name)):
            self._retire(settings.name, keep=aspired)
        with self._lock:
            entries = self._entries.get(settings.name, {})
            ended = sorted(number for number, entry in entries.items() if entry.state is State.END)
            for number in ended[:-_ENDED_VERSIONS_KEPT]:
                del entries[number]
        return failures

    def _load(self, name: str, number: int, path: Path) -> None:
        with self._lock:
            entry = self._entries.setdefault(name, {}).get(number)
        if entry is not None and entry.state is not State.END:
            return
        fingerprint = _fingerprint(path)
        if entry is not None and entry.error and fingerprint is not None and entry.fingerprint == fingerprint:
            return
        entry = _Entry(number)
        with self._lock:
            self._entries[name][number] = entry
        about = {"model": name, "version": number}
        try:
            model = ServedModel(name, number, path)
        except VadError as error:
            logger.error("%s", error, extra=about)
            with self._lock:
                entry.state, entry.error, entry.fingerprint = State.END, str(error), fingerprint
            raise
        with self._lock:
            entry.model, entry.state = model, State.AVAILABLE
        logger.info("%s, version %d is served", name, number, extra=about)

    def _retire(self, name: str, keep: Sequence[int]) -> None:
        with self._lock:
            entries = self._entries.get(name, {})
            for number, entry in entries.items():
                if entry.state is State.AVAILABLE and number not in keep:
                    entry.state = State.UNLOADING
                    if not entry.requests:
                        entry.end()
                        self._dropped = True
                    logger.info("%s, version %d goes", name, number, extra={"model": name, "version": number})

    def _checked_labels(self, models: Sequence[ModelSettings]) -> dict[str, dict[str, int]]:
        for settings in models:
            available = self.versions(settings.name)
            for label, version in settings.labels.items():
                before = self._labels.get(settings.name, {}).get(label, version)
                if version not in available and not (self._any_labels and before == version):
                    raise RequestError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {settings.name}, which is not "
                        "currently available for inference",
                    )
        return {settings.name: dict(settings.labels) for settings in models}

    def _check_not_empty(self) -> None:
        served = {model.name for model in self.models()}
        if self._settings is None and not served:
            raise VadError(
                f"the zoo folder {self.zoo} holds no exported model (expected "
                f"{self.zoo}/<name>/<version>/saved_model.pb); export one into it, or name another with --zoo."
            )
        for settings in (self._settings or {}).values():
            if settings.name not in served:
                raise VadError(
                    f"the model {settings.name} has no version to serve below {settings.base_path}; export it there, "
                    "or mend its base_path or model_version_policy."
                )

    def _why_not(self, name: str) -> str:
        failed = [status for status in self.statuses(name) if status.error]
        if not failed:
            return f"{{name: {name} has no version to serve}}"
        return f"{{name: {name} version: {failed[-1].version} due to error: {failed[-1].error}}}"


def _numbered(folder: Path) -> dict[int, Path]:
    """The folders of a model that are named by a number."""
    found = ((version_number(path.name), path) for path in folder.iterdir())
    return {number: path for number, path in found if number is not None and path.is_dir()}


def _holds_a_model(folder: Path) -> bool:
    try:
        return folder.is_dir() and any((path / "saved_model.pb").is_file() for path in _numbered(folder).values())
    except OSError:
        return True  # for a moment, maybe: ``_update_model`` says so, and keeps what is served


def _fingerprint(folder: Path) -> object:
    """Changes when a file below does; ``None`` while they come and go."""
    try:
        return sorted(
            (str(path), status.st_size, status.st_mtime_ns)
            for path in folder.rglob("*")
            if (status := path.stat()) is not None
        )
    except OSError:
        return None
