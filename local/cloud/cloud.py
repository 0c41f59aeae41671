"""The emulated cloud: Postgres, the bus, storage, an inbox, the functions and the ticks, as one process tree.

``Cloud(CloudOptions()).start()`` returns once everything answers.  What dies is started again; what is
stopped or killed leaves no process behind; everything it held is in the state directory and is there again
at the next start (except the messages of Google's emulator, which keeps them in memory).
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from google.api_core.exceptions import GoogleAPICallError

from local.bus import google_emulator
from local.bus.broker import broker_process
from local.bus.setup import BusClient, create_subscriptions, create_topics
from local.cloud.function_process import FUNCTIONS, ROOT, Function, function_process
from local.cloud.inbox import inbox_process
from local.cloud.postgres import database_url, postgres_process, with_search_path
from local.cloud.processes import Report, Supervisor
from local.cloud.state import Addresses, State
from local.cloud.storage import (
    DERIVED_BUCKET,
    PHOTOS_BUCKET,
    NotificationTarget,
    create_buckets,
    storage_process,
)
from shared.bus import Bus, load_bus

__all__ = ["FUNCTIONS", "ROOT", "BusKind", "Cloud", "CloudOptions", "Function"]

BusKind = Literal["auto", "google", "small"]

_POSTGRES, _BROKER, _STORAGE, _INBOX, _SMTP = "postgres", "broker", "storage", "inbox", "smtp"
_TICK_TOPIC = "ticks"
_TICK = b'{"version":1}'
_TICK_ATTRIBUTES = {"schema": "trombi.Tick.v1"}
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class CloudOptions:
    """What to run, and what of one's own to use instead.

    ``database_url`` (a Postgres with pgvector), ``pubsub_host`` (an emulator that can push to this machine)
    and ``storage_url`` (an emulator that notifies that bus by itself) replace the embedded parts.  ``bus``
    chooses between Google's emulator and the small broker; ``auto`` takes Google's where it is installed.
    ``environment`` is added to the functions' own.  ``fast_postgres`` does without fsync, for tests;
    ``migrate`` applies the migrations before start() returns.
    """

    state_dir: Path = ROOT / ".trombi"
    bus: BusKind = "auto"
    bus_declaration: Bus = field(default_factory=load_bus)
    database_url: str | None = None
    pubsub_host: str | None = None
    storage_url: str | None = None
    project: str = "trombi-local"
    photos_bucket: str = PHOTOS_BUCKET
    derived_bucket: str = DERIVED_BUCKET
    functions: tuple[Function, ...] = FUNCTIONS
    environment: Mapping[str, str] = field(default_factory=dict)
    tick_seconds: float = 5
    fast_postgres: bool = False
    migrate: bool = True


class Cloud:
    """The cloud of one state directory, once from :meth:`start` to :meth:`stop`; also a context manager."""

    addresses: Addresses

    def __init__(self, options: CloudOptions, progress: Report = lambda _: None) -> None:
        """``progress`` receives a line for every step, with its time, and for every restart."""
        self._options = options
        self._progress = progress
        self._state = State(options.state_dir.resolve())
        self._supervisor: Supervisor | None = None
        self._ports: Mapping[str, int] = {}
        self._invitation_secret = ""
        self._subscribed = threading.Event()
        self._stopping = threading.Event()
        self._ticker: threading.Thread | None = None
        self._handlers: dict[signal.Signals, object] = {}

    @property
    def state_directory(self) -> Path:
        """Where everything is kept: data, logs (``logs/NAME.log``), addresses."""
        return self._state.directory

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> Addresses:
        """Start everything and return when all of it is ready.

        SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt from here on.

        Raises:
            AlreadyRunningError: a cloud runs on the state directory already.
            ProcessFailedError: a part does not come up; the message has the end of its log.
            EmulatorMissingError: Google's emulator was asked for and is not installed.

        """
        self._state.lock()
        self._end_on_signals()
        supervisor = self._supervisor = Supervisor(self._state.directory / "logs", self._progress)
        pool = ThreadPoolExecutor(thread_name_prefix="start")
        try:
            self._choose_addresses()
            self._start_all(supervisor, pool)
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown()
        self._state.publish(self.addresses)
        return self.addresses

    def stop(self) -> None:
        """Stop everything, the last in the flow first, and give the state directory back."""
        self._stopping.set()
        if self._ticker is not None:
            self._ticker.join()
        if self._supervisor is not None:
            functions = [function.name for function in self._options.functions]
            # Functions finish what they do while the bus still takes their messages.
            self._supervisor.stop([_STORAGE], functions, [_BROKER, _INBOX], [_POSTGRES])
        self._state.release()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() itself returned
        self._handlers.clear()

    def wait(self) -> None:
        """Return at Ctrl-C or SIGTERM.

        Raises:
            ProcessFailedError: a part keeps dying.

        """
        supervisor = self._running()
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                supervisor.wait_for_failure(_POLL_SECONDS)

    def kill(self, name: str) -> None:
        """Kill -9 the part ``name`` (postgres, broker, storage, inbox or a function), workers included.

        It is started again at once; :meth:`wait_ready` waits for that.
        """
        self._running().kill(name)

    def wait_ready(self, name: str) -> None:
        """Wait until the part ``name`` answers (again)."""
        self._running().wait_ready(name)

    def pids(self) -> Mapping[str, int]:
        """Return the process id of every part that is running."""
        return self._running().pids()

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            message = "the cloud has not been started"
            raise RuntimeError(message)
        return self._supervisor

    def _end_on_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            # Ctrl-C too: a shell that runs us in the background has had it ignored.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, signal.default_int_handler)

    def _choose_addresses(self) -> None:
        options = self._options
        names = (_POSTGRES, _BROKER, _STORAGE, _INBOX, _SMTP, *(function.name for function in options.functions))
        self._ports = self._state.ports(*names)
        self._invitation_secret = self._state.secret("invitation")
        self.addresses = Addresses(
            database_url=with_search_path(options.database_url or database_url(self._ports[_POSTGRES])),
            pubsub_host=options.pubsub_host or f"127.0.0.1:{self._ports[_BROKER]}",
            storage_url=options.storage_url or f"http://127.0.0.1:{self._ports[_STORAGE]}",
            project=options.project,
            photos_bucket=options.photos_bucket,
            derived_bucket=options.derived_bucket,
            smtp_url=f"smtp://127.0.0.1:{self._ports[_SMTP]}",
            inbox_url=f"http://127.0.0.1:{self._ports[_INBOX]}",
            function_urls={
                function.name: f"http://127.0.0.1:{self._ports[function.name]}" for function in options.functions
            },
        )

    def _start_all(self, supervisor: Supervisor, pool: ThreadPoolExecutor) -> None:
        """Topics before what publishes, functions before what is pushed to them, storage last."""
        steps: list[Future[None]] = [
            pool.submit(self._start_database, supervisor),
            pool.submit(self._start_bus, supervisor),
            pool.submit(self._start_inbox, supervisor),
            *(pool.submit(self._start_function, supervisor, function) for function in self._options.functions),
        ]
        try:
            for step in as_completed(steps):
                step.result()
        except BaseException:
            # The other steps wait for processes that will not come any more.
            supervisor.stop()
            raise
        with self._timed("subscriptions"):
            self._subscribed.set()
            self._set_up_bus()
        self._start_storage(supervisor)
        self._ticker = threading.Thread(target=self._tick, name="ticks", daemon=True)
        self._ticker.start()

    def _start_database(self, supervisor: Supervisor) -> None:
        options = self._options
        if options.database_url is None:
            with self._timed("postgres"):
                port, directory = self._ports[_POSTGRES], self._state.directory
                fast = options.fast_postgres
                supervisor.start(postgres_process(_POSTGRES, port, directory, self._progress, fast=fast))
        if options.migrate:
            from sql.migrate import migrate  # noqa: PLC0415 - only what migrates needs its tool

            with self._timed("migrations"):
                migrate(self.addresses.database_url)

    def _start_bus(self, supervisor: Supervisor) -> None:
        options = self._options
        if options.pubsub_host is not None:
            self._set_up_bus()
            return
        kind = options.bus
        if kind == "auto":
            missing = google_emulator.available()
            kind = "google" if missing is None else "small"
            if missing is not None:
                self._progress(f"using the small broker; for Google's Pub/Sub emulator: {missing}")
        port = self._ports[_BROKER]
        if kind == "google":
            process = google_emulator.google_process(_BROKER, port, on_ready=self._set_up_bus)
        else:
            journal = self._state.directory / "broker.sqlite"
            process = broker_process(_BROKER, port, journal, ROOT, on_ready=self._set_up_bus)
        with self._timed(f"bus ({'Google' if kind == 'google' else 'small broker'}) with topics"):
            supervisor.start(process)

    def _set_up_bus(self) -> None:
        """Make topics, and subscriptions once the functions are up: at the start and after every restart."""
        addresses, declaration = self.addresses, self._options.bus_declaration
        with closing(BusClient(addresses.pubsub_host, addresses.project)) as client:
            create_topics(client, declaration)
            if self._subscribed.is_set():
                create_subscriptions(client, declaration, addresses.function_urls)

    def _start_function(self, supervisor: Supervisor, function: Function) -> None:
        with self._timed(function.name):
            # The links of mails that were sent before the last stop still open.
            environment = {"INVITATION_SECRET": self._invitation_secret, **self._options.environment}
            supervisor.start(function_process(function, self.addresses, environment))

    def _start_inbox(self, supervisor: Supervisor) -> None:
        with self._timed("inbox"):
            folder = self._state.directory / "mails"
            supervisor.start(inbox_process(_INBOX, self._ports[_INBOX], self._ports[_SMTP], folder, ROOT))

    def _start_storage(self, supervisor: Supervisor) -> None:
        addresses = self.addresses
        if self._options.storage_url is None:
            with self._timed("storage with buckets"):
                notifications = NotificationTarget(addresses.pubsub_host, addresses.project, addresses.photos_bucket)
                port, directory = self._ports[_STORAGE], self._state.directory
                supervisor.start(storage_process(_STORAGE, port, directory, notifications))
                buckets = (addresses.photos_bucket, addresses.derived_bucket)
                create_buckets(addresses.storage_url, addresses.project, *buckets)

    def _tick(self) -> None:
        """Publish a tick every so often, as the scheduler does in the cloud; a missed one is not made up."""
        while not self._stopping.wait(self._options.tick_seconds):
            try:
                with closing(BusClient(self.addresses.pubsub_host, self.addresses.project)) as client:
                    client.publish(_TICK_TOPIC, _TICK, _TICK_ATTRIBUTES)
            except GoogleAPICallError as error:
                self._progress(f"no tick: {error.message}")

    @contextlib.contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._progress(f"{step}: {time.perf_counter() - started:.1f} s")
