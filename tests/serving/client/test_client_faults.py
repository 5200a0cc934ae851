"""What may go wrong on the way to a real server: the client gives every score, in order, or says what is wrong."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import pytest
from client_server import DyingHost, make_video, wait_until
from keras_vad_client import Retry, Tls, VadClient, VadClientError, base
from keras_vad_client.base import is_loopback
from keras_vad_client.retry import Backoff
from tiny_detector import WINDOW, reference_scores

from tests.environment import PATHS, ROOT

Code = grpc.StatusCode
SHORT = 7  # frames in a chunk: many requests


def assert_complete(frames, results):
    assert [result.frame for result in results] == list(range(len(frames)))
    np.testing.assert_allclose([result.raw for result in results], reference_scores(frames, gain=2), atol=1e-6)


def test_in_order_though_answers_are_not(proxy):
    chance = random.Random(0)
    server = proxy(before=lambda number, context: time.sleep(chance.uniform(0, 0.05)))
    frames = make_video(200)
    with VadClient(server.target, "tiny", chunk_length=SHORT, max_in_flight=6) as client:
        assert_complete(frames, list(client.stream(frames)))
    assert 1 < server.most_at_once <= 6


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.CANCELLED])
def test_repeats_what_passes(proxy, code):
    server = proxy(before=lambda number, context: context.abort(code, "soon") if number % 3 else None)
    frames = make_video(60)
    with VadClient(server.target, "tiny", chunk_length=SHORT, retry=Retry(first=0.01, longest=0.04)) as client:
        assert_complete(frames, list(client.stream(frames)))


def test_does_not_repeat_what_will_not_pass(proxy):
    server = proxy(before=lambda number, context: context.abort(Code.PERMISSION_DENIED, "you may\nnot"))
    with (
        VadClient(server.target, "tiny") as client,
        pytest.raises(VadClientError, match=r"refused model 'tiny': PERMISSION_DENIED: you may not$"),
    ):
        client.score(make_video())
    assert server.requests == 1


def test_gives_up_after_the_total_time(proxy):
    server = proxy(before=lambda number, context: context.abort(Code.RESOURCE_EXHAUSTED, "the queue is full"))
    begun = time.monotonic()
    with (
        VadClient(server.target, "tiny", retry=Retry(total=0.5, first=0.05)) as client,
        pytest.raises(VadClientError, match=r"has too much to do \(the queue is full\); send it fewer streams"),
    ):
        client.score(make_video())
    assert 0.2 < time.monotonic() - begun < 5
    assert server.requests > 2


def test_waits_grow_and_are_drawn_by_chance():
    retry = Retry(total=100, first=1, factor=2, longest=5)
    runs = []
    for _ in range(20):
        backoff = Backoff(retry)
        waits = [backoff.next(Code.UNAVAILABLE) for _ in range(5)]
        assert all(most / 2 <= wait <= most for wait, most in zip(waits, [1, 2, 4, 5, 5], strict=True))
        runs.append(tuple(waits))
    assert len(set(runs)) == 20
    assert Backoff(retry).next(Code.DEADLINE_EXCEEDED) is None
    assert Backoff(Retry(total=0)).next(Code.UNAVAILABLE) is None


def test_a_request_has_a_deadline(proxy):
    silent = threading.Event()
    server = proxy(before=lambda number, context: silent.wait(20) if number > 3 else None)
    with VadClient(server.target, "tiny", chunk_length=SHORT, timeout=1) as client:
        stream = client.stream(make_video())
        assert next(stream).frame == 0
        with pytest.raises(VadClientError, match="did not answer within 1 s") as error:
            list(stream)
    silent.set()
    assert error.value.code is Code.DEADLINE_EXCEEDED


def test_a_slow_consumer_bounds_what_is_taken_and_sent(proxy):
    server = proxy()
    taken = 0

    def camera():
        nonlocal taken
        for frame in make_video(1000):
            taken += 1
            yield frame

    with VadClient(server.target, "tiny", chunk_length=SHORT, max_in_flight=2) as client:
        stream = client.stream(camera())
        next(stream)
        time.sleep(0.3)
        # Two requests, one chunk that is being filled.
        assert taken <= 4 * (SHORT + WINDOW.hop)
        assert server.requests <= 1 + 3
        stream.close()


def test_a_slow_server_bounds_what_is_taken(proxy):
    released = threading.Event()
    server = proxy(before=lambda number, context: released.wait(20) if number > 1 else None)
    taken = []
    frames = make_video(300)

    def camera():
        for number, frame in enumerate(frames):
            taken.append(number)
            yield frame

    results = []
    with VadClient(server.target, "tiny", chunk_length=SHORT, max_in_flight=3) as client:
        reader = threading.Thread(target=lambda: results.extend(client.stream(camera())))
        reader.start()
        wait_until(lambda: server.requests == 4)
        time.sleep(0.3)
        assert len(taken) <= 5 * (SHORT + WINDOW.hop)
        assert server.requests == 4
        released.set()
        reader.join(30)
    assert_complete(frames, results)
    assert server.most_at_once == 3


def test_scores_come_while_the_camera_runs(proxy):
    """Every score is there soon after the chunk is full, not only at the end."""
    server = proxy()
    frames = make_video(60)
    latest = -1
    lags = []

    def camera():
        for number, frame in enumerate(frames):
            time.sleep(0.02)
            lags.append(number - latest)
            yield frame

    with VadClient(server.target, "tiny", chunk_length=SHORT) as client:
        for result in client.stream(camera()):
            latest = result.frame
    assert latest == 59
    # A chunk, the frames that wait for another window, and what a busy machine adds to the answer.
    assert np.median(lags[10:]) <= SHORT + WINDOW.hop + 2


def test_breaking_off_ends_the_threads(proxy):
    server = proxy(before=lambda number, context: context.abort(Code.UNAVAILABLE, "gone") if number > 4 else None)
    with VadClient(server.target, "tiny", chunk_length=SHORT) as client:
        for _ in client.stream(make_video(200)):
            break
        wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("keras_vad_client")])


def test_several_servers_behind_one_name_share_the_work(proxy, any_client):
    servers = [proxy(), proxy()]
    frames = make_video(200)

    def camera():
        for number, frame in enumerate(frames):
            if number == 100:
                wait_until(lambda: all(server.requests > 3 for server in servers))
                servers[0].stop()  # what it has taken on, it cancels
            yield frame

    target = "ipv4:" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
    with any_client(target, "tiny", chunk_length=SHORT, retry=Retry(first=0.01)) as client:
        assert client.wait_ready(10) == 10
        assert_complete(frames, list(client.stream(camera())))


def test_a_host_that_dies_is_noticed(server_port, any_client, monkeypatch):
    """The promised 100 s at most take 1 s here."""
    waits = ("keepalive", "ping")
    faster = [(name, value // 100 if any(w in name for w in waits) else value) for name, value in base._OPTIONS]
    monkeypatch.setattr(base, "_OPTIONS", faster)
    host = DyingHost(server_port)
    frames = make_video(60)

    def camera():
        for number, frame in enumerate(frames):
            if number == 30:
                host.die()
            yield frame

    try:
        with any_client(host.target, "tiny", chunk_length=SHORT, timeout=15, retry=Retry(first=0.01)) as client:
            client.wait_ready(10)
            assert_complete(frames, list(client.stream(camera())))
    finally:
        host.stop()


class TestClosed:
    """The client is closed in the middle of something."""

    @pytest.mark.parametrize("code", [Code.UNAVAILABLE, None], ids=["waits to ask again", "waits for an answer"])
    def test_a_stream(self, proxy, any_client, code):
        asked, released = threading.Event(), threading.Event()

        def before(number, context):
            if number > 1:
                asked.set()
                if code is not None:
                    context.abort(code, "soon")
                released.wait(20)

        server = proxy(before=before)
        errors = []

        def watch(client):
            try:
                list(client.stream(make_video()))
            except Exception as error:
                errors.append(error)

        with any_client(server.target, "tiny", retry=Retry(first=0.2)) as client:
            watcher = threading.Thread(target=watch, args=(client,))
            watcher.start()
            assert asked.wait(20)
            client.close()
            watcher.join(10)
        released.set()
        assert [type(error) for error in errors] == [VadClientError]
        assert "was closed before the answer came; make another one" in str(errors[0])

    def test_what_is_asked_afterwards(self, target, any_client):
        with any_client(target, "tiny") as client:
            client.close()
            for ask in (client.status, lambda: client.wait_ready(5), lambda: client.score(make_video())):
                with pytest.raises(VadClientError, match="was closed before the answer came"):
                    ask()


# TensorFlow is loaded once, which takes most of the time; then every line "PORT" makes one more process serve.
SERVE = """
import os, runpy, sys
import keras_vad_server.server
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        sys.argv = [*sys.argv[1:], "--port", line.strip()]
        runpy.run_path(sys.argv[0], run_name="__main__")
    print("pid", pid, flush=True)
    print("killed by", os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def servers(zoo):
    """A process that makes servers. It loads TensorFlow while the tests before run."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(ROOT / "tools" / "serve.py"), "--zoo", str(zoo)],
        env={**os.environ, "PYTHONPATH": PATHS}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_a_killed_and_restarted_server_loses_no_frame(servers, free_port):
    def serve():
        servers.stdin.write(f"{free_port}\n")
        servers.stdin.flush()
        return int(said("pid"))

    def said(what):
        return next(line for line in servers.stdout if line.startswith(what)).removeprefix(what)

    pids = []
    frames = make_video(400)

    def camera():
        for number, frame in enumerate(frames):
            if number == 200:
                os.kill(pids[0], signal.SIGKILL)  # nothing is finished, nobody is told
                assert int(said("killed by")) == signal.SIGKILL
                pids.append(serve())
            yield frame

    try:
        with VadClient(f"127.0.0.1:{free_port}", "tiny", chunk_length=SHORT, retry=120) as client:
            pids.append(serve())
            client.wait_ready(60)
            assert_complete(frames, list(client.stream(camera())))
        assert len(set(pids)) == 2
        os.kill(pids[1], 0)  # still serves
    finally:
        for pid in pids[-1:]:
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """ca, and server and client certificates that it has signed; `other` is signed by nobody."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        subject = ("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *subject)
    for name in ("server", "client"):
        subject = ("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *subject)
        (folder / "names").write_text("subjectAltName=DNS:localhost\n")
        signed_by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed_by)
    return folder


def server_credentials(folder, mutual):
    pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())
    return grpc.ssl_server_credentials([pair], (folder / "ca.pem").read_bytes() if mutual else None, mutual)


class TestTls:
    @pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual"])
    def test_scores(self, proxy, certificates, mutual):
        server = proxy(credentials=server_credentials(certificates, mutual))
        pair = {"cert": certificates / "client.pem", "key": certificates / "client.key"} if mutual else {}
        frames = make_video()
        with VadClient(server.target, "tiny", tls=Tls(certificates / "ca.pem", **pair)) as client:
            client.wait_ready(10)
            assert_complete(frames, list(client.stream(frames)))

    def test_a_server_that_nobody_vouches_for(self, proxy, certificates):
        server = proxy(credentials=server_credentials(certificates, False))
        with (
            VadClient(server.target, "tiny", tls=Tls(certificates / "other.pem"), retry=0) as client,
            pytest.raises(VadClientError, match=r"no server answers .* and check the certificates"),
        ):
            client.wait_ready(0)
        assert server.requests == 0

    def test_a_client_without_a_certificate(self, proxy, certificates):
        server = proxy(credentials=server_credentials(certificates, True))
        with (
            VadClient(server.target, "tiny", tls=Tls(certificates / "ca.pem"), retry=0) as client,
            pytest.raises(VadClientError, match="no server answers"),
        ):
            client.wait_ready(0)
        assert server.requests == 0

    def test_a_name_that_is_not_the_address(self, proxy, certificates):
        server = proxy(credentials=server_credentials(certificates, False))
        target = f"127.0.0.1:{server.port}"
        tls = Tls(certificates / "ca.pem", server_name="localhost")
        with VadClient(target, "tiny", tls=tls) as client:
            assert client.wait_ready(10) == 10

    def test_files(self, certificates, tmp_path):
        (tmp_path / "empty.pem").touch()
        for tls, sentence in [
            (Tls(tmp_path / "nope.pem"), r"nope\.pem cannot be read \(No such file"),
            (Tls(tmp_path / "empty.pem"), r"empty\.pem holds no certificate or key in PEM format"),
            (Tls(cert=certificates / "client.pem"), "go together; give both, or neither"),
        ]:
            with pytest.raises(VadClientError, match=sentence):
                VadClient("localhost:1", "tiny", tls=tls)


class TestProxies:
    @pytest.fixture(autouse=True)
    def dead_proxy(self, monkeypatch, free_port):
        for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_proxy", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")

    def test_this_machine_is_not_asked_through_one(self, target):
        frames = make_video(20)
        with VadClient(target, "tiny", chunk_length=SHORT, retry=0.0) as client:
            assert_complete(frames, list(client.stream(frames)))

    def test_one_that_does_not_answer_is_named(self):
        with (
            VadClient("vad.invalid:8500", "tiny", retry=0.0, timeout=2.0) as client,
            pytest.raises(VadClientError, match=r"through the proxy that http_proxy names \("),
        ):
            client.wait_ready(0)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("localhost:8500", True),
        ("127.8.9.1:8500", True),
        ("[::1]:8500", True),
        ("unix:/run/vad.sock", True),
        ("vad.example:8500", False),
        ("10.0.0.1:8500", False),
    ],
)
def test_what_is_on_this_machine(target, expected):
    assert is_loopback(target) is expected
