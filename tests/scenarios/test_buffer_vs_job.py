"""The buffer-vs-job workload: its pure parts, its mechanism, and small real runs.

Times are compared within one run only: buffer with job, block with off.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from waitspy_scenarios import SCENARIOS
from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.children import (
    Child,
    ChildFailedError,
    Children,
    WorkerThread,
    worker_start,
)
from waitspy_scenarios.buffer_vs_job.endpoint import Endpoint
from waitspy_scenarios.buffer_vs_job.minihttp import HOST, Client, ClosedError, read_message
from waitspy_scenarios.buffer_vs_job.plugin import Buffer, PluginSettings
from waitspy_scenarios.buffer_vs_job.pool import Pool, choose_worker
from waitspy_scenarios.buffer_vs_job.settings import (
    RETRY_LIMIT,
    TASKS_PER_WORKER,
    Park,
    Rate,
    arrivals,
    parse_park,
    parse_rate,
    resolve,
    retry_delay_s,
)
from waitspy_scenarios.buffer_vs_job.table import Export, format_table, summarise, to_json
from waitspy_scenarios.buffer_vs_job.worker import STOP, Worker

SCENARIO = SCENARIOS["buffer-vs-job"]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


# --- settings ---------------------------------------------------------------------------------


def test_park_and_rate_are_parsed() -> None:
    assert parse_park("block") == Park("block")
    assert parse_park("off") == Park("off")
    assert parse_park("cap:0.5") == Park("cap", 0.5)
    assert parse_rate("low") == Rate("low", 1.0)
    assert parse_rate("high") == Rate("high", 0.02)
    assert parse_rate("0.7") == Rate("0.7", 0.7)
    assert parse_rate("every:0.7") == Rate("every:0.7", 0.7, fixed=True)


@pytest.mark.parametrize("text", ["", "blocked", "cap", "cap:", "cap:0", "cap:-1", "cap:nan"])
def test_a_bad_park_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_park(text)


@pytest.mark.parametrize("text", ["", "slow", "0", "-1", "inf", "every:", "every:0", "each:1"])
def test_a_bad_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rate(text)


@pytest.mark.parametrize("park", ["block", "off", "cap:0.25"])
def test_park_survives_the_way_to_a_worker_process(park: str) -> None:
    assert str(parse_park(park)) == park


def test_presets_give_way_to_options() -> None:
    assert resolve({}).events == 40
    assert resolve({"rate": "high"}).events == 3000
    full = resolve({"full": True})
    assert (full.delay_s, full.timeout_s, full.rate.gap_s, full.events) == (5.0, 30.0, 12.5, 80)
    assert resolve({"full": True, "delay": 2.0}).delay_s == 2.0
    assert resolve({"full": True, "rate": "low"}).events == 40
    assert resolve({"via": "job", "park": None}).vias == ("job",)


def test_a_run_without_options_is_a_full_one_in_under_a_minute() -> None:
    default, full = resolve({}), resolve({"full": True})
    assert default.expected_s < 50
    for name in ("delay_s", "timeout_s", "retry_s"):
        own, whole = getattr(default, name), getattr(full, name)
        assert own / default.rate.gap_s == pytest.approx(whole / full.rate.gap_s)


@pytest.mark.parametrize(
    "given",
    [
        {"full": True, "small": True},
        {"delay": 6.0},
        {"delay": -1.0},
        {"retry": float("nan")},
        {"workers": 0},
        {"events": 0},
        {"rows": 0},
    ],
)
def test_senseless_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="--"):
        resolve(given)


def test_arrivals_follow_the_seed() -> None:
    rate = Rate("x", 2.0)
    first = list(islice(arrivals(rate, 1), 2000))
    assert first == list(islice(arrivals(rate, 1), 2000))
    assert first != list(islice(arrivals(rate, 2), 2000))
    assert first == sorted(first)
    assert first[-1] / 2000 == pytest.approx(2.0, rel=0.1)
    assert list(islice(arrivals(Rate("x", 2.0, fixed=True), 1), 3)) == [2.0, 4.0, 6.0]


def test_retries_double_and_end() -> None:
    assert [retry_delay_s(3.0, tries) for tries in range(3)] == [3.0, 6.0, 12.0]
    assert retry_delay_s(3.0, RETRY_LIMIT) is None


# --- table ------------------------------------------------------------------------------------


EXPORTS = [
    Export("a", 0, 1.0, timed_out=False),
    Export("b", 0, 7.0, timed_out=True),
    Export("b", 1, 1.1, timed_out=False),
    Export("c", 0, 3.0, timed_out=False),
    Export("d", 0, 8.0, timed_out=True),
    Export("d", 1, 9.0, timed_out=True),
]


def test_a_summary_counts_first_attempts_and_inserts() -> None:
    summary = summarise("buffer", 4, EXPORTS, {"a": 1, "b": 2, "c": 1, "d": 2, "other": 9})
    assert summary.latencies_ms == (1000.0, 3000.0)
    assert summary.late_ms == (7000.0, 8000.0)
    assert summary.timeouts == summary.duplicates == 2
    assert summary.retries_ms == (1100.0,)
    assert (summary.retry_timeouts, summary.lost) == (1, 1)
    assert summary.statistics() == {
        "min": 1000.0,
        "p50": 1000.0,
        "p90": 3000.0,
        "p99": 3000.0,
        "max": 3000.0,
    }


def test_the_table_is_aligned_and_names_the_run() -> None:
    settings = resolve({"park": "cap:1", "seed": 7, "pool": "thread"})
    summaries = [
        summarise("buffer", 4, EXPORTS, {"b": 2}),
        summarise("job", 4, [Export("e", 0, 123.0, timed_out=False)], {"e": 1}),
    ]
    title, _, head, buffer, job, *notes = format_table(settings.title, summaries).splitlines()
    assert all(part in title for part in ("park=cap:1", "rate=low", "pool=thread", "seed=7"))
    assert len(head) == len(buffer) == len(job)
    assert buffer.split() == ["buffer", "1000", "1000", "3000", "3000", "3000", "2/4", "1"]
    assert job.split() == ["job", *["123000"] * 5, "0/4", "0"]
    assert "2 retries" in notes[-1]
    assert "1 rows given up" in notes[-1]


def test_what_was_not_measured_is_missing_and_not_zero() -> None:
    summary = summarise("buffer", 1, [Export("a", 0, 7.0, timed_out=True)], {})
    settings = resolve({})
    assert format_table(settings.title, [summary]).splitlines()[3].split()[1:6] == ["-"] * 5
    written = to_json(settings, [summary])["vias"]["buffer"]
    assert not {"min_ms", "p50_ms", "max_ms"} & written.keys()
    assert written["timed_out_after_ms"] == [7000.0]


# --- pool -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "chosen"),
    [([0, 0], 0), ([1, 0], 1), ([2, 1], 1), ([1, 1], 0), ([10, 9], 1), ([10, 10], None)],
)
def test_the_first_idle_worker_is_chosen_then_the_least_busy(
    usage: list[int], chosen: int | None
) -> None:
    assert choose_worker(usage, 10) == chosen


class Scripted:
    """A worker that says what the test puts into its mouth."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.mouth: asyncio.Queue[Message] = asyncio.Queue()

    def send(self, message: Message) -> None:
        self.got.append(message)

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            yield await self.mouth.get()

    def close(self) -> None:
        self.got.append(STOP)


def test_messages_beyond_the_limit_queue_and_follow_in_order() -> None:
    async def scenario() -> None:
        workers = [Scripted(), Scripted()]
        pool = Pool(workers, lambda _: None)
        slots = 2 * TASKS_PER_WORKER
        runs = [asyncio.create_task(pool.run({"n": n})) for n in range(slots + 2)]
        listening = asyncio.create_task(pool.listen(1))
        await asyncio.sleep(0)
        assert [len(worker.got) for worker in workers] == [TASKS_PER_WORKER] * 2
        second = workers[1].got[3]
        workers[1].mouth.put_nowait({"type": "done", "id": second["id"]})
        await runs[second["n"]]
        assert workers[1].got[-1]["n"] == slots
        assert sum(run.done() for run in runs) == 1
        for task in (*runs, listening):
            task.cancel()

    asyncio.run(scenario())


# --- buffer, endpoint -------------------------------------------------------------------------


def test_a_buffer_flushes_when_full_or_when_its_first_row_lingered() -> None:
    async def scenario() -> list[list[str]]:
        flushed: list[list[str]] = []
        complete = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def export(rows: list[str]) -> None:
            flushed.append(rows)
            if len(flushed) == 2:
                complete.set()

        def spawn(coroutine: Coroutine[Any, Any, None]) -> None:
            tasks.append(asyncio.get_running_loop().create_task(coroutine))

        buffer = Buffer(2, 0.01, export, spawn)
        for row in ("a", "b", "c"):
            buffer.add(row)
        assert len(tasks) == 1
        await asyncio.wait_for(complete.wait(), PATIENCE_S)
        return flushed

    assert asyncio.run(scenario()) == [["a", "b"], ["c"]]


def test_the_endpoint_inserts_although_the_client_gave_up() -> None:
    async def scenario() -> Counter[str]:
        endpoint = Endpoint(delay_s=0.1)
        connections: list[asyncio.StreamWriter] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            await endpoint.serve(reader, writer)

        server = await asyncio.start_server(serve, HOST, 0)
        client = Client(server.sockets[0].getsockname()[1])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await client.fetch("POST", "/insert", b'["a"]')
        await asyncio.to_thread(pass_time_until, lambda: bool(endpoint.inserts))
        await client.fetch("POST", "/insert", b'["a", "b"]')
        assert json.loads(await client.fetch("GET", "/inserts")) == endpoint.inserts
        before = len(connections)
        assert await client.fetch_kept("GET", "/lookup") == b"{}"
        assert await client.fetch_kept("GET", "/lookup") == b"{}"
        assert len(connections) == before + 1
        with pytest.raises(ConnectionError, match="404"):
            await client.fetch("GET", "/nowhere")
        client.close()
        server.close()
        return endpoint.inserts

    assert asyncio.run(scenario()) == {"a": 2, "b": 1}


def test_a_message_cut_short_is_an_error() -> None:
    async def scenario() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        reader.feed_eof()
        await read_message(reader)

    with pytest.raises(ClosedError):
        asyncio.run(scenario())


# --- worker -----------------------------------------------------------------------------------


class Bench:
    """One worker on a thread, an endpoint on another, and what the worker said."""

    def __init__(self, park: str, delay_s: float, timeout_s: float) -> None:
        self.endpoint = Endpoint(delay_s)
        self._serving = threading.Event()
        self._server = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._server.start()
        assert self._serving.wait(PATIENCE_S)
        self.said: queue.Queue[Message] = queue.Queue()
        settings = PluginSettings(
            via="buffer", port=self._port, timeout_s=timeout_s, retry_s=0.1, rows=1, linger_s=0.01
        )
        self.worker = Worker(parse_park(park), settings, self.said.put)
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def close(self) -> None:
        self.worker.deliver(STOP)
        self.thread.join(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._end.set)
        self._server.join(PATIENCE_S)
        assert not self.thread.is_alive()
        assert not self._server.is_alive()

    def hear(self, kind: str) -> Message:
        """The worker's next message of that kind."""
        while True:
            message = self.said.get(timeout=PATIENCE_S)
            if message["type"] == kind:
                return message

    def _work(self) -> None:
        try:
            self.worker.run()
        except ValueError as error:
            self.errors.append(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self.endpoint.serve, HOST, 0)
        self._port = server.sockets[0].getsockname()[1]
        self._serving.set()
        await self._end.wait()
        server.close()


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(park: str, delay_s: float = 0.1, timeout_s: float = 0.3) -> Bench:
        made.append(Bench(park, delay_s, timeout_s))
        return made[-1]

    yield make
    for each in made:
        each.close()


def pass_time_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_the_timeout_wins_over_a_response_that_waited(bench: Callable[..., Bench]) -> None:
    parked = bench("block")
    parked.worker.deliver({"type": "processEvent", "row": "a", "id": 0})
    parked.hear("done")
    handled_s = time.monotonic()
    # The row is inserted and the response sent long before anything wakes the worker.
    pass_time_until(lambda: bool(parked.endpoint.inserts))
    pass_time_until(lambda: time.monotonic() - handled_s > 0.4)
    assert parked.said.empty()
    parked.worker.deliver({"type": "ingestEvent", "id": 1})
    export = parked.hear("export")
    assert export["timed_out"]
    assert parked.hear("job") == {"type": "job", "rows": ["a"], "tries": 1, "delay_s": 0.1}
    assert parked.endpoint.inserts == {"a": 1}


@pytest.mark.parametrize("park", ["off", "cap:0.02"])
def test_a_loop_that_runs_gets_its_response_in_time(bench: Callable[..., Bench], park: str) -> None:
    served = bench(park, timeout_s=5.0)
    served.worker.deliver({"type": "processEvent", "row": "a", "id": 0})
    assert not served.hear("export")["timed_out"]


@pytest.mark.alone
def test_messages_arrive_while_others_are_handled(bench: Callable[..., Bench]) -> None:
    busy = bench("block", delay_s=0.3, timeout_s=5.0)
    for number in range(3):
        busy.worker.deliver({"type": "runJob", "rows": [str(number)], "tries": 0, "id": number})
    started_s = time.monotonic()
    elapsed_s = sum(busy.hear("export")["elapsed_s"] for _ in range(3))
    # Side by side: one after the other, the three would take as long as they took together.
    assert elapsed_s > 1.5 * (time.monotonic() - started_s)


def test_a_failing_message_ends_the_worker_with_its_error(bench: Callable[..., Bench]) -> None:
    failing = bench("block")
    failing.worker.deliver({"type": "nonsense", "id": 0})
    failing.thread.join(PATIENCE_S)
    assert [str(error) for error in failing.errors] == ["unknown message 'nonsense'"]


def test_a_failing_worker_thread_is_reported() -> None:
    async def scenario() -> None:
        settings = PluginSettings("buffer", 1, 1.0, 1.0, 1, 0.1)
        worker = WorkerThread("buffer-0", Park("block"), settings)
        messages = worker.messages()
        assert await anext(messages) == {"type": "ready"}
        worker.send({"type": "nonsense", "id": 0})
        await anext(messages)

    with pytest.raises(ChildFailedError, match=r"buffer-0 failed.*nonsense"):
        asyncio.run(scenario())


def test_a_process_that_cannot_start_is_reported() -> None:
    async def scenario(children: Children) -> None:
        await anext(children.spawn("waitspy_scenarios.no_such_module", "nobody-0").messages())

    with Children() as children, pytest.raises(ChildFailedError, match=r"nobody-0.*exit code 1"):
        asyncio.run(scenario(children))


# --- real runs --------------------------------------------------------------------------------

SHORT = ("--delay", "0.2", "--timeout", "0.9", "--retry", "0.1", "--rate", "0.5", "--events", "14")
# One event soon, and the next one long after the test has lost its patience.
LONELY_SEED = next(
    seed
    for seed in count()
    for first, second in [islice(arrivals(Rate("20", 20.0), seed), 2)]
    if first < 0.5 and second > 2 * PATIENCE_S
)
RUNS = {
    "block": (*SHORT, "--park", "block"),
    "thread": (*SHORT, "--park", "block", "--pool", "thread"),
    "cap": (*SHORT, "--park", "cap:0.2"),
    "off": (*SHORT, "--park", "off"),
    "rows": (*SHORT, "--park", "off", "--rows", "3", "--via", "buffer"),
    "forgotten": (*SHORT[:6], "--rate", "20", "--events", "1", "--seed", str(LONELY_SEED)),
    "fixed": ("--delay", "0.7", "--rate", "every:0.5", "--events", "6", "--timeout", "9"),
}


def start(*options: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        SCENARIO.command(*options),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict[str, Any]]]:
    """Table and JSON of every short run; they mostly wait, so they run side by side."""
    folder = tmp_path_factory.mktemp("runs")
    started = {
        name: start(*options, "--json", str(folder / name)) for name, options in RUNS.items()
    }
    results = {}
    try:
        for name, process in started.items():
            table, complaints = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, complaints
            results[name] = table, json.loads((folder / name).read_text())["vias"]
    finally:
        for process in started.values():
            process.kill()
            process.communicate()
    return results


@pytest.mark.alone
@pytest.mark.parametrize("name", ["block", "thread"])
def test_parked_workers_make_the_buffer_late_and_duplicate_rows(
    runs: dict[str, tuple[str, dict[str, Any]]], name: str
) -> None:
    table, vias = runs[name]
    buffer, job = vias["buffer"], vias["job"]
    assert buffer["timeouts"] == buffer["duplicates"] > 0
    assert job["timeouts"] == job["duplicates"] == buffer["lost"] == 0
    assert buffer["max_ms"] > 1.5 * job["max_ms"]
    assert buffer["p50_ms"] > 1.2 * job["p50_ms"]
    assert len(buffer["latencies_ms"]) + buffer["timeouts"] == len(job["latencies_ms"]) == 14
    # A retry is a job, and takes as long as one.
    assert len(buffer["retries"]["latencies_ms"]) == buffer["timeouts"]
    assert min(buffer["timed_out_after_ms"]) > max(buffer["retries"]["latencies_ms"])
    assert f"{buffer['timeouts']}/14" in table


@pytest.mark.alone
def test_a_loop_that_waits_for_its_messages_makes_buffer_and_job_equal(
    runs: dict[str, tuple[str, dict[str, Any]]],
) -> None:
    _, vias = runs["off"]
    assert vias["buffer"]["timeouts"] == vias["buffer"]["duplicates"] == 0
    assert vias["buffer"]["p50_ms"] < 1.2 * vias["job"]["p50_ms"]
    assert vias["buffer"]["p90_ms"] < 1.5 * vias["job"]["p90_ms"]


@pytest.mark.alone
def test_a_cap_bounds_the_lateness(runs: dict[str, tuple[str, dict[str, Any]]]) -> None:
    _, vias = runs["cap"]
    late_ms = vias["buffer"]["max_ms"] - vias["job"]["max_ms"]
    assert vias["buffer"]["timeouts"] == vias["buffer"]["duplicates"] == 0
    assert late_ms < 2 * 200
    assert vias["buffer"]["p90_ms"] > 1.2 * vias["job"]["p90_ms"]


@pytest.mark.alone
def test_rows_collected_in_a_buffer_are_all_exported_once(
    runs: dict[str, tuple[str, dict[str, Any]]],
) -> None:
    _, vias = runs["rows"]
    assert vias.keys() == {"buffer"}
    assert len(vias["buffer"]["latencies_ms"]) == 14
    assert vias["buffer"]["duplicates"] == 0


@pytest.mark.alone
def test_a_flush_that_no_traffic_wakes_is_noticed_in_the_end(
    runs: dict[str, tuple[str, dict[str, Any]]],
) -> None:
    _, vias = runs["forgotten"]
    assert vias["buffer"]["timeouts"] == vias["buffer"]["duplicates"] == 1
    assert vias["job"]["timeouts"] == 0


@pytest.mark.alone
def test_with_fixed_gaps_latency_is_the_next_gap_after_the_delay(
    runs: dict[str, tuple[str, dict[str, Any]]],
) -> None:
    _, vias = runs["fixed"]
    assert vias["buffer"]["p50_ms"] / 500 == pytest.approx(2, rel=0.15)
    assert vias["job"]["p50_ms"] / 700 == pytest.approx(1, rel=0.15)


# --- ends -------------------------------------------------------------------------------------


def started_run(
    *options: str, **more: Any
) -> tuple[subprocess.Popen[str], dict[str, psutil.Process]]:
    """A run whose workers are parked, and its children by name."""
    run = start("--small", *options, **more)
    assert run.stderr is not None
    named = re.findall(r"([a-z]+(?:-\d+)?)=(\d+)", run.stderr.readline())
    children = {name: psutil.Process(int(pid)) for name, pid in named}
    workers = [child for name, child in children.items() if name != "endpoint"]
    # A worker's second thread starts when it is about to wait for messages.
    pass_time_until(lambda: all(worker.num_threads() == 2 for worker in workers))
    return run, children


def is_running(process: psutil.Process) -> bool:
    try:
        # Whoever adopts an orphan need not reap it.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("pool", ["process", "thread"])
@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_nothing_outlives_the_program(pool: str, sent: signal.Signals, code: int) -> None:
    run, children = started_run("--pool", pool)
    assert len(children) == (5 if pool == "process" else 1)
    run.send_signal(sent)
    _, complaints = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == code
    assert complaints == ""
    pass_time_until(lambda: not any(map(is_running, children.values())))


@pytest.mark.parametrize("victim", ["endpoint", "buffer-1", "job-0"])
def test_a_child_that_dies_ends_the_run_with_its_name(victim: str) -> None:
    run, children = started_run()
    children[victim].kill()
    table, complaints = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 1
    assert table == ""
    assert f"{victim} (pid {children[victim].pid}) was killed by SIGKILL" in complaints
    pass_time_until(lambda: not any(map(is_running, children.values())))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_whole_group_is_an_interrupt_and_no_failure(
    sent: signal.Signals, code: int
) -> None:
    run, children = started_run(start_new_session=True)
    os.killpg(run.pid, sent)
    _, complaints = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, complaints) == (code, "")
    assert not any(map(is_running, children.values()))


def test_a_child_ends_by_itself_when_its_channel_closes() -> None:
    async def scenario(worker: Child) -> None:
        settings = PluginSettings("buffer", 1, 1.0, 1.0, 1, 0.1)
        worker.start(worker_start(Park("block"), settings))
        assert await anext(worker.messages()) == {"type": "ready"}
        worker.close()

    with Children() as children:
        worker = children.spawn("waitspy_scenarios.buffer_vs_job.worker", "buffer-0")
        asyncio.run(scenario(worker))
    assert worker.process.returncode == 0


@pytest.mark.parametrize(
    "options", [("--timeout", "0.3"), ("--park", "cap:0"), ("--full", "--small")]
)
def test_bad_options_are_a_usage_error(options: tuple[str, ...]) -> None:
    run = start(*options)
    _, complaints = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 2
    assert "error:" in complaints
