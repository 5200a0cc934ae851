"""A proxy before the real server, for what goes wrong on the way: delays, refusals, TLS."""

import threading
import time
from concurrent import futures

import grpc
import numpy as np
from tiny_detector import WINDOW

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


def make_video(n=40, size=WINDOW.size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


class Proxy(grpc.GenericRpcHandler):
    """Hands every request on to a real server, after ``before(number of the request, context)``."""

    def __init__(self, backend_port, before=lambda number, context: None, credentials=None):
        self._before = before
        self._lock = threading.Lock()
        self.requests = 0  # that have come
        self.at_once = 0
        self.most_at_once = 0
        self._channel = grpc.insecure_channel(f"127.0.0.1:{backend_port}", options=OPTIONS)
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=OPTIONS)
        self._server.add_generic_rpc_handlers([self])
        add = self._server.add_insecure_port if credentials is None else self._server.add_secure_port
        self.port = add("127.0.0.1:0", *([] if credentials is None else [credentials]))
        self._server.start()
        self.target = f"localhost:{self.port}"

    def service(self, details):
        method = self._channel.unary_unary(details.method)

        def hand_on(request, context):
            with self._lock:
                self.requests += 1
                number = self.requests
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


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.01)
