"""Requests to a server, and what it answers."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, predict_pb2
from tiny_detector import WINDOW


def video(n=10, size=WINDOW.size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def predict_request(inputs, name="tiny", version=None, signature="", outputs=(), label=None):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    request.output_filter.extend(outputs)
    return request


def status_request(name="tiny", version=None):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.CopyFrom(wrappers_pb2.Int64Value(value=version))
    return request


def states(channel, name="tiny"):
    """State by version, as the server tells it."""
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    answer = stub.GetModelStatus(status_request(name), timeout=60).model_version_status
    name_of = get_model_status_pb2.ModelVersionStatus.State.Name
    return {status.version: name_of(status.state) for status in answer}


def refused(call, request):
    """The status code and the message of a call that must fail."""
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=60)
    return raised.value.code(), raised.value.details()
