"""Tensors of requests as arrays, and arrays as tensors of answers, with as few copies as the messages allow."""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from keras_vad_server.status import invalid

# A tensor may be sent as one value and a shape. A few bytes must not become gigabytes.
_LARGEST_EXPANSION = 64 << 20
# The fields in which TensorFlow Serving answers; clients that read `float_val` rely on them.
_FLOAT_FIELDS = {np.dtype(np.float32): "float_val", np.dtype(np.float64): "double_val"}
_INTEGER_FIELDS = {np.dtype(np.int32): "int_val", np.dtype(np.int64): "int64_val"}
_LENGTH_DELIMITED = 2


def array_of(name: str, proto: tensor_pb2.TensorProto, shape: tf.TensorShape) -> np.ndarray:
    """The array that an input of a request holds.

    Args:
        name: Name of the input, for messages.
        proto: The tensor; its dtype is one that TensorFlow knows.
        shape: What the signature asks for, unknown dimensions included.

    Returns:
        The array; a read-only view where the values came as ``tensor_content``.

    Raises:
        RequestError: If it has another shape, no elements, or values that do not fill its shape.
    """
    parsing_error = invalid(f"tensor parsing error: {name}")
    sent = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or min(sent, default=0) < 0:
        raise parsing_error
    if shape.rank is not None and (
        len(sent) != shape.rank or any(size not in (None, found) for size, found in zip(shape, sent, strict=True))
    ):
        raise invalid(f"Expected input {name} to have shape {shape} but get {sent}.")
    elements = math.prod(sent)
    if not elements:
        # Nothing to score; and 10^9 frames of no pixels would fit into any message, but not into the graph.
        raise invalid(f"Expected input {name} to have elements but get shape {sent}.")
    dtype = tf.as_dtype(proto.dtype)
    content = proto.tensor_content  # a copy, each time it is read
    try:
        if content and dtype != tf.string:
            return np.frombuffer(content, dtype.as_numpy_dtype).reshape(sent)
        if dtype == tf.string and len(proto.string_val) != elements:
            raise parsing_error  # One text for all elements would be copied for each.
        if elements * dtype.size > _LARGEST_EXPANSION:
            raise parsing_error
        return tf.make_ndarray(proto)
    except (IndexError, OverflowError, TypeError, ValueError) as error:
        raise parsing_error from error


def proto_of(value: np.ndarray) -> tensor_pb2.TensorProto:
    """The tensor of an answer that holds an array, in the field in which TensorFlow Serving puts its dtype."""
    if value.dtype not in _FLOAT_FIELDS and value.dtype not in _INTEGER_FIELDS:
        return tf.make_tensor_proto(value)
    proto = tensor_pb2.TensorProto(dtype=tf.as_dtype(value.dtype).as_datatype_enum)
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    if value.dtype in _INTEGER_FIELDS:
        getattr(proto, _INTEGER_FIELDS[value.dtype]).extend(value.ravel().tolist())
    elif value.size:
        # A packed field of floats is their bytes: maps of millions of pixels pass without a Python object each.
        field = proto.DESCRIPTOR.fields_by_name[_FLOAT_FIELDS[value.dtype]].number
        content = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
        proto.MergeFromString(_varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content)
    return proto


def dtype_name(dtype: int) -> str:
    """The name in TensorFlow Serving's messages: ``float`` for DT_FLOAT."""
    known = types_pb2.DataType.DESCRIPTOR.values_by_number.get(dtype)
    return known.name.removeprefix("DT_").lower() if known else f"unknown dtype enum: {dtype}"


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
