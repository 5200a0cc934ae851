"""The messages are TensorFlow Serving's: names, numbers and types are those of its sources, so are the bytes."""

import pytest
from google.protobuf import json_format, text_format

from keras_vad_server.protos import BatchingParameters, MonitoringConfig, PrometheusConfig, SSLConfig

# field: (number, type), read off the .proto files of github.com/tensorflow/serving.
INT64_VALUE, STRING_VALUE = "google.protobuf.Int64Value", "google.protobuf.StringValue"
FIELDS = {
    BatchingParameters: {
        "max_batch_size": (1, INT64_VALUE),
        "batch_timeout_micros": (2, INT64_VALUE),
        "max_enqueued_batches": (3, INT64_VALUE),
        "num_batch_threads": (4, INT64_VALUE),
        "thread_pool_name": (5, STRING_VALUE),
        "allowed_batch_sizes": (6, "repeated int64"),
        "pad_variable_length_inputs": (7, "bool"),
    },
    PrometheusConfig: {"enable": (1, "bool"), "path": (2, "string")},
    MonitoringConfig: {"prometheus_config": (1, "tensorflow.serving.PrometheusConfig")},
    SSLConfig: {
        "server_key": (1, "string"),
        "server_cert": (2, "string"),
        "custom_ca": (3, "string"),
        "client_verify": (4, "bool"),
    },
}
SCALARS = {3: "int64", 8: "bool", 9: "string"}


@pytest.mark.parametrize("message", FIELDS, ids=lambda message: message.DESCRIPTOR.name)
def test_fields(message):
    assert message.DESCRIPTOR.full_name == f"tensorflow.serving.{message.DESCRIPTOR.name}"
    found = {}
    for field in message.DESCRIPTOR.fields:
        kind = field.message_type.full_name if field.message_type else SCALARS[field.type]
        found[field.name] = (field.number, f"repeated {kind}" if field.is_repeated else kind)
    assert found == FIELDS[message]


def test_bytes_by_hand():
    batching = BatchingParameters(allowed_batch_sizes=[1, 300], pad_variable_length_inputs=True)
    batching.max_batch_size.value = 300
    # Field 1, a message of 3 bytes, in it field 1, varint 300; field 6, packed; field 7, true.
    assert batching.SerializeToString(deterministic=True).hex(" ") == "0a 03 08 ac 02 32 03 01 ac 02 38 01"
    assert SSLConfig(server_cert="c", client_verify=True).SerializeToString().hex(" ") == "12 01 63 20 01"
    assert MonitoringConfig(prometheus_config={"enable": True}).SerializeToString().hex(" ") == "0a 02 08 01"


def test_a_wrapper_that_is_absent_is_not_zero():
    parsed = text_format.Parse("max_enqueued_batches { value: 0 }", BatchingParameters())
    assert parsed.HasField("max_enqueued_batches")
    assert not parsed.HasField("max_batch_size")
    assert json_format.MessageToDict(parsed) == {"maxEnqueuedBatches": "0"}


def test_an_unknown_field_is_refused():
    with pytest.raises(text_format.ParseError, match='no field named "max_batch"'):
        text_format.Parse("max_batch { value: 1 }", BatchingParameters())
