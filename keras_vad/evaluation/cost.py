"""What scoring costs: multiply-accumulate operations of the graph."""

import math

import tensorflow as tf

from keras_vad.models.detector import VideoAnomalyDetector

_CONVOLUTIONS = {"Conv2D", "Conv3D", "DepthwiseConv2dNative"}
_TRANSPOSED = {"Conv2DBackpropInput", "Conv3DBackpropInputV2"}
_PRODUCTS = {"MatMul", "BatchMatMulV2"}
_LOOPS = {"While", "StatelessWhile"}


def macs_per_frame(detector: VideoAnomalyDetector) -> int | None:
    """Multiply-accumulate operations for each new frame of a running video.

    Convention: one multiplication with its addition is one operation. Those of convolutions, transposed convolutions
    and matrix products in the graph of ``anomaly`` are counted, at every place of the output, as if padding were data;
    normalisation, activations, resizing and pooling are not. A window's operations are divided by its hop, the frames
    that are new in it.

    Returns:
        ``None`` where operations stand in a loop of the graph (recurrent layers), whose length it does not tell.
    """
    window = detector.window
    shape = (1, len(window.frames), *window.size, window.channels)
    graph = tf.function(detector.anomaly, autograph=False).get_concrete_function(tf.TensorSpec(shape)).graph
    total = 0
    for operations in (graph.get_operations(), *(inner.graph.get_operations() for inner in _functions(graph))):
        counted = [_macs(operation) for operation in operations]
        if any(operation.type in _LOOPS for operation in operations) or None in counted:
            return None
        total += sum(count for count in counted if count is not None)
    return round(total / window.hop)


def _functions(graph: tf.Graph) -> list[tf.types.experimental.ConcreteFunction]:
    """Functions that the graph calls, each as often as it is called."""
    called = []
    for operation in graph.get_operations():
        if operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
            called.append(graph._get_function(operation.get_attr("f").name))
    return [function for function in called if function is not None]


def _macs(operation: tf.Operation) -> int | None:
    """Of one operation; 0 for those that are not counted, ``None`` where a shape is not known."""
    if operation.type in _CONVOLUTIONS:
        kernel, places = operation.inputs[1].shape, operation.outputs[0].shape
        # A kernel of (..., in, out) makes ``out`` values of each place; depthwise, (..., in, multiplier) in all.
        size = places[:-1]
    elif operation.type in _TRANSPOSED:
        kernel, size = operation.inputs[1].shape, operation.inputs[2].shape[:-1]
    elif operation.type in _PRODUCTS:
        transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
        inner = operation.inputs[0].shape[-2 if transposed else -1]
        kernel, size = [inner], operation.outputs[0].shape
    else:
        return 0
    lengths = [*kernel, *size]
    return None if None in lengths else math.prod(lengths)
