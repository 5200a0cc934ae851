"""TensorFlow Serving's configuration messages that ``tensorflow-serving-api`` does not ship.

The package has ``ModelServerConfig``, but not the messages of the other files that ``tensorflow_model_server`` reads.
They are built here with the names, field numbers and types of Serving's own sources, so that a file which parses here
parses there, too:

* ``BatchingParameters`` (``--batching_parameters_file``): ``servables/tensorflow/session_bundle_config.proto``,
* ``MonitoringConfig`` and ``PrometheusConfig`` (``--monitoring_config_file``): ``config/monitoring_config.proto``,
* ``SSLConfig`` (``--ssl_config_file``): ``config/ssl_config.proto``.

``BatchingParameters`` has the fields 1 to 7, which all releases share.

Example:
>>> from google.protobuf import text_format
>>> batching = text_format.Parse("max_batch_size { value: 8 } allowed_batch_sizes: [4, 8]", BatchingParameters())
>>> batching.max_batch_size.value, list(batching.allowed_batch_sizes), batching.HasField("num_batch_threads")
(8, [4, 8], False)
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_PACKAGE = "tensorflow.serving"
_FIELD = descriptor_pb2.FieldDescriptorProto
_INT64_VALUE = ".google.protobuf.Int64Value"
_STRING_VALUE = ".google.protobuf.StringValue"

# File -> message -> fields in order of their numbers, from 1: (name, type), a name with a dot being a message's.
_FILES: dict[str, dict[str, list[tuple[str, int | str]]]] = {
    "tensorflow_serving/servables/tensorflow/session_bundle_config.proto": {
        "BatchingParameters": [
            ("max_batch_size", _INT64_VALUE),
            ("batch_timeout_micros", _INT64_VALUE),
            ("max_enqueued_batches", _INT64_VALUE),
            ("num_batch_threads", _INT64_VALUE),
            ("thread_pool_name", _STRING_VALUE),
            ("allowed_batch_sizes", _FIELD.TYPE_INT64),  # repeated
            ("pad_variable_length_inputs", _FIELD.TYPE_BOOL),
        ]
    },
    "tensorflow_serving/config/monitoring_config.proto": {
        "PrometheusConfig": [("enable", _FIELD.TYPE_BOOL), ("path", _FIELD.TYPE_STRING)],
        "MonitoringConfig": [("prometheus_config", f".{_PACKAGE}.PrometheusConfig")],
    },
    "tensorflow_serving/config/ssl_config.proto": {
        "SSLConfig": [
            ("server_key", _FIELD.TYPE_STRING),
            ("server_cert", _FIELD.TYPE_STRING),
            ("custom_ca", _FIELD.TYPE_STRING),
            ("client_verify", _FIELD.TYPE_BOOL),
        ]
    },
}
_REPEATED = {"allowed_batch_sizes"}


def _pool() -> descriptor_pool.DescriptorPool:
    # A pool of its own: in the default one these names would clash with a package that ships them.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    for path, messages in _FILES.items():
        file = descriptor_pb2.FileDescriptorProto(
            name=path, package=_PACKAGE, syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
        )
        for name, fields in messages.items():
            message = file.message_type.add(name=name)
            for number, (field_name, kind) in enumerate(fields, start=1):
                label = _FIELD.LABEL_REPEATED if field_name in _REPEATED else _FIELD.LABEL_OPTIONAL
                field = message.field.add(name=field_name, number=number, label=label)
                if isinstance(kind, str):
                    field.type, field.type_name = _FIELD.TYPE_MESSAGE, kind
                else:
                    field.type = kind
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


BatchingParameters: Any = _message("BatchingParameters")
PrometheusConfig: Any = _message("PrometheusConfig")
MonitoringConfig: Any = _message("MonitoringConfig")
SSLConfig: Any = _message("SSLConfig")
