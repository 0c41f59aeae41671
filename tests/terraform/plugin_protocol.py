"""The part of Terraform's plugin protocol 6 that a provider stub speaks: messages, values and the server.

The messages are declared here in a few lines rather than compiled from HashiCorp's ``tfplugin6.proto``; field numbers
are that file's.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "int64": _Field.TYPE_INT64,
    "bool": _Field.TYPE_BOOL,
}
# name: (field number, type); "*" marks a repeated field.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Empty": {},
    "DynamicValue": {"msgpack": (1, "bytes"), "json": (2, "bytes")},
    "RawState": {"json": (1, "bytes")},
    "Step": {"attribute_name": (1, "string"), "element_key_int": (3, "int64")},
    "Path": {"steps": (1, "*Step")},
    "Diagnostic": {
        "severity": (1, "int64"),
        "summary": (2, "string"),
        "detail": (3, "string"),
        "attribute": (4, "Path"),
    },
    "Attribute": {
        "name": (1, "string"),
        "type": (2, "bytes"),
        "required": (4, "bool"),
        "optional": (5, "bool"),
        "computed": (6, "bool"),
        "sensitive": (7, "bool"),
        "write_only": (11, "bool"),
    },
    "NestedBlock": {
        "type_name": (1, "string"),
        "block": (2, "Block"),
        "nesting": (3, "int64"),
        "min_items": (4, "int64"),
        "max_items": (5, "int64"),
    },
    "Block": {"version": (1, "int64"), "attributes": (2, "*Attribute"), "block_types": (3, "*NestedBlock")},
    "Schema": {"version": (1, "int64"), "block": (2, "Block")},
    "SchemaEntry": {"key": (1, "string"), "value": (2, "Schema")},
    "SchemaResponse": {
        "provider": (1, "Schema"),
        "resource_schemas": (2, "*SchemaEntry"),
        "data_source_schemas": (3, "*SchemaEntry"),
        "ephemeral_resource_schemas": (8, "*SchemaEntry"),
    },
    "ConfigRequest": {"config": (1, "DynamicValue")},
    "ConfigureRequest": {"terraform_version": (1, "string"), "config": (2, "DynamicValue")},
    "ValidateConfigResponse": {"diagnostics": (2, "*Diagnostic")},
    "DiagnosticsResponse": {"diagnostics": (1, "*Diagnostic")},
    "TypedRequest": {"type_name": (1, "string"), "config": (2, "DynamicValue")},
    "UpgradeRequest": {"type_name": (1, "string"), "version": (2, "int64"), "raw_state": (3, "RawState")},
    "StateResponse": {"state": (1, "DynamicValue"), "diagnostics": (2, "*Diagnostic")},
    "ReadRequest": {"type_name": (1, "string"), "current_state": (2, "DynamicValue")},
    "PlanRequest": {
        "type_name": (1, "string"),
        "prior_state": (2, "DynamicValue"),
        "proposed_new_state": (3, "DynamicValue"),
        "config": (4, "DynamicValue"),
    },
    # The legacy type system allows for providers that, as Google's does, plan less exactly than newer ones must.
    "PlanResponse": {
        "planned_state": (1, "DynamicValue"),
        "requires_replace": (2, "*Path"),
        "diagnostics": (4, "*Diagnostic"),
        "legacy_type_system": (5, "bool"),
    },
    "ApplyRequest": {
        "type_name": (1, "string"),
        "prior_state": (2, "DynamicValue"),
        "planned_state": (3, "DynamicValue"),
        "config": (4, "DynamicValue"),
    },
    "ApplyResponse": {
        "new_state": (1, "DynamicValue"),
        "diagnostics": (3, "*Diagnostic"),
        "legacy_type_system": (4, "bool"),
    },
    "OpenResponse": {"diagnostics": (1, "*Diagnostic"), "result": (3, "DynamicValue")},
}
# The request's and the response's message of every procedure.
PROCEDURES = {
    "GetProviderSchema": ("Empty", "SchemaResponse"),
    "ValidateProviderConfig": ("ConfigRequest", "ValidateConfigResponse"),
    "ConfigureProvider": ("ConfigureRequest", "DiagnosticsResponse"),
    "ValidateResourceConfig": ("TypedRequest", "DiagnosticsResponse"),
    "ValidateDataResourceConfig": ("TypedRequest", "DiagnosticsResponse"),
    "ValidateEphemeralResourceConfig": ("TypedRequest", "DiagnosticsResponse"),
    "UpgradeResourceState": ("UpgradeRequest", "StateResponse"),
    "ReadResource": ("ReadRequest", "StateResponse"),
    "ReadDataSource": ("TypedRequest", "StateResponse"),
    "PlanResourceChange": ("PlanRequest", "PlanResponse"),
    "ApplyResourceChange": ("ApplyRequest", "ApplyResponse"),
    "OpenEphemeralResource": ("TypedRequest", "OpenResponse"),
    "CloseEphemeralResource": ("TypedRequest", "DiagnosticsResponse"),
    "GetFunctions": ("Empty", "Empty"),
    "StopProvider": ("Empty", "Empty"),
}

# Terraform's mark of a value that is known only after apply.
UNKNOWN = msgpack.ExtType(0, b"\x00")


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="stub.proto", package="stub", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, declared) in fields.items():
            kind = declared.removeprefix("*")
            added = message.field.add(name=field, number=number)
            added.label = _Field.LABEL_REPEATED if declared.startswith("*") else _Field.LABEL_OPTIONAL
            added.type = _SCALARS.get(kind, _Field.TYPE_MESSAGE)
            if kind not in _SCALARS:
                added.type_name = f".stub.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"stub.{name}")) for name in _MESSAGES}


MESSAGE = _classes()


def decoded(value: Any) -> Any:
    """The Python value of a DynamicValue; what is not known yet is `UNKNOWN`."""
    if value.json:
        return json.loads(value.json)
    return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False) if value.msgpack else None


def encoded(value: Any) -> Any:
    """A DynamicValue."""
    return MESSAGE["DynamicValue"](msgpack=msgpack.packb(value, use_bin_type=True))


def is_unknown(value: object) -> bool:
    """Whether a value is known only after apply."""
    return isinstance(value, msgpack.ExtType)


def problem(summary: str, *path: str | int) -> Any:
    """A Diagnostic: an error, at an attribute."""
    steps = [
        MESSAGE["Step"](element_key_int=step) if isinstance(step, int) else MESSAGE["Step"](attribute_name=step)
        for step in path
    ]
    return MESSAGE["Diagnostic"](severity=1, summary=summary, attribute=MESSAGE["Path"](steps=steps))


@contextmanager
def serving(providers: Mapping[str, object]) -> Iterator[dict[str, str]]:
    """Serve objects that have a method for every procedure; yields the environment that shows terraform the way.

    Args:
        providers: by source address, ``hashicorp/google``. Methods take and return the messages above.
    """
    attached: dict[str, Any] = {}
    servers = []
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        for number, (source, provider) in enumerate(providers.items()):
            handlers = {
                name: grpc.unary_unary_rpc_method_handler(
                    _ignoring_context(getattr(provider, name)),
                    request_deserializer=MESSAGE[request].FromString,
                    response_serializer=MESSAGE[response].SerializeToString,
                )
                for name, (request, response) in PROCEDURES.items()
            }
            server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers),))
            socket = Path(folder) / f"{number}.sock"
            server.add_insecure_port(f"unix:{socket}")
            server.start()
            servers.append(server)
            attached[f"registry.terraform.io/{source}"] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "unix", "String": str(socket)},
            }
        try:
            yield {"TF_REATTACH_PROVIDERS": json.dumps(attached)}
        finally:
            for server in servers:
                server.stop(None).wait()


def _ignoring_context(method: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda request, _: method(request)
