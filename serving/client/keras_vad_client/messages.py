"""The messages of TensorFlow Serving that a client needs, wire-compatible with the official ones.

The official package, tensorflow-serving-api, needs TensorFlow. These are built from the tables below, in a pool and a
package of their own, so both can live in one process: the wire knows numbers and types of fields, but no names of
packages.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "keras_vad_client"
_Field: Any = descriptor_pb2.FieldDescriptorProto

DT_FLOAT, DT_DOUBLE, DT_INT32, DT_UINT8, DT_STRING, DT_INT64, DT_BOOL = 1, 2, 3, 4, 7, 9, 10
STATE_NAMES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
AVAILABLE = 30

# Message -> (field, number, type). A type in lower case is a scalar, another one a message; `*` is repeated, `map` a
# map from strings. Enumerations are int32 here: they look the same on the wire.
_MESSAGES: dict[str, list[tuple[str, int, str]]] = {
    "Int64Value": [("value", 1, "int64")],  # google.protobuf.Int64Value
    "ModelSpec": [
        ("name", 1, "string"),
        ("version", 2, "Int64Value"),
        ("signature_name", 3, "string"),
        ("version_label", 4, "string"),
    ],
    "Dim": [("size", 1, "int64"), ("name", 2, "string")],
    "TensorShapeProto": [("dim", 2, "*Dim"), ("unknown_rank", 3, "bool")],
    "TensorProto": [
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "TensorShapeProto"),
        ("version_number", 3, "int32"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "*float"),
        ("double_val", 6, "*double"),
        ("int_val", 7, "*int32"),
        ("string_val", 8, "*bytes"),
        ("int64_val", 10, "*int64"),
        ("bool_val", 11, "*bool"),
    ],
    "PredictRequest": [
        ("model_spec", 1, "ModelSpec"),
        ("inputs", 2, "map TensorProto"),
        ("output_filter", 3, "*string"),
    ],
    "PredictResponse": [("outputs", 1, "map TensorProto"), ("model_spec", 2, "ModelSpec")],
    "StatusProto": [("error_code", 1, "int32"), ("error_message", 2, "string")],
    "ModelVersionStatus": [("version", 1, "int64"), ("state", 2, "int32"), ("status", 3, "StatusProto")],
    "GetModelStatusRequest": [("model_spec", 1, "ModelSpec")],
    "GetModelStatusResponse": [("model_version_status", 1, "*ModelVersionStatus")],
}
_ONE_OF = {"ModelSpec": ("version_choice", {"version", "version_label"})}


def _set_type(field: Any, name: str) -> None:
    if name[0].islower():
        field.type = getattr(_Field, f"TYPE_{name.upper()}")
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{name}"


def _add_message(file: descriptor_pb2.FileDescriptorProto, name: str) -> None:
    message = file.message_type.add(name=name)
    one_of, members = _ONE_OF.get(name, ("", set()))
    if one_of:
        message.oneof_decl.add(name=one_of)
    for field_name, number, kind in _MESSAGES[name]:
        repeated = kind.startswith(("*", "map "))
        field = message.field.add(
            name=field_name, number=number, label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        )
        if kind.startswith("map "):
            # What protoc makes of `map<string, T>`.
            entry = message.nested_type.add(name=f"{field_name.capitalize()}Entry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
            _set_type(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), kind[len("map ") :])
            _set_type(field, f"{name}.{entry.name}")
        else:
            _set_type(field, kind.lstrip("*"))
        if field_name in members:
            field.oneof_index = 0


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name in _MESSAGES:
        _add_message(file, name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _build()
ModelSpec: Any = _CLASSES["ModelSpec"]
TensorProto: Any = _CLASSES["TensorProto"]
PredictRequest: Any = _CLASSES["PredictRequest"]
PredictResponse: Any = _CLASSES["PredictResponse"]
GetModelStatusRequest: Any = _CLASSES["GetModelStatusRequest"]
GetModelStatusResponse: Any = _CLASSES["GetModelStatusResponse"]
