import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest
from client_server import BlockingClient, Proxy
from keras_vad_client import VadClient
from tiny_detector import export_tiny

from keras_vad_server.server import ServerOptions, start_server
from keras_vad_server.store import ModelStore
from tests.environment import PATHS, ROOT

MODELS_CONFIG = """\
model_config_list {{
  config {{ name: "tiny" base_path: "{root}/tiny" model_platform: "tensorflow" }}
  config {{ name: "other" base_path: "{root}/other" model_platform: "tensorflow" }}
}}
"""


@pytest.fixture(scope="session")
def zoo(tmp_path_factory, request):
    """Two models; `tiny` in two versions, the newer with twice the scores, and what a zoo may hold besides."""
    given = request.config.getoption("--serving-zoo")
    root = Path(given).resolve() if given else tmp_path_factory.mktemp("zoo")
    if (root / "models.config").exists():
        return root
    export_tiny(root / "tiny" / "9", gain=1.0)
    export_tiny(root / "tiny" / "10", gain=2.0)
    export_tiny(root / "other" / "1", gain=5.0)
    (root / "results.csv").write_text("model\n")
    (root / "logs" / "2").mkdir(parents=True)
    (root / "tiny" / ".11.partial").mkdir()
    (root / ".partial" / "1").mkdir(parents=True)
    (root / "models.config").write_text(MODELS_CONFIG.format(root=root))
    return root


@pytest.fixture(scope="session")
def server_port(zoo):
    store = ModelStore(zoo)
    store.refresh()
    server, port = start_server(store, ServerOptions(port=0))
    yield port
    server.stop(None).wait()


@pytest.fixture(scope="session")
def asks_local_server(request):
    """Whether `channel` leads to the local server, and not to the one of --serving-target."""
    return request.config.getoption("--serving-target") is None


@pytest.fixture(scope="session")
def served_at(asks_local_server, request):
    """The address that is asked: of --serving-target, or of a local server."""
    if asks_local_server:
        return f"127.0.0.1:{request.getfixturevalue('server_port')}"
    return request.config.getoption("--serving-target")


@pytest.fixture(scope="session")
def channel(served_at):
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(served_at, options=options) as channel:
        yield channel


@pytest.fixture
def start(request):
    """Starts local servers, `start(store, ...)` -> an open channel; they end with the test."""
    ends = []

    def start(store, address="127.0.0.1", **options):
        server, port = start_server(store, ServerOptions(port=0, **options))
        ends.append(lambda: server.stop(None).wait())
        channel = grpc.insecure_channel(f"{address}:{port}")
        ends.append(channel.close)
        channel.server, channel.address = server, f"{address}:{port}"
        return channel

    yield start
    for end in reversed(ends):
        end()


class ToolServer:
    """`keras-vad serve` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tools" / "serve.py"), *arguments],
            env={**os.environ, "PYTHONPATH": PATHS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_serving(self, seconds: float = 120, seen: list[str] | None = None) -> int:
        """The port, once the tool has printed it; `seen` collects the lines before."""
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                if seen is not None:
                    seen.append(line)
                if line.startswith("serving "):
                    return int(line.rsplit(":", 1)[1])
        finally:
            timer.cancel()
        raise AssertionError(f"the server did not start: {self.process.stderr.read()}")

    def stop(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        stdout, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stdout, stderr


@pytest.fixture
def tool_server():
    started = []

    def start(*arguments: str) -> ToolServer:
        started.append(ToolServer(*arguments))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.fixture
def proxy(server_port):
    """Start proxies before the server of ``tiny``: ``proxy(before=..., credentials=...)``."""
    started = []

    def start(**arguments):
        started.append(Proxy(server_port, **arguments))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(params=[VadClient, BlockingClient], ids=["threads", "asyncio"])
def any_client(request):
    """The client with threads, and the one with asyncio."""
    return request.param


@pytest.fixture(scope="session")
def target(server_port):
    return f"127.0.0.1:{server_port}"


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
