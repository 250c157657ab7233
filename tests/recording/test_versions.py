"""What ``docs/upgrading.md`` promises: recordings of the same schema load, older or newer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from waitspy.errors import RecordingError
from waitspy.recording import loading
from waitspy.recording.folder import SCHEMA

GOLDEN = Path(__file__).parents[1] / "golden" / "parked"


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """A recording as a later version might write it."""
    path = tmp_path / "rec"
    shutil.copytree(GOLDEN, path)
    change_meta(path, lambda meta: meta | {"colour": "green", "cost": meta["cost"] | {"gpu_s": 1}})
    stream(path).write_text("".join(map(longer, stream(path).read_text().splitlines())))
    (path / "oracles" / "locks").mkdir()
    (path / "oracles" / "locks" / "8107.jsonl").write_text('{"type":"start"}\n["lock",1]\n')
    return path


def stream(path: Path) -> Path:
    return path / "oracles" / "epoll" / "8107.jsonl"


def longer(line: str) -> str:
    row = json.loads(line)
    return json.dumps([*row, "new"] if isinstance(row, list) else row | {"new": 1}) + "\n"


def change_meta(path: Path, change: Any) -> None:
    file = path / "meta.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def test_what_an_earlier_version_did_not_look_at_is_not_told() -> None:
    (worker,) = loading.load(str(GOLDEN)).workers
    assert worker.oracles.keys() == {"threads", "epoll"}
    recording = loading.load(str(GOLDEN))
    assert (recording.info.looks, recording.losses) == (None, ())


def test_what_a_later_version_added_is_ignored(later: Path) -> None:
    assert loading.load(str(later)) == loading.load(str(GOLDEN))


def test_a_row_that_is_not_known_is_left_out_and_told(later: Path) -> None:
    with stream(later).open("a") as f:
        f.write('["paused",3985962299591,4,1]\n{"type":"end","why":"x"}\n')
    changed, golden = loading.load(str(later)), loading.load(str(GOLDEN))
    assert changed.workers == golden.workers
    (loss,) = changed.losses
    assert loss.pid == 8107
    assert (loss.what, loss.why) == ("1 of the epoll rows", "they cannot be read")


@pytest.mark.parametrize("schema", ["waitspy.recording/1", "waitspy.recording/3"])
def test_another_schema_is_refused_and_both_are_named(later: Path, schema: str) -> None:
    change_meta(later, lambda meta: meta | {"schema": schema})
    with pytest.raises(RecordingError) as refused:
        loading.load(str(later))
    assert schema in str(refused.value)
    assert SCHEMA in str(refused.value)
    assert "the waitspy that wrote it" in refused.value.hint
