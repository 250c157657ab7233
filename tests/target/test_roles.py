"""waitspy.target.roles: which part a process plays, from literal command lines."""

from __future__ import annotations

import pytest

from waitspy.target import roles
from waitspy.target.roles import Member, Part

PY = "/srv/.venv/bin/python3"
SPAWN = (
    PY,
    "-c",
    "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, pipe_handle=7)",
    "--multiprocessing-fork",
)
TRACKER = (PY, "-c", "from multiprocessing.resource_tracker import main;main(4)")
FORKSERVER = (PY, "-c", "from multiprocessing.forkserver import main; main(5, 6, ['__main__'])")
GUNICORN = (PY, "/srv/.venv/bin/gunicorn", "-w", "2", "app:app")
WORKER, MASTER, HELPER = "worker", "master", "helper"


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        ((PY, "app.py", "-m", "other"), "app"),
        ((PY, "-u", "-X", "dev", "/srv/bin/gunicorn", "app:app"), "gunicorn"),
        ((PY, "-Xdev", "-Wignore", "serve.py"), "serve"),
        ((PY, "-m", "uvicorn", "app:app"), "uvicorn"),
        ((PY, "-um", "celery.bin", "worker"), "celery"),
        ((PY, "-muvicorn", "app:app"), "uvicorn"),
        ((PY, "-Im", "daphne"), "daphne"),
        ((PY, "--check-hash-based-pycs", "always", "run.py"), "run"),
        ((PY, "-c", "pass", "gunicorn"), None),
        ((PY, "-"), None),
        ((PY,), None),
        ((PY, "-W"), None),
        ((PY, "-m"), None),
        ((), None),
    ],
)
def test_what_an_interpreter_was_told_to_run(argv: tuple[str, ...], name: str | None) -> None:
    assert roles.started(argv) == name


@pytest.mark.parametrize(
    ("argv", "framework"),
    [
        (GUNICORN, "gunicorn"),
        (("gunicorn: worker [app:app]",), "gunicorn"),
        (("[celeryd: celery@host:ForkPoolWorker-1]",), "celery"),
        ((PY, "-m", "celery", "-A", "proj", "worker"), "celery"),
        ((PY, "/v/bin/uvicorn", "app:app"), "uvicorn"),
        ((PY, "/v/bin/fastapi", "run"), "uvicorn"),
        ((PY, "-m", "hypercorn", "app"), "hypercorn"),
        ((PY, "/v/bin/daphne", "app"), "daphne"),
        ((PY, "/v/bin/granian", "app"), "granian"),
        ((PY, "manage.py", "runserver"), "django"),
        (("/usr/bin/uwsgi", "--ini", "x.ini"), "uwsgi"),
        (("uWSGI worker 1",), "uwsgi"),
        ((PY, "/v/bin/sanic", "app:app"), "sanic"),
        ((PY, "/v/bin/waitress-serve", "app:app"), "waitress"),
        ((PY, "-m", "waitress", "app:app"), "waitress"),
        ((PY, "/v/bin/dask", "worker", "tcp://a:1"), "dask"),
        ((PY, "-m", "distributed.cli.dask_worker", "tcp://a:1"), "dask"),
        ((PY, "/v/bin/dask-scheduler"), "dask"),
        ((PY, "/v/bin/jupyter-lab", "--port", "1"), "jupyter"),
        ((PY, "-m", "ipykernel_launcher", "-f", "kernel.json"), "jupyter"),
        ((PY, "-m", "homeassistant", "--config", "/config"), "home assistant"),
        ((PY, "/v/bin/hass"), "home assistant"),
        (("ray::Counter.increment",), "ray"),
        ((PY, "/v/ray/_private/workers/default_worker.py", "--node-ip=1"), "ray"),
        ((PY, "/v/bin/twistd", "-n", "web"), "twisted"),
        ((PY, "-m", "twisted", "web"), "twisted"),
        ((PY, "-m", "synapse.app.homeserver", "-c", "h.yaml"), "synapse"),
        ((PY, "/v/bin/synapse_worker"), "synapse"),
        ((PY, "/v/bin/streamlit", "run", "app.py"), "streamlit"),
        ((PY, "/v/bin/gradio", "app.py"), "gradio"),
        ((PY, "-m", "scrapy", "crawl", "spider"), "scrapy"),
        ((PY, "/v/bin/mitmdump", "-p", "8080"), "mitmproxy"),
        ((PY, "-m", "datasette", "serve", "a.db"), "datasette"),
        (("myserver", "-m", "uvicorn", "app:app"), "uvicorn"),
        ((PY, "server.py", "gunicorn"), None),
        ((), None),
    ],
)
def test_frameworks(argv: tuple[str, ...], framework: str | None) -> None:
    assert roles.framework(argv) == framework


def parts(*members: Member) -> dict[int, tuple[str, str | None]]:
    return {pid: (part.role, part.framework) for pid, part in roles.assign(members).items()}


def python(
    pid: int, ppid: int, argv: tuple[str, ...], image: tuple[int, int] | None = None
) -> Member:
    return Member(pid, ppid, argv, runtime="python", image=image)


def test_a_single_server_is_a_worker() -> None:
    assert roles.assign([python(10, 1, (PY, "app.py"))]) == {10: Part("worker", "python")}


def test_gunicorn_forks_with_the_masters_command_line() -> None:
    assert parts(python(10, 1, GUNICORN), python(11, 10, GUNICORN), python(12, 10, GUNICORN)) == {
        10: (MASTER, "gunicorn"),
        11: (WORKER, "gunicorn"),
        12: (WORKER, "gunicorn"),
    }


def test_gunicorn_with_titles_and_its_helper() -> None:
    assert parts(
        python(10, 1, ("gunicorn: master [app]",)),
        python(11, 10, ("gunicorn: worker [app]",)),
        python(12, 10, ("gunicorn: dirty-arbiter",)),
        python(13, 12, ("gunicorn: dirty-worker [app]",)),
    ) == {
        10: (MASTER, "gunicorn"),
        11: (WORKER, "gunicorn"),
        12: (HELPER, "gunicorn"),
        13: (WORKER, "gunicorn"),
    }


def test_uvicorn_with_spawned_workers_and_the_tracker() -> None:
    assert parts(
        python(10, 1, (PY, "-m", "uvicorn", "--workers", "2", "app:app")),
        python(11, 10, TRACKER),
        python(12, 10, SPAWN),
        python(13, 10, SPAWN),
    ) == {
        10: (MASTER, "uvicorn"),
        11: (HELPER, "uvicorn"),
        12: (WORKER, "uvicorn"),
        13: (WORKER, "uvicorn"),
    }


def test_the_children_of_a_fork_server_belong_to_what_started_it() -> None:
    assert parts(
        python(10, 1, (PY, "app.py")),
        python(11, 10, TRACKER),
        python(12, 10, FORKSERVER),
        python(13, 12, FORKSERVER),
        python(14, 12, FORKSERVER),
    ) == {
        10: (MASTER, "python"),
        11: (HELPER, "multiprocessing"),
        12: (HELPER, "multiprocessing"),
        13: (WORKER, "multiprocessing"),
        14: (WORKER, "multiprocessing"),
    }


def test_forks_that_changed_their_title_are_known_by_their_image() -> None:
    image = (7, 9)
    same = parts(python(10, 1, (PY, "app.py"), image), python(11, 10, ("app: job 1",), image))
    assert same == {10: (MASTER, "python"), 11: (WORKER, "multiprocessing")}
    other = parts(python(10, 1, (PY, "app.py"), image), python(11, 10, ("app: job 1",), (7, 8)))
    assert other == {10: (WORKER, "python"), 11: (WORKER, "python")}
    hidden = parts(python(10, 1, (PY, "app.py")), python(11, 10, ("app: job 1",)))
    assert hidden == other


def test_another_program_below_makes_no_master() -> None:
    assert parts(python(10, 1, (PY, "app.py")), python(11, 10, (PY, "other.py"))) == {
        10: (WORKER, "python"),
        11: (WORKER, "python"),
    }


def test_a_server_started_by_a_shell() -> None:
    assert parts(
        Member(9, 1, ("sh", "run.sh"), runtime=None),
        python(10, 9, GUNICORN),
        python(11, 10, GUNICORN),
    ) == {9: (HELPER, None), 10: (MASTER, "gunicorn"), 11: (WORKER, "gunicorn")}


def test_celery_with_its_beat() -> None:
    assert parts(
        python(10, 1, ("[celeryd: celery@h:MainProcess] -active- (worker)",)),
        python(11, 10, ("[celeryd: celery@h:ForkPoolWorker-1]",)),
        python(12, 10, ("[celery beat]",)),
    ) == {10: (MASTER, "celery"), 11: (WORKER, "celery"), 12: (HELPER, "celery")}


def test_a_child_with_a_lower_pid_than_its_parent() -> None:
    assert parts(python(500, 1, GUNICORN), python(20, 500, GUNICORN)) == {
        500: (MASTER, "gunicorn"),
        20: (WORKER, "gunicorn"),
    }


def test_a_process_that_seems_its_own_parent_ends() -> None:
    assert parts(python(10, 10, (PY, "a.py")), Member(11, 11, (), runtime=None)) == {
        10: (WORKER, "python"),
        11: (HELPER, None),
    }


def test_spawned_processes_without_their_parent() -> None:
    assert parts(python(12, 1, SPAWN), python(13, 1, TRACKER)) == {
        12: (WORKER, "multiprocessing"),
        13: (HELPER, "multiprocessing"),
    }


def test_what_runs_a_scenario_is_a_helper() -> None:
    package = "waitspy_scenarios.gil_hog"
    assert parts(
        python(10, 1, (PY, "-m", package, "--small")),
        python(11, 10, (PY, "-m", f"{package}.app", "8000")),
        python(12, 10, (PY, "-m", "waitspy_scenarios.x", "--pool", "thread")),
        python(13, 10, (PY, "-m", "uvicorn", f"{package}.app:app")),
    ) == {
        10: (HELPER, "python"),
        11: (WORKER, "python"),
        12: (WORKER, "python"),
        13: (WORKER, "uvicorn"),
    }


@pytest.mark.parametrize("option", ["--reload", "--workers=1"])
def test_the_supervisor_of_uvicorn_is_a_master(option: str) -> None:
    assert parts(
        python(10, 1, (PY, "-m", "uvicorn", option, "app:app")),
        python(11, 10, TRACKER),
        python(12, 10, SPAWN),
    ) == {10: (MASTER, "uvicorn"), 11: (HELPER, "uvicorn"), 12: (WORKER, "uvicorn")}


def test_the_manager_of_sanic_is_a_master() -> None:
    assert parts(
        python(10, 1, (PY, "-m", "sanic", "app:app")), python(11, 10, SPAWN), python(12, 10, SPAWN)
    ) == {10: (MASTER, "sanic"), 11: (WORKER, "sanic"), 12: (WORKER, "sanic")}


def node(pid: int, ppid: int, *argv: str) -> Member:
    return Member(pid, ppid, ("/usr/bin/node", *argv), runtime="node")


def test_node_is_a_worker_and_a_cluster_has_a_master() -> None:
    assert parts(node(10, 1, "server.js")) == {10: (WORKER, "node")}
    assert parts(node(10, 1, "server.js"), node(11, 10, "server.js")) == {
        10: (MASTER, "node"),
        11: (WORKER, "node"),
    }
    debugged = node(11, 10, "--inspect-port=9301", "/srv/app/server.js")
    assert parts(node(10, 1, "server.js"), debugged)[10] == (MASTER, "node")
    assert parts(node(10, 1, "server.js"), node(11, 10, "other.js"))[10] == (WORKER, "node")


def test_node_and_python_are_never_one_program() -> None:
    spawned = (PY, "-c", "from multiprocessing.spawn import spawn_main; spawn_main(3)")
    assert parts(
        node(10, 1, "master.js"), python(11, 10, (PY, "w.py")), python(12, 10, spawned)
    ) == {
        10: (WORKER, "node"),
        11: (WORKER, "python"),
        12: (WORKER, "multiprocessing"),
    }
