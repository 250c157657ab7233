"""The documentation is complete and true: options, JSON keys, kinds, links, shown reports."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from docs import gallery
from tests.commands.invoking import subcommands
from waitspy.cli import main
from waitspy.model.kinds import KINDS, VERDICTS
from waitspy.model.oracle_names import WATCHED
from waitspy.model.waits import WaitKind
from waitspy.render import FLAMEGRAPHS
from waitspy.render.reports.json_report import schema
from waitspy.target.interpreter import NEWEST, OLDEST
from waitspy_scenarios import Expected

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
READING = DOCS / "reading-the-report.md"

# --- pages as text -----------------------------------------------------------------------------


def sections(page: Path) -> dict[str, str]:
    """The text below each heading, by heading, up to the next heading."""
    parts = re.split(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for n, row in enumerate(cells) if "---" not in row[0] and not _is_head(cells, n)]


def _is_head(cells: list[list[str]], n: int) -> bool:
    return n + 1 < len(cells) and set(cells[n + 1][0]) == {"-"}


def coded(cell: str) -> list[str]:
    """What a cell marks as code."""
    return re.findall(r"`([^`]+)`", cell)


def tokens(page: Path) -> Iterator[Token]:
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        yield token
        yield from token.children or ()


# --- links -------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found: dict[str, int] = {}
    names = set()
    for title in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [str(t.attrs["href"]) for t in tokens(page) if t.type == "link_open"]
    links += [str(t.attrs["src"]) for t in tokens(page) if t.type == "image"]
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_are_told_in_words(page: Path) -> None:
    assert all(len(t.content) > 20 for t in tokens(page) if t.type == "image")


def test_the_index_names_every_page() -> None:
    index = {str(t.attrs["href"]) for t in tokens(DOCS / "README.md") if t.type == "link_open"}
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= index


PLACES = {
    ROOT / "CONTRIBUTING.md": ("", "profiler/waitspy", "tests", "docs"),
    ROOT / "frontend" / "README.md": (
        "",
        "frontend",
        "frontend/src",
        "profiler/waitspy/render/reports",
    ),
}
"""Pages that name files, and the folders that they mean."""


@pytest.mark.parametrize("page", PLACES, ids=lambda page: page.parent.name)
def test_files_that_a_page_for_contributors_names_exist(page: Path) -> None:
    told = {t.content for t in tokens(page) if t.type == "code_inline"}
    named = {text for text in told if re.fullmatch(r"[\w./-]+(/|\.(py|json|md|mjs|ts|css))", text)}
    assert len(named) > 10
    folders = [ROOT / folder for folder in PLACES[page]]
    assert {n for n in named if not any((folder / n).exists() for folder in folders)} == set()


# --- commands ----------------------------------------------------------------------------------


def commands(group: click.Group, prefix: str = "waitspy") -> Iterator[tuple[str, click.Command]]:
    for name, command in subcommands(group).items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


COMMANDS = dict(commands(main))


def options(command: click.Command) -> list[click.Option]:
    return [param for param in command.params if isinstance(param, click.Option)]


def named(option: click.Option) -> str:
    """How the first column names an option."""
    takes = "" if option.is_flag else f" {option.metavar or (option.name or '').strip('_').upper()}"
    names = sorted(option.opts, key=len)
    return ", ".join(f"`{name}`" for name in [*names[:-1], names[-1] + takes])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented_and_no_other(name: str) -> None:
    table = {
        row[0]: row[1:] for row in rows(sections(DOCS / "commands.md")[name]) if row[0][1] == "-"
    }
    assert sorted(table) == sorted(map(named, options(COMMANDS[name])))
    for option in options(COMMANDS[name]):
        meaning, default = table[named(option)]
        if isinstance(option.type, click.Choice):
            assert set(coded(meaning)) >= set(option.type.choices)
        if option.show_default:
            shown = option.default
            assert default == (f"{shown:g}" if isinstance(shown, float) else str(shown))


def test_only_commands_that_exist_are_documented() -> None:
    told = {title for title in sections(DOCS / "commands.md") if title.startswith("waitspy ")}
    assert told == set(COMMANDS)


def test_every_format_of_profiles_is_explained_and_no_other() -> None:
    told = [row[0] for row in rows(sections(DOCS / "commands.md")["waitspy flamegraph"])]
    assert [cell for cell in told if not cell.startswith("`-")] == [
        f"`{name}`" for name in FLAMEGRAPHS
    ]


# --- the report --------------------------------------------------------------------------------

SCHEMA: dict[str, Any] = schema()
OBJECTS = {"The report": SCHEMA} | SCHEMA["$defs"]


@pytest.mark.parametrize("name", OBJECTS)
def test_every_key_of_the_json_report_is_documented_and_no_other(name: str) -> None:
    text = sections(READING)[name]
    told = [key for row in rows(text) for key in coded(row[0])]
    assert sorted(told) == sorted(OBJECTS[name]["properties"])


def test_values_that_the_json_report_can_have_are_documented() -> None:
    texts = sections(READING)
    for name, part in SCHEMA["$defs"].items():
        for key, value in part["properties"].items():
            if "enum" in value and key not in {"kind", "verdict"}:
                assert set(coded(texts[name])) >= set(value["enum"]), (name, key)
    assert set(coded(texts["wait"])) >= set(WaitKind)
    assert set(coded(texts["victim"])) >= set(
        SCHEMA["$defs"]["victim"]["properties"]["kind"]["enum"]
    )


def test_kinds_and_verdicts_are_those_of_the_reports() -> None:
    texts = sections(READING)
    told = [(row[0], row[1]) for row in rows(texts["Kinds"])]
    assert told == [(f"`{kind.name}`", ", ".join(kind.verdicts)) for kind in KINDS.values()]
    assert [row[0].strip("`") for row in rows(texts["Verdicts"])] == list(VERDICTS)


def test_every_oracle_is_documented_and_no_other() -> None:
    table = rows(sections(DOCS / "how-it-works.md")["Side two: the victims"])
    assert sorted(coded(row[0])[0] for row in table) == sorted(WATCHED)
    told = [text for row in rows(sections(READING)["Not seen"]) for text in coded(row[0])]
    assert {text for text in told if " (oracle " in text} == {
        f"{what} (oracle {name})" for name, what in WATCHED.items()
    }


def test_the_readme_tells_every_kind_and_no_other() -> None:
    told = [
        name
        for row in rows(sections(ROOT / "README.md")["What it finds"])
        for name in coded(row[0])
    ]
    assert told == list(KINDS)


def test_the_report_that_is_explained_is_a_real_one() -> None:
    golden = ROOT / "tests" / "golden" / "parked"
    done = subprocess.run(
        [sys.executable, "-m", "waitspy", "report", golden],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"```text\n{done.stdout.rstrip()}\n```" in READING.read_text()


# --- numbers -----------------------------------------------------------------------------------


def percent(cell: str) -> int:
    """A share between 0 and 1 in percent, rounded down."""
    return round(float(cell.split(maxsplit=1)[0]) * 1000) // 10


def test_the_readme_claims_the_accuracy_that_was_measured() -> None:
    _, _, precision, recall, *_ = next(
        row for row in rows(sections(DOCS / "accuracy.md")["By finding"]) if row[0] == "**all**"
    )
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"{percent(recall)} % of the stalls were found" in readme
    assert f"{percent(precision)} % of what was reported was right" in readme


def test_the_versions_of_python_are_those_that_can_be_profiled() -> None:
    versions = "CPython {}.{} to {}.{}".format(*OLDEST, *NEWEST)
    for page in (ROOT / "README.md", DOCS / "limits.md"):
        assert versions in page.read_text()


# --- the gallery -------------------------------------------------------------------------------

GALLERY = gallery.PAGE.read_text()
FINDINGS = gallery.read(GALLERY)
STARVING = [
    (scenario.name, variant, expected) for scenario, variant, expected in gallery.starving()
]


def test_the_gallery_tells_what_the_scenarios_tell() -> None:
    """``python -m docs.gallery --text`` writes it anew."""
    assert gallery.page(FINDINGS) == GALLERY


def solid(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize(
    ("name", "variant", "expected"),
    STARVING,
    ids=[f"{name}:{variant}" for name, variant, _ in STARVING],
)
def test_a_finding_of_the_gallery_says_what_is_true(
    name: str, variant: str, expected: Expected
) -> None:
    """``make gallery`` records them anew."""
    shown = FINDINGS[name, variant]
    kind = KINDS[str(expected.kind)]
    assert shown.startswith(f"1. {expected.verdict.upper()}  {kind.title}: {kind.meaning}")
    assert f"blame     {expected.function}, " in shown
    assert expected.file is None or expected.file in solid(shown)
    if expected.source is not None:
        assert solid(expected.source) in solid(shown)
