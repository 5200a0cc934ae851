"""The local server over a real socket: answers, and the status code of every error, as TensorFlow Serving's."""

import shutil
import socket
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from asking import predict_request, refused, status_request, video
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tiny_detector import WINDOW, Sleeper, export_tiny, reference_scores

from keras_vad.errors import VadError
from keras_vad_server.server import ServerOptions, start_server
from keras_vad_server.store import ModelStore

Code = grpc.StatusCode


@pytest.fixture
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture
def model_stub(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


class TestPredict:
    def test_scores_of_a_chunk(self, stub):
        frames = video()
        response = stub.Predict(predict_request({"frames": frames[None]}), timeout=60)
        assert (response.model_spec.name, response.model_spec.version.value) == ("tiny", 10)
        assert response.model_spec.signature_name == "serving_default"
        outputs = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
        assert {name: (value.shape, value.dtype) for name, value in outputs.items()} == {
            "scores": ((1, 10), np.float32),
            "raw_scores": ((1, 10), np.float32),
            "frame_offsets": ((1, 10), np.int32),
        }
        np.testing.assert_allclose(outputs["raw_scores"][0], reference_scores(frames, gain=2), atol=1e-6)

    def test_batch_of_chunks_is_scored_chunk_by_chunk(self, stub):
        chunks = np.stack([video(seed=1), video(seed=2)])
        response = stub.Predict(predict_request({"frames": chunks}), timeout=60)
        scores = tf.make_ndarray(response.outputs["raw_scores"])
        for row, frames in zip(scores, chunks, strict=True):
            np.testing.assert_allclose(row, reference_scores(frames, gain=2), atol=1e-6)

    def test_answers_in_value_fields_as_tensorflow_serving(self, stub):
        response = stub.Predict(predict_request({"frames": video()[None]}), timeout=60)
        assert len(response.outputs["scores"].float_val) == 10
        assert list(response.outputs["frame_offsets"].int_val) == list(range(10))

    def test_signature_by_name(self, stub):
        request = predict_request({"frames": video()[None]}, signature="score_maps")
        assert tf.make_ndarray(stub.Predict(request, timeout=60).outputs["maps"]).shape == (1, 10, *WINDOW.size)

    def test_output_filter(self, stub):
        request = predict_request({"frames": video()[None]}, signature="score_maps", outputs=["scores"])
        assert list(stub.Predict(request, timeout=60).outputs) == ["scores"]

    def test_two_models_are_apart(self, stub):
        frames = video()
        response = stub.Predict(predict_request({"frames": frames[None]}, name="other"), timeout=60)
        scores = tf.make_ndarray(response.outputs["raw_scores"])[0]
        np.testing.assert_allclose(scores, reference_scores(frames, gain=5), atol=1e-6)

    def test_version_by_number(self, stub):
        response = stub.Predict(predict_request({"frames": video()[None]}, version=10), timeout=60)
        assert response.model_spec.version.value == 10

    def test_requests_larger_than_grpcs_default(self, stub):
        frames = np.zeros((1, 16, 480, 640, 3), np.uint8)  # 14 MiB, and maps of 19 MiB come back.
        response = stub.Predict(predict_request({"frames": frames}, signature="score_maps"), timeout=60)
        assert tf.make_ndarray(response.outputs["maps"]).shape == (1, 16, 480, 640)

    def test_requests_at_once(self, stub):
        videos = [video(n=12, seed=seed) for seed in range(8)]
        calls = [stub.Predict.future(predict_request({"frames": frames[None]}), timeout=60) for frames in videos]
        for call, frames in zip(calls, videos, strict=True):
            scores = tf.make_ndarray(call.result().outputs["raw_scores"])[0]
            np.testing.assert_allclose(scores, reference_scores(frames, gain=2), atol=1e-6)


class TestPredictRefuses:
    frames = video()[None]

    @pytest.mark.parametrize(
        ("request_", "code", "message"),
        [
            (predict_pb2.PredictRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
            (predict_request({}, name=""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
            (
                predict_request({"frames": frames}, name="nope"),
                Code.NOT_FOUND,
                "Servable not found for request: Latest(nope)",
            ),
            (
                predict_request({"frames": frames}, version=9),
                Code.NOT_FOUND,
                "Servable not found for request: Specific(tiny, 9)",
            ),
            (
                predict_request({"frames": frames}, signature="nope"),
                Code.FAILED_PRECONDITION,
                'Serving signature key "nope" not found.',
            ),
            (
                predict_request({"frames": frames}, signature="__saved_model_init_op"),
                Code.FAILED_PRECONDITION,
                'Serving signature key "__saved_model_init_op" not found.',
            ),
            (
                predict_request({}),
                Code.INVALID_ARGUMENT,
                "input size does not match signature: 0!=1 len({}) != len({frames}). Sent extra: {}. "
                "Missing but required: {frames}.",
            ),
            (
                predict_request({"frames": frames, "more": 1}),
                Code.INVALID_ARGUMENT,
                "input size does not match signature: 2!=1 len({frames,more}) != len({frames}). "
                "Sent extra: {more}. Missing but required: {}.",
            ),
            (
                predict_request({"frame": frames}),
                Code.INVALID_ARGUMENT,
                "input tensor alias not found in signature: frame. Inputs expected to be in the set {frames}.",
            ),
            (
                predict_request({"frames": frames.astype(np.float32)}),
                Code.INVALID_ARGUMENT,
                "Expected input frames to be uint8 but get float.",
            ),
            (
                predict_request({"frames": frames[0]}),
                Code.INVALID_ARGUMENT,
                "Expected input frames to have shape (None, None, None, None, 3) but get (10, 8, 6, 3).",
            ),
            (
                predict_request({"frames": frames[..., :1]}),
                Code.INVALID_ARGUMENT,
                "Expected input frames to have shape (None, None, None, None, 3) but get (1, 10, 8, 6, 1).",
            ),
            (
                predict_request({"frames": frames}, outputs=["nope"]),
                Code.INVALID_ARGUMENT,
                "output tensor alias not found in signature: nope Outputs expected to be in the set "
                "{frame_offsets,raw_scores,scores}.",
            ),
            (
                predict_request({"frames": frames}, outputs=["scores", "scores"]),
                Code.INVALID_ARGUMENT,
                "duplicate output tensor alias: scores",
            ),
        ],
    )
    def test_what_does_not_fit(self, stub, asks_local_server, request_, code, message):
        found, text = refused(stub.Predict, request_)
        assert found is code
        # TensorFlow Serving leaves the shape to the graph, whose message names no input.
        if asks_local_server or " to have shape " not in message:
            assert text == message

    def test_a_chunk_shorter_than_the_window(self, stub):
        code, message = refused(stub.Predict, predict_request({"frames": self.frames[:, :3]}))
        assert code is Code.INVALID_ARGUMENT
        assert message.startswith("assertion failed: [a chunk must have at least 4 frames]")
        assert "Op:" not in message

    def test_a_version_label(self, stub):
        request = predict_request({"frames": self.frames})
        request.model_spec.version_label = "stable"
        assert refused(stub.Predict, request) == (
            Code.INVALID_ARGUMENT,
            "Unrecognized servable version label: stable",
        )

    def test_a_tensor_with_too_few_bytes(self, stub):
        request = predict_request({"frames": self.frames})
        request.inputs["frames"].tensor_content = b"abc"
        assert refused(stub.Predict, request) == (Code.INVALID_ARGUMENT, "tensor parsing error: frames")

    @pytest.mark.parametrize("sizes", [(1, 10, -8, 6, 3), (1, 2**31, 8, 6, 3), (2**62, 2**62, 8, 6, 3)])
    def test_one_value_for_a_shape_that_fits_into_no_memory(self, stub, sizes):
        request = predict_request({})
        request.inputs["frames"].dtype = tf.uint8.as_datatype_enum
        request.inputs["frames"].int_val.append(7)
        for size in sizes:
            request.inputs["frames"].tensor_shape.dim.add(size=size)
        code, _ = refused(stub.Predict, request)
        assert code is Code.INVALID_ARGUMENT

    def test_one_value_for_all_pixels(self, stub):
        request = predict_request({"frames": self.frames})
        request.inputs["frames"].ClearField("tensor_content")
        request.inputs["frames"].int_val.append(7)
        scores = tf.make_ndarray(stub.Predict(request, timeout=60).outputs["raw_scores"])
        np.testing.assert_allclose(scores, np.zeros((1, 10)), atol=1e-6)

    @pytest.mark.parametrize("sizes", [(0, 10, 8, 6, 3), (1, 10, 0, 6, 3), (1, 10**9, 0, 0, 3)])
    def test_no_pixels(self, stub, asks_local_server, sizes):
        if not asks_local_server:
            pytest.skip("TensorFlow Serving lets the graph try")
        request = predict_request({})
        request.inputs["frames"].dtype = tf.uint8.as_datatype_enum
        for size in sizes:
            request.inputs["frames"].tensor_shape.dim.add(size=size)
        message = f"Expected input frames to have elements but get shape {sizes}."
        assert refused(stub.Predict, request) == (Code.INVALID_ARGUMENT, message)

    def test_a_tensor_without_a_type(self, stub):
        request = predict_request({"frames": self.frames})
        request.inputs["frames"].ClearField("dtype")
        code, message = refused(stub.Predict, request)
        assert (code, message) == (Code.INVALID_ARGUMENT, "Expected input frames to be uint8 but get invalid.")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Classify", classification_pb2.ClassificationRequest()),
        ("Regress", regression_pb2.RegressionRequest()),
        ("MultiInference", inference_pb2.MultiInferenceRequest()),
    ],
)
def test_other_predictions_are_unimplemented(stub, asks_local_server, method, request_):
    if not asks_local_server:
        pytest.skip("TensorFlow Serving answers them, for other models than ours")
    code, message = refused(getattr(stub, method), request_)
    assert code is Code.UNIMPLEMENTED
    assert message == f"{method} is not served; the models answer Predict."


class TestGetModelMetadata:
    def request(self, name="tiny", field="signature_def"):
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = name
        request.metadata_field.append(field)
        return request

    def test_signatures(self, stub):
        response = stub.GetModelMetadata(self.request(), timeout=60)
        assert (response.model_spec.name, response.model_spec.version.value) == ("tiny", 10)
        packed = response.metadata["signature_def"]
        assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert packed.Unpack(signatures)
        assert {"serving_default", "score_maps", "describe"} <= set(signatures.signature_def)
        signature = signatures.signature_def["serving_default"]
        assert signature.method_name == "tensorflow/serving/predict"
        assert tf.as_dtype(signature.inputs["frames"].dtype) == tf.uint8
        assert tf.TensorShape(signature.inputs["frames"].tensor_shape).as_list() == [None, None, None, None, 3]
        assert set(signature.outputs) == {"scores", "raw_scores", "frame_offsets"}

    def test_unknown_model(self, stub):
        assert refused(stub.GetModelMetadata, self.request(name="nope")) == (
            Code.NOT_FOUND,
            "Servable not found for request: Latest(nope)",
        )

    def test_unknown_field(self, stub):
        assert refused(stub.GetModelMetadata, self.request(field="nope")) == (
            Code.INVALID_ARGUMENT,
            "Metadata field nope is not supported",
        )

    def test_no_field(self, stub):
        request = self.request()
        del request.metadata_field[:]
        assert refused(stub.GetModelMetadata, request) == (
            Code.INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field",
        )

    def test_no_model_spec(self, stub):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        assert refused(stub.GetModelMetadata, request) == (Code.INVALID_ARGUMENT, "Missing ModelSpec")


class TestGetModelStatus:
    @pytest.mark.parametrize("version", [None, 10])
    def test_loaded(self, model_stub, version):
        response = model_stub.GetModelStatus(status_request(version=version), timeout=60)
        (status,) = response.model_version_status
        assert status.version == 10
        assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
        assert status.HasField("status")
        assert (status.status.error_code, status.status.error_message) == (0, "")

    def test_unknown_model(self, model_stub):
        assert refused(model_stub.GetModelStatus, status_request(name="nope")) == (
            Code.NOT_FOUND,
            "Could not find any versions of model nope",
        )

    def test_unknown_version(self, model_stub):
        assert refused(model_stub.GetModelStatus, status_request(version=9)) == (
            Code.NOT_FOUND,
            "Could not find version 9 of model tiny",
        )

    def test_no_model_spec(self, model_stub):
        request = get_model_status_pb2.GetModelStatusRequest()
        assert refused(model_stub.GetModelStatus, request) == (Code.INVALID_ARGUMENT, "Missing ModelSpec")


class TestModelStore:
    def test_serves_the_highest_version_by_number(self, zoo):
        store = ModelStore(zoo)
        store.refresh()
        assert [(model.name, model.version) for model in store.models()] == [("other", 1), ("tiny", 10)]

    def test_refresh_loads_a_new_version_and_keeps_the_rest(self, zoo, tmp_path):
        shutil.copytree(zoo, tmp_path / "zoo")
        store = ModelStore(tmp_path / "zoo")
        store.refresh()
        with store.lease("tiny") as old, store.lease("other") as other:
            export_tiny(tmp_path / "zoo" / "tiny" / "11", gain=3.0)
            store.refresh()
            assert store.versions("tiny") == [11]
            assert [(status.version, status.state.name) for status in store.statuses("tiny")] == [
                (10, "UNLOADING"),
                (11, "AVAILABLE"),
            ]
            assert old.run("describe", {"query": np.int32([0])})["span"].tolist() == [WINDOW.span]
        assert store.statuses("tiny")[0].state.name == "END"
        with store.lease("other") as same:
            assert same is other

    def test_no_folder(self, tmp_path):
        with pytest.raises(VadError, match=r"there is no zoo folder .*nope; export a model into it"):
            ModelStore(tmp_path / "nope").refresh()

    def test_no_model(self, tmp_path):
        (tmp_path / "logs" / "1").mkdir(parents=True)
        with pytest.raises(VadError, match=r"holds no exported model \(expected .*<name>/<version>/saved_model\.pb\)"):
            ModelStore(tmp_path).refresh()

    @pytest.mark.parametrize("content", [b"", b"not a model"])
    def test_damaged_model(self, tmp_path, content):
        (tmp_path / "broken" / "3").mkdir(parents=True)
        (tmp_path / "broken" / "3" / "saved_model.pb").write_bytes(content)
        with pytest.raises(VadError, match=r"broken/3 cannot be served: .*; export the model again"):
            ModelStore(tmp_path).refresh()

    def test_highest_version_without_a_model(self, zoo, tmp_path):
        shutil.copytree(zoo, tmp_path / "zoo")
        (tmp_path / "zoo" / "tiny" / "12").mkdir()
        with pytest.raises(VadError, match=r"tiny/12 cannot be served: .*saved_model\.pb"):
            ModelStore(tmp_path / "zoo").refresh()


class TestAddress:
    def test_port_in_use_by_another_server(self, zoo, server_port):
        with pytest.raises(VadError, match=rf"cannot listen on 127\.0\.0\.1:{server_port}: Address already in use"):
            start_server(ModelStore(zoo), ServerOptions(port=server_port))

    def test_port_in_use_on_all_addresses(self, zoo):
        with socket.create_server(("0.0.0.0", 0), reuse_port=True) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(VadError, match="Address already in use"):
                start_server(ModelStore(zoo), ServerOptions(port=port))

    @pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("no.such.host.invalid", 0)])
    def test_no_such_address(self, zoo, host, port):
        with pytest.raises(VadError, match=f"cannot listen on {host}:{port}: .*; choose another port"):
            start_server(ModelStore(zoo), ServerOptions(port=port, host=host))


class TestServeTool:
    def test_serves_until_sigterm_and_finishes_what_has_begun(self, tmp_path, tool_server):
        tf.saved_model.save(sleeper := Sleeper(), str(tmp_path / "sleeper" / "1"), signatures=sleeper.sleep)
        server = tool_server("--zoo", str(tmp_path), "--port", "0")
        port = server.wait_until_serving()
        with grpc.insecure_channel(f"localhost:{port}") as channel:  # `localhost`, as the documentation says.
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            stub.Predict(predict_request({"seconds": np.float64(0)}, name="sleeper"), timeout=60)
            call = stub.Predict.future(predict_request({"seconds": np.float64(3)}, name="sleeper"), timeout=60)
            answered = threading.Event()
            call.add_done_callback(lambda _: answered.set())
            assert not answered.wait(1), "the request must be under way when the signal comes"
            code, stdout, stderr = server.stop()
            assert "end" in call.result(timeout=60).outputs
        assert code == 0, stderr
        assert stdout.splitlines()[-1] == "stopped."

    def test_port_in_use(self, zoo, tool_server, server_port):
        server = tool_server("--zoo", str(zoo), "--port", str(server_port))
        stdout, stderr = server.process.communicate(timeout=60)
        assert server.process.returncode == 2
        assert stdout == ""
        assert stderr.splitlines()[-1] == (
            f"error: cannot listen on 127.0.0.1:{server_port}: Address already in use; "
            "choose another port with --port (0 takes a free one)."
        )

    def test_no_zoo(self, tmp_path, tool_server):
        server = tool_server("--zoo", str(tmp_path / "nope"), "--port", "0")
        _, stderr = server.process.communicate(timeout=60)
        assert server.process.returncode == 2
        assert stderr.splitlines()[-1] == (
            f"error: there is no zoo folder {tmp_path / 'nope'}; export a model into it, or name another with --zoo."
        )
