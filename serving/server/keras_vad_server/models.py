"""One version of a model, loaded: its signatures, what a request must look like, and the graph that answers it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from keras_vad.errors import VadError
from keras_vad_server.status import RequestError, invalid, status_of
from keras_vad_server.tensors import array_of, dtype_name

DEFAULT_SIGNATURE = "serving_default"
WARM_UP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
_INIT_SIGNATURE = "__saved_model_init_op"
_MOST_WARM_UPS = 1000  # as TensorFlow Serving


class ServedModel:
    """One version of a model, loaded and warmed up.

    Args:
        name: Name of the model: its folder in the zoo.
        version: Number of the version: the folder below.
        path: Folder with ``saved_model.pb``.

    Raises:
        VadError: If the folder holds no SavedModel that TensorFlow can load and that answers its warm-up requests.
    """

    def __init__(self, name: str, version: int, path: Path) -> None:
        self.name = name
        self.version = version
        try:
            saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
            self._loaded = tf.saved_model.load(str(path))
            self.signature_defs: Mapping[str, meta_graph_pb2.SignatureDef] = saved_model.meta_graphs[0].signature_def
            self._warm_up(path / WARM_UP_FILE)
        except Exception as error:  # There is no telling what a damaged file makes TensorFlow raise.
            _, message = status_of(error) or (None, str(error))
            reason = (message.strip().splitlines() or [type(error).__name__])[0]
            raise VadError(
                f"{path} cannot be served: {reason}; export the model again or remove this version."
            ) from error

    @property
    def signatures(self) -> list[str]:
        """Names of the signatures that can be called."""
        return sorted(name for name in self.signature_defs if name != _INIT_SIGNATURE)

    def wanted_outputs(self, signature_name: str, output_filter: Iterable[str] = ()) -> list[str]:
        """Names of the outputs that a request asks for.

        Args:
            signature_name: Name of the signature.
            output_filter: Names of the outputs wanted; all if empty.

        Raises:
            RequestError: If there is no such signature or output, or one is named twice.
        """
        outputs = self._signature(signature_name).outputs
        wanted: list[str] = []
        for name in output_filter:
            if name not in outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                    f"{{{','.join(sorted(outputs))}}}."
                )
            if name in wanted:
                raise invalid(f"duplicate output tensor alias: {name}")
            wanted.append(name)
        return wanted or list(outputs)

    def arrays(self, signature_name: str, inputs: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, np.ndarray]:
        """The inputs of a request, by name, once they are found to fit the signature.

        Args:
            signature_name: Name of the signature.
            inputs: A tensor for every input of the signature.

        Raises:
            RequestError: If there is no such signature, or the inputs' names, dtypes or shapes do not fit it.
        """
        required = self._signature(signature_name).inputs
        sent, needed = set(inputs), set(required)
        if len(sent) == len(needed) and sent != needed:
            raise invalid(
                f"input tensor alias not found in signature: {min(sent - needed)}. Inputs expected to be in the set "
                f"{{{','.join(sorted(needed))}}}."
            )
        if sent != needed:
            raise invalid(
                f"input size does not match signature: {len(sent)}!={len(needed)} "
                f"len({{{','.join(sorted(sent))}}}) != len({{{','.join(sorted(needed))}}}). "
                f"Sent extra: {{{','.join(sorted(sent - needed))}}}. "
                f"Missing but required: {{{','.join(sorted(needed - sent))}}}."
            )
        arrays = {}
        for name, info in required.items():
            proto = inputs[name]
            if proto.dtype != info.dtype:
                raise invalid(
                    f"Expected input {name} to be {dtype_name(info.dtype)} but get {dtype_name(proto.dtype)}."
                )
            arrays[name] = array_of(name, proto, tf.TensorShape(info.tensor_shape))
        return arrays

    def run(self, signature_name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute a signature's outputs, by name.

        Args:
            signature_name: One of ``signatures``.
            arrays: Its inputs, see ``arrays``.

        Raises:
            tf.errors.OpError: If the graph refuses the values, such as a chunk shorter than the window.
        """
        tensors = {name: tf.constant(array) for name, array in arrays.items()}
        outputs = self._loaded.signatures[signature_name](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}

    def _signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        if name == _INIT_SIGNATURE or name not in self.signature_defs:
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return self.signature_defs[name]

    def _warm_up(self, file: Path) -> None:
        """Answer the requests exported with the model, so that the first camera does not wait for TensorFlow."""
        if not file.is_file():
            return
        for record in tf.data.TFRecordDataset(str(file)).take(_MOST_WARM_UPS).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.HasField("predict_log"):
                request = log.predict_log.request
                signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
                self.run(signature_name, self.arrays(signature_name, request.inputs))
