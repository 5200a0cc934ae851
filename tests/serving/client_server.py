"""What stands before the real server, for what goes wrong on the way: delays, refusals, TLS, a host that dies."""

import asyncio
import contextlib
import socket
import threading
import time
from concurrent import futures

import grpc
import numpy as np
from keras_vad_client import AsyncVadClient
from tiny_detector import WINDOW

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


def make_video(n=40, size=WINDOW.size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


class Proxy(grpc.GenericRpcHandler):
    """Hands every request on to a real server, after ``before(number of the request, context)``.

    It takes requests of up to ``limit`` bytes.
    """

    def __init__(self, backend_port, before=lambda number, context: None, credentials=None, port=0, limit=-1):
        self._before = before
        self._lock = threading.Lock()
        self.requests = 0  # that have come
        self.latest = b""  # of them
        self.at_once = 0
        self.most_at_once = 0
        self._channel = grpc.insecure_channel(f"127.0.0.1:{backend_port}", options=OPTIONS)
        options = {**dict(OPTIONS), "grpc.max_receive_message_length": limit}
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=tuple(options.items()))
        self._server.add_generic_rpc_handlers([self])
        add = self._server.add_insecure_port if credentials is None else self._server.add_secure_port
        self.port = add(f"127.0.0.1:{port}", *([] if credentials is None else [credentials]))
        self._server.start()
        self.target = f"localhost:{self.port}"

    def service(self, details):
        method = self._channel.unary_unary(details.method)

        def hand_on(request, context):
            with self._lock:
                self.requests += 1
                number = self.requests
                self.latest = request
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                self._before(number, context)
                return method(request, timeout=60)
            except grpc.RpcError as error:
                return context.abort(error.code(), error.details())
            finally:
                with self._lock:
                    self.at_once -= 1

        return grpc.unary_unary_rpc_method_handler(hand_on)

    def stop(self):
        self._server.stop(None).wait()
        self._channel.close()


class DyingHost:
    """Hands bytes on to a server's port, until it dies: then nothing comes through, and nobody is told.

    What connects afterwards comes through again, as if the address had passed to another host.
    """

    def __init__(self, backend_port):
        self._backend = ("127.0.0.1", backend_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = []
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self):
        self._alive.clear()

    def stop(self):
        for one in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                front, back = self._listener.accept()[0], socket.create_connection(self._backend)
                self._sockets += [front, back]
                self._alive = threading.Event()
                self._alive.set()
                for pair in ((front, back), (back, front)):
                    threading.Thread(target=_pass_on, args=(*pair, self._alive), daemon=True).start()


def _pass_on(source, sink, alive):
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 16):
            if alive.is_set():
                sink.sendall(content)


class BlockingClient:
    """An ``AsyncVadClient`` with the methods of ``VadClient``, so that one test asks both."""

    def __init__(self, *arguments, **settings):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

        async def make():
            return AsyncVadClient(*arguments, **settings)

        self._client = self._run(make())

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def stream(self, frames):
        results = self._client.stream(frames)
        with contextlib.suppress(StopAsyncIteration):
            while True:
                yield self._run(anext(results))

    def close(self):
        self._run(self._client.close())

    def score(self, frames):
        return self._run(self._client.score(frames))

    def status(self):
        return self._run(self._client.status())

    def wait_ready(self, timeout):
        return self._run(self._client.wait_ready(timeout))

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.01)
