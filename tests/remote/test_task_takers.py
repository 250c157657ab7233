"""Whether code takes from what it has under a name; who takes is tried on real programs (live)."""

from __future__ import annotations

import pytest

from waitspy.remote.task_takers import _takes_from


@pytest.mark.parametrize(
    ("name", "code", "takes"),
    [
        ("", ("cache", "get"), True),
        ("jobs", ("jobs", "get"), True),
        ("jobs", ("run", "jobs", "get_nowait"), True),
        ("jobs", ("cache", "get", "jobs", "qsize"), False),
        ("jobs", ("get",), False),
    ],
)
def test_an_attribute_is_taken_from_where_that_is_what_follows(
    name: str, code: tuple[str, ...], *, takes: bool
) -> None:
    assert _takes_from(name, code) is takes
