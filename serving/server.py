"""A local server that speaks TensorFlow Serving's gRPC API over a zoo folder.

In production the zoo is served by TensorFlow Serving itself; this server stands in for it where installing that is too
much: the demo, the tests, a laptop. It answers the same messages with the same status codes and, where TensorFlow
Serving has one, the same text, so that a client cannot tell the two apart.

Two parts: ``ModelStore`` knows which models are loaded and runs them, the servicers translate between it and gRPC.
"""

# The method names of the servicers are those of the gRPC services.
# ruff: noqa: N802

import functools
import logging
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_vad.errors import VadError

logger = logging.getLogger(__name__)

SERVER_OPTIONS = (
    # As TensorFlow Serving. gRPC's own default of 4 MiB is less than a chunk of 64 frames of 160x160.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Otherwise a second server on the same port starts without an error and takes half of the requests.
    ("grpc.so_reuseport", 0),
)
_DEFAULT_SIGNATURE = "serving_default"
_INIT_SIGNATURE = "__saved_model_init_op"
_MESSAGE_LIMIT = 1024
# TensorFlow's and gRPC's status codes are the same numbers.
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
# The fields in which TensorFlow Serving answers; clients that read `float_val` rely on them.
_VALUE_FIELDS = {tf.float32: "float_val", tf.float64: "double_val", tf.int32: "int_val", tf.int64: "int64_val"}


class RequestError(Exception):
    """A request that cannot be answered: its gRPC status code and the message for the caller."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def _invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


class ServedModel:
    """One version of a model, loaded.

    Args:
        name: Name of the model: its folder in the zoo.
        version: Number of the version: the folder below.
        path: Folder with ``saved_model.pb``.

    Raises:
        VadError: If the folder holds no SavedModel that TensorFlow can load.
    """

    def __init__(self, name: str, version: int, path: Path) -> None:
        self.name = name
        self.version = version
        try:
            saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
            self._loaded = tf.saved_model.load(str(path))
        except (OSError, ValueError, DecodeError, tf.errors.OpError) as error:
            raise VadError(
                f"{path} cannot be served: {str(error).splitlines()[0]}; export the model again or remove this version."
            ) from error
        self.signature_defs: Mapping[str, meta_graph_pb2.SignatureDef] = saved_model.meta_graphs[0].signature_def

    @property
    def signatures(self) -> list[str]:
        """Names of the signatures that can be called."""
        return sorted(name for name in self.signature_defs if name != _INIT_SIGNATURE)

    def predict(
        self,
        signature_name: str,
        inputs: Mapping[str, tensor_pb2.TensorProto],
        output_filter: Iterable[str] = (),
    ) -> dict[str, tf.Tensor]:
        """Run a signature.

        Args:
            signature_name: One of ``signatures``.
            inputs: A tensor for every input of the signature.
            output_filter: Names of the outputs wanted; all if empty.

        Returns:
            The outputs by name.

        Raises:
            RequestError: If the request does not fit the signature.
            tf.errors.OpError: If the graph refuses the values, such as a chunk shorter than the window.
        """
        if signature_name not in self.signatures:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.'
            )
        signature = self.signature_defs[signature_name]
        wanted = _wanted_outputs(signature, output_filter)
        tensors = _input_tensors(signature, inputs)
        outputs = self._loaded.signatures[signature_name](**tensors)
        return {name: outputs[name] for name in wanted}


def _wanted_outputs(signature: meta_graph_pb2.SignatureDef, output_filter: Iterable[str]) -> list[str]:
    wanted: list[str] = []
    for name in output_filter:
        if name not in signature.outputs:
            raise _invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(signature.outputs))}}}."
            )
        if name in wanted:
            raise _invalid(f"duplicate output tensor alias: {name}")
        wanted.append(name)
    return wanted or list(signature.outputs)


def _input_tensors(
    signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, tensor_pb2.TensorProto]
) -> dict[str, tf.Tensor]:
    sent, required = set(inputs), set(signature.inputs)
    if sent != required:
        raise _invalid(
            f"input size does not match signature: {len(sent)}!={len(required)} "
            f"len({{{','.join(sorted(sent))}}}) != len({{{','.join(sorted(required))}}}). "
            f"Sent extra: {{{','.join(sorted(sent - required))}}}. "
            f"Missing but required: {{{','.join(sorted(required - sent))}}}."
        )
    tensors = {}
    for name, info in signature.inputs.items():
        proto = inputs[name]
        if proto.dtype != info.dtype:
            raise _invalid(f"Expected input {name} to be {_dtype_name(info.dtype)} but get {_dtype_name(proto.dtype)}.")
        try:
            value = tf.make_ndarray(proto)
        except (TypeError, ValueError) as error:
            raise _invalid(f"tensor parsing error: {name}") from error
        shape = tf.TensorShape(info.tensor_shape)
        if not shape.is_compatible_with(value.shape):
            raise _invalid(f"Expected input {name} to have shape {shape} but get {tf.TensorShape(value.shape)}.")
        tensors[name] = tf.constant(value)
    return tensors


def _dtype_name(dtype: int) -> str:
    """The name in TensorFlow Serving's messages: ``float`` for DT_FLOAT."""
    known = types_pb2.DataType.DESCRIPTOR.values_by_number.get(dtype)
    return known.name.removeprefix("DT_").lower() if known else f"unknown dtype enum: {dtype}"


class ModelStore:
    """The models of a zoo folder, ``<zoo>/<name>/<version>/saved_model.pb``: for every name its highest version.

    Folders that hold no such file, and names that begin with a dot (a version that is being written), are no models.

    Args:
        zoo: The zoo folder.

    Example:
    >>> store = ModelStore("zoo")                     # doctest: +SKIP
    >>> store.refresh()                               # doctest: +SKIP
    >>> store.get("adv3dcae_ucsdped2").version        # doctest: +SKIP
    1
    """

    def __init__(self, zoo: str | Path) -> None:
        self._zoo = Path(zoo)
        # Never changed in place: a request that is being answered keeps the models it found.
        self._models: dict[str, dict[int, ServedModel]] = {}

    def refresh(self) -> None:
        """Load the highest version of every model, unless it is loaded already, and drop the others.

        Raises:
            VadError: If the folder is missing, holds no model, or a version cannot be loaded.
        """
        if not self._zoo.is_dir():
            raise VadError(f"there is no zoo folder {self._zoo}; export a model into it, or name another with --zoo.")
        models: dict[str, dict[int, ServedModel]] = {}
        for folder in sorted(self._zoo.iterdir()):
            versions = {} if folder.name.startswith(".") else _versions(folder)
            if versions:
                latest = max(versions)
                loaded = self._models.get(folder.name, {}).get(latest)
                models[folder.name] = {latest: loaded or ServedModel(folder.name, latest, versions[latest])}
        if not models:
            raise VadError(
                f"the zoo folder {self._zoo} holds no exported model (expected "
                f"{self._zoo}/<name>/<version>/saved_model.pb); export one into it, or name another with --zoo."
            )
        self._models = models

    def models(self) -> list[ServedModel]:
        """All loaded versions, ordered by name and version."""
        return [model for name in sorted(self._models) for _, model in sorted(self._models[name].items())]

    def get(self, name: str, version: int | None = None) -> ServedModel:
        """The model to ask.

        Args:
            name: Name of the model.
            version: Number of the version; the highest if ``None``.

        Raises:
            RequestError: NOT_FOUND if it is not loaded.
        """
        versions = self._models.get(name, {})
        if not versions or (version is not None and version not in versions):
            request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request}")
        return versions[max(versions) if version is None else version]

    def versions(self, name: str) -> list[int]:
        """The loaded versions of a model, in order; none if the model is unknown."""
        return sorted(self._models.get(name, {}))


def _versions(folder: Path) -> dict[int, Path]:
    """The numbered folders of a model; empty if none of them holds a SavedModel."""
    if not folder.is_dir():
        return {}
    versions = {int(path.name): path for path in folder.iterdir() if path.name.isascii() and path.name.isdecimal()}
    return versions if any((path / "saved_model.pb").is_file() for path in versions.values()) else {}


_Servicer = TypeVar("_Servicer")


def _rpc(method: Callable[[_Servicer, Any], Any]) -> Callable[[_Servicer, Any, grpc.ServicerContext], Any]:
    """A gRPC handler from a method that returns the response or raises: every error becomes a status code."""

    @functools.wraps(method)
    def handler(self: _Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request)
        except RequestError as error:
            code, message = error.code, str(error)
        except tf.errors.OpError as error:
            code, message = _STATUS_CODES[error.error_code], _runtime_message(error)
        except Exception:
            logger.exception("%s failed", method.__name__)
            code, message = grpc.StatusCode.INTERNAL, f"{method.__name__} failed; the server's log says why."
        if len(message) > _MESSAGE_LIMIT:
            # gRPC sends the message in a header, and clients refuse headers of more than 8 KiB.
            message = message[: _MESSAGE_LIMIT - 14] + "...(truncated)"
        return context.abort(code, message)

    return handler


def _runtime_message(error: tf.errors.OpError) -> str:
    """The runtime's own message, which TensorFlow Serving sends, without what TensorFlow's Python puts around it."""
    message = error.message.split("<stack traces unavailable>\n")[-1]
    return re.sub(r" \[Op:\w+\]$", "", message)


def _unimplemented(method: str) -> RequestError:
    return RequestError(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served; the models answer Predict.")


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """``tensorflow.serving.PredictionService``: runs models and describes their signatures."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    @_rpc
    def Predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Run one signature of a model."""
        model = _requested(self._store, request)
        signature_name = request.model_spec.signature_name or _DEFAULT_SIGNATURE
        outputs = model.predict(signature_name, request.inputs, request.output_filter)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = model.name
        response.model_spec.version.value = model.version
        response.model_spec.signature_name = signature_name
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(_tensor_proto(value))
        return response

    @_rpc
    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a model: metadata field ``signature_def``, a packed ``SignatureDefMap``."""
        if not request.HasField("model_spec"):
            raise _invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise _invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise _invalid(f"Metadata field {field} is not supported")
        model = _requested(self._store, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in model.signature_defs.items():
            signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = model.name
        response.model_spec.version.value = model.version
        response.metadata["signature_def"].Pack(signatures)
        return response

    @_rpc
    def Classify(self, request: Any) -> Any:
        """Not served."""
        raise _unimplemented("Classify")

    @_rpc
    def Regress(self, request: Any) -> Any:
        """Not served."""
        raise _unimplemented("Regress")

    @_rpc
    def MultiInference(self, request: Any) -> Any:
        """Not served."""
        raise _unimplemented("MultiInference")


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """``tensorflow.serving.ModelService``: which versions of a model are loaded."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    @_rpc
    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of one version of a model, or of all."""
        if not request.HasField("model_spec"):
            raise _invalid("Missing ModelSpec")
        name, wanted = request.model_spec.name, _requested_version(request.model_spec)
        versions = [version for version in self._store.versions(name) if wanted is None or version == wanted]
        if not versions:
            which = "any versions" if wanted is None else f"version {wanted}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find {which} of model {name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in versions:
            status = response.model_version_status.add(version=version)
            status.state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
            status.status.SetInParent()  # Present, and OK: its default.
        return response

    @_rpc
    def HandleReloadConfigRequest(self, request: Any) -> Any:
        """Not served."""
        raise _unimplemented("HandleReloadConfigRequest")


def _requested(store: ModelStore, request: Any) -> ServedModel:
    if not request.HasField("model_spec"):
        raise _invalid("Missing ModelSpec")
    if not request.model_spec.name:
        raise _invalid("ModelSpec has no name specified.")
    return store.get(request.model_spec.name, _requested_version(request.model_spec))


def _requested_version(model_spec: model_pb2.ModelSpec) -> int | None:
    choice = model_spec.WhichOneof("version_choice")
    if choice == "version_label":
        raise _invalid(f"Unrecognized servable version label: {model_spec.version_label}")
    return model_spec.version.value if choice == "version" else None


def _tensor_proto(tensor: tf.Tensor) -> tensor_pb2.TensorProto:
    if tensor.dtype not in _VALUE_FIELDS:
        return tf.make_tensor_proto(tensor)
    proto = tensor_pb2.TensorProto(dtype=tensor.dtype.as_datatype_enum, tensor_shape=tensor.shape.as_proto())
    getattr(proto, _VALUE_FIELDS[tensor.dtype]).extend(tensor.numpy().ravel())
    return proto


def start_server(store: ModelStore, port: int = 8500, host: str = "127.0.0.1") -> tuple[grpc.Server, int]:
    """Answer requests in background threads until the server is stopped.

    Args:
        store: The models to serve.
        port: TCP port; 0 for any free one.
        host: Address to listen on; ``0.0.0.0`` for all. There is no encryption and no authentication.

    Returns:
        The running server, whose ``stop(grace)`` ends it, and the port.

    Raises:
        VadError: If the port is in use or the address cannot be listened on.
    """
    _check_address(host, port)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=SERVER_OPTIONS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionServicer(store), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(store), server)
    bound = server.add_insecure_port(f"{host}:{port}")
    server.start()
    return server, bound


def _check_address(host: str, port: int) -> None:
    """Say why an address cannot be listened on: gRPC would only say that it failed."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise VadError(
            f"cannot listen on {host}:{port}: {reason}; choose another port with --port (0 takes a free one)."
        ) from error


def serve(zoo: str | Path, port: int = 8500, host: str = "127.0.0.1", grace: float = 30.0) -> None:
    """Serve a zoo folder until SIGTERM or Ctrl-C; then finish the requests that have begun.

    Prints each model and then the address, when it can be asked. To be called in the main thread.

    Args:
        zoo: The zoo folder, see ``ModelStore``.
        port: TCP port; 0 for any free one.
        host: Address to listen on.
        grace: Seconds that a request that has begun may still take after the signal.

    Raises:
        VadError: If nothing can be served or the port is in use.
    """
    _check_address(host, port)  # Before the models: they take seconds to load.
    # TensorFlow warns of every custom gradient that an export leaves out; serving needs none.
    logging.getLogger("absl").setLevel(logging.ERROR)
    store = ModelStore(zoo)
    store.refresh()
    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()

    server, port = start_server(store, port, host)
    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGTERM, signal.SIGINT)}
    try:
        for model in store.models():
            print(f"{model.name}, version {model.version}: {', '.join(model.signatures)}")
        print(f"serving {Path(zoo)} on {host}:{port}", flush=True)
        stopped.wait()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        server.stop(grace).wait()
    print("stopped.", flush=True)
