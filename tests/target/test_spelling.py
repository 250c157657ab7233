"""What a target names, by its spelling."""

from __future__ import annotations

import pytest

from waitspy.errors import TargetError
from waitspy.target import spelling
from waitspy.target.spelling import Spelled


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        (" 4711 ", Spelled("number", "4711", 4711)),
        (":8000", Spelled("port", "", 8000)),
        ("localhost:8000", Spelled("port", "localhost", 8000)),
        ("0.0.0.0:8000", Spelled("port", "0.0.0.0", 8000)),
        ("[::1]:8000", Spelled("port", "[::1]", 8000)),
        ("*:80", Spelled("port", "*", 80)),
        ("http://localhost:8000/a?b=c:1", Spelled("port", "localhost", 8000)),
        ("HTTP://shop.example", Spelled("port", "shop.example", 80)),
        ("https://u:p@shop.example/x", Spelled("port", "shop.example", 443)),
        ("http://[::1]:8000", Spelled("port", "[::1]", 8000)),
        ("https://shop.example:/", Spelled("port", "shop.example", 443)),
        ("web@1.service", Spelled("unit", "web@1.service")),
        ("0123456789ab", Spelled("container", "0123456789ab")),
        ("123456789012", Spelled("container", "123456789012")),
        ("0123456789a", Spelled("pattern", "0123456789a")),
        ("shop:app", Spelled("pattern", "shop:app")),
        ("gunicorn", Spelled("pattern", "gunicorn")),
        ("postgres://db/x", Spelled("pattern", "postgres://db/x")),
        ("http://a b:1:2", Spelled("pattern", "http://a b:1:2")),
    ],
)
def test_what_a_target_names(target: str, meant: Spelled) -> None:
    assert spelling.read(target) == meant


@pytest.mark.parametrize("target", ["http://x:0/", "localhost:65536", "http://x:999999"])
def test_ports_that_cannot_be(target: str) -> None:
    with pytest.raises(TargetError, match="is no port"):
        spelling.read(target)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("", True),
        ("[::1]", True),
        ("127.1.2.3", True),
        ("LocalHost", True),
        ("shop.example", False),
    ],
)
def test_hosts_that_are_this_machine(host: str, here: bool) -> None:
    assert spelling.is_here(host) is here
