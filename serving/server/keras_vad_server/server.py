"""A local server that speaks TensorFlow Serving's gRPC API over a zoo folder.

In production the zoo is served by TensorFlow Serving itself; this server stands in for it where installing that is too
much: the demo, the tests, a laptop, a box beside the cameras. It answers the same messages with the same status codes
and, where TensorFlow Serving has one, the same text, so that a client cannot tell the two apart.

``store.ModelStore`` knows which models are loaded, ``batching.Batcher`` computes requests, ``servicers`` translate
between them and gRPC; here they are put together, started and stopped.
"""

import logging
import signal
import socket
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import (
    model_service_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)

from keras_vad.errors import VadError
from keras_vad_server.batching import Batcher
from keras_vad_server.config import METRICS_PATH, BatchingOptions, Tls
from keras_vad_server.health import HealthServicer
from keras_vad_server.metrics import Metrics, MetricsServer
from keras_vad_server.parsing import ParseErrors
from keras_vad_server.servicers import ModelServicer, PredictionServicer, RequestsUnderWay
from keras_vad_server.store import ModelStore

logger = logging.getLogger(__name__)

# Reflection tells the descriptors that lie behind these names.
_SERVICES = (
    prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name,
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
)
_HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
# Every request that waits has a thread. More requests than this are refused with RESOURCE_EXHAUSTED.
_MOST_REQUESTS = 256
_QUIET_SECONDS = 0.1
_OPTIONS = (
    # gRPC's own default of 4 MiB is less than a chunk of 64 frames of 160x160.
    ("grpc.max_send_message_length", -1),
    # Otherwise a second server on the same port starts without an error and takes half of the requests.
    ("grpc.so_reuseport", 0),
    # A client that asks and does not read makes us keep so many answers for it, and no more.
    ("grpc.max_concurrent_streams", 64),
    # Cameras' connections are idle for long; those that died are found out, and clients may look after theirs, too.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


class Server:
    """A server that is running; see ``start_server``.

    Attributes:
        metrics: What it counts.
    """

    def __init__(
        self,
        server: grpc.Server,
        batcher: Batcher,
        health_servicer: HealthServicer,
        under_way: RequestsUnderWay,
        metrics: Metrics,
    ) -> None:
        self._server = server
        self._batcher = batcher
        self._health = health_servicer
        self._under_way = under_way
        self.metrics = metrics

    def announce_stop(self) -> None:
        """Tell those who ask for its health that it will stop; it still answers everything."""
        self._health.enter_graceful_shutdown()

    def stop(self, grace: float | None) -> threading.Event:
        """Take no new requests, and finish those that have begun.

        Args:
            grace: Seconds that they may still take; ``None`` cancels them.

        Returns:
            An event that is set when everything has stopped.
        """
        self.announce_stop()
        stopped = self._server.stop(grace)
        all_stopped = threading.Event()

        def finish() -> None:
            if grace is not None:
                # Those that arrived with the signal have begun a moment later.
                stopped.wait(_QUIET_SECONDS)
                self._under_way.wait_for_none(grace)
            # Watchers of its health would stay to the end of the grace period.
            self._server.stop(None)
            stopped.wait()
            self._batcher.stop()
            all_stopped.set()

        threading.Thread(target=finish, name="stop").start()
        return all_stopped


@dataclass(frozen=True)
class ServerOptions:
    """Where a server listens, and how it takes requests.

    Args:
        port: TCP port; 0 for any free one.
        host: Address to listen on; ``0.0.0.0`` for all.
        batching: How requests wait and are computed together; the default computes each by itself.
        tls: Keys and certificates; no encryption and no authentication if ``None``.
        max_message_bytes: Largest request that is taken; -1 for no limit but Protocol Buffers' own of 2 GiB.
    """

    port: int = 8500
    host: str = "127.0.0.1"
    batching: BatchingOptions = field(default_factory=BatchingOptions)
    tls: Tls | None = None
    max_message_bytes: int = -1


def start_server(store: ModelStore, options: ServerOptions) -> tuple[Server, int]:
    """Answer requests in background threads until the server is stopped.

    Args:
        store: The models to serve.
        options: Where and how.

    Returns:
        The running server, whose ``stop(grace)`` ends it, and the port.

    Raises:
        VadError: If the port is in use, the address cannot be listened on, or the keys are none.
    """
    _check_address(options.host, options.port)
    metrics, under_way = Metrics(), RequestsUnderWay()
    server = grpc.server(
        futures.ThreadPoolExecutor(_MOST_REQUESTS, thread_name_prefix="request"),
        options=(*_OPTIONS, ("grpc.max_receive_message_length", options.max_message_bytes)),
        maximum_concurrent_rpcs=_MOST_REQUESTS,
        interceptors=[ParseErrors()],
    )
    address = f"{options.host}:{options.port}"
    try:
        if options.tls:
            bound = server.add_secure_port(address, options.tls.credentials())
        else:
            bound = server.add_insecure_port(address)
    except RuntimeError as error:
        bound = 0
        logger.debug("gRPC does not listen: %s", error)
    if not bound:
        raise VadError(
            f"cannot listen on {address} with these keys; the server's key must belong to its certificate, both PEM."
        )
    batcher = Batcher(options.batching, metrics.observe_batch)
    metrics.follow(store, batcher.waiting)
    parts = (store, batcher, metrics, under_way)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionServicer(*parts), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(*parts), server)
    health_servicer = HealthServicer()
    for service in ("", *_SERVICES):
        health_servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection((*_SERVICES, _HEALTH_SERVICE, reflection.SERVICE_NAME), server)
    server.start()
    return Server(server, batcher, health_servicer, under_way, metrics), bound


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


def serve(
    store: ModelStore,
    options: ServerOptions,
    *,
    metrics_port: int | None = None,
    metrics_path: str = METRICS_PATH,
    poll_seconds: float = 1.0,
    drain_seconds: float = 0.0,
    grace: float = 30.0,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish the requests that have begun.

    Prints each model and then the address, when it can be asked. To be called in the main thread.

    Args:
        store: The models to serve; nothing needs to be loaded.
        options: Where and how.
        metrics_port: HTTP port that tells metrics; 0 for any free one, ``None`` for none.
        metrics_path: Their path on it.
        poll_seconds: Time between two looks for new versions; 0 to look only once.
        drain_seconds: Time after the signal in which requests are still taken, while health says NOT_SERVING: a load
            balancer needs it to send them elsewhere.
        grace: Seconds that a request that has begun may still take after that.

    Raises:
        VadError: If nothing can be served or a port is in use.
    """
    _check_address(options.host, options.port)  # Before the models: they take seconds to load.
    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()

    store.refresh()
    server, port = start_server(store, options)
    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGTERM, signal.SIGINT)}
    metrics_server = None
    try:
        if metrics_port is not None:
            metrics_server = MetricsServer(server.metrics, options.host, metrics_port, metrics_path)
            print(f"metrics on http://{options.host}:{metrics_server.port}{metrics_path}")
        if poll_seconds:
            store.watch(poll_seconds)
        for model in store.models():
            print(f"{model.name}, version {model.version}: {', '.join(model.signatures)}")
        print(f"serving {Path(store.zoo)} on {options.host}:{port}", flush=True)
        stopped.wait()
        logger.info("stopping: requests that have begun are finished")
        server.announce_stop()
        time.sleep(drain_seconds)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        server.stop(grace).wait()
        store.close()
        if metrics_server is not None:
            metrics_server.stop()
    print("stopped.", flush=True)
