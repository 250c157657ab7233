"""What is a program and what was installed, in folders and zip files of this very process."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from waitspy.capture import code_origin
from waitspy.model.code_origin import CodePath
from waitspy.remote.values import ImportFacts

RECORD = """slow/__init__.py,sha256=x,10
slow/deep/a.py,,
../../bin/slow,,
six.py,,
slow-1.0.dist-info/RECORD,,
__pycache__/six.cpython-312.pyc,,
"odd/a, b.py",,
"""
INSTALLED = ("odd", "six.py", "slow")


def told(*path: str | Path, frozen: bool = False, bundle: str | None = None) -> ImportFacts:
    return ImportFacts(
        path=tuple(map(str, path)),
        prefixes=("/opt/py", ""),
        library="/opt/py/lib/python3.12",
        frozen=frozen,
        bundle=bundle,
        argv0="main.py",
    )


def paths(facts: ImportFacts) -> tuple[CodePath, ...]:
    found = code_origin.program(os.getpid(), [facts])
    assert found.argv0 == "main.py"
    return found.paths


LIBRARY = CodePath("/opt/py/lib/python3.12", "library")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/opt/py/lib/python312.zip", "library"),
        ("/opt/py/lib/python3.12/lib-dynload/", "library"),
        ("/opt/py/lib64/python3.12", "library"),
        ("/opt/py/share/tool/python3", "program"),
        ("/else/lib/python3.12", "program"),
        ("/opt/py/lib/python3.12/site-packages", "packages"),
        ("/usr/lib/python3/dist-packages", "packages"),
        ("/srv/__pypackages__/3.12/lib", "packages"),
        ("/root/.pex/installed_wheels/af/slow-1.0-py3-none-any.whl", "packages"),
        ("/var/runtime", "packages"),
        ("/var/task", "mixed"),
        ("/opt/python", "mixed"),
        ("/nowhere/app", "program"),
    ],
)
def test_places_by_their_name(path: str, kind: str) -> None:
    place = path.rstrip("/")
    assert paths(told(path)) == (LIBRARY, CodePath(place, kind))  # type: ignore[arg-type]


def test_an_empty_path_and_one_that_comes_twice(tmp_path: Path) -> None:
    own = CodePath(str(tmp_path), "program")
    assert paths(told("", tmp_path, tmp_path, f"{tmp_path}/", "/opt/py/lib/python3.12")) == (
        LIBRARY,
        own,
    )


def installed_in(folder: Path) -> Path:
    (folder / "slow-1.0.dist-info").mkdir(parents=True)
    (folder / "slow-1.0.dist-info" / "RECORD").write_text(RECORD, "utf-8")
    return folder


def test_a_folder_that_was_installed_into(tmp_path: Path) -> None:
    folder = installed_in(tmp_path / "deps")
    (folder / "empty-1.0.dist-info").mkdir()  # without a note of what it is
    assert paths(told(folder)) == (LIBRARY, CodePath(str(folder), "mixed", INSTALLED))


def test_a_folder_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_in(tmp_path / "vendor")
    monkeypatch.chdir(tmp_path)
    assert paths(told("vendor")) == (LIBRARY, CodePath("vendor", "mixed", INSTALLED))


def zipped(path: Path, *folders: str, before: bytes = b"") -> Path:
    path.write_bytes(before)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__main__.py", "")
        for folder in folders:
            archive.writestr(f"{folder}slow-1.0.dist-info/RECORD", RECORD)
    return path


def test_a_zip_file(tmp_path: Path) -> None:
    bundle = zipped(tmp_path / "app.pyz", "", before=b"#!/usr/bin/python3\n")
    assert paths(told(bundle)) == (LIBRARY, CodePath(str(bundle), "mixed", INSTALLED))


def test_a_folder_inside_of_a_zip_file(tmp_path: Path) -> None:
    bundle = zipped(tmp_path / "app.pyz", "lib/deep/")
    for inside, found in (("lib/deep", INSTALLED), ("lib", ()), ("library/deep", ())):
        place = f"{bundle}/{inside}"
        assert paths(told(place)) == (LIBRARY, CodePath(place, "mixed", found))
    assert paths(told(bundle)) == (LIBRARY, CodePath(str(bundle), "mixed"))


def test_a_zip_file_without_notes_is_packed_all_the_same(tmp_path: Path) -> None:
    bundle = zipped(tmp_path / "app.pyz")
    assert paths(told(bundle)) == (LIBRARY, CodePath(str(bundle), "mixed"))


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip", b"PK\5\6", b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xff" * 18],
    ids=["empty", "text", "cut", "zeros", "too large"],
)
def test_what_is_no_zip_file_breaks_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.zip"
    file.write_bytes(content)
    (library, place) = paths(told(file))
    assert (library, place.path, place.installed) == (LIBRARY, str(file), ())


def test_a_damaged_zip_file_breaks_nothing(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "app.pyz", "").read_bytes()
    file = tmp_path / "torn.pyz"
    for n in range(0, len(whole), 7):
        file.write_bytes(whole[:n] + b"\xff" + whole[n + 1 :])
        (_, place) = paths(told(file))
        assert place.path == str(file)


def test_a_pipe_and_a_link_that_leads_nowhere_break_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    folder = tmp_path / "deps"
    (folder / "slow-1.0.dist-info").mkdir(parents=True)
    os.mkfifo(folder / "slow-1.0.dist-info" / "RECORD")
    for place in (tmp_path / "pipe", tmp_path / "loop", folder):
        assert paths(told(place)) == (LIBRARY, CodePath(str(place), "program"))


def test_a_frozen_program_has_files_without_a_folder(tmp_path: Path) -> None:
    bundle = str(installed_in(tmp_path))
    facts = ImportFacts(
        (f"{bundle}/base_library.zip", f"{bundle}/lib-dynload", bundle),
        (bundle,),
        bundle,  # it says that its library is there, too
        frozen=True,
        bundle=bundle,
        argv0="main.py",
    )
    assert paths(facts) == (
        CodePath("", "mixed", INSTALLED),
        CodePath(f"{bundle}/base_library.zip", "library"),
        CodePath(f"{bundle}/lib-dynload", "library"),
        CodePath(bundle, "mixed", INSTALLED),
    )
    assert paths(told(frozen=True)) == (CodePath("", "mixed"),)


def test_a_process_that_is_gone_says_nothing() -> None:
    assert code_origin.program(1 << 22, [told("/app")]).paths == ()
