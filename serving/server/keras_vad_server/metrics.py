"""What the server counts, for Prometheus, and the HTTP port that tells it."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Histogram, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keras_vad.errors import VadError
from keras_vad_server.config import METRICS_PATH
from keras_vad_server.store import ModelStore

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The numbers of one server.

    Attributes:
        registry: All of them, for ``prometheus_client``.

    Example:
    >>> metrics = Metrics()
    >>> metrics.observe_request("tiny", "Predict", "OK", seconds=0.2)
    >>> metrics.registry.get_sample_value("vad_requests_total", {"model": "tiny", "method": "Predict", "code": "OK"})
    1.0
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "vad_requests", "Requests answered.", ("model", "method", "code"), registry=self.registry
        )
        self._latency = Histogram(
            "vad_request_seconds",
            "Time from a request's arrival to its answer.",
            ("model", "method"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram("vad_batch_rows", "Chunks computed at once.", buckets=_ROWS, registry=self.registry)

    def observe_request(self, model: str, method: str, code: str, seconds: float) -> None:
        """Count a request.

        Args:
            model: Name of a model that is served; empty for another, so that requests cannot make up series.
            method: Name of the gRPC method.
            code: Name of the status code.
            seconds: How long it took.
        """
        self._requests.labels(model, method, code).inc()
        self._latency.labels(model, method).observe(seconds)

    def observe_batch(self, rows: int) -> None:
        """Count a batch."""
        self._batches.observe(rows)

    def follow(self, store: ModelStore, waiting: Callable[[], int]) -> None:
        """Tell the loaded versions and the queue's length, too.

        Args:
            store: The models.
            waiting: Gives the number of requests that wait.
        """
        self.registry.register(_Gauges(store, waiting))


class _Gauges(Collector):
    """Read when they are asked for, so that they need no upkeep."""

    def __init__(self, store: ModelStore, waiting: Callable[[], int]) -> None:
        self._store, self._waiting = store, waiting

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("vad_queue_requests", "Requests that wait to be computed.", value=self._waiting())
        loaded = GaugeMetricFamily("vad_loaded_versions", "1 for every version served.", labels=("model", "version"))
        for model in self._store.models():
            loaded.add_metric((model.name, str(model.version)), 1)
        yield loaded


class _QuietHandler(WSGIRequestHandler):
    timeout = 30  # Whoever connects and says nothing must not keep a thread.

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: Prometheus asks every few seconds."""


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = True


class MetricsServer:
    """Answers ``GET <path>`` in Prometheus' text format; other paths are 404.

    Args:
        metrics: The numbers.
        host: IPv4 address to listen on.
        port: TCP port; 0 for any free one.
        path: Where they are told.

    Raises:
        VadError: If the address cannot be listened on.
    """

    def __init__(self, metrics: Metrics, host: str, port: int, path: str = METRICS_PATH) -> None:
        tell = make_wsgi_app(metrics.registry)

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ["PATH_INFO"] == path:
                return tell(environ, start_response)
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [f"Metrics are at {path}\n".encode()]

        try:
            self._server = make_server(host, port, app, _ThreadingServer, _QuietHandler)
        except (OSError, OverflowError) as error:
            raise VadError(
                f"cannot tell metrics on {host}:{port}: {error}; choose another port with --metrics-port."
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
