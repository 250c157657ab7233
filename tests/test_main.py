"""The program's first lines, before the command line is imported."""

from __future__ import annotations

import sys

import pytest

from waitspy.__main__ import main


@pytest.mark.parametrize("system", ["darwin", "win32", "freebsd14"])
def test_elsewhere_than_on_linux_it_says_so_and_ends(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(SystemExit) as ended:
        main()
    what, remedy = str(ended.value.code).splitlines()
    assert what.startswith("waitspy: ")
    assert system in what
    assert remedy == "  try: run it on Linux, beside the server"
