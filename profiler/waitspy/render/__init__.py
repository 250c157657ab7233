"""The output formats: one registry each for reports and for flamegraphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from waitspy.model.judged import Weight
from waitspy.render.profiles.collapsed import CollapsedRenderer
from waitspy.render.profiles.firefox import FirefoxRenderer
from waitspy.render.profiles.flame import FlamegraphRenderer
from waitspy.render.profiles.perfetto import PerfettoRenderer
from waitspy.render.profiles.pprof import PprofRenderer
from waitspy.render.profiles.speedscope import SpeedscopeRenderer
from waitspy.render.profiles.svg import SvgRenderer
from waitspy.render.reports.json_report import JsonRenderer
from waitspy.render.reports.markdown import MarkdownRenderer
from waitspy.render.reports.page import HtmlRenderer
from waitspy.render.reports.report_format import ReportRenderer
from waitspy.render.reports.terminal import TerminalRenderer

REPORTS: Mapping[str, Callable[[], ReportRenderer]] = {
    "text": TerminalRenderer,
    "json": JsonRenderer,
    "markdown": MarkdownRenderer,
    "html": HtmlRenderer,
}

FLAMEGRAPHS: Mapping[str, Callable[[Weight], FlamegraphRenderer]] = {
    "svg": SvgRenderer,
    "speedscope": SpeedscopeRenderer,
    "collapsed": CollapsedRenderer,
    "pprof": PprofRenderer,
    "firefox": FirefoxRenderer,
    "perfetto": PerfettoRenderer,
}
