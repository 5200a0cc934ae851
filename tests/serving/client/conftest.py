import socket

import pytest
from client_server import Proxy


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
