"""Where fuzzing begins: the tests' kinds of files, golden messages, and requests that carry them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.push import PUBSUB_EVENT
from tests.fuzz.targets import TARGETS
from tests.unit.shared.format_cases import CASES
from tests.unit.shared.requests_of import envelope

_GOLDEN = Path(__file__).resolve().parents[1] / "contract" / "golden"
# Larger files leave the fuzzer few runs a second, and hold nothing that smaller ones do not.
_LARGEST = 8_192


def inputs(target: str) -> Iterator[bytes]:
    """The inputs that a target begins with; `all` has every target's, with the byte that chooses it."""
    if target == "all":
        for number, name in enumerate(TARGETS):
            yield from (bytes([number]) + data for data in inputs(name))
    elif target == "decode":
        yield from (data for data in (case.make() for case in CASES) if len(data) <= _LARGEST)
    else:
        yield from _messages(target)


def write(target: str, folder: Path) -> None:
    """Write the inputs as files, as the fuzzer reads them."""
    for data in inputs(target):
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)


def _messages(target: str) -> Iterator[bytes]:
    for path in sorted(_GOLDEN.glob("*.json")):
        golden: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        attributes = golden["attributes"]
        body = golden["data"].encode() if "data" in golden else json.dumps(golden["payload"]).encode()
        if target == "contracts":
            yield json.dumps(attributes).encode() + b"\n" + body
            continue
        pushed = envelope(body, attributes)
        event = {"specversion": "1.0", "id": "1", "source": "s", "type": PUBSUB_EVENT, "data": pushed}
        yield b"\0" + json.dumps(pushed).encode()
        yield b"\1" + json.dumps(pushed).encode()
        yield b"\2" + body
        yield b"\4" + json.dumps(event).encode()
