"""Whose code a file holds, told from its path inside the target."""

from __future__ import annotations

import pytest

from waitspy.model.code_origin import (
    CodePath,
    Home,
    Homes,
    Origin,
    Program,
    base_name,
    home_by_path,
)
from waitspy.model.known_packages import FRAMEWORKS


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/srv/app/main.py", Origin.USER),
        ("main.py", Origin.USER),
        ("<string>", Origin.USER),
        ("<stdin>", Origin.USER),
        ("", Origin.USER),
        ("/srv/library/python3/app.py", Origin.USER),
        ("/srv/lib/app.py", Origin.USER),
        ("/home/me/site-packages.py", Origin.USER),
        ("/usr/lib/python3.12/asyncio/events.py", Origin.STDLIB),
        ("/usr/lib64/python3.9/queue.py", Origin.STDLIB),
        ("/opt/python/lib/python3.13t/threading.py", Origin.STDLIB),
        ("/usr/lib/python3/typing.py", Origin.STDLIB),
        ("/usr/lib/python311.zip/queue.py", Origin.STDLIB),
        ("lib/python3.12/queue.py", Origin.STDLIB),
        ("<frozen importlib._bootstrap>", Origin.STDLIB),
        ("<frozen runpy>", Origin.STDLIB),
        ("/app/.venv/lib/python3.12/site-packages/requests/api.py", Origin.PACKAGE),
        ("/usr/lib/python3/dist-packages/yaml/__init__.py", Origin.PACKAGE),
        ("/app/.venv/lib/python3.12/site-packages/six.py", Origin.PACKAGE),
        ("/app/.venv/lib/python3.12/site-packages/uvicorn/main.py", Origin.FRAMEWORK),
        ("/usr/lib/python3/dist-packages/gunicorn/arbiter.py", Origin.FRAMEWORK),
        ("/app/.venv/lib/python3.12/site-packages/nest_asyncio.py", Origin.FRAMEWORK),
    ],
)
def test_origin(file: str, expected: Origin) -> None:
    assert home_by_path(file).origin is expected
    assert Homes().of(file) == home_by_path(file)


def test_every_framework_is_known_by_its_folder() -> None:
    for name in FRAMEWORKS:
        file = f"/v/lib/python3.12/site-packages/{name}/x.py"
        assert home_by_path(file).origin is Origin.FRAMEWORK


def test_package_is_the_top_folder_of_installed_code_only() -> None:
    installed = "/v/lib/python3.12/site-packages/requests/adapters.py"
    assert home_by_path(installed).package == "requests"
    assert home_by_path("/usr/lib/python3.12/queue.py").package is None
    assert home_by_path("/srv/app/main.py").package is None


def test_short_names_the_place_in_package_or_library() -> None:
    installed = "/v/lib/python3.12/site-packages/requests/api.py"
    assert home_by_path(installed).short == "requests/api.py"
    assert home_by_path("/usr/lib/python3.12/asyncio/events.py").short == "asyncio/events.py"
    assert home_by_path("/srv/app/main.py").short == "/srv/app/main.py"


def test_base_name_drops_the_qualification() -> None:
    assert base_name("Queue.get") == "get"
    assert base_name("get") == "get"
    assert base_name("outer.<locals>.inner") == "inner"


# --- what is no file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "expected", "package"),
    [
        ("<attrs generated init app.models.User>", Origin.PACKAGE, "attr"),
        ("<sqlalchemy.orm generated>", Origin.PACKAGE, "sqlalchemy"),
        ("<__array_function__ internals>", Origin.PACKAGE, "numpy"),
        ("<trio generated>", Origin.FRAMEWORK, "trio"),
        ("<frozen uvicorn.main>", Origin.FRAMEWORK, "uvicorn"),
        ("<frozen os>", Origin.STDLIB, None),
        ("<frozen _sitebuiltins>", Origin.STDLIB, None),
        ("<frozen shop.orders>", Origin.USER, None),
        ("<ipython-input-3-af33>", Origin.USER, None),
    ],
)
def test_what_is_named_after_a_package_is_its_own(
    file: str, expected: Origin, package: str | None
) -> None:
    assert home_by_path(file) == Home(expected, package, file)


@pytest.mark.parametrize("file", ["<template>", "<shop generated>", "<>", "<"])
def test_other_code_without_a_file_was_made_by_somebody(file: str) -> None:
    assert home_by_path(file) == Home(Origin.USER, None, file, made=True)


def test_a_string_is_the_program_only_where_that_was_started_so() -> None:
    own = Home(Origin.USER, None, "<string>")
    assert home_by_path("<string>") == own
    assert Homes([Program()]).of("<string>") == own  # it does not say
    assert Homes([Program(argv0="-c")]).of("<string>") == own
    assert Homes([Program(argv0="/app/main.py")]).of("<string>").made
    assert not Homes([Program(argv0="/app/main.py")]).of("<stdin>").made


# --- where the interpreter says that code is ------------------------------------------------------

SERVER = Program(
    (
        CodePath("/opt/py/lib/python3.12", "library"),
        CodePath("/app", "program"),
        CodePath("/app/lib/python3.12/shop", "program"),
        CodePath("/deps", "mixed", ("slow", "six.py", "uvicorn")),
        CodePath("/bundle.pyz", "mixed"),
        CodePath("/wheels/slow.whl", "packages"),
        CodePath("vendor", "mixed", ("slow",)),
    ),
    "/app/main.py",
)


@pytest.mark.parametrize(
    ("file", "home"),
    [
        ("/app/main.py", Home(Origin.USER, None, "/app/main.py")),
        # A program may lie where only a library seems to.
        ("/app/lib/python3.12/shop/a.py", Home(Origin.USER, None, "/app/lib/python3.12/shop/a.py")),
        ("/opt/py/lib/python3.12/queue.py", Home(Origin.STDLIB, None, "queue.py")),
        ("/app/redis/cli.py", Home(Origin.USER, None, "/app/redis/cli.py")),
        ("/deps/slow/api.py", Home(Origin.PACKAGE, "slow", "slow/api.py")),
        ("/deps/six.py", Home(Origin.PACKAGE, "six.py", "six.py")),
        ("/deps/uvicorn/main.py", Home(Origin.FRAMEWORK, "uvicorn", "uvicorn/main.py")),
        ("/deps/shop/orders.py", Home(Origin.USER, None, "/deps/shop/orders.py")),
        # Installers note all packages or none.
        ("/deps/redis/cli.py", Home(Origin.USER, None, "/deps/redis/cli.py")),
        ("/bundle.pyz/redis/cli.py", Home(Origin.PACKAGE, "redis", "redis/cli.py")),
        ("/bundle.pyz/trio/_run.py", Home(Origin.FRAMEWORK, "trio", "trio/_run.py")),
        ("/bundle.pyz/__main__.py", Home(Origin.USER, None, "/bundle.pyz/__main__.py")),
        ("/wheels/slow.whl/slow/a.py", Home(Origin.PACKAGE, "slow", "slow/a.py")),
        ("/wheels/slow.whl/click/a.py", Home(Origin.FRAMEWORK, "click", "click/a.py")),
        ("vendor/slow/api.py", Home(Origin.PACKAGE, "slow", "slow/api.py")),
        ("vendored/slow/api.py", Home(Origin.USER, None, "vendored/slow/api.py")),
        ("queue.py", Home(Origin.USER, None, "queue.py")),
        # Of an interpreter that was not asked.
        ("/app/env/lib/python3.9/queue.py", Home(Origin.STDLIB, None, "queue.py")),
        ("/app/env/lib/python3.9/site-packages/a/b.py", Home(Origin.PACKAGE, "a", "a/b.py")),
        ("/usr/lib/python3.9/queue.py", Home(Origin.STDLIB, None, "queue.py")),
        ("/elsewhere/x.py", Home(Origin.USER, None, "/elsewhere/x.py")),
    ],
)
def test_places_that_an_interpreter_names(file: str, home: Home) -> None:
    assert Homes([SERVER]).of(file) == home


FROZEN = Program(
    (
        CodePath("", "mixed", ("slow",)),
        CodePath("/tmp/_MEI1", "mixed", ("slow",)),
        CodePath("/tmp/_MEI1/base_library.zip", "library"),
    )
)


@pytest.mark.parametrize(
    ("file", "home"),
    [
        ("main.py", Home(Origin.USER, None, "main.py")),
        ("shop/orders.py", Home(Origin.USER, None, "shop/orders.py")),
        ("threading.py", Home(Origin.STDLIB, None, "threading.py")),
        ("asyncio/events.py", Home(Origin.STDLIB, None, "asyncio/events.py")),
        ("slow/api.py", Home(Origin.PACKAGE, "slow", "slow/api.py")),
        ("requests/api.py", Home(Origin.PACKAGE, "requests", "requests/api.py")),
        ("uvicorn/main.py", Home(Origin.FRAMEWORK, "uvicorn", "uvicorn/main.py")),
        ("/tmp/_MEI1/slow/api.py", Home(Origin.PACKAGE, "slow", "slow/api.py")),
        ("/tmp/_MEI1/base_library.zip/enum.py", Home(Origin.STDLIB, None, "enum.py")),
    ],
)
def test_files_of_a_frozen_program_have_no_folder(file: str, home: Home) -> None:
    assert Homes([FROZEN]).of(file) == home


def test_one_worker_may_know_more_than_another() -> None:
    early = Program((CodePath("/srv", "program"), CodePath("/lib", "library")), "/srv/main.py")
    late = Program((CodePath("/srv", "mixed", ("slow",)), CodePath("/lib", "program")), "-c")
    for told in ([early, late], [late, early]):
        homes = Homes(told)
        assert homes.of("/srv/slow/a.py").package == "slow"
        assert homes.of("/lib/queue.py").origin is Origin.STDLIB
        assert not homes.of("<string>").made


def test_a_root_folder_may_be_a_place_too() -> None:
    homes = Homes([Program((CodePath("/", "mixed", ("slow",)),))])
    assert homes.of("/slow/a.py") == Home(Origin.PACKAGE, "slow", "slow/a.py")


def test_what_was_named_earlier_holds_on() -> None:
    early = Program((CodePath("/a", "program"), CodePath("/b", "program")), "main.py")
    late = Program((CodePath("/a", "mixed"),), "main.py")
    assert late.after(early).paths == (CodePath("/a", "mixed"), CodePath("/b", "program"))


@pytest.mark.parametrize(
    ("file", "home"),
    [
        ("node:internal/timers", Home(Origin.STDLIB, None, "node:internal/timers")),
        ("/app/worker.js", Home(Origin.USER, None, "/app/worker.js")),
        (
            "/app/node_modules/piscina/dist/worker.js",
            Home(Origin.PACKAGE, "piscina", "piscina/dist/worker.js"),
        ),
        (
            "/app/node_modules/a/node_modules/@scope/b/index.js",
            Home(Origin.PACKAGE, "@scope/b", "@scope/b/index.js"),
        ),
    ],
)
def test_what_belongs_to_node(file: str, home: Home) -> None:
    assert home_by_path(file) == home
    frozen = Program((CodePath("", "mixed"), CodePath("/app", "program")))
    assert Homes([frozen]).of(file).origin is home.origin
