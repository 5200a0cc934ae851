"""What scoring and training cost: multiply-accumulate operations of the graph."""

import math
from collections.abc import Iterator

import tensorflow as tf

from keras_vad.models.detector import VideoAnomalyDetector

_CONVOLUTIONS = {"Conv2D", "Conv3D", "DepthwiseConv2dNative"}
_TRANSPOSED = {"Conv2DBackpropInput", "Conv3DBackpropInputV2"}
_FILTER_GRADIENTS = {"Conv2DBackpropFilter", "Conv3DBackpropFilterV2"}
_PRODUCTS = {"MatMul", "BatchMatMulV2"}
_LOOPS = {"While", "StatelessWhile"}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


def macs_per_frame(detector: VideoAnomalyDetector) -> int | None:
    """Multiply-accumulate operations for each new frame of a running video.

    Convention: one multiplication with its addition is one operation. Those of convolutions, transposed convolutions
    and matrix products in the graph of ``anomaly`` are counted, the blur of maps among them, at every place of the
    output (of the input for transposed ones), as if padding were data; normalisation, activations and resizing are not.
    A window's operations are divided by its hop, the frames that are new in it.

    Returns:
        ``None`` where operations stand in a loop of the graph, whose length it does not tell.
    """
    window = detector.window
    shape = (1, len(window.frames), *window.size, window.channels)
    graph = tf.function(detector.anomaly, autograph=False).get_concrete_function(tf.TensorSpec(shape)).graph
    counted = macs_of(graph)
    return None if counted is None else round(counted / window.hop)


def macs_of(graph: tf.Graph) -> int | None:
    """Multiply-accumulate operations of a graph, gradients among them; see ``macs_per_frame`` for the convention.

    Returns:
        ``None`` where operations stand in a loop, or a shape is not known.
    """
    counted = [_macs(operation) for operation in _operations(graph)]
    return None if None in counted else sum(filter(None, counted))


def _operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """All operations, those of called functions as often as they are called."""
    for operation in graph.get_operations():
        yield operation
        if operation.type in _CALLS:
            yield from _operations(graph._get_function(operation.get_attr("f").name).graph)


def _macs(operation: tf.Operation) -> int | None:
    """Of one operation; 0 for those that are not counted, ``None`` for loops and where a shape is not known."""
    if operation.type in _LOOPS:
        return None
    if operation.type in _CONVOLUTIONS:
        kernel, places = operation.inputs[1].shape, operation.outputs[0].shape
        # A kernel of (..., in, out) makes ``out`` values of each place; depthwise, (..., in, multiplier) in all.
        size = places[:-1]
    elif operation.type in _TRANSPOSED:
        kernel, size = operation.inputs[1].shape, operation.inputs[2].shape[:-1]
    elif operation.type in _FILTER_GRADIENTS:
        kernel, size = operation.outputs[0].shape, operation.inputs[2].shape[:-1]
    elif operation.type in _PRODUCTS:
        transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
        inner = operation.inputs[0].shape[-2 if transposed else -1]
        kernel, size = tf.TensorShape([inner]), operation.outputs[0].shape
    else:
        return 0
    if kernel.rank is None or size.rank is None:
        return None
    lengths = [*kernel, *size]
    return None if None in lengths else math.prod(lengths)
