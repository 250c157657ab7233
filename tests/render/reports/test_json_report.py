from __future__ import annotations

import copy
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest

from tests.examples import report_examples
from tests.examples.report_examples import EXAMPLES, HOSTILE
from waitspy.model.judged import Analysis, WhatWaits
from waitspy.model.kinds import KINDS
from waitspy.model.recorded import Cost
from waitspy.model.waits import WaitKind
from waitspy.render.reports.json_report import JsonRenderer, report_object, schema
from waitspy.render.reports.report_format import ReportRenderer


def validator(definition: dict[str, Any] | None = None) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(definition or schema())


def written(name: str, renderer: ReportRenderer | None = None) -> str:
    stream = io.StringIO()
    (renderer or JsonRenderer()).render(Analysis(EXAMPLES[name]()), stream)
    return stream.getvalue()


def closed(node: Any) -> Any:
    """The schema without its open places: only keys that it names are allowed."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    result = {key: closed(value) for key, value in node.items()}
    if result.get("type") == "object" and "properties" in result:
        result["additionalProperties"] = False
    return result


def starving() -> dict[str, Any]:
    return report_object(report_examples.several_blames())


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", EXAMPLES)
def test_schema_accepts_and_names_every_key(name: str) -> None:
    validator(closed(schema())).validate(json.loads(written(name)))


def test_schema_knows_every_kind_of_the_model_and_of_the_words() -> None:
    definitions = schema()["$defs"]
    assert definitions["wait"]["properties"]["kind"]["enum"] == [str(kind) for kind in WaitKind]
    assert definitions["finding"]["properties"]["kind"]["enum"] == list(KINDS)


Change = Callable[[dict[str, Any]], Any]
BROKEN: dict[str, Change] = {
    "another schema": lambda r: r.update(schema="waitspy.report/2"),
    "unknown kind": lambda r: r["findings"][0].update(kind="bored-loop"),
    "unknown verdict": lambda r: r["findings"][0].update(verdict="fine"),
    "verdict of another kind": lambda r: r["findings"][0].update(verdict="late"),
    "overload that starves": lambda r: r["findings"][0].update(kind="overloaded-loop"),
    "latent of a kind that never is": lambda r: r["findings"][0].update(
        kind="parked-loop", verdict="latent"
    ),
    "unknown wait": lambda r: r["findings"][0]["wait"].update(kind="nap"),
    "unknown victim": lambda r: r["findings"][0]["victims"][0].update(kind="user"),
    "unknown role": lambda r: r["workers"][0].update(role="boss"),
    "negative seconds": lambda r: r["findings"][0].update(starved_s=-0.1),
    "negative wait": lambda r: r["findings"][0]["victims"][0].update(waited_s=-1),
    "negative start": lambda r: r["findings"][0]["episodes"][0].update(start_s=-1.0),
    "blame over 1": lambda r: r["findings"][0]["blame"].update(share=1.01),
    "negative share": lambda r: r["findings"][0].update(share=-0.01),
    "seconds as text": lambda r: r["findings"][0].update(longest_s="7.6 s"),
    "whole finding null": lambda r: r["findings"].append(None),
    "line null": lambda r: r["findings"][0]["blame"].update(line=None),
    "python null": lambda r: r["workers"][0].update(python=None),
    "pid as text": lambda r: r["findings"][0].update(pids=["4711"]),
    "pid zero": lambda r: r["findings"][0].update(pids=[0]),
    "no pid": lambda r: r["findings"][0].update(pids=[]),
    "count zero": lambda r: r["findings"][0]["victims"][0].update(count=0),
    "never occurred": lambda r: r["findings"][0].update(occurrences=0),
    "half a sample": lambda r: r["workers"][0].update(samples=0.5),
    "rate zero": lambda r: r["recording"].update(rate_hz=0),
    "date in words": lambda r: r["recording"].update(started_at="yesterday"),
    "oracle without status": lambda r: r["workers"][0]["oracles"].update(epoll=None),
    "one blame twice named": lambda r: r["findings"][0].update(
        blames=r["findings"][0]["blames"][:1]
    ),
    "strange key of a frame": lambda r: r["findings"][0]["stack"][0].update(module="app"),
    "strange key of the report": lambda r: r.update(version=1),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_schema_rejects(change: Change) -> None:
    report = starving()
    validator().validate(report)
    change(report)
    assert not validator().is_valid(report)


def test_schema_rejects_each_missing_key() -> None:
    whole = starving()
    finding = whole["findings"][0]
    optional = {"blames", "python", "framework", "threads", "rate_hz", "samples", "missed_samples"}
    optional |= {"watched_from_s"}
    places: list[tuple[str, ...]] = [(key,) for key in whole]
    places += [("recording", key) for key in whole["recording"]]
    places += [("workers", key) for key in whole["workers"][0].keys() - optional]
    places += [("findings", key) for key in finding.keys() - optional]
    for part, keys in {
        "wait": ["kind"],
        "blame": ["function", "share"],
        "stack": ["function", "file"],
        "episodes": ["pid", "tid", "start_s", "end_s", "evidence"],
        "victims": ["kind", "name", "count", "waited_s"],
    }.items():
        places += [("findings", part, key) for key in keys]
    places += [("losses", key) for key in ("what", "why", "remedy")]
    for *path, key in places:
        report = copy.deepcopy(whole)
        node: Any = report
        for step in path:
            node = node[step]
            node = node[0] if isinstance(node, list) else node
        del node[key]
        assert not validator().is_valid(report), f"{path} without {key} was accepted"


def test_schema_lets_reports_grow_where_it_says_so() -> None:
    report = starving()
    for node in (report["recording"], report["workers"][0], report["findings"][0], report["cost"]):
        node["added_later"] = 1
    validator().validate(report)


def test_what_is_owed_is_told_by_port_and_unknown_is_no_key() -> None:
    assert report_object(report_examples.owed())["waiting"] == {
        "requests": [
            {"port": 8000, "count": 12, "oldest_s": 4.1, "most": 14},
            {"port": 8001, "count": 0, "most": 3},
            {"port": 8002, "most": 0},
            {"port": 8003, "count": 0, "most": 0},
        ]
    }
    assert report_object(report_examples.healthy())["waiting"] == {"requests": []}


def test_where_tasks_and_threads_wait_is_told_and_unknown_is_no_key() -> None:
    waiting = report_object(report_examples.waiting())["waiting"]
    assert waiting["places"][0] == {
        "what": "task",
        "function": "quote",
        "file": "/srv/quotes/app/routes.py",
        "line": 27,
        "awaits": "Semaphore.acquire (asyncio/locks.py:387)",
        "wait": "lock",
        "count": 12,
        "longest_s": 4.1,
        "sure": True,
        "pids": [4711, 4712],
    }
    assert waiting["places"][3] == {
        "what": "task",
        "function": "Cython",
        "awaits": "Task",
        "wait": "other",
        "count": 3,
        "pids": [4711],
    }
    assert waiting["tasks"] == {"pending": 5000, "looked": 812}
    assert waiting["workers"] == [
        {"pid": 4711, "cpu_share": 0.31, "gil_share": 0.012},
        {"pid": 4712, "cpu_share": 0.02},
    ]
    none = replace(report_examples.healthy(), waiting=WhatWaits(places=()))
    assert report_object(none)["waiting"] == {"requests": [], "places": []}


def test_shape_of_the_contract() -> None:
    report = report_object(report_examples.starving())
    assert list(report) == [
        "schema", "recording", "workers", "losses", "findings", "waiting", "cost"
    ]  # fmt: skip
    assert report["recording"] == {
        "started_at": "2026-01-02T03:04:05+00:00",
        "monotonic_start_s": 86400.25,
        "duration_s": 10.0,
        "rate_hz": 100.0,
        "target": ":8000",
        "host": "web-1",
    }
    assert report["workers"][0] == {
        "pid": 4710,
        "ppid": 4710,
        "role": "master",
        "command": "/srv/quotes/.venv/bin/python -m uvicorn app.main:app --workers 4",
        "python": "3.12.1",
        "framework": "uvicorn",
        "threads": 12,
        "rate_hz": 99.6,
        "samples": 996,
        "missed_samples": 4,
        "watched_from_s": report_examples.START_S,
        "oracles": report_examples.ORACLES_OK,
        "exit": None,
    }
    finding = report["findings"][0]
    assert list(finding) == [
        "kind", "verdict", "wait", "blame", "stack", "pids", "threads", "episodes", "occurrences",
        "starved_s", "longest_s", "victim_s", "share", "victims", "remedy",
    ]  # fmt: skip
    assert finding["wait"] == {"kind": "sleep", "call": "time.sleep", "syscall": "clock_nanosleep"}
    assert finding["blame"] == {
        "function": "QuoteClient.fetch",
        "file": "/srv/quotes/app/client.py",
        "line": 41,
        "source": "        time.sleep(backoff)",
        "share": 1.0,
    }
    assert finding["stack"][0] == {
        "function": "main",
        "file": report_examples.LOOP_BASE[0].file,
        "line": 410,
    }
    assert finding["episodes"][0] == {
        "pid": 4711,
        "tid": 4711,
        "start_s": 86401.45,
        "end_s": 86403.15,
        "pending_max": 34,
        "served": 0,
        "evidence": ["asyncio", "epoll"],
    }
    assert finding["victims"][1] == {
        "kind": "timer",
        "name": "Heartbeat.tick",
        "where": "/srv/quotes/app/heartbeat.py:17",
        "count": 31,
        "waited_s": 37.7,
    }
    assert report["losses"][0]["pid"] == 4714
    assert report["cost"] == {"cpu_s": 0.312, "cpu_share": 0.0312, "peak_rss_mb": 45.2}


def test_unknown_is_a_missing_key() -> None:
    report = report_object(report_examples.unknown_blame())
    finding = report["findings"][0]
    assert finding["blame"] is None
    assert finding["wait"] == {"kind": "unknown"}
    assert finding["episodes"][0].keys() == {"pid", "tid", "start_s", "end_s", "evidence"}
    assert report["cost"] == {"cpu_s": 0.2}
    shell = report_object(report_examples.nothing_attached())["workers"][0]
    assert shell.keys() == {"pid", "ppid", "role", "command", "oracles", "exit"}


def test_zero_is_kept() -> None:
    known_zero = replace(report_examples.healthy(), cost=Cost(0.0, 0.0, 0.0))
    assert report_object(known_zero)["cost"] == {"cpu_s": 0.0, "cpu_share": 0.0, "peak_rss_mb": 0.0}
    assert report_object(report_examples.starving())["findings"][0]["episodes"][0]["served"] == 0


def test_several_blames() -> None:
    finding = report_object(report_examples.several_blames())["findings"][0]
    assert [blame["share"] for blame in finding["blames"]] == [0.62, 0.3, 0.08]
    assert finding["blame"] == finding["blames"][0]
    assert finding["blames"][2] == {"function": "posix.fsync", "share": 0.08}


@pytest.mark.parametrize("name", EXAMPLES)
def test_findings_keep_their_order_and_it_is_the_contracts(name: str) -> None:
    report = EXAMPLES[name]()
    weights = [(f["victim_s"], f["starved_s"]) for f in report_object(report)["findings"]]
    assert weights == [(f.victim_s, f.starved_s) for f in report.findings]
    assert weights == sorted(weights, reverse=True)


def test_times_are_rounded_to_microseconds() -> None:
    report = report_examples.starving()
    finding = replace(report.findings[0], starved_s=0.1 + 0.2, share=1 / 3)
    info = replace(report.recording, monotonic_start_ns=1_234_567_890_123_456_789)
    built = report_object(replace(report, recording=info, findings=(finding,)))
    assert built["findings"][0]["starved_s"] == 0.3
    assert built["findings"][0]["share"] == 0.333333
    assert built["recording"]["monotonic_start_s"] == 1234567890.123457


def test_hostile_text_survives_as_harmless_ascii() -> None:
    text = written("hostile")
    assert re.fullmatch(r"[\n -~]*", text)
    read = json.loads(text)["findings"][0]
    assert read["remedy"] == HOSTILE.replace("\ud800", "\\ud800")
    json.dumps(json.loads(text), ensure_ascii=False).encode()  # fails if a surrogate is left
    assert "\\x1b" not in read["blame"]["function"]  # kept as it is, escaped by JSON alone


def test_numbers_that_are_none_write_nothing() -> None:
    stream = io.StringIO()
    report = replace(report_examples.healthy(), cost=Cost(cpu_s=math.nan))
    with pytest.raises(ValueError, match="JSON compliant"):
        JsonRenderer().render(Analysis(report), stream)
    assert stream.getvalue() == ""


def test_one_line_if_asked() -> None:
    text = written("starving", JsonRenderer(indent=None))
    assert text.count("\n") == 1
    assert json.loads(text) == json.loads(written("starving"))


def test_every_field_of_a_finding_is_written() -> None:
    names = {field.name for field in fields(report_examples.blocked_loop())}
    assert names - {"detail", "chain", "lending"} == starving()["findings"][0].keys() - {"blame"}
    (finding,) = json.loads(written("late"))["findings"]
    assert finding["detail"] == "thread pool thumbnails: all 4 threads"
