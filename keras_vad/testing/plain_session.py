"""Runs an exported version as TensorFlow Serving does: in a TensorFlow session, without Keras and keras_vad.

plain_session.py VERSION INPUTS.npz OUTPUTS.npz: takes ``frames`` and ``jpegs``, writes every output as
SIGNATURE/OUTPUT, and prints as JSON which operations the graph has, and which of them TensorFlow has no CPU kernel for.
"""

import json
import sys


class WithoutKeras:
    """A finder of modules that does not find Keras; ``import tensorflow`` would load it otherwise."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keras", "keras_vad"):
            return None
        return self.finder.find_spec(name, path, target)


def run(session, signature, **inputs):
    fetches = {name: info.name for name, info in signature.outputs.items()}
    return session.run(fetches, {signature.inputs[name].name: value for name, value in inputs.items()})


def run_version(version, given):
    """Every output of the version, and the graph's operations."""
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], version)
        signatures = meta_graph.signature_def
        jpegs = [[bytes(image) for image in row] for row in given["jpegs"].tolist()]
        encoded = tf.compat.v1.placeholder(tf.string, ())
        decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        pixels = np.stack([[session.run(decoded, {encoded: image}) for image in row] for row in jpegs])
        results = {
            "serving_default": run(session, signatures["serving_default"], frames=given["frames"]),
            "score_maps": run(session, signatures["score_maps"], frames=given["frames"]),
            "score_jpegs": run(session, signatures["score_jpegs"], jpegs=jpegs),
            "decoded": run(session, signatures["serving_default"], frames=pixels),
            "describe": run(session, signatures["describe"], query=np.zeros(2, np.int32)),
        }
        for record in tf.compat.v1.io.tf_record_iterator(f"{version}/assets.extra/tf_serving_warmup_requests"):
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            name = request.model_spec.signature_name
            fed = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
            results[f"warmup/{name}"] = run(session, signatures[name], **fed)
    graph = meta_graph.graph_def
    functions = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return results, {node.op for node in nodes} - functions


def has_kernel(operation):
    from tensorflow.python.framework import kernels

    registered = kernels.get_registered_kernels_for_op(operation).kernel
    return any(kernel.device_type in ("CPU", "DEFAULT") for kernel in registered)


def main(version, inputs_file, outputs_file):
    # Before TensorFlow is imported: this process only, not one that imports this file (pytest looks for doctests).
    sys.meta_path[:] = [WithoutKeras(finder) for finder in sys.meta_path]
    import numpy as np

    with np.load(inputs_file, allow_pickle=False) as given:
        results, operations = run_version(version, given)
    assert not any(name.partition(".")[0] in ("keras", "keras_vad") for name in sys.modules)
    outputs = {f"{key}/{name}": value for key, found in results.items() for name, value in found.items()}
    np.savez(outputs_file, **outputs)
    lacking = sorted(operation for operation in operations if not has_kernel(operation))
    print(json.dumps({"operations": sorted(operations), "without_kernel": lacking}))


if __name__ == "__main__":
    main(*sys.argv[1:])
