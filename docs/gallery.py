"""Makes ``gallery.md``: what the scenarios show, and what waitspy says of each: ``make gallery``.

The text comes from the scenarios' docstrings and ``TRUTH``, the findings from real recordings.
``--text`` writes the text anew and keeps the findings, names as arguments record only those.
"""

from __future__ import annotations

import importlib
import inspect
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from waitspy.judge import analysis
from waitspy.recording import loading
from waitspy.render.reports.terminal import TerminalRenderer
from waitspy_scenarios import SCENARIOS, Expected, Scenario

PAGE = Path(__file__).parent / "gallery.md"
_ROOT = Path(__file__).parents[1]
_WIDTH = 96
_HEAD = """# Gallery

Each scenario is a small server with a known fault. Its story, the command that runs and records it,
the finding that waitspy gave for it, and the fix. The findings below are from real recordings;
seconds, ids and counts differ from run to run. Install what the servers need first:
`pip install '.[scenarios]'`. Each one has a healthy twin, of which waitspy has nothing to say.

"""

Findings = Mapping[tuple[str, str], str]
"""The text of a finding, by scenario and variant."""


def starving() -> Iterator[tuple[Scenario, str, Expected]]:
    """Every variant of every scenario in which there must be something to find."""
    for scenario in SCENARIOS.values():
        for variant, expected in scenario.truth.items():
            if expected.kind is not None and expected.required:
                yield scenario, variant, expected


def command(scenario: Scenario, expected: Expected) -> str:
    """What runs and records a variant."""
    return f"waitspy scenario run {scenario.name} --profile -- {' '.join(expected.options)}"


def page(findings: Findings) -> str:
    """The whole text of the gallery."""
    kinds: dict[str, list[str]] = {}
    for scenario, _, expected in starving():
        names = kinds.setdefault(str(expected.kind), [])
        if scenario.name not in names:
            names.append(scenario.name)
    rows = [f"| `{kind}` | {', '.join(map(_link, names))} |" for kind, names in kinds.items()]
    table = "\n".join(["| kind | scenarios |", "|---|---|", *rows])
    sections = [_section(scenario, findings) for scenario in SCENARIOS.values()]
    return "\n\n".join([_HEAD + table, *sections]) + "\n"


def read(text: str) -> dict[tuple[str, str], str]:
    """The findings that a gallery shows."""
    by_command = {command(s, expected): (s.name, variant) for s, variant, expected in starving()}
    blocks = re.findall(
        r"^\$ ([^\n]+)\n```\n\n```text\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE
    )
    return {by_command[line]: finding for line, finding in blocks if line in by_command}


def _link(name: str) -> str:
    return f"[{name}](#{name})"


def _section(scenario: Scenario, findings: Findings) -> str:
    story = inspect.cleandoc(importlib.import_module(scenario.module).__doc__ or "")
    paragraphs = story.replace("``", "`").split("\n\n")
    fix = next(p for p in paragraphs if p.startswith("The fix"))
    how = paragraphs[-1]
    told = [p for p in paragraphs if p not in (fix, how)]
    parts = [f"## {scenario.name}", *told]
    for one, variant, expected in starving():
        if one is scenario:
            parts.append(f"```console\n$ {command(one, expected)}\n```")
            parts.append(f"```text\n{findings[one.name, variant]}\n```")
    silent = [e for e in scenario.truth.values() if e.kind is None]
    parts.append(fix.replace("The fix", "**The fix**", 1))
    parts.append("Nothing is found in:")
    parts.append("\n".join(["```console", *(f"$ {command(scenario, e)}" for e in silent), "```"]))
    needs = re.sub(r"\s+", " ", how).partition("; ")[2]
    parts.append(
        f"Source: [`{scenario.module}`](../scenarios/{scenario.module.replace('.', '/')}); {needs}"
    )
    return "\n\n".join(parts)


def _recorded(scenario: Scenario, expected: Expected, folder: Path) -> str:
    """Runs a variant and gives the text of its finding."""
    waitspy = [sys.executable, "-m", "waitspy", "scenario", "run", scenario.name, "--profile"]
    argv = [*waitspy, "-o", str(folder), "--", *expected.options]
    done = subprocess.run(argv, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}\n{done.stdout}{done.stderr}")
    _hide_places(folder)
    judged = analysis.analyse(loading.load(str(folder)))
    for finding in judged.report.findings:
        blamed = finding.blame.function if finding.blame is not None else None
        if (finding.kind.name, finding.verdict, blamed) == (
            expected.kind,
            expected.verdict,
            expected.function,
        ):
            text = io.StringIO()
            only = replace(judged, report=replace(judged.report, findings=(finding,)))
            TerminalRenderer(width=_WIDTH, color=False).render(only, text)
            return text.getvalue().split("\n\n")[1]
    raise SystemExit(f"{scenario.name} did not show its finding this time\n{done.stdout}")


def _hide_places(folder: Path) -> None:
    """Where it was recorded is nobody's business."""
    places = (
        (sys.prefix, "/srv/venv"),
        (_ROOT / "scenarios", "/srv"),
        (_ROOT, "/srv"),
        (sys.base_prefix, "/usr"),
    )
    for file in folder.rglob("*.json*"):
        text = file.read_text()
        for place, shown in places:
            text = text.replace(str(place), shown)
        file.write_text(text)


def main(arguments: list[str]) -> None:
    """Writes the page after each recording, so that nothing is lost when one fails."""
    text = PAGE.read_text() if PAGE.exists() else ""
    findings = {(s.name, variant): "" for s, variant, _ in starving()} | read(text)
    for scenario, variant, expected in starving():
        if "--text" not in arguments and (not arguments or scenario.name in arguments):
            with tempfile.TemporaryDirectory() as folder:
                findings[scenario.name, variant] = _recorded(
                    scenario, expected, Path(folder, "rec")
                )
            PAGE.write_text(page(findings))
    PAGE.write_text(page(findings))


if __name__ == "__main__":
    main(sys.argv[1:])
