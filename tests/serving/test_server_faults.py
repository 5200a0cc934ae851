"""The server among clients and disks that do not behave: nobody else notices, and nothing is left behind."""

import contextlib
import shutil
import signal
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from asking import predict_request, states, status_request, video
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tiny_detector import Sleeper, reference_scores

from keras_vad_server.config import BatchingOptions
from keras_vad_server.store import ModelStore

Code = grpc.StatusCode
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def loaded(zoo):
    store = ModelStore(zoo)
    store.refresh()
    return store


def stub_of(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def value(channel, name, **labels):
    return channel.server.metrics.registry.get_sample_value(name, labels) or 0


def test_killed_and_started_again_and_stopped_with_time_to_drain(zoo, tool_server):
    """A client's connection finds the new server by itself; health says that a server goes before it goes."""
    first = tool_server("--zoo", str(zoo), "--port", "0")
    port = first.wait_until_serving()
    request = predict_request({"frames": video()[None]})
    # Without this, gRPC waits up to two minutes between two tries to connect.
    options = [("grpc.max_reconnect_backoff_ms", 500)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        stub = stub_of(channel)
        expected = stub.Predict(request, timeout=60)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(60)
        with pytest.raises(grpc.RpcError) as raised:
            stub.Predict(request, timeout=60)
        assert raised.value.code() is Code.UNAVAILABLE
        second = tool_server("--zoo", str(zoo), "--port", str(port), "--drain-seconds", "3")
        second.wait_until_serving()
        assert stub.Predict(request, timeout=60, wait_for_ready=True) == expected
        health = health_pb2_grpc.HealthStub(channel)
        watched = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        second.process.send_signal(signal.SIGTERM)
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert stub.Predict(request, timeout=60) == expected, "it must answer while it drains"
        assert second.process.wait(20) == 0, "a watcher must not keep it"


def test_versions_change_under_load_without_a_failed_request(zoo, tmp_path, start):
    shutil.copytree(zoo / "tiny" / "9", tmp_path / "tiny" / "9")
    store = loaded(tmp_path)
    channel = start(store, batching=BatchingOptions(max_batch_size=8, timeout=0.001))
    store.watch(0.05)
    frames = video()
    request = predict_request({"frames": frames[None]})
    # By version: 10 and 12 have twice the scores of 9 and 13; 11 is damaged.
    expected = {version: reference_scores(frames, gain) for version, gain in ((9, 1), (10, 2), (12, 2), (13, 1))}
    done, failures, answered = threading.Event(), [], dict.fromkeys(expected, 0)

    def ask():
        while not done.is_set():
            try:
                answer = stub_of(channel).Predict(request, timeout=60)
                version = answer.model_spec.version.value
                scores = np.array(answer.outputs["raw_scores"].float_val)
                np.testing.assert_allclose(scores, expected[version], atol=1e-6)
                answered[version] += 1
            except Exception as error:
                failures.append(error)

    def publish(version, source, damaged=False):
        partial = tmp_path / "tiny" / f".{version}.partial"
        shutil.copytree(zoo / "tiny" / source, partial)
        if damaged:
            (partial / "saved_model.pb").write_bytes((partial / "saved_model.pb").read_bytes()[:1000])
        partial.rename(tmp_path / "tiny" / str(version))

    cameras = [threading.Thread(target=ask) for _ in range(4)]
    for camera in cameras:
        camera.start()
    try:
        wait_until(lambda: answered[9] > 10)
        publish(10, "10")
        wait_until(lambda: answered[10] > 10)
        publish(11, "10", damaged=True)
        wait_until(lambda: states(channel).get(11) == "END")
        before = answered[10]
        wait_until(lambda: answered[10] > before + 10)
        for version, source in ((12, "10"), (13, "9")):
            publish(version, source)
            wait_until(lambda version=version: answered[version] > 10)
    finally:
        done.set()
        for camera in cameras:
            camera.join()
        store.close()
    assert failures == []
    assert states(channel) == {9: "END", 10: "END", 11: "END", 12: "END", 13: "AVAILABLE"}
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    (status,) = stub.GetModelStatus(status_request("tiny", 11), timeout=60).model_version_status
    assert "11 cannot be served" in status.status.error_message


def test_watchers_of_health_that_come_and_go(zoo, start):
    """That one leaves while another comes must not stop the server, which has a single thread that tells of both."""
    channel, lost = start(loaded(zoo)), []

    def come_and_go():
        with grpc.insecure_channel(channel.address, options=[("grpc.use_local_subchannel_pool", 1)]) as own:
            health = health_pb2_grpc.HealthStub(own)
            for _ in range(150):
                watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=30)
                try:
                    next(watch)
                except grpc.RpcError as error:
                    return lost.append(error.code())
                watch.cancel()

    watchers = [threading.Thread(target=come_and_go) for _ in range(8)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert lost == []
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest(), timeout=30).status == health_pb2.HealthCheckResponse.SERVING
    assert next(health.Watch(health_pb2.HealthCheckRequest(), timeout=30))


@pytest.fixture(scope="module")
def sleeper_zoo(tmp_path_factory):
    zoo = tmp_path_factory.mktemp("sleepers")
    tf.saved_model.save(sleeper := Sleeper(), str(zoo / "sleeper" / "1"), signatures=sleeper.sleep)
    return zoo


def nap(seconds):
    return predict_request({"seconds": np.float64(seconds)}, name="sleeper")


def test_clients_that_disconnect_in_mid_request(sleeper_zoo, start):
    channel = start(loaded(sleeper_zoo), batching=BatchingOptions(threads=1))
    with grpc.insecure_channel(channel.address) as gone:
        calls = [stub_of(gone).Predict.future(nap(1.0), timeout=60) for _ in range(20)]
        wait_until(lambda: value(channel, "vad_queue_requests") == 19)
    assert {call.code() for call in calls} == {Code.CANCELLED}
    stub_of(channel).Predict(nap(0), timeout=60)
    # The one that was being computed, and the one after it: nobody waits for the others.
    assert value(channel, "vad_batch_rows_count") == 2
    wait_until(lambda: value(channel, "vad_requests_total", model="sleeper", method="Predict", code="CANCELLED") >= 19)
    assert value(channel, "vad_queue_requests") == 0


def test_a_deadline_that_passes_in_the_queue(sleeper_zoo, start):
    channel = start(loaded(sleeper_zoo), batching=BatchingOptions(threads=1))
    slow = stub_of(channel).Predict.future(nap(1.0), timeout=60)
    wait_until(lambda: value(channel, "vad_batch_rows_count") == 1)
    with pytest.raises(grpc.RpcError) as raised:
        stub_of(channel).Predict(nap(0), timeout=0.2)
    assert raised.value.code() is Code.DEADLINE_EXCEEDED
    assert slow.result(timeout=60).outputs
    stub_of(channel).Predict(nap(0), timeout=60)
    assert value(channel, "vad_batch_rows_count") == 2


def test_a_full_queue_refuses_and_recovers(sleeper_zoo, start):
    channel = start(loaded(sleeper_zoo), batching=BatchingOptions(threads=1, max_enqueued_batches=3))
    calls = [stub_of(channel).Predict.future(nap(0.5), timeout=60) for _ in range(10)]
    codes = [call.code() for call in calls]
    assert set(codes) == {Code.OK, Code.RESOURCE_EXHAUSTED}
    assert 3 <= codes.count(Code.OK) <= 4
    refusals = [call.details() for call in calls if call.code() is Code.RESOURCE_EXHAUSTED]
    assert set(refusals) == {"The batch scheduling queue to which this task was submitted is full"}
    stub_of(channel).Predict(nap(0), timeout=60)


class StallingProxy:
    """Passes bytes on; those of the server only once `released` is set. The server must keep the rest."""

    def __init__(self, address):
        host, port = address.split(":")
        self.released = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._server.connect((host, int(port)))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        self._client, _ = self._listener.accept()
        threading.Thread(target=self._pass, args=(self._client, self._server), daemon=True).start()
        # The server's first words, or the client would not begin.
        self._client.sendall(self._server.recv(4096))
        self.released.wait(120)
        self._pass(self._server, self._client)

    def _pass(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def close(self):
        for one in (self._listener, self._server, self._client):
            one.close()


def test_a_slow_reader_keeps_nobody_waiting(zoo, start):
    """A client that asks and does not read: others are served, its own answers are there when it reads at last."""
    channel = start(loaded(zoo))
    proxy = StallingProxy(channel.address)
    # A few bytes that stand for gray frames, as the server cannot tell this client to go on sending; 256 KiB come back.
    request = predict_request({"frames": np.zeros((1, 16, 64, 64, 3), np.uint8)}, signature="score_maps")
    request.inputs["frames"].ClearField("tensor_content")
    request.inputs["frames"].int_val.append(51)
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(proxy.address, options=options) as slow:
        calls = [stub_of(slow).Predict.future(request, timeout=100) for _ in range(100)]
        # So many streams a connection has; the other requests are not even sent.
        wait_until(lambda: value(channel, "vad_requests_total", model="tiny", method="Predict", code="OK") == 64)
        assert not any(call.done() for call in calls)
        for _ in range(20):
            assert stub_of(channel).Predict(predict_request({"frames": video()[None]}), timeout=10).outputs
        assert value(channel, "vad_requests_total", model="tiny", method="Predict", code="OK") == 84
        proxy.released.set()
        for call in calls:
            maps = np.array(call.result().outputs["maps"].float_val)
            np.testing.assert_allclose(maps, np.full(16 * 64 * 64, 0.2), atol=1e-6)
    proxy.close()


GARBAGE = {
    "nothing": b"",
    "text": b"hello\r\n\r\n" * 100,
    "http1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "noise": np.random.default_rng(0).bytes(100_000),
    "http2-and-noise": HTTP2 + np.random.default_rng(1).bytes(100_000),
    "http2-and-half-a-frame": HTTP2 + SETTINGS + b"\x00\x40\x00\x00",
    "http2-and-a-frame-of-16-mib": HTTP2 + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(100_000),
    "http2-and-a-stream-nobody-opened": HTTP2 + SETTINGS + b"\x00\x00\x04\x00\x01\x00\x00\x00\x07abcd",
    "http2-and-bad-headers": HTTP2 + SETTINGS + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
}


def test_garbage_bytes(zoo, start):
    channel = start(loaded(zoo))
    host, port = channel.address.split(":")
    request = predict_request({"frames": video()[None]})
    stub_of(channel).Predict(request, timeout=60)
    threads = threading.active_count()
    for data in GARBAGE.values():
        for _ in range(5):
            with socket.create_connection((host, int(port)), timeout=20) as connection, contextlib.suppress(OSError):
                connection.sendall(data)
        assert stub_of(channel).Predict(request, timeout=60).outputs
    # Connections that say nothing and stay, and one that is cut in the middle of a message.
    idle = [socket.create_connection((host, int(port))) for _ in range(50)]
    for connection in idle[:25]:
        connection.sendall(HTTP2 + SETTINGS)
    assert stub_of(channel).Predict(request, timeout=60).outputs
    for connection in idle:
        connection.close()
    assert threading.active_count() <= threads + 1, "connections must cost no threads"
