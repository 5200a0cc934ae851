"""Arrays to TensorFlow's tensor messages and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vad_client import messages
from keras_vad_client.errors import VadClientError

# DataType -> dtype and the field that holds values one by one.
_TYPES: dict[int, tuple[type[np.generic], str]] = {
    messages.DT_FLOAT: (np.float32, "float_val"),
    messages.DT_DOUBLE: (np.float64, "double_val"),
    messages.DT_INT32: (np.int32, "int_val"),
    messages.DT_UINT8: (np.uint8, "int_val"),
    messages.DT_INT64: (np.int64, "int64_val"),
    messages.DT_BOOL: (np.bool_, "bool_val"),
}
_NUMBERS = {np.dtype(dtype): number for number, (dtype, _) in _TYPES.items()}


def to_tensor(values: np.ndarray) -> Any:
    """A tensor message with the array's bytes.

    Args:
        values: float32, float64, int32, int64, uint8 or bool, any shape.

    Raises:
        VadClientError: If the dtype is another one.
    """
    if values.dtype not in _NUMBERS:
        raise VadClientError(f"an array is {values.dtype}, but must be one of {', '.join(map(str, _NUMBERS))}.")
    tensor = messages.TensorProto(dtype=_NUMBERS[values.dtype])
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    # TensorFlow's bytes are little-endian.
    tensor.tensor_content = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    return tensor


def to_array(tensor: Any) -> np.ndarray:
    """The array of a tensor message, whichever way the server has put the values in.

    As TensorFlow reads it: bytes, or values one by one, of which the last stands for all that follow.

    Raises:
        VadClientError: If the type is none of ``to_tensor``'s, or the values are not as many as the shape says.
    """
    if tensor.dtype not in _TYPES:
        raise VadClientError(f"the server answers with a tensor of type {tensor.dtype}, which this client cannot read.")
    dtype, field = _TYPES[tensor.dtype]
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    count = int(np.prod(shape, dtype=np.int64))
    if tensor.tensor_content:
        content = tensor.tensor_content
        values = np.frombuffer(content, np.dtype(dtype).newbyteorder("<")) if _whole(content, dtype) else np.zeros(0)
        values = values.astype(dtype)
    else:
        values = np.array(getattr(tensor, field), dtype)
        if values.size < count:
            values = np.pad(values, (0, count - values.size), "edge") if values.size else np.zeros(count, dtype)
    if values.size != count or min(shape, default=0) < 0:
        raise VadClientError(f"the server answers with a tensor of shape {shape} that holds {values.size} values.")
    return values.reshape(shape)


def _whole(content: bytes, dtype: type[np.generic]) -> bool:
    return len(content) % np.dtype(dtype).itemsize == 0
