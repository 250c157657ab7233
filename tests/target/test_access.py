"""waitspy.target.access: the decision from facts, and the probe on processes of this test."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from waitspy.target import access
from waitspy.target.access import Access, Facts

MINE = Facts(
    uid=1000,
    can_ptrace=False,
    target_uids=(1000, 1000, 1000, 1000),
    target_owner=1000,
    same_user_namespace=True,
    descendant=False,
    yama=None,
    contained=False,
    probe="allowed",
)
DENIED = replace(MINE, probe="denied")


@pytest.mark.parametrize(
    "facts",
    [
        MINE,
        replace(MINE, yama=0),
        replace(MINE, uid=0, can_ptrace=True, target_owner=0, yama=2),
        replace(MINE, probe="unknown"),
        replace(MINE, yama=1, can_ptrace=True, descendant=True),
    ],
)
def test_what_the_kernel_allows_is_allowed(facts: Facts) -> None:
    assert access.decide(facts) == Access(ok=True)


@pytest.mark.parametrize(
    ("facts", "why", "remedy"),
    [
        (replace(DENIED, target_uids=(0, 0, 0, 0)), "runs as root, waitspy as user 1000", "sudo"),
        (replace(DENIED, target_uids=(33, 33, 33, 33)), "it runs as user 33", "sudo"),
        (replace(DENIED, target_uids=(1000, 0, 0, 0)), "it runs as root", "sudo"),
        (replace(DENIED, target_owner=0), "not dumpable", "sudo"),
        (replace(DENIED, yama=1), "only its parents", "sysctl kernel.yama.ptrace_scope=0"),
        (replace(DENIED, yama=2), "only processes with CAP_SYS_PTRACE", "sudo"),
        (replace(DENIED, yama=3, can_ptrace=True), "even to root", "boot"),
        (replace(DENIED, can_ptrace=True, same_user_namespace=False), "user namespace", "host"),
        (replace(DENIED, can_ptrace=True), "AppArmor", "apparmor=unconfined"),
        (DENIED, "capabilities that waitspy lacks", "sudo"),
        (replace(MINE, probe="blocked"), "seccomp", "--cap-add SYS_PTRACE"),
        (replace(MINE, probe="files"), "its files in /proc", "CAP_DAC_READ_SEARCH"),
        (replace(MINE, yama=1, descendant=True), "only its parents", "sysctl"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(facts: Facts, why: str, remedy: str) -> None:
    decided = access.decide(facts)
    assert not decided.ok
    assert decided.why is not None
    assert why in decided.why
    assert decided.remedy is not None
    assert remedy in decided.remedy
    assert "\n" not in decided.why + decided.remedy


@pytest.mark.parametrize(
    ("kubernetes", "parts"),
    [
        (
            False,
            ("docker exec --user root", "docker run --cap-add SYS_PTRACE", "--pid=container:NAME"),
        ),
        (
            True,
            (
                'securityContext.capabilities.add: ["SYS_PTRACE"]',
                "shareProcessNamespace: true",
                "kubectl debug --profile=general --target=",
            ),
        ),
    ],
)
def test_in_a_container_the_remedy_is_that_of_its_kind(
    kubernetes: bool, parts: tuple[str, ...]
) -> None:
    facts = replace(DENIED, target_uids=(0,), contained=True, kubernetes=kubernetes)
    remedy = access.decide(facts).remedy
    assert remedy is not None
    assert "from the host, as root, nothing has to change" in remedy
    assert all(part in remedy for part in ("CAP_SYS_PTRACE", *parts))
    assert ("docker" in remedy) is not kubernetes
    assert "sudo" not in remedy


def test_this_process_may_look_into_itself() -> None:
    assert access.probe(os.getpid()) == "allowed"
    facts = access.read_facts(os.getpid())
    assert facts.uid == os.geteuid()
    assert facts.target_uids[0] == os.getuid()
    assert facts.same_user_namespace
    assert not facts.descendant


@pytest.mark.ptrace
def test_in_a_user_namespace_of_its_own_no_security_module_is_suspected() -> None:
    asks = (
        f"from waitspy.target import access; facts = access.read_facts({os.getpid()}); "
        "print(facts.can_ptrace, access.decide(facts).why)"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", asks],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("True it lives in another user namespace"), done.stdout


def test_what_is_gone_raises() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(ProcessLookupError):
        access.may_attach(child)
    assert access.probe(child) == "unknown"
