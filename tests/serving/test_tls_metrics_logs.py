"""What surrounds the models: encryption, certificates, health, reflection, metrics, logs, limits."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest
from asking import predict_request, refused, states, video
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from keras_vad.errors import VadError
from keras_vad_server import config
from keras_vad_server.metrics import Metrics, MetricsServer
from keras_vad_server.server import ServerOptions, start_server
from keras_vad_server.store import ModelStore

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def store(zoo):
    store = ModelStore(zoo)
    store.refresh()
    return store


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Keys and certificates of an authority, a server on localhost, and a client, made by openssl."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("keys")

    def make(name, *options):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"]
        subprocess.run(
            [*command, "-days", "2", "-subj", f"/CN={name}", *files, *options], check=True, capture_output=True
        )

    signed = ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    make("ca")
    make("server", *signed, "-addext", "subjectAltName=DNS:localhost")
    make("client", *signed)
    make("stranger")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def ssl_config(folder, keys, verify=False):
    path = folder / "ssl.config"
    quoted = {name: json.dumps(text.decode()) for name, text in keys.items()}
    path.write_text(
        f"server_key: {quoted['server.key']} server_cert: {quoted['server.crt']} custom_ca: {quoted['ca.crt']} "
        f"client_verify: {str(verify).lower()}"
    )
    return path


def code_over(credentials, address):
    """The status code of a request over a channel with these credentials; `None` without them."""
    open_channel = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
    with open_channel as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            stub.Predict(predict_request({"frames": video()[None]}), timeout=20)
        except grpc.RpcError as error:
            return error.code()
    return Code.OK


class TestTls:
    def test_only_encrypted_and_only_for_those_who_trust_the_authority(self, store, start, keys, tmp_path):
        tls = config.read_tls(ssl_config(tmp_path, keys))
        address = start(store, "localhost", tls=tls).address
        assert code_over(grpc.ssl_channel_credentials(keys["ca.crt"]), address) is Code.OK
        assert code_over(grpc.ssl_channel_credentials(keys["stranger.crt"]), address) is Code.UNAVAILABLE
        assert code_over(None, address) is Code.UNAVAILABLE

    def test_mutual(self, store, start, keys, tmp_path):
        tls = config.read_tls(ssl_config(tmp_path, keys, verify=True))
        address = start(store, "localhost", tls=tls).address
        for name, code in (("client", Code.OK), ("stranger", Code.UNAVAILABLE)):
            pair = keys[f"{name}.key"], keys[f"{name}.crt"]
            assert code_over(grpc.ssl_channel_credentials(keys["ca.crt"], *pair), address) is code, name
        assert code_over(grpc.ssl_channel_credentials(keys["ca.crt"]), address) is Code.UNAVAILABLE

    def test_keys_that_are_none(self, store):
        tls = config.Tls(b"-----BEGIN NONSENSE", b"-----BEGIN NONSENSE")
        with pytest.raises(VadError, match="with these keys; the server's key must belong to its certificate"):
            start_server(store, ServerOptions(port=0, tls=tls))


class TestHealthAndReflection:
    @pytest.fixture
    def health(self, served_at, asks_local_server, channel):
        if not asks_local_server:
            pytest.skip("TensorFlow Serving has neither")
        return health_pb2_grpc.HealthStub(channel)

    @pytest.mark.parametrize("service", ["", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"])
    def test_serving(self, health, service):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    def test_unknown_service(self, health):
        assert refused(health.Check, health_pb2.HealthCheckRequest(service="nope"))[0] is Code.NOT_FOUND

    def test_reflection_lists_the_services(self, health, channel):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=60)
        assert {service.name for service in answer.list_services_response.service} == {
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "tensorflow.serving.ModelService",
            "tensorflow.serving.PredictionService",
        }

    @pytest.mark.parametrize(
        ("service", "message"), [("PredictionService", b"PredictRequest"), ("ModelService", b"ReloadConfigRequest")]
    )
    def test_reflection_describes_a_service_and_its_messages(self, health, channel, service, message):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        symbol = f"tensorflow.serving.{service}"
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=60)
        files = answer.file_descriptor_response.file_descriptor_proto
        assert sum(message in file for file in files) >= 2, "the service and the message"


class TestLimits:
    def test_a_message_that_is_too_large(self, store, start):
        channel = start(store, max_message_bytes=1 << 20)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        code, message = refused(stub.Predict, predict_request({"frames": np.zeros((1, 8, 256, 256, 3), np.uint8)}))
        assert code is Code.RESOURCE_EXHAUSTED
        assert "larger than max" in message
        stub.Predict(predict_request({"frames": video()[None]}), timeout=60)

    def test_batches_over_grpc(self, store, start):
        options = config.BatchingOptions(max_batch_size=4, timeout=30)
        channel = start(store, batching=options)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        calls = [stub.Predict.future(predict_request({"frames": video()[None]}), timeout=60) for _ in range(4)]
        assert all(call.result().outputs["scores"].float_val for call in calls)
        value = channel.server.metrics.registry.get_sample_value
        assert (value("vad_batch_rows_count"), value("vad_batch_rows_sum")) == (1, 4)


class TestMetrics:
    def test_requests_are_counted_by_model_method_and_code(self, store, start):
        channel = start(store)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(predict_request({"frames": video()[None]}), timeout=60)
        refused(stub.Predict, predict_request({}))
        for number in range(5):
            refused(stub.Predict, predict_request({}, name=f"made-up-{number}"))
        states(channel)
        value = channel.server.metrics.registry.get_sample_value

        def requests(**labels):
            return value("vad_requests_total", labels)

        assert requests(model="tiny", method="Predict", code="OK") == 1
        assert requests(model="tiny", method="Predict", code="INVALID_ARGUMENT") == 1
        assert requests(model="", method="Predict", code="NOT_FOUND") == 5, "made-up names must make no series"
        assert requests(model="tiny", method="GetModelStatus", code="OK") == 1
        assert value("vad_request_seconds_count", {"model": "tiny", "method": "Predict"}) == 2
        assert value("vad_loaded_versions", {"model": "tiny", "version": "10"}) == 1
        assert value("vad_queue_requests") == 0

    def test_are_told_at_their_path_only(self):
        metrics = Metrics()
        metrics.observe_batch(3)
        server = MetricsServer(metrics, "127.0.0.1", 0, "/some/path")
        try:
            base = f"http://127.0.0.1:{server.port}"
            with urllib.request.urlopen(f"{base}/some/path", timeout=20) as answer:
                assert answer.headers["Content-Type"].startswith("text/plain")
                assert b"vad_batch_rows_sum 3.0" in answer.read()
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{base}/metrics", timeout=20)
            with pytest.raises(VadError, match=rf"cannot tell metrics on 127.0.0.1:{server.port}: .*--metrics-port"):
                MetricsServer(metrics, "127.0.0.1", server.port)
        finally:
            server.stop()


def test_tool_with_all_its_files(zoo, keys, tool_server, tmp_path):
    """Flags and files as of tensorflow_model_server; metrics over HTTP; logs as JSON."""
    files = {
        "model": 'model_config_list { config { name: "t" base_path: "tiny" model_platform: "tensorflow" '
        'model_version_policy { all { } } version_labels { key: "stable" value: 9 } } }',
        "batching": "max_batch_size { value: 4 } batch_timeout_micros { value: 1000 }",
        "monitoring": 'prometheus_config { enable: true path: "/metrics" }',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    server = tool_server(
        *("--zoo", str(zoo), "--port", "0", "--metrics-port", "0", "--log-format", "json"),
        *("--model-config-file", str(tmp_path / "model"), "--batching-parameters-file", str(tmp_path / "batching")),
        *("--monitoring-config-file", str(tmp_path / "monitoring"), "--max-message-mb", "1", "--poll-seconds", "0"),
        *("--ssl-config-file", str(ssl_config(tmp_path, keys))),
    )
    seen = []
    port = server.wait_until_serving(seen=seen)
    (metrics_address,) = re.findall(r"metrics on (http://\S+/metrics)\n", "".join(seen))
    credentials = grpc.ssl_channel_credentials(keys["ca.crt"])
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_request({"frames": video()[None]}, name="t", label="stable")
        assert stub.Predict(request, timeout=60).model_spec.version.value == 9
    with urllib.request.urlopen(metrics_address, timeout=20) as answer:
        text = answer.read().decode()
    assert 'vad_requests_total{code="OK",method="Predict",model="t"} 1.0' in text
    code, _, stderr = server.stop()
    assert code == 0, stderr
    entries = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    assert {entry["level"] for entry in entries} == {"INFO"}
    assert sorted((entry["model"], entry["version"]) for entry in entries if "version" in entry) == [
        ("t", 9),
        ("t", 10),
    ]


@pytest.mark.parametrize(
    "arguments",
    [["--max-message-mb", "0"], ["--poll-seconds", "-1"], ["--drain-seconds", "inf"], ["--log-format", "x"]],
)
def test_tool_refuses_numbers_that_make_no_sense(arguments):
    tool = Path(__file__).parents[2] / "tools" / "serve.py"
    done = subprocess.run([sys.executable, str(tool), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"argument {arguments[0]}: " in done.stderr
