"""The configuration files of ``tensorflow_model_server``, text protos, as the local server reads them."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import text_format
from tensorflow_serving.config import file_system_storage_path_source_pb2, model_server_config_pb2

from keras_vad.errors import VadError
from keras_vad_server.protos import BatchingParameters, MonitoringConfig, SSLConfig
from keras_vad_server.status import RequestError, invalid

METRICS_PATH = "/monitoring/prometheus/metrics"
_PLATFORM = "tensorflow"
_TENSORFLOW_TYPE = model_server_config_pb2.ModelType.Value("TENSORFLOW")

_Policy = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy
_T = TypeVar("_T")


@dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions in a model's folder are served.

    Args:
        latest: So many of the highest; all if ``None``.
        specific: These only, if given; ``latest`` says nothing then.
    """

    latest: int | None = 1
    specific: frozenset[int] | None = None

    def choose(self, versions: Collection[int]) -> list[int]:
        """The versions to serve, highest first.

        Example:
        >>> VersionPolicy(latest=2).choose([1, 10, 9])
        [10, 9]
        >>> VersionPolicy(specific=frozenset({1, 7})).choose([1, 10, 9])
        [1]
        """
        ordered = sorted(versions, reverse=True)
        if self.specific is not None:
            return [version for version in ordered if version in self.specific]
        return ordered[: self.latest]


@dataclass(frozen=True)
class ModelSettings:
    """How one model is served.

    Args:
        name: The name that requests give.
        base_path: Folder of its versions.
        policy: Which of them are served.
        labels: Names that requests may give in place of a version's number.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchingOptions:
    """How requests wait, and which of them are computed together.

    Args:
        max_batch_size: Most rows (entries of dimension 0) computed at once; ``None`` computes every request by itself.
        timeout: Seconds that a batch with room waits for more requests.
        max_enqueued_batches: Most batches that wait for one signature of one version.
        threads: Batches computed at the same time.
        allowed_sizes: Sizes to which batches are filled up, ascending; any if empty.
    """

    max_batch_size: int | None = None
    timeout: float = 0.0
    max_enqueued_batches: int = 64
    threads: int = os.cpu_count() or 1
    allowed_sizes: tuple[int, ...] = ()

    def padded(self, rows: int) -> int:
        """The size to which a batch of so many rows is filled up.

        Example:
        >>> BatchingOptions(8, allowed_sizes=(2, 8)).padded(3)
        8
        """
        return next((size for size in self.allowed_sizes if size >= rows), rows)


@dataclass(frozen=True)
class Tls:
    """Keys and certificates, PEM.

    Args:
        key: The server's private key.
        certificate: Its certificate, and those up to the root's.
        client_ca: Certificates of those who may sign clients' certificates; ``None`` for the system's.
        verify_clients: Whether a client must show a certificate (mutual TLS).
    """

    key: bytes = field(repr=False)
    certificate: bytes
    client_ca: bytes | None = None
    verify_clients: bool = False

    def credentials(self) -> grpc.ServerCredentials:
        """The same for gRPC."""
        return grpc.ssl_server_credentials([(self.key, self.certificate)], self.client_ca, self.verify_clients)


def model_settings(config: Any, root: Path) -> list[ModelSettings]:
    """The models of a ``ModelServerConfig``.

    Args:
        config: The message.
        root: Folder that relative base paths start from.

    Raises:
        RequestError: If it is none that TensorFlow Serving would take; with its text.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    settings: dict[str, ModelSettings] = {}
    for model in config.model_config_list.config:
        if not model.name:
            raise invalid("Expected every model to have a name")
        if model.name in settings:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        if not model.base_path:
            raise invalid(f"Expected model {model.name} to have an absolute path or URI; got base_path()=")
        if not model.model_platform and model.model_type != _TENSORFLOW_TYPE:
            raise invalid(
                f"Illegal setting neither ModelServerConfig::model_type nor ModelServerConfig::model_platform of model "
                f"{model.name}"
            )
        if model.model_platform not in ("", _PLATFORM):
            raise invalid(f"Model {model.name} requests unsupported platform {model.model_platform}")
        policy = _version_policy(model.model_version_policy)
        settings[model.name] = ModelSettings(model.name, root / model.base_path, policy, dict(model.version_labels))
    return list(settings.values())


def _version_policy(policy: Any) -> VersionPolicy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(latest=None)
    if choice == "specific":
        if not policy.specific.versions:
            raise invalid("Expected the version policy specific to name versions")
        return VersionPolicy(specific=frozenset(policy.specific.versions))
    return VersionPolicy(latest=max(policy.latest.num_versions, 1))


def read_models(path: Path, root: Path) -> list[ModelSettings]:
    """The models of a ``--model_config_file``.

    Args:
        path: Text proto of a ``ModelServerConfig``.
        root: Folder that relative base paths start from.

    Raises:
        VadError: If there is no such file or it is none that TensorFlow Serving would take.
    """
    config = _read(path, model_server_config_pb2.ModelServerConfig)
    try:
        return model_settings(config, root)
    except RequestError as error:
        raise VadError(f"{path} cannot be used: {error}; mend the file.") from error


def read_batching(path: Path) -> BatchingOptions:
    """The options of a ``--batching_parameters_file``; what it leaves out is as in TensorFlow Serving.

    ``pad_variable_length_inputs`` needs nothing here: requests of unequal shape are batched apart, none is padded.

    Args:
        path: Text proto of ``BatchingParameters``.

    Raises:
        VadError: If there is no such file or its numbers make no sense.
    """
    parameters = _read(path, BatchingParameters)

    def number(name: str, default: int, least: int) -> int:
        value = getattr(parameters, name).value if parameters.HasField(name) else default
        return _checked(path, name, value, value >= least, f"at least {least}")

    size = number("max_batch_size", 1000, 1)
    allowed = tuple(parameters.allowed_batch_sizes)
    fits = not allowed or (allowed[-1] == size and allowed[0] > 0 and list(allowed) == sorted(set(allowed)))
    _checked(path, "allowed_batch_sizes", list(allowed), fits, f"ascending and end with max_batch_size, {size}")
    return BatchingOptions(
        max_batch_size=size,
        timeout=number("batch_timeout_micros", 0, 0) / 1e6,
        max_enqueued_batches=number("max_enqueued_batches", 10, 1),
        threads=number("num_batch_threads", os.cpu_count() or 1, 1),
        allowed_sizes=allowed,
    )


def read_tls(path: Path) -> Tls:
    """The keys of an ``--ssl_config_file``.

    Args:
        path: Text proto of an ``SSLConfig``, with the PEM texts in it.

    Raises:
        VadError: If there is no such file, or it lacks the server's key or certificate, or the authority that clients
            are verified with.
    """
    config = _read(path, SSLConfig)
    for name in ("server_key", "server_cert", *(("custom_ca",) if config.client_verify else ())):
        _checked(path, name, "nothing", "-----BEGIN" in getattr(config, name), "a PEM text")
    return Tls(
        key=config.server_key.encode(),
        certificate=config.server_cert.encode(),
        client_ca=config.custom_ca.encode() or None,
        verify_clients=config.client_verify,
    )


def read_metrics_path(path: Path) -> str | None:
    """Where a ``--monitoring_config_file`` wants the metrics: a path of addresses; ``None`` for nowhere.

    Args:
        path: Text proto of a ``MonitoringConfig``.

    Raises:
        VadError: If there is no such file or it cannot be understood.
    """
    prometheus = _read(path, MonitoringConfig).prometheus_config
    if not prometheus.enable:
        return None
    where = prometheus.path or METRICS_PATH
    return _checked(path, "path", where, where.startswith("/"), "a path that begins with /")


def _read(path: Path, message: Callable[[], Any]) -> Any:
    try:
        return text_format.Parse(path.read_text("utf-8"), message())
    except OSError as error:
        raise VadError(f"{path} cannot be read: {error.strerror}; name another configuration file.") from error
    except (UnicodeDecodeError, text_format.ParseError) as error:
        raise VadError(f"{path} is no configuration of this kind: {error}; mend the file.") from error


def _checked(path: Path, name: str, value: _T, fits: bool, expected: str) -> _T:
    if not fits:
        raise VadError(f"{path} has {name}: {value}, but it is expected to be {expected}; mend the file.")
    return value
