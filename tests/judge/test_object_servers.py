"""Parts that only stacks tell: what keeps the objects of multiprocessing is no worker."""

from __future__ import annotations

from tests.examples.build import POLL, recording, stack, worker
from waitspy.judge.analysis import analyse
from waitspy.model.stacks import Stack

KEEPER = stack(
    "spawn_main@lib/multiprocessing/spawn.py:122"
    " > Server.serve_forever@lib/multiprocessing/managers.py:176 > Event.wait@lib/threading.py:629"
)


def role(main: Stack, other: Stack | None = None) -> str:
    one = worker()
    shown = {one.worker.pid: [(0, 1000, main)], 99: [(0, 1000, other or main)]}
    (told,) = analyse(recording(worker(shown=shown))).report.workers
    return told.worker.role


def test_what_keeps_objects_for_others_is_a_helper() -> None:
    assert role(KEEPER) == "helper"


def test_what_does_so_in_a_thread_beside_its_work_is_none() -> None:
    assert role(POLL, KEEPER) == "worker"


def test_a_servers_function_of_that_name_is_none() -> None:
    assert role(stack("main@app.py:3 > Server.serve_forever@app/managers.py:176")) == "worker"
