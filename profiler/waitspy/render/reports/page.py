"""The report page: one HTML file with findings, timeline and flamegraph, that needs nothing else.

Words come first and need no script. What moves is made by ``frontend/`` from the data of
``page_data``; without a script a still flamegraph stands in its place. The page loads nothing, and
its content security policy allows no script or style but its own.
"""

from __future__ import annotations

import base64
import io
from typing import ClassVar, TextIO

from waitspy import __version__
from waitspy.model.judged import Analysis, Report
from waitspy.render import escape, sharing, verdicts, words
from waitspy.render.profiles import flame_looks
from waitspy.render.profiles.svg import SvgRenderer
from waitspy.render.reports import assets_of_pages, page_data
from waitspy.render.reports.content_policy import hashes, policy
from waitspy.render.reports.page_text import code, findings, losses, summary, waiting, workers
from waitspy.render.reports.report_format import severity, unsure

_STILL_FRAMES = 400  # of the picture that stands where no script runs

_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="waitspy {version}">
<title>{title}</title>
<style>{flame_style}</style>
<style>{page_style}</style>
</head>
<body>
<svg class="paints waitspy-flame" aria-hidden="true" focusable="false">{paint}</svg>
<a class="skip" href="#findings">Skip to the findings</a>
<header class="top">
<a class="brand" href="#verdict">waitspy</a>
<nav aria-label="Parts of this page">
<a href="#findings">Findings</a><a href="#timeline">Timeline</a>\
<a href="#flamegraph">Flamegraph</a><a href="#workers">Workers</a>
</nav>
</header>
<main>
<section id="verdict" class="verdict {severity}">
<h1>{verdict}</h1>
<p>{recording}</p>
{summary}
<div class="share" data-copy="report">{private}</div>
</section>
<section id="findings" aria-labelledby="findings-title">
<h2 id="findings-title">Findings</h2>
{findings}
</section>
{waiting}
<section id="timeline" aria-labelledby="timeline-title">
<h2 id="timeline-title">Timeline</h2>
<div class="widget" data-widget="timeline"></div>
<noscript><p class="quiet">The timeline needs JavaScript.</p></noscript>
</section>
<section id="flamegraph" aria-labelledby="flamegraph-title">
<h2 id="flamegraph-title">Flamegraph</h2>
<div class="widget" data-widget="flamegraph"></div>
<noscript><div class="still">{still}</div></noscript>
</section>
<section id="workers" aria-labelledby="workers-title">
<h2 id="workers-title">Workers</h2>
{workers}
</section>
<section id="losses" aria-labelledby="losses-title">
<h2 id="losses-title">Losses and cost</h2>
{losses}
</section>
</main>
<footer>
<p>Made by waitspy {version}. This file is complete: it loads nothing and sends nothing.</p>
<details><summary>Licences of what is inside</summary><pre>{licences}</pre></details>
</footer>
<script type="application/gzip" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


class HtmlRenderer:
    """The report as one page; it opens from disk, offline, and can be attached to a ticket."""

    name: ClassVar[str] = "html"
    extension: ClassVar[str] = "html"
    binary: ClassVar[bool] = False

    def render(self, judged: Analysis, stream: TextIO) -> None:
        """Write the page.

        Raises:
            AssetsMissing: its script and style have not been built.
        """
        report = judged.report
        script, page_style = assets_of_pages.read("page.js"), assets_of_pages.read("page.css")
        flame_style = flame_looks.style()
        level = "unknown" if unsure(report) else severity(report)
        stream.write(
            _SHELL.format(
                policy=policy(script=hashes([script]), style=hashes([flame_style, page_style])),
                version=escape.xml(__version__),
                title=escape.xml(_title(report)),
                flame_style=flame_style,
                page_style=page_style,
                paint=flame_looks.PAINT,
                severity=level,
                verdict=verdicts.sentence(report, code),
                recording=words.recording_words(report.recording, code),
                summary=summary(report),
                private=_private(report),
                findings=findings(report),
                waiting=waiting(report),
                still=_still(judged),
                workers=workers(report),
                losses=losses(report),
                licences=escape.xml(assets_of_pages.read("page.licences.txt")),
                data=base64.b64encode(page_data.pack(judged)).decode("ascii"),
                script=script,
            )
        )


def _title(report: Report) -> str:
    target = escape.shorten(escape.terminal(report.recording.target), 60)
    return f"{verdicts.sentence(report, verdicts.name)} · {target} · waitspy"


def _private(report: Report) -> str:
    if report.recording.redacted:
        return ""  # that is said of the recording
    return f'<p class="quiet hint">{escape.xml(sharing.PRIVATE)}</p>'


def _still(judged: Analysis) -> str:
    profile = judged.profile
    picture = io.StringIO()
    SvgRenderer(profile.telling_weight, most_frames=_STILL_FRAMES, still=True).render(
        profile, picture
    )
    return picture.getvalue()
