"""TensorFlow Serving's configuration files, made from a zoo folder.

``models.config`` says which versions of which models are served and which of them clients mean by ``stable`` and
``canary``; ``batching.config`` how requests of several cameras are joined; ``ssl.config`` holds the keys for TLS. All
are Protocol Buffers messages as text. The local server reads the same files.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

from keras_vad.artifacts.layout import CARD_FILE
from keras_vad.common.names import version_number
from keras_vad.errors import VadError
from keras_vad_server.protos import BatchingParameters, SSLConfig

POLICIES = ("labels", "latest", "all")
#: Folder of the files that are the same for every zoo: ``monitoring.config`` and ``ready.sh``, the health check.
CONFIG_FILES = Path(__file__).with_name("config_files")

_FRAME_RATE = 25  # of the cameras that the waiting time is tuned for
_MOST_WAITING = 256  # beyond it an answer would come too late to be of use
_GIB = 2**30


@dataclass(frozen=True)
class Labels:
    """What clients mean by ``stable`` and ``canary``.

    Args:
        stable: Version that cameras use.
        canary: Version on trial: the newest.
    """

    stable: int
    canary: int


def zoo_versions(zoo: Path, names: Iterable[str] = ()) -> dict[str, list[int]]:
    """The models of a zoo folder and their versions, ascending; what is no SavedModel is left out.

    Args:
        zoo: Folder of ``<name>/<version>/saved_model.pb``.
        names: Models wanted; all if empty.

    Raises:
        VadError: If the zoo holds no model, or not one that is wanted.
    """
    found: dict[str, list[int]] = {}
    for file in zoo.glob("*/*/saved_model.pb"):
        version = version_number(file.parent.name)
        if version is not None and not file.parents[1].name.startswith("."):
            found.setdefault(file.parents[1].name, []).append(version)
    if not found:
        raise VadError(f"the zoo folder {zoo} holds no models; export one with keras-vad export.")
    for name in names:
        if name not in found:
            raise VadError(f"the zoo folder {zoo} has no model {name!r}; it holds {', '.join(sorted(found))}.")
    return {name: sorted(found[name]) for name in sorted(names or found)}


def choose_labels(name: str, versions: list[int], stable: int | None = None) -> Labels:
    """``canary`` is the newest version, ``stable`` the one before it unless another is chosen.

    Raises:
        VadError: If the chosen one does not exist.

    Example:
    >>> choose_labels("street", [1, 2, 5])
    Labels(stable=2, canary=5)
    >>> choose_labels("street", [1])
    Labels(stable=1, canary=1)
    """
    if stable is not None and stable not in versions:
        raise VadError(f"model {name} has no version {stable} to call stable; it has {', '.join(map(str, versions))}.")
    return Labels(stable=versions[-2:][0] if stable is None else stable, canary=versions[-1])


def model_server_config(
    versions: Mapping[str, list[int]],
    base_path: str,
    *,
    policy: str = "labels",
    keep: int = 2,
    stable: Mapping[str, int] | None = None,
    before: model_server_config_pb2.ModelServerConfig | None = None,
) -> model_server_config_pb2.ModelServerConfig:
    """``models.config``.

    Args:
        versions: The models, see ``zoo_versions``.
        base_path: Where the server sees the zoo folder, for example ``/models`` in the container.
        policy: ``"labels"`` serves the two labelled versions and nothing else. A label can be moved only to a version
            that is loaded: a server that reads both at once refuses the file. So a version that ``before`` does not
            serve is served first, and gets its label when this file is made once more. ``"latest"`` serves the newest
            ``keep`` versions, also those that appear later, without labels: a label's version could be unloaded under
            it. ``"all"`` serves every version, with labels.
        keep: How many versions ``"latest"`` serves.
        stable: Versions to call ``stable``, by model, where it is not the one before the newest.
        before: What the server follows now; ``None`` if nothing.

    Raises:
        VadError: If an argument does not fit the zoo.
    """
    if policy not in POLICIES:
        raise VadError(f"policy is {policy!r}, but must be one of {', '.join(POLICIES)}.")
    if keep < 1:
        raise VadError(f"the number of versions to keep is {keep}, but must be at least 1.")
    stable = stable or {}
    for name in stable:
        if name not in versions:
            raise VadError(f"no model {name!r} is served that could have a stable version; {', '.join(versions)} are.")
    if stable and policy == "latest":
        raise VadError("the policy 'latest' has no labels, so no version can be called stable; use 'labels' or 'all'.")
    followed = {} if before is None else {model.name: model for model in before.model_config_list.config}
    config = model_server_config_pb2.ModelServerConfig()
    for name, numbers in versions.items():
        model = config.model_config_list.config.add(
            name=name, base_path=f"{base_path.rstrip('/')}/{name}", model_platform="tensorflow"
        )
        if policy == "latest":
            model.model_version_policy.latest.num_versions = keep
            continue
        wanted = choose_labels(name, numbers, stable.get(name))
        labels = {"stable": wanted.stable, "canary": wanted.canary}
        if policy == "all":
            model.model_version_policy.all.SetInParent()
        else:
            now = followed.get(name)
            given = {} if now is None else dict(now.version_labels)
            loaded = [] if now is None else now.model_version_policy.specific.versions
            waiting = {label: given[label] for label in labels if labels[label] not in loaded and label in given}
            kept = {label: version for label, version in waiting.items() if version in numbers}
            model.model_version_policy.specific.versions.extend(sorted({*labels.values(), *kept.values()}))
            labels |= kept
        for label, version in labels.items():
            model.version_labels[label] = version
    return config


def read_model_server_config(path: Path) -> model_server_config_pb2.ModelServerConfig | None:
    """A ``models.config``; ``None`` if there is none.

    Raises:
        VadError: If it is something else.
    """
    if not path.exists():
        return None
    try:
        return text_format.Parse(path.read_text("utf-8"), model_server_config_pb2.ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise VadError(f"{path} cannot be read as models.config ({error}); delete it to make it anew.") from error


def input_specs(zoo: Path, versions: Mapping[str, list[int]]) -> list[dict[str, Any]]:
    """``input`` of the card of each model's newest version that has one."""
    specs = []
    for name, numbers in versions.items():
        cards = [zoo / name / str(number) / CARD_FILE for number in reversed(numbers)]
        card = next((path for path in cards if path.is_file()), None)
        if card is not None:
            specs.append(json.loads(card.read_text("utf-8"))["input"])
    return specs


def batching_parameters(
    inputs: Iterable[Mapping[str, Any]], cpus: int = 2, memory_gib: float = 4.0, together: int = 1
) -> Any:
    """``batching.config`` for the chunks of frames that these models take.

    What waits in a queue takes an eighth of the memory at most. A batch waits for more chunks for a 250th of the time
    that a chunk lasts.

    Args:
        inputs: ``input`` of the models' cards; without any, frames of 256 x 256 are assumed.
        cpus: Processors that the server may use.
        memory_gib: Memory that it may use.
        together: Chunks of different cameras that are computed as one batch. On processors 1 is the fastest: every
            thread computes a chunk of its own (``zoo/logs/serving-load_test``).

    Returns:
        ``tensorflow.serving.BatchingParameters``.

    Raises:
        VadError: If there is less than one processor, no memory, or no chunk in a batch.

    Example:
    >>> small = {"height": 64, "width": 96, "channels": 1, "length": 16, "chunk_length": 64}
    >>> batching_parameters([small], cpus=4).num_batch_threads.value
    4
    """
    if cpus < 1 or not 0 < memory_gib < float("inf"):
        raise VadError(f"the server gets {cpus} processors and {memory_gib:g} GiB, but needs at least one and some.")
    if together < 1:
        raise VadError(f"a batch is of {together} chunks, but must be of at least 1.")
    specs = list(inputs) or [{"height": 256, "width": 256, "chunk_length": 64}]
    sent = max(3 * spec["height"] * spec["width"] * spec["chunk_length"] for spec in specs)
    waiting = int(memory_gib * _GIB / 8 / (together * sent))
    chunk_micros = min(spec["chunk_length"] for spec in specs) * 1_000_000 // _FRAME_RATE
    parameters = BatchingParameters()
    parameters.max_batch_size.value = together
    parameters.batch_timeout_micros.value = min(10_000, chunk_micros // 250)
    parameters.max_enqueued_batches.value = max(cpus, min(_MOST_WAITING, waiting))
    parameters.num_batch_threads.value = cpus
    parameters.thread_pool_name.value = "vad_batches"
    return parameters


def ssl_config(server_key: Path, server_cert: Path, client_ca: Path | None = None) -> Any:
    """``ssl.config``: TLS for gRPC, with keys and certificates in it.

    Args:
        server_key: PEM file of the private key.
        server_cert: PEM file of the certificate, with the chain of its issuers.
        client_ca: PEM file of the authority that signs clients' certificates; a client without one is refused then.

    Returns:
        ``tensorflow.serving.SSLConfig``.

    Raises:
        VadError: If a file cannot be read or is no PEM of its kind.
    """
    config = SSLConfig(server_key=_pem(server_key, "PRIVATE KEY"), server_cert=_pem(server_cert, "CERTIFICATE"))
    if client_ca is not None:
        config.custom_ca = _pem(client_ca, "CERTIFICATE")
        config.client_verify = True
    return config


def config_text(message: Message, *comments: str) -> str:
    """A message as the text that ``tensorflow_model_server`` reads, under comments."""
    return "".join(f"# {line}\n" for line in comments) + text_format.MessageToString(message)


def _pem(path: Path, kind: str) -> str:
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise VadError(f"{path} cannot be read ({reason}); give a PEM file.") from error
    if "-----BEGIN " not in text or f"{kind}-----" not in text:
        raise VadError(f"{path} holds no {kind}; give a PEM file with one.")
    return text
