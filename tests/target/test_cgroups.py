"""Units and containers, by cgroups as /proc tells them."""

from __future__ import annotations

import pytest

from waitspy.errors import TargetError
from waitspy.kernel import procfs
from waitspy.target import cgroups, runtimes

ID = "0123456789ab" + "c" * 52
OTHER = "0123456789ab" + "d" * 52
PATHS = {
    10: b"0::/system.slice/web.service\n",
    11: b"0::/system.slice/web.service/inner\n",
    12: b"0::/system.slice/my-web.service\n",
    20: f"9:pids:/docker/{ID}\n0::/\n".encode(),
    21: f"0::/kubepods/cri-containerd-{OTHER}.scope\n".encode(),
}
PARENTS = {10: 1, 11: 10, 12: 1, 20: 1, 21: 1}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    def stats(of: object = None) -> dict[int, procfs.Stat]:
        return {p: procfs.Stat(p, "x", "S", up, False, 1, 1, None) for p, up in PARENTS.items()}

    monkeypatch.setattr(procfs, "pids", lambda: set(PATHS))
    monkeypatch.setattr(procfs, "stats", stats)
    monkeypatch.setattr(procfs, "read", lambda pid, _: PATHS[pid])
    monkeypatch.setattr(runtimes, "is_known", lambda pid: pid in {10, 11, 12, 20, 21})


def test_a_unit_is_the_topmost_python_in_its_cgroup() -> None:
    assert cgroups.by_unit("web.service") == (10,)
    with pytest.raises(TargetError, match=r"unit eb\.service") as caught:
        cgroups.by_unit("eb.service")
    assert "systemctl status" in caught.value.hint


def test_a_container_is_found_by_the_beginning_of_its_id() -> None:
    assert cgroups.by_container(ID) == (20,)
    assert cgroups.by_container(OTHER[:20]) == (21,)
    assert cgroups.by_container("123456789abc") == ()
    with pytest.raises(TargetError, match="2 containers"):
        cgroups.by_container(ID[:12])
