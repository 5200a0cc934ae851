"""A web server of files with ranges, which can be told to misbehave, and a zoo to serve without TensorFlow."""

import http.server
import json
import random
import ssl
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from keras_vad.presets.index import Preset, PresetFile, changing_index


def make_preset(zoo, name="street", version=1, seed=0, size=300_000, **about):
    """A preset whose detector is noise: enough for all but loading it."""
    folder = zoo / "presets" / name / str(version)
    folder.mkdir(parents=True)
    (folder / "detector.keras").write_bytes(random.Random(seed).randbytes(size))
    (folder / "model_card.json").write_text(json.dumps({"name": name, "version": version}))
    files = tuple(PresetFile.of(folder / one) for one in ("detector.keras", "model_card.json"))
    preset = Preset(name, version, files, about)
    with changing_index(zoo) as presets:
        presets.append(preset)
    return preset


class ZooServer:
    """Serves a folder over HTTP on this machine.

    ``faults[path]`` are done to the next requests for a path, one each: an int is a status answered; a function gets
    the handler, the file and the first byte asked for, and answers itself. ``requests`` are those that came, (path,
    Range). With a certificate, key and all in one file, it speaks TLS.
    """

    def __init__(self, folder, certificate=None):
        self.folder = Path(folder)
        self.faults = defaultdict(list)
        self.requests = []
        self.hosts = set()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = unquote(urlsplit(self.path).path).lstrip("/")  # a proxy is asked for whole addresses
                server.requests.append((path, self.headers.get("Range")))
                server.hosts.add(self.headers.get("Host"))
                file = server.folder / path
                fault = server.faults[path].pop(0) if server.faults[path] else None
                if isinstance(fault, int):
                    return self.send_status(fault)
                if not file.is_file():
                    return self.send_status(404)
                data = file.read_bytes()
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in self.headers else 0
                if fault is not None:
                    self.close_connection = True
                    return fault(self, data, start)
                if start >= len(data) > 0:
                    return self.send_status(416)
                self.send(data, start, 206 if start else 200)

            def send_status(self, status):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def send(self, data, start=0, status=200, body=None):
                self.send_response(status)
                self.send_header("Content-Length", str(len(data) - start))
                if status == 206:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                self.wfile.write(data[start:] if body is None else body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a client that hangs up is what is tested
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.address = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def asked(self, name):
        """The ranges asked for of files of a name."""
        return [range_ for path, range_ in self.requests if path.endswith(name)]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def cut(count):
    """Send so many bytes and hang up."""
    return lambda handler, data, start: handler.send(
        data, start, 206 if start else 200, body=data[start : start + count]
    )


def stall(count, seconds=30):
    """Send so many bytes and nothing more."""

    def fault(handler, data, start):
        cut(count)(handler, data, start)
        handler.wfile.flush()
        time.sleep(seconds)

    return fault


def cut_from_the_start(count):
    """Send so many bytes of the whole file whatever part was asked for, and hang up."""
    return lambda handler, data, start: handler.send(data, body=data[:count])


def whole(handler, data, start):
    """Send the whole file whatever part was asked for."""
    handler.send(data)


def instead(other):
    """Send other bytes."""
    return lambda handler, data, start: handler.send(other)


def moved(to):
    """Send the client elsewhere."""

    def fault(handler, data, start):
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def endless(handler, data, start):
    """Send bytes without a length until the client has enough, 64 MiB at most."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(64):
        handler.wfile.write(bytes(1 << 20))


@contextmanager
def served(folder, certificate=None):
    server = ZooServer(folder, certificate)
    try:
        yield server
    finally:
        server.close()
