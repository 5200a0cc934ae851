"""Arrays become tensors of messages and come back the same."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow.core.framework import tensor_pb2

from keras_vad_server.status import RequestError
from keras_vad_server.tensors import array_of, dtype_name, proto_of

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
DTYPES = st.sampled_from([np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_])


@given(DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)))
def test_answers_hold_what_tensorflow_reads(array):
    proto = tensor_pb2.TensorProto.FromString(proto_of(array).SerializeToString())
    found = tf.make_ndarray(proto)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@given(DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES.filter(lambda shape: 0 not in shape))))
def test_requests_are_read_however_they_are_written(array):
    for proto in (tf.make_tensor_proto(array), proto_of(array)):
        found = array_of("x", proto, tf.TensorShape(None))
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_floats_lie_in_their_own_field():
    assert proto_of(np.float32([[1.5, -2]])).float_val == [1.5, -2]
    assert proto_of(np.float64([0.1])).double_val == [0.1]
    assert proto_of(np.int32([-7])).int_val == [-7]
    assert proto_of(np.int64([2**40])).int64_val == [2**40]


def test_many_values_are_packed():
    array = np.random.default_rng(0).normal(size=(300, 1000)).astype(np.float32)
    np.testing.assert_array_equal(tf.make_ndarray(proto_of(array)), array)


def test_texts():
    texts = np.array([[b"\xff\xd8 a", b""]], object)
    np.testing.assert_array_equal(array_of("x", proto_of(texts), tf.TensorShape([None, 2])), texts)


@pytest.mark.parametrize("sizes", [(1 << 40,), (3,), (1, 1, 3)])
def test_one_text_does_not_stand_for_many(sizes):
    proto = tf.make_tensor_proto(np.array([b"text"], object))
    del proto.tensor_shape.dim[:]
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(RequestError, match="tensor parsing error: x"):
        array_of("x", proto, tf.TensorShape(None))


def test_names_of_dtypes():
    assert [dtype_name(number) for number in (1, 4, 0, 999)] == ["float", "uint8", "invalid", "unknown dtype enum: 999"]
