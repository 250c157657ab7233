"""Kinds of findings: each has its own name, title and verdicts."""

from __future__ import annotations

import pytest

from tests.examples.build import at
from waitspy.judge.episode import Starvation
from waitspy.model import kinds
from waitspy.model.kinds import KINDS, NO_CPU, VERDICTS, Kind, Verdict


def test_every_kind_is_in_the_table_once() -> None:
    defined = [value for value in vars(kinds).values() if isinstance(value, Kind)]
    assert list(KINDS.values()) == defined
    assert len(KINDS) == len({kind.title for kind in defined}) == len(defined)
    assert all(name == kind.name for name, kind in KINDS.items())


def test_what_befalls_loops_and_pools_is_said_of_both() -> None:
    told = f"{NO_CPU.title}: {NO_CPU.meaning}"
    assert "loop" not in told
    assert "pool" not in told


def test_every_verdict_is_that_of_a_kind() -> None:
    assert {verdict for kind in KINDS.values() for verdict in kind.verdicts} == set(VERDICTS)
    assert all(kind.verdict != "latent" for kind in KINDS.values())


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_an_episode_has_a_verdict_that_its_kind_can_have(kind: Kind, verdict: Verdict) -> None:
    def episode() -> Starvation:
        return Starvation(kind, verdict, 100, 100, "a loop", at(0), at(1), {}, None, ())

    if verdict in kind.verdicts:
        assert episode().latent is (verdict == "latent")
    else:
        with pytest.raises(ValueError, match="is never"):
            episode()
