"""Processes that are alike share a row, the ended a line, and what is not known of any is said."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.examples import report_examples
from tests.examples.report_examples import START_S, many_processes, worker, workers
from tests.render.reports.test_terminal import flat, plain, shown
from waitspy.model.clock import NS
from waitspy.model.judged import Report
from waitspy.model.recorded import WorkerRecord
from waitspy.render import words
from waitspy.render.reports import page_text
from waitspy.render.reports.process_table import cells, notes, process_table

SPAWNED = "python -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=7)"
TRACKS = "python -c from multiprocessing.resource_tracker import main;main(6)"
EARLY_NS = int((START_S + 3) * NS)


def report(*records: WorkerRecord) -> Report:
    return replace(report_examples.healthy(), workers=records)


def rows(of: Report) -> list[tuple[str, ...]]:
    return [cells(group, plain) for group in process_table(of).rows]


def test_a_few_processes_have_a_row_each() -> None:
    few = report(*workers(4711, 4712, 4713))
    assert [row[0] for row in rows(few)] == ["4710", "4711", "4712", "4713"]
    assert notes(few, plain) == [
        "command of all: /srv/quotes/.venv/bin/python -m uvicorn app.main:app --workers 4"
    ]


def test_many_alike_share_one_with_their_sums_and_extremes() -> None:
    master, many, killed = rows(many_processes())
    assert master[:2] == ("4710", "master")
    assert many == (
        *("4711 +39", "worker", "3.12.1", "uvicorn", "12"),
        *("12-99.6 Hz", str(38 * 996 + 120), str(38 * 4 + 880)),
    )
    assert killed[0] == "5007"
    assert notes(many_processes(), plain)[0] == ("of 4711 +39, no stack was sampled of 4713")


def test_from_when_on_a_late_one_was_watched_is_said() -> None:
    start_ns = report_examples.healthy().recording.monotonic_start_ns

    def came(after_s: float, *pids: int) -> list[WorkerRecord]:
        late = start_ns + int(after_s * NS)
        return [replace(one, attached_ns=late) for one in workers(*pids)[1:]]

    soon, *many = came(0.4, 4711), *(came(0.1 * pid, 5000 + pid) for pid in range(1, 15))
    alike = [one for group in many for one in group]
    assert not [note for note in notes(report(*soon), plain) if "watched" in note]
    assert notes(report(*alike), plain)[0] == (
        "5001 +13 watched one after the other, from 100 ms to 1.4 s of the recording on"
    )
    assert notes(report(*came(2.1, 4711)), plain)[0] == (
        "4711 watched from 2.1 s of the recording on"
    )
    refused = [replace(one, worker=replace(one.worker, why_not="no")) for one in came(2.1, 4711)]
    assert not [note for note in notes(report(*refused), plain) if "watched" in note]


def test_who_differs_is_told_apart() -> None:
    refused = replace(worker(4720), worker=replace(worker(4720).worker, why_not="no right"))
    other = replace(worker(4721), worker=replace(worker(4721).worker, python="3.8.1"))
    found = rows(report(*workers(*range(4711, 4716)), refused, other))
    assert [row[0] for row in found] == ["4710", "4711 +4", "4720", "4721"]


def test_what_is_known_of_none_is_not_known() -> None:
    nothing = [replace(record, rate_hz=None, samples=None) for record in workers()[1:]]
    (row,) = rows(report(*nothing))
    assert row[5:7] == ("?", "?")
    assert not [line for line in notes(report(*nothing), plain) if "sampled" in line]


def test_two_that_ended_are_told_one_by_one_and_three_together() -> None:
    ended = [replace(worker(pid), exit="exited", gone_ns=EARLY_NS) for pid in (5001, 5002, 5003)]
    two = report(worker(4711), *ended[:2])
    assert [row[0] for row in rows(two)] == ["4711", "5001", "5002"]
    assert notes(two, plain)[0] == "5001, 5002 ended: exited"
    three = report(worker(4711), *ended)
    assert [row[0] for row in rows(three)] == ["4711"]
    first, second = notes(three, plain)
    assert first.startswith("3 more ended: exited; pids 5001, 5002, 5003; 12 samples missed; ")
    assert first.endswith("; command /srv/quotes/.venv/bin/python -m uvicorn app.main:app "
                          "--workers 4")  # fmt: skip
    assert second.startswith("command of 4711: ")


def test_the_ended_are_one_line_that_says_what_was_not_seen_of_them() -> None:
    ended, *others = [line for line in notes(many_processes(), plain) if "more ended" in line]
    assert others == []
    assert ended == (
        "29 more ended: exited; pids 5000, 5001, 5002 and 26 more; of 6 no stack was sampled; "
        "11 samples missed; command python -c 'import time; time.sleep(0.5)' 0 and 28 others"
    )
    assert "5007 ended: killed by SIGKILL" in notes(many_processes(), plain)


def test_what_ends_with_the_recording_is_not_one_of_the_ended() -> None:
    end_ns = report_examples.recording_info().end_ns
    late = [replace(worker(pid), exit="exited", gone_ns=end_ns - NS) for pid in range(5001, 5004)]
    of = report(*late)
    assert [row[0] for row in rows(of)] == ["5001", "5002", "5003"]
    assert notes(of, plain)[0] == "5001, 5002, 5003 ended: exited"
    young = [replace(record, attached_ns=end_ns - 2 * NS) for record in late]
    assert "3 more ended" in notes(report(worker(4711), *young), plain)[0]
    unknown = report(*(replace(record, gone_ns=None) for record in late))
    assert [row[0] for row in rows(unknown)] == ["5001", "5002", "5003"]


def test_whom_a_finding_names_has_a_row_even_if_it_has_ended() -> None:
    gone = [replace(worker(pid), exit="exited", gone_ns=EARLY_NS) for pid in range(5001, 5009)]
    finding = replace(report_examples.blocked_loop(), pids=(5002, 5003))
    of = replace(report(*gone), findings=(finding,))
    assert [row[0] for row in rows(of)] == ["5002", "5003"]
    assert "6 more ended" in notes(of, plain)[1]
    running = replace(report(*workers(*range(4711, 4719))), findings=(
        replace(finding, pids=(4714,)),))  # fmt: skip
    assert [row[0] for row in rows(running)] == ["4710", "4711 +6", "4714"]


def test_a_process_that_only_waited_for_its_end_is_no_row_less() -> None:
    gone = [replace(worker(pid), exit="exited", gone_ns=EARLY_NS) for pid in range(5000, 5004)]
    text = shown(report(*gone))
    assert "processes\n   4 more ended: exited" in text
    assert " pid " not in text


def test_the_same_loss_of_many_is_told_once() -> None:
    (entry,) = words.unseen(many_processes(), plain)
    assert entry == (
        "pids 5000, 5005, 5010, 5015, 5020, 5025, stacks: it ended before py-spy had attached",
        "record for longer",
    )
    other = replace(many_processes().losses[0], why="the disk is full")
    more = replace(many_processes(), losses=(*many_processes().losses, other))
    assert len(words.unseen(more, plain)) == 2


def test_those_that_were_refused_alike_are_told_once() -> None:
    refused = [
        replace(worker(pid), worker=replace(worker(pid).worker, why_not="no right", remedy="sudo"))
        for pid in (4721, 4722)
    ]
    said = words.unseen(report(worker(4711), *refused), plain)
    assert said == [("pids 4721, 4722 were not attached: no right", "sudo")]


def test_a_healthy_report_is_short() -> None:
    many = [one for one in many_processes().workers if one.exit in {None, "exited"}]
    assert len(many) == 70
    for of in (report_examples.healthy(), report(*many)):
        assert len(shown(of, width=100_000).splitlines()) < 15
    for of in (report_examples.healthy(), under_spawn(4)):
        assert len(shown(of, width=80).splitlines()) < 15
    assert len(shown(report_examples.healthy(), width=40).splitlines()) < 25


def test_where_the_table_does_not_fit_each_row_is_a_line() -> None:
    narrow = " ".join(shown(many_processes(), width=40).split())
    assert "pid 4710, role master, runtime 3.12.1, framework uvicorn, threads 12, rate" in narrow
    assert "pid 4711 +39, role worker, runtime 3.12.1" in narrow
    assert "pid role runtime" in flat(many_processes())


def test_commands_of_a_row_are_told_by_the_first() -> None:
    many = [
        replace(one, worker=replace(one.worker, command=f"python {one.worker.pid}.py"))
        for one in workers(*range(4711, 4720))
    ]
    assert notes(report(*many), plain) == [
        "command of 4710: python 4710.py",
        "command of 4711 +8: python 4711.py and 8 others",
    ]


def under_spawn(count: int) -> Report:
    """A healthy server with so many workers, as uvicorn starts them."""
    master, *rest = workers(*range(4711, 4711 + count))
    children = [replace(one, worker=replace(one.worker, command=SPAWNED)) for one in rest]
    tracker = worker(4720)
    tracked = replace(tracker.worker, role="helper", command=TRACKS)
    return report(master, replace(tracker, worker=tracked), *children)


def test_commands_of_multiprocessing_s_own_making_are_left_out() -> None:
    command = "/srv/quotes/.venv/bin/python -m uvicorn app.main:app --workers 4"
    of = under_spawn(4)
    assert notes(of, plain) == [f"command of 4710: {command}"]
    assert notes(report(*of.workers[2:4]), plain) == [f"command of all: {SPAWNED}"], "all there is"


def test_the_page_has_every_process_to_unfold() -> None:
    page = page_text.workers(many_processes())
    head, _, every = page.partition("<details>")
    assert head.count("<tr>") == 1 + 3
    assert every.count("<tr>") == 1 + 71
    assert "<summary>All 71 processes</summary>" in every
    assert "<details>" not in page_text.workers(report(*workers(4711, 4712)))


def test_what_oracles_said_of_a_row_is_said_once() -> None:
    off = replace(worker(4712), oracles={"epoll": "no right"})
    many = report(*workers(*range(4720, 4724)), off)
    shown_oracles = re.findall(r'class="oracle (\w+)" title="([^"]*)">(\w+)<',
                               page_text.workers(many).partition("<details>")[0])  # fmt: skip
    assert ("off", "no right", "epoll") in shown_oracles
    worker_row = [one for one in shown_oracles if one[2] == "epoll"]
    assert worker_row == [
        ("ok", "ok", "epoll"),
        ("ok", "ok", "epoll"),
        ("off", "no right", "epoll"),
    ]


def test_grouping_is_told_in_words_only_where_there_is_some() -> None:
    assert "+" not in flat(report_examples.nothing_attached()).partition("processes")[2]


def test_a_process_of_node_is_told_with_its_runtime() -> None:
    one = worker(4711)
    record = replace(one, worker=replace(one.worker, python=None, node="20.20.2"))
    (row,) = process_table(report(record)).rows
    assert cells(row, plain)[2] == "Node.js 20.20.2"
