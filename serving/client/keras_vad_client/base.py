"""What the two clients, with threads and with asyncio, have in common: settings, requests, and what errors mean."""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np

from keras_vad_client import messages, wire
from keras_vad_client.chunks import Chunk, Chunker
from keras_vad_client.errors import VadClientError
from keras_vad_client.frames import FramePreparer
from keras_vad_client.ready import ModelStatus, Waiting
from keras_vad_client.results import Assembler
from keras_vad_client.retry import Backoff, Retry
from keras_vad_client.smoothing import CausalMean
from keras_vad_client.tensors import to_array, to_tensor
from keras_vad_client.tls import Tls
from keras_vad_client.window import Window

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
JPEG_QUALITY = 95
DESCRIBE_TRIES = 8

_OPTIONS: tuple[tuple[str, Any], ...] = (
    # gRPC's own limit of 4 MiB is less than a chunk of 64 frames of 160x160.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default the time between two tries to connect grows to minutes; a restarted server should be found at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Clients in one process do not share a connection, so each has the server's attention.
    ("grpc.use_local_subchannel_pool", 1),
    # One name may stand for several servers, such as a cluster's pods: requests go to each in turn.
    ("grpc.lb_policy_name", "round_robin"),
    # A host that has died says nothing. Asked more often, a server would think itself abused; with less time to answer,
    # a question that waits behind frames on a slow line would count as lost. The last of these ends the wait.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 40_000),
    ("grpc.http2.ping_timeout_ms", 40_000),
)


class ClientBase:
    """Settings of a client, see ``VadClient`` for what they mean, and its connection."""

    _api: Any  # ``grpc`` or ``grpc.aio``: they have the same names

    def __init__(
        self,
        target: str,
        model: str,
        *,
        version: int | None = None,
        version_label: str | None = None,
        chunk_length: int | None = None,
        timeout: float = 120.0,
        max_in_flight: int = 4,
        retry: Retry | float = 60.0,
        tls: Tls | None = None,
        transport: str = "raw",
        resize: bool = True,
        smoothing: int = 1,
    ) -> None:
        if version is not None and version_label is not None:
            raise VadClientError("a model has both a version and a version label, but one says which; give only one.")
        if transport not in ("raw", "jpeg"):
            raise VadClientError(f"transport is {transport!r}, but must be 'raw' or 'jpeg'.")
        if not timeout > 0:
            raise VadClientError(f"timeout is {timeout:g} s, but must be above 0.")
        if max_in_flight < 1:
            raise VadClientError(f"max_in_flight is {max_in_flight}, but must be at least 1 request.")
        if chunk_length is not None and chunk_length < 1:
            raise VadClientError(f"chunk length is {chunk_length}, but must be at least 1 frame.")
        CausalMean(smoothing)  # says what is wrong with it now, not with the first answer
        self._target = target
        self._model = model
        self._version = version
        self._version_label = version_label
        self._chunk_length = chunk_length
        self._timeout = timeout
        self._max_in_flight = max_in_flight
        self._retry = retry if isinstance(retry, Retry) else Retry(total=retry)
        self._tls = tls
        self._jpeg = transport == "jpeg"
        self._resize = resize
        self._smoothing = smoothing
        self._window: Window | None = None  # the one that was described last
        self._windows: dict[int, Window] = {}  # of all versions that were
        self._closed = threading.Event()
        self._channel = self._open()
        # Its requests are bytes already.
        self._predict = self._channel.unary_unary(PREDICT, None, messages.PredictResponse.FromString)
        self._get_status = self._channel.unary_unary(
            GET_MODEL_STATUS,
            messages.GetModelStatusRequest.SerializeToString,
            messages.GetModelStatusResponse.FromString,
        )

    def _open(self) -> Any:
        options = list(_OPTIONS)
        if is_loopback(self._target):
            options.append(("grpc.enable_http_proxy", 0))  # no proxy leads back to this machine
        if self._tls is None:
            return self._api.insecure_channel(self._target, options=options)
        if self._tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self._tls.server_name))
        return self._api.secure_channel(self._target, self._tls.credentials(), options=options)

    def _described(self, response: Any) -> None:
        """Take the answer to ``_describe_request``."""
        self._window = Window.from_answer(read_outputs(response))
        self._windows[response.model_spec.version.value] = self._window

    def _questions(self, response: Any) -> Iterator[bytes]:
        """The requests to send, one by one, until the window of the version that has answered is known.

        One may not do: of several servers behind one name, another may answer, with another version.
        """
        for _ in range(DESCRIBE_TRIES):
            if response.model_spec.version.value in self._windows:
                return
            yield self._describe_request()

    def _check_same(self, window: Window, response: Any) -> None:
        """Refuse to go on when the answer is of a version which looks at time in another way."""
        version = response.model_spec.version.value
        found = self._windows.get(version)
        if found != window:
            raise VadClientError(
                f"the server at {self._target} has changed model {self._named()} to version {version}, whose window "
                f"{'differs' if found else 'it does not tell'}; start the stream again, or ask for one version."
            )

    def _chunker(self, window: Window) -> Chunker:
        return Chunker(window, self._chunk_length)

    def _preparer(self, window: Window) -> FramePreparer:
        return FramePreparer(window.size if self._resize else None, JPEG_QUALITY if self._jpeg else None)

    def _assembler(self, window: Window, maps: bool) -> Assembler:
        return Assembler(window, self._smoothing, maps)

    def _check_maps(self, maps: bool) -> None:
        if maps and self._jpeg:
            raise VadClientError("there are no maps for frames that travel as JPEG; use transport 'raw' for maps.")

    def _status_request(self) -> Any:
        request = messages.GetModelStatusRequest()
        request.model_spec.name = self._model
        # TensorFlow Serving ignores labels here.
        if self._version is not None:
            request.model_spec.version.value = self._version
        return request

    def _describe_request(self) -> bytes:
        request = self._predict_request("describe")
        request.inputs["query"].MergeFrom(to_tensor(np.zeros(1, np.int32)))
        return bytes(request.SerializeToString())

    def _chunk_request(self, chunk: Chunk, maps: bool) -> bytes:
        assert chunk.frames is not None
        if self._jpeg:
            return wire.with_strings(self._predict_request("score_jpegs"), "jpegs", chunk.frames)
        signature = "score_maps" if maps else "serving_default"
        return wire.with_pixels(self._predict_request(signature), "frames", chunk.frames)

    def _predict_request(self, signature: str) -> Any:
        """A request without inputs."""
        request = messages.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        if self._version_label is not None:
            request.model_spec.version_label = self._version_label
        return request

    def _pause(self, error: Exception, backoff: Backoff) -> float | None:
        """Seconds to wait before the request that failed is sent again; ``None`` if it is not."""
        if self._closed.is_set() or not isinstance(error, grpc.RpcError) or _is_too_large(error):
            return None
        return backoff.next(error.code())

    def _error(self, error: Any, seconds: float | None = None) -> VadClientError:
        """What a failed call, which might take so many seconds, means for the user."""
        if self._closed.is_set():
            return VadClientError(f"the client of {self._target} was closed before the answer came; make another one.")
        if not isinstance(error, grpc.RpcError):
            return VadClientError(f"the server at {self._target} cannot be asked ({error}); make another client.")
        code, details = error.code(), " ".join((error.details() or "").split())
        if _is_too_large(error):
            sentence = (
                f"the server at {self._target} takes no request of that size ({details}); give a shorter chunk length, "
                "use transport 'jpeg', or raise the server's limit."
            )
        else:
            sentence = self._sentence(code, details, self._timeout if seconds is None else seconds)
        return VadClientError(sentence, code)

    def _sentence(self, code: grpc.StatusCode, details: str, seconds: float) -> str:
        if code is grpc.StatusCode.UNAVAILABLE:
            certificates = " and check the certificates" if self._tls else ""
            proxy = None if is_loopback(self._target) else proxy_in_use()
            way = f" through the proxy that {proxy} names" if proxy else ""
            return (
                f"no server answers at {self._target}{way} ({details}); start one there, or give the address of a "
                f"running one{certificates}."
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"the server at {self._target} did not answer within {round(seconds, 1):g} s; allow more time with "
                "a longer timeout, or send shorter chunks."
            )
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return (
                f"the server at {self._target} has too much to do ({details}); send it fewer streams, or serve on more "
                "machines."
            )
        if code is grpc.StatusCode.NOT_FOUND:
            return (
                f"the server at {self._target} has no model {self._named()} ({details}); give a model that it serves."
            )
        return f"the server at {self._target} refused model {self._named()}: {code.name}: {details}"

    def _named(self) -> str:
        version = "" if self._version is None else f" version {self._version}"
        label = "" if self._version_label is None else f" labelled {self._version_label!r}"
        return f"{self._model!r}{version}{label}"

    def _not_ready(self, waiting: Waiting) -> VadClientError:
        """Why waiting for the model has ended without it."""
        if waiting.error is not None:
            return waiting.error
        seen = [f"version {one.version} {one.state} {one.error}".rstrip() for one in waiting.statuses]
        return VadClientError(
            f"model {self._named()} at {self._target} is not available after {waiting.timeout:g} s "
            f"({', '.join(seen) or 'no version'}); wait longer, or look into the server's log."
        )


def is_loopback(target: str) -> bool:
    """Whether an address, ``HOST:PORT`` or ``unix:PATH``, is on this machine."""
    if target.startswith("unix:"):
        return True
    host = target.rpartition(":")[0].strip("[]") or target
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name
        return False


def proxy_in_use() -> str | None:
    """The environment variable whose proxy gRPC goes through, if one is set."""
    return next((name for name in ("grpc_proxy", "https_proxy", "http_proxy") if os.environ.get(name)), None)


def _is_too_large(error: Any) -> bool:
    """Whether a request was refused for its size; gRPC has no code of its own for that."""
    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in (error.details() or "")


def read_outputs(response: Any) -> dict[str, np.ndarray]:
    """The outputs of a ``PredictResponse`` by name."""
    return {name: to_array(tensor) for name, tensor in response.outputs.items()}


def read_statuses(response: Any) -> list[ModelStatus]:
    """The versions of a ``GetModelStatusResponse``, highest first."""
    found = [
        ModelStatus(
            one.version,
            messages.STATE_NAMES.get(one.state, str(one.state)),
            one.status.error_message,
        )
        for one in response.model_version_status
    ]
    return sorted(found, key=lambda one: -one.version)
