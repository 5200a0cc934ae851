"""TensorFlow Serving's gRPC services: they translate between messages and the models."""

# The method names of the servicers are those of the gRPC services.
# ruff: noqa: N802

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_vad_server.batching import Batcher
from keras_vad_server.config import model_settings
from keras_vad_server.metrics import Metrics
from keras_vad_server.models import DEFAULT_SIGNATURE
from keras_vad_server.status import RequestError, invalid, status_of
from keras_vad_server.store import ModelStore
from keras_vad_server.tensors import proto_of

logger = logging.getLogger(__name__)


class RequestsUnderWay:
    """Counts the requests that have begun and whose answer has not been sent to its end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def enter(self, context: grpc.ServicerContext) -> None:
        """Count a request until gRPC has done with it."""
        with self._changed:
            self._count += 1
        if not context.add_callback(self._leave):
            self._leave()

    def wait_for_none(self, timeout: float | None) -> bool:
        """Whether all have been answered before the time, in seconds, was up."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._count, timeout)

    def _leave(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()


class _Servicer:
    """What both services need.

    Args:
        store: The models.
        batcher: Computes requests.
        metrics: Counts them.
        under_way: Knows when all are answered.
    """

    def __init__(self, store: ModelStore, batcher: Batcher, metrics: Metrics, under_way: RequestsUnderWay) -> None:
        self._store = store
        self._batcher = batcher
        self._metrics = metrics
        self._under_way = under_way

    def _handle(self, method: Callable[[Any, Any, Any], Any], request: Any, context: grpc.ServicerContext) -> Any:
        started = time.perf_counter()
        name = method.__name__
        self._under_way.enter(context)
        response = None
        code, message = grpc.StatusCode.OK, ""
        try:
            response = method(self, request, context)
        except Exception as error:
            status = status_of(error)
            if status is None:
                logger.exception("%s failed", name)
                status = grpc.StatusCode.INTERNAL, f"{name} failed; the server's log says why."
            code, message = status
        self._metrics.observe_request(self._known_model(request), name, code.name, time.perf_counter() - started)
        return response if response is not None else context.abort(code, message)

    def _known_model(self, request: Any) -> str:
        spec = getattr(request, "model_spec", None)
        return spec.name if spec is not None and self._store.statuses(spec.name) else ""

    def _requested(self, request: Any) -> tuple[str, int | None, str | None]:
        """Name, version and label of the model that a request asks for; neither of the last two for the newest."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec: model_pb2.ModelSpec = request.model_spec
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        return (
            spec.name,
            spec.version.value if choice == "version" else None,
            spec.version_label if choice == "version_label" else None,
        )


_Self = TypeVar("_Self", bound=_Servicer)


def _rpc(method: Callable[[_Self, Any, Any], Any]) -> Callable[[_Self, Any, grpc.ServicerContext], Any]:
    """A gRPC handler from a method that returns the response or raises: every error becomes a status code."""

    @functools.wraps(method)
    def handler(self: _Self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._handle(method, request, context)

    return handler


def _unimplemented(method: str) -> RequestError:
    return RequestError(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served; the models answer Predict.")


class PredictionServicer(_Servicer, prediction_service_pb2_grpc.PredictionServiceServicer):
    """``tensorflow.serving.PredictionService``: runs models and describes their signatures."""

    @_rpc
    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Run one signature of a model."""
        signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        with self._store.lease(*self._requested(request)) as model:
            wanted = model.wanted_outputs(signature_name, request.output_filter)
            arrays = model.arrays(signature_name, request.inputs)
            answer = self._batcher.submit(model, signature_name, arrays, context.time_remaining())
            # Nobody computes for a caller who has gone.
            if not context.add_callback(answer.cancel):
                answer.cancel()
            outputs = answer.result()
        response = predict_pb2.PredictResponse()
        response.model_spec.name = model.name
        response.model_spec.version.value = model.version
        response.model_spec.signature_name = signature_name
        for name in wanted:
            response.outputs[name].CopyFrom(proto_of(outputs[name]))
        return response

    @_rpc
    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a model: metadata field ``signature_def``, a packed ``SignatureDefMap``."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._store.lease(*self._requested(request)) as model:
            for name, signature in model.signature_defs.items():
                signatures.signature_def[name].CopyFrom(signature)
            response.model_spec.name = model.name
            response.model_spec.version.value = model.version
        response.metadata["signature_def"].Pack(signatures)
        return response

    @_rpc
    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Not served."""
        raise _unimplemented("Classify")

    @_rpc
    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Not served."""
        raise _unimplemented("Regress")

    @_rpc
    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Not served."""
        raise _unimplemented("MultiInference")


class ModelServicer(_Servicer, model_service_pb2_grpc.ModelServiceServicer):
    """``tensorflow.serving.ModelService``: which versions of a model are loaded, and which are to be."""

    @_rpc
    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of one version of a model, or of all; as in TensorFlow Serving, a label chooses none."""
        name, wanted, _ = self._requested(request)
        statuses = [status for status in self._store.statuses(name) if wanted in (None, status.version)]
        if not statuses:
            which = "any versions" if wanted is None else f"version {wanted}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find {which} of model {name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for found in reversed(statuses):  # TensorFlow Serving tells the newest first.
            status = response.model_version_status.add(version=found.version, state=int(found.state))
            status.status.SetInParent()  # Present, and OK: its default.
            if found.error:
                status.status.error_code = grpc.StatusCode.UNKNOWN.value[0]
                status.status.error_message = found.error
        return response

    @_rpc
    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serve the models of another configuration."""
        try:
            self._store.reload(model_settings(request.config, self._store.zoo))
        except RequestError as error:
            logger.error("the configuration is refused: %s", error)
            raise
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response
