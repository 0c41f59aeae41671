"""A small Pub/Sub broker, for machines without Google's emulator: push subscriptions, kept on disk.

It speaks the part of ``google.pubsub.v1`` that the client libraries, Cloud Storage's emulator and the
functions use.  What it does not do it refuses by name (pull, filters, schemas, ``no_wrapper``); what it does,
it does as Pub/Sub: the same suite of contract tests passes on it and on Google's emulator.

    python -m local.bus.broker --port 8085 --state broker.sqlite
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from local.bus.broker_core import Broker, RefusedError
from local.bus.broker_store import Journal
from local.cloud.processes import Process, accepts_connections

# Pub/Sub's own limit is 10 MB a request; some room for the framing.
_LARGEST_REQUEST_BYTES = 11 * 1024 * 1024
# The most pushes of a subscription in flight. Pub/Sub goes up to thousands, for many instances; here there is one of
# each function, which serves a few requests at a time.
_CONCURRENCY = 64
_STOP_SECONDS = 0.5


def broker_process(
    name: str, port: int, state: Path, directory: Path, on_ready: Callable[[], None] | None = None
) -> Process:
    """Describe the broker's process: on ``port``, with its journal at ``state``, run in ``directory``."""
    return Process(
        name=name,
        command=(sys.executable, "-m", "local.bus.broker", "--port", str(port), "--state", str(state)),
        is_ready=lambda: accepts_connections(port),
        on_ready=on_ready,
        directory=directory,
    )


def _unary(method: Callable[[Any], Awaitable[Any]], request: Any, response: Any) -> Any:  # noqa: ANN401
    """Make a handler that runs ``method`` and maps its refusals to gRPC statuses (grpc has no types)."""

    async def handle(message: Any, context: Any) -> Any:  # noqa: ANN401
        try:
            return await method(message)
        except RefusedError as refusal:
            await context.abort(refusal.code, refusal.reason)

    is_empty = response is empty_pb2.Empty
    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=request.deserialize,
        response_serializer=empty_pb2.Empty.SerializeToString if is_empty else response.serialize,
    )


def _handlers(broker: Broker) -> tuple[Any, ...]:
    """Build the two services; calls of methods that are not listed get UNIMPLEMENTED."""
    publisher = {
        "CreateTopic": _unary(broker.create_topic, types.Topic, types.Topic),
        "GetTopic": _unary(broker.get_topic, types.GetTopicRequest, types.Topic),
        "ListTopics": _unary(broker.list_topics, types.ListTopicsRequest, types.ListTopicsResponse),
        "DeleteTopic": _unary(broker.delete_topic, types.DeleteTopicRequest, empty_pb2.Empty),
        "Publish": _unary(broker.publish, types.PublishRequest, types.PublishResponse),
    }
    subscriber = {
        "CreateSubscription": _unary(broker.create_subscription, types.Subscription, types.Subscription),
        "GetSubscription": _unary(broker.get_subscription, types.GetSubscriptionRequest, types.Subscription),
        "UpdateSubscription": _unary(broker.update_subscription, types.UpdateSubscriptionRequest, types.Subscription),
        "ModifyPushConfig": _unary(broker.modify_push_config, types.ModifyPushConfigRequest, empty_pb2.Empty),
        "DeleteSubscription": _unary(broker.delete_subscription, types.DeleteSubscriptionRequest, empty_pb2.Empty),
        "ListSubscriptions": _unary(
            broker.list_subscriptions, types.ListSubscriptionsRequest, types.ListSubscriptionsResponse
        ),
    }
    return (
        grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publisher),
        grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
    )


async def serve(port: int, state: Path, concurrency: int) -> None:
    """Serve on ``port`` of the loopback interface until SIGTERM or SIGINT."""
    journal = Journal(state)
    broker = Broker(journal, concurrency)
    await broker.restore()
    server = grpc.aio.server(
        options=[
            # Two brokers on one port would share its messages between them.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", _LARGEST_REQUEST_BYTES),
        ]
    )
    server.add_generic_rpc_handlers(_handlers(broker))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(_STOP_SECONDS)
    broker.close()
    journal.close()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.bus.broker", description="A small Pub/Sub broker.")
    parser.add_argument("--port", type=int, required=True, help="the port on 127.0.0.1")
    parser.add_argument("--state", type=Path, required=True, help="the journal, made if it does not exist")
    parser.add_argument(
        "--concurrency", type=int, default=_CONCURRENCY, help="the most pushes in flight of one subscription"
    )
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.state, arguments.concurrency))


if __name__ == "__main__":
    main()
