"""Whose code a file holds, told from its path inside the target."""

from __future__ import annotations

import pytest

from waitspy.model.code_origin import FRAMEWORKS, Origin, base_name, origin, package, short


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
    assert origin(file) is expected


def test_every_framework_is_known_by_its_folder() -> None:
    for name in FRAMEWORKS:
        assert origin(f"/v/lib/python3.12/site-packages/{name}/x.py") is Origin.FRAMEWORK


def test_package_is_the_top_folder_of_installed_code_only() -> None:
    assert package("/v/lib/python3.12/site-packages/requests/adapters.py") == "requests"
    assert package("/usr/lib/python3.12/queue.py") is None
    assert package("/srv/app/main.py") is None


def test_short_names_the_place_in_package_or_library() -> None:
    assert short("/v/lib/python3.12/site-packages/requests/api.py") == "requests/api.py"
    assert short("/usr/lib/python3.12/asyncio/events.py") == "asyncio/events.py"
    assert short("/srv/app/main.py") == "/srv/app/main.py"


def test_base_name_drops_the_qualification() -> None:
    assert base_name("Queue.get") == "get"
    assert base_name("get") == "get"
    assert base_name("outer.<locals>.inner") == "inner"
