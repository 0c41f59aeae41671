"""The bus's schemas take every message that the contract allows, and little else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from shared.contracts import MESSAGES, Message
from tests.terraform.provider_schema import ROOT

SCHEMAS = ROOT / "terraform" / "schemas"
GOLDEN = ROOT / "tests" / "contract" / "golden"
OWN = sorted({message.topic for message in MESSAGES})


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The message class of every topic's schema, compiled by protoc."""
    out = tmp_path_factory.mktemp("schemas") / "all.pb"
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={SCHEMAS}", f"--descriptor_set_out={out}"),
            *(str(path) for path in sorted(SCHEMAS.glob("*.proto"))),
        ],
        check=True,
    )
    files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    found = {}
    for file in files:
        pool.Add(file)
        # Pub/Sub takes one message a schema.
        (message,) = file.message_type
        found[Path(file.name).stem] = message_factory.GetMessageClass(pool.FindMessageTypeByName(message.name))
    return found


def test_every_topic_of_our_own_messages_has_a_schema_and_no_other(compiled: dict[str, Any]) -> None:
    assert sorted(compiled) == OWN


@pytest.mark.parametrize("topic", OWN)
def test_a_schema_has_the_fields_of_the_topic_s_messages(compiled: dict[str, Any], topic: str) -> None:
    fields = {field for message in MESSAGES if message.topic == topic for field in message.model_fields}
    assert {field.name for field in compiled[topic].DESCRIPTOR.fields} == fields


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("[A-Z]*.json")), ids=lambda path: path.stem)
def test_a_golden_message_fits(compiled: dict[str, Any], file: Path) -> None:
    golden = json.loads(file.read_text())
    json_format.Parse(golden["data"], compiled[golden["topic"]]())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_a_field_that_nobody_declared_does_not_fit(compiled: dict[str, Any], message: type[Message]) -> None:
    with pytest.raises(json_format.ParseError, match="display_name"):
        json_format.Parse('{"version": 1, "display_name": "somebody"}', compiled[message.topic]())


def test_what_is_no_json_does_not_fit(compiled: dict[str, Any]) -> None:
    for topic in OWN:
        with pytest.raises(json_format.ParseError):
            json_format.Parse("no message", compiled[topic]())
