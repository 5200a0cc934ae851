"""Thousands of malformed requests: each gets the right status code, and nothing is left behind."""

import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from asking import predict_request, video
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_detector import WINDOW

Code = grpc.StatusCode
METHOD = "/tensorflow.serving.PredictionService/Predict"
SIGNATURES = {
    "serving_default": ("frames", types_pb2.DT_UINT8, {"scores", "raw_scores", "frame_offsets"}),
    "score_maps": ("frames", types_pb2.DT_UINT8, {"scores", "raw_scores", "frame_offsets", "maps"}),
    "describe": (
        "query",
        types_pb2.DT_INT32,
        {"length", "step", "span", "hop", "height", "width", "channels", "offsets"},
    ),
}
SHAPE = (1, 10, 8, 6, 3)
texts = st.sampled_from(["nope", "", "../tiny", "\x00", "\u20ac" * 900]) | st.text(max_size=9)
sizes = st.sampled_from([-(2**63), -1, 0, 1, 3, 4, 5, 7, 12, 2**31, 2**40, 2**62])


def set_name(draw, request):
    request.model_spec.name = draw(st.sampled_from(["other"]) | texts)


def set_version(draw, request):
    request.model_spec.version.value = draw(st.sampled_from([10, 9, 1]) | st.integers(-(2**63), 2**63 - 1))


def set_label(draw, request):
    request.model_spec.version_label = draw(texts)


def set_signature(draw, request):
    request.model_spec.signature_name = draw(st.sampled_from([*SIGNATURES, "__saved_model_init_op"]) | texts)


def drop_spec(draw, request):
    request.ClearField("model_spec")


def set_filter(draw, request):
    request.output_filter.append(draw(st.sampled_from(["scores", "maps", "span"]) | texts))


def add_input(draw, request):
    request.inputs[draw(st.sampled_from(["query"]) | texts)].CopyFrom(request.inputs["frames"])


def drop_input(draw, request):
    request.inputs.pop("frames", None)


def set_dtype(draw, request):
    request.inputs["frames"].dtype = draw(st.sampled_from([*types_pb2.DataType.values(), 999, -1]))


def set_size(draw, request):
    shape = request.inputs["frames"].tensor_shape
    if shape.dim:
        shape.dim[draw(st.integers(0, len(shape.dim) - 1))].size = draw(sizes)
    fill(draw, request)


def add_size(draw, request):
    request.inputs["frames"].tensor_shape.dim.add(size=draw(sizes))


def drop_size(draw, request):
    del request.inputs["frames"].tensor_shape.dim[draw(st.integers(0, 4)) :]


def forget_rank(draw, request):
    request.inputs["frames"].tensor_shape.unknown_rank = True


def fill(draw, request):
    """As many bytes as the shape asks for, or some; or values instead."""
    tensor = request.inputs["frames"]
    elements = int(np.prod([float(dim.size) for dim in tensor.tensor_shape.dim]))
    kind = draw(st.integers(0, 3))
    if kind == 0 and 0 <= elements < 50_000:
        tensor.tensor_content = bytes(elements)
    elif kind == 1:
        tensor.tensor_content = draw(st.binary(max_size=20))
    else:
        tensor.ClearField("tensor_content")
        tensor.int_val.extend(draw(st.lists(st.sampled_from([-300, 0, 7, 300, 2**31 - 1]), max_size=3)))
        tensor.float_val.extend([float("nan")] * kind)


MUTATIONS = [
    *(set_name, set_version, set_label, set_signature, drop_spec, set_filter),
    *(add_input, drop_input, set_dtype, set_size, add_size, drop_size, forget_rank, fill),
]


@st.composite
def requests(draw):
    """A request that is well, and then up to three things that are wrong with it."""
    request = predict_request({}, outputs=())
    tensor = request.inputs["frames"]
    tensor.dtype = types_pb2.DT_UINT8
    for size in SHAPE:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = bytes(int(np.prod(SHAPE)))
    for mutate in draw(st.lists(st.sampled_from(MUTATIONS), max_size=3)):
        mutate(draw, request)
    return request


def expected_codes(request):
    """What TensorFlow Serving's rules say; a request that passes them may still have values that do not fit."""
    spec = request.model_spec
    if not request.HasField("model_spec") or not spec.name or spec.WhichOneof("version_choice") == "version_label":
        return {Code.INVALID_ARGUMENT}
    served = {"tiny": 10, "other": 1}
    if spec.name not in served or (spec.HasField("version") and spec.version.value != served[spec.name]):
        return {Code.NOT_FOUND}
    if (spec.signature_name or "serving_default") not in SIGNATURES:
        return {Code.FAILED_PRECONDITION}
    name, dtype, outputs = SIGNATURES[spec.signature_name or "serving_default"]
    wanted = list(request.output_filter)
    if set(request.inputs) != {name} or request.inputs[name].dtype != dtype:
        return {Code.INVALID_ARGUMENT}
    if not set(wanted) <= outputs or len(set(wanted)) < len(wanted):
        return {Code.INVALID_ARGUMENT}
    shape = [dim.size for dim in request.inputs[name].tensor_shape.dim]
    fits = len(shape) == 5 and shape[4] == 3 and shape[1] >= WINDOW.span and min(shape) > 0
    return {Code.OK, Code.INVALID_ARGUMENT} if fits or name == "query" else {Code.INVALID_ARGUMENT}


def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def code_of(call, request):
    try:
        call(request, timeout=60)
    except grpc.RpcError as error:
        return error.code()
    return Code.OK


@pytest.fixture
def nothing_is_left_behind(channel):
    """The next request is answered as ever; threads and memory have not grown with the number of requests."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_request({"frames": video()[None]})
    calls = [stub.Predict.future(request, timeout=60) for _ in range(50)]
    answers = [call.result() for call in calls]
    expected = answers[0]
    memory, threads = resident_mib(), threading.active_count()
    yield
    assert stub.Predict(request, timeout=60) == expected
    assert threading.active_count() <= threads + 50
    assert resident_mib() - memory < 300


def test_requests_of_any_content(pytestconfig, channel, nothing_is_left_behind):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    seen = dict.fromkeys((Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION), 0)

    @settings(
        max_examples=pytestconfig.getoption("--serving-malformed"),
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(requests())
    def ask(request):
        code = code_of(stub.Predict, request)
        assert code in expected_codes(request)
        seen[code] += 1

    ask()
    assert all(seen.values()), f"requests must be of every kind: {seen}"


def test_messages_that_are_cut_or_altered(channel, nothing_is_left_behind):
    call = channel.unary_unary(METHOD)  # bytes as they are
    random = np.random.default_rng(0)
    whole = predict_request({"frames": video()[None]}, signature="score_maps").SerializeToString()
    answered = {Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.INTERNAL}
    seen = set()
    for _ in range(500):
        content = bytearray(whole[: random.integers(len(whole))] if random.random() < 0.3 else whole)
        for place in random.integers(0, min(len(content), 120) or 1, size=random.integers(0, 4)):
            content[place : place + 1] = random.bytes(1)
        seen.add(code_of(call, bytes(content)))
    assert seen <= answered
    assert {Code.OK, Code.INTERNAL} <= seen, "INTERNAL is the answer to what is no message"


@pytest.mark.parametrize("method", ["grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"])
def test_malformed_messages_to_health(asks_local_server, served_at, nothing_is_left_behind, method):
    if not asks_local_server:
        pytest.skip("TensorFlow Serving has no health service")
    with grpc.insecure_channel(served_at) as channel:
        for _ in range(100):  # more than a connection has streams
            if method.endswith("Check"):
                assert code_of(channel.unary_unary(f"/{method}"), b"\xff") is Code.INTERNAL
            else:
                watch = channel.unary_stream(f"/{method}")(b"\xff", timeout=60)  # a lost one fails, and does not hang
                assert next(watch)
                watch.cancel()


def test_expansion_is_bounded(channel, asks_local_server):
    """A few bytes that stand for many values: at most 64 MiB of them."""
    if not asks_local_server:
        pytest.skip("TensorFlow Serving takes the memory")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_request({}, signature="describe")
    request.inputs["query"].CopyFrom(tf.make_tensor_proto(np.int32([0])))
    request.inputs["query"].ClearField("tensor_content")
    request.inputs["query"].ClearField("int_val")
    request.inputs["query"].int_val.append(1)
    request.inputs["query"].tensor_shape.dim[0].size = 1 << 30
    assert code_of(stub.Predict, request) is Code.INVALID_ARGUMENT
