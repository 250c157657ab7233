"""The output formats: one registry each for reports and for flamegraphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from profiler.model import Weight
from profiler.render.collapsed import CollapsedRenderer
from profiler.render.firefox import FirefoxRenderer
from profiler.render.flame import FlamegraphRenderer
from profiler.render.json_report import JsonRenderer
from profiler.render.markdown import MarkdownRenderer
from profiler.render.page import HtmlRenderer
from profiler.render.perfetto import PerfettoRenderer
from profiler.render.pprof import PprofRenderer
from profiler.render.report_format import ReportRenderer
from profiler.render.speedscope import SpeedscopeRenderer
from profiler.render.svg import SvgRenderer
from profiler.render.terminal import TerminalRenderer

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
