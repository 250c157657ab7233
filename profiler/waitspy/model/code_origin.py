"""Whose code a frame is: the program's own, a framework's, another package's, or the library's."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

_PACKAGES = re.compile(r"(?:^|/)(?:site-packages|dist-packages)/([^/]+)")
_STDLIB = re.compile(r"(?:^|/)lib(?:64)?/python\d+(?:\.\d+)?t?(?:\.zip)?/|(?:^|/)python3\d+\.zip/")

FRAMEWORKS = frozenset({
    "_pytest", "aiohttp", "aiomisc", "amqp", "anyio", "asgiref", "billiard", "blacksheep",
    "celery", "click", "curio", "daphne", "django", "dramatiq", "eventlet", "falcon", "fastapi",
    "flask", "gevent", "granian", "greenlet", "grpc", "gunicorn", "huey", "hypercorn", "kombu",
    "litestar", "nest_asyncio", "nest_asyncio.py", "prometheus_client", "quart", "rq", "sanic",
    "sentry_sdk", "sniffio", "starlette", "tornado", "trio", "twisted", "typer", "uvicorn",
    "uvloop", "waitress", "werkzeug", "wrapt",
})  # fmt: skip
"""Packages that call the program's code, by the name of their folder."""


class Origin(Enum):
    """Where code comes from."""

    USER = "user"
    PACKAGE = "package"
    FRAMEWORK = "framework"
    STDLIB = "stdlib"


@lru_cache(maxsize=65536)
def origin(file: str) -> Origin:
    """Whose code that file holds; ``<string>`` and the like are the program's own."""
    package = _PACKAGES.search(file)
    if package:
        return Origin.FRAMEWORK if package[1] in FRAMEWORKS else Origin.PACKAGE
    if file.startswith("<frozen ") or _STDLIB.search(file):
        return Origin.STDLIB
    return Origin.USER


def package(file: str) -> str | None:
    """The top folder of an installed package, None for other code."""
    found = _PACKAGES.search(file)
    return found[1] if found else None


def short(file: str) -> str:
    """An installed file by its place in its package, a library file in the library."""
    found = _PACKAGES.search(file)
    if found:
        return file[found.start(1) :]
    library = _STDLIB.search(file)
    return file[library.end() :] if library else file


def base_name(function: str) -> str:
    """The last part of a name: frames are qualified from CPython 3.11 on only."""
    return function.rsplit(".", 1)[-1]
