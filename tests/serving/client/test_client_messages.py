"""The client's messages and the official ones are the same bytes, both ways."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from client_server import make_video
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras_vad_client import VadClient, VadClientError, messages
from keras_vad_client.tensors import to_array, to_tensor
from keras_vad_client.wire import with_pixels, with_strings
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_pb2, predict_pb2

Code = grpc.StatusCode
PAIRS = {
    "ModelSpec": model_pb2.ModelSpec,
    "TensorProto": tensor_pb2.TensorProto,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
}
int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
names = st.text(max_size=8)
few = {"max_size": 3}

spec_contents = st.fixed_dictionaries(
    {},
    optional={"name": names, "signature_name": names},
).flatmap(
    lambda content: st.one_of(
        st.just(content),
        int64.map(lambda version: {**content, "version": {"value": version}}),
        names.map(lambda label: {**content, "version_label": label}),
    )
)
tensor_contents = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(types_pb2.DataType.values()),
        "tensor_shape": st.fixed_dictionaries(
            {
                "dim": st.lists(st.fixed_dictionaries({"size": int64, "name": names}), **few),
                "unknown_rank": st.booleans(),
            }
        ),
        "version_number": int32,
        "tensor_content": st.binary(max_size=16),
        "float_val": st.lists(st.floats(width=32), **few),
        "double_val": st.lists(st.floats(), **few),
        "int_val": st.lists(int32, **few),
        "string_val": st.lists(st.binary(max_size=8), **few),
        "int64_val": st.lists(int64, **few),
        "bool_val": st.lists(st.booleans(), **few),
    },
)
status_contents = st.fixed_dictionaries(
    {
        "version": int64,
        "state": st.sampled_from(sorted(messages.STATE_NAMES)),
        "status": st.fixed_dictionaries({"error_code": st.integers(0, 16), "error_message": names}),
    }
)
tensors = st.dictionaries(names, tensor_contents, **few)
CONTENTS = {
    "ModelSpec": spec_contents,
    "TensorProto": tensor_contents,
    "PredictRequest": st.fixed_dictionaries(
        {"model_spec": spec_contents, "inputs": tensors, "output_filter": st.lists(names, **few)}
    ),
    "PredictResponse": st.fixed_dictionaries({"model_spec": spec_contents, "outputs": tensors}),
    "GetModelStatusRequest": st.fixed_dictionaries({"model_spec": spec_contents}),
    "GetModelStatusResponse": st.fixed_dictionaries({"model_version_status": st.lists(status_contents, **few)}),
}


def fill(message: Message, content: dict) -> Message:
    """Set the fields one by one, which works for any class of message with these names."""
    message.SetInParent()
    for name, value in content.items():
        field = getattr(message, name)
        if isinstance(value, dict) and name in ("inputs", "outputs"):
            for key, one in value.items():
                fill(field[key], one)
        elif isinstance(value, dict):
            fill(field, value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one in value:
                fill(field.add(), one)
        elif isinstance(value, list):
            field.extend(value)
        else:
            setattr(message, name, value)
    return message


@pytest.mark.parametrize("name", PAIRS)
@given(data=st.data())
def test_the_same_bytes_both_ways(name, data):
    content = data.draw(CONTENTS[name])
    ours_class, official_class = getattr(messages, name), PAIRS[name]
    ours, official = fill(ours_class(), content), fill(official_class(), content)
    written = ours.SerializeToString(deterministic=True)
    assert written == official.SerializeToString(deterministic=True)
    assert official_class.FromString(written).SerializeToString(deterministic=True) == written
    # As text, since messages that hold NaN do not equal themselves; fields that were not known would show by number.
    assert str(ours_class.FromString(written)) == str(ours)


def test_every_field_is_an_official_one():
    compared = set()

    def compare(ours, official):
        if ours.name in compared:
            return
        compared.add(ours.name)
        for field in ours.fields:
            twin = official.fields_by_number[field.number]
            assert twin.name == field.name
            assert twin.is_repeated == field.is_repeated
            enumeration = twin.type == twin.TYPE_ENUM
            assert field.type == (field.TYPE_INT32 if enumeration else twin.type)
            assert (field.containing_oneof is None) == (twin.containing_oneof is None)
            if field.message_type:
                compare(field.message_type, twin.message_type)

    for name, official in PAIRS.items():
        compare(getattr(messages, name).DESCRIPTOR, official.DESCRIPTOR)
    assert {"Int64Value", "Dim", "StatusProto", "InputsEntry"} <= compared


def test_constants_are_the_official_ones():
    for name in ("DT_FLOAT", "DT_DOUBLE", "DT_INT32", "DT_UINT8", "DT_STRING", "DT_INT64", "DT_BOOL"):
        assert getattr(messages, name) == types_pb2.DataType.Value(name)
    assert {
        number: name for name, number in get_model_status_pb2.ModelVersionStatus.State.items()
    } == messages.STATE_NAMES


dtypes = st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_]).map(np.dtype)
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


@given(arrays)
def test_tensors_are_tensorflows(array):
    tensor = to_tensor(array)
    official = tensor_pb2.TensorProto.FromString(tensor.SerializeToString())
    np.testing.assert_array_equal(tf.make_ndarray(official), array)
    found = to_array(tensor)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@given(arrays, st.data())
def test_reads_values_one_by_one_and_the_last_for_those_that_follow(array, data):
    fields = {"float32": "float_val", "float64": "double_val", "int64": "int64_val", "bool": "bool_val"}
    official = tensor_pb2.TensorProto(
        dtype=tf.as_dtype(array.dtype).as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto()
    )
    present = data.draw(st.integers(0, array.size))
    getattr(official, fields.get(array.dtype.name, "int_val")).extend(array.ravel()[:present].tolist())
    found = to_array(messages.TensorProto.FromString(official.SerializeToString()))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, tf.make_ndarray(official))


class TestWrittenByHand:
    """A request that is written by hand parses to the message that is built the ordinary way."""

    def expected(self, spec, name, array):
        request = fill(predict_pb2.PredictRequest(), {"model_spec": spec})
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        return request

    @given(spec_contents, names, st.integers(1, 70), st.integers(1, 20), st.integers(1, 20))
    def test_pixels(self, spec, name, n, height, width):
        pixels = np.arange(n * height * width * 3).astype(np.uint8).reshape(1, n, height, width, 3)
        request = fill(messages.PredictRequest(), {"model_spec": spec})
        # Every second one lies in memory in another order.
        frames = [np.asfortranarray(frame) if number % 2 else frame for number, frame in enumerate(pixels[0])]
        found = predict_pb2.PredictRequest.FromString(with_pixels(request, name, frames))
        assert found == self.expected(spec, name, pixels)

    @given(spec_contents, names, st.lists(st.binary(max_size=300), min_size=1, max_size=8))
    def test_strings(self, spec, name, strings):
        request = fill(messages.PredictRequest(), {"model_spec": spec})
        found = predict_pb2.PredictRequest.FromString(with_strings(request, name, strings))
        assert found == self.expected(spec, name, np.array([strings], object))

    @pytest.mark.parametrize(
        ("settings", "maps", "signature", "name"),
        [
            ({}, False, "serving_default", "frames"),
            ({"version": 10}, True, "score_maps", "frames"),
            ({"transport": "jpeg"}, False, "score_jpegs", "jpegs"),
        ],
    )
    def test_as_it_comes_to_the_server(self, proxy, settings, maps, signature, name):
        server = proxy(before=lambda number, context: number == 1 or context.abort(Code.INVALID_ARGUMENT, "enough"))
        jpegs = [bytes([number]) * 200 * number for number in range(40)]
        frames = jpegs if name == "jpegs" else make_video()
        with VadClient(server.target, "tiny", **settings) as client, pytest.raises(VadClientError, match="enough"):
            client.score(frames, maps=maps)
        spec = {"name": "tiny", "signature_name": signature}
        if "version" in settings:
            spec["version"] = {"value": settings["version"]}
        array = np.array([jpegs], object) if name == "jpegs" else frames[np.newaxis]
        assert predict_pb2.PredictRequest.FromString(server.latest) == self.expected(spec, name, array)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"dtype": messages.DT_STRING, "string_val": [b"a"]}, "type 7, which this client cannot read"),
        ({"dtype": messages.DT_FLOAT, "tensor_content": b"abc"}, r"shape \(\) that holds 0 values"),
        ({"dtype": messages.DT_INT32, "int_val": [1, 2]}, r"shape \(\) that holds 2 values"),
        ({"dtype": messages.DT_INT32, "tensor_shape": {"dim": [{"size": -1}]}}, r"shape \(-1,\)"),
    ],
)
def test_an_answer_that_is_no_tensor(content, sentence):
    with pytest.raises(VadClientError, match=sentence):
        to_array(fill(messages.TensorProto(), content))


def test_an_array_of_another_type():
    with pytest.raises(VadClientError, match="an array is complex64, but must be one of"):
        to_tensor(np.zeros(2, np.complex64))
