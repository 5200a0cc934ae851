import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest
from client_server import Proxy
from tiny_detector import export_tiny

from serving.server import ModelStore, start_server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    """Two models; `tiny` in two versions, the newer with twice the scores, and what a zoo may hold besides."""
    root = tmp_path_factory.mktemp("zoo")
    export_tiny(root / "tiny" / "9", gain=1.0)
    export_tiny(root / "tiny" / "10", gain=2.0)
    export_tiny(root / "other" / "1", gain=5.0)
    (root / "results.csv").write_text("model\n")
    (root / "logs" / "2").mkdir(parents=True)
    (root / "tiny" / ".11.partial").mkdir()
    (root / ".partial" / "1").mkdir(parents=True)
    return root


@pytest.fixture(scope="session")
def server_port(zoo):
    store = ModelStore(zoo)
    store.refresh()
    server, port = start_server(store, port=0)
    yield port
    server.stop(None).wait()


@pytest.fixture(scope="session")
def channel(server_port):
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server_port}", options=options) as channel:
        yield channel


class ToolServer:
    """`tools/serve.py` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tools" / "serve.py"), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_serving(self, seconds: float = 120) -> int:
        """The port, once the tool has printed it."""
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
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


@pytest.fixture(scope="session")
def score_tool():
    spec = importlib.util.spec_from_file_location("score_tool", ROOT / "tools" / "score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


@pytest.fixture(scope="session")
def target(server_port):
    return f"127.0.0.1:{server_port}"


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
