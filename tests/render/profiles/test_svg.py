"""The SVG: well-formed, to scale, honest about what it leaves out, and only text from a target."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from importlib import resources
from xml.etree import ElementTree as ET

import pytest

from tests.examples import profile_examples as examples
from tests.examples.build import activities
from waitspy.judge.merge import merge
from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import WEIGHTS, Profile, Weight, WeightedStack
from waitspy.model.stacks import Frame
from waitspy.model.wait_frames import wait_kind
from waitspy.model.waits import Wait, WaitKind
from waitspy.render.profiles import svg
from waitspy.render.profiles.flame import FlamegraphRenderer, Placed, placed, tree
from waitspy.render.profiles.svg import SvgRenderer

SVG = "{http://www.w3.org/2000/svg}"
SPAN = 1180
PITCH = 20


def written(profile: Profile, weight: Weight = "wall") -> str:
    stream = io.StringIO()
    renderer: FlamegraphRenderer = SvgRenderer(weight)
    renderer.render(profile, stream)
    return stream.getvalue()


def parsed(profile: Profile, weight: Weight = "wall") -> ET.Element:
    return ET.fromstring(written(profile, weight).encode())


def boxes(root: ET.Element) -> list[ET.Element]:
    return root.findall(f"./{SVG}g[@class='graph']/{SVG}g")


def title(box: ET.Element) -> list[str]:
    return (box.findtext(f"{SVG}title") or "").split("\n")


def rect(box: ET.Element) -> tuple[float, int, float]:
    """Left, depth and width of a box."""
    drawn = box.find(f"{SVG}rect")
    assert drawn is not None
    return (
        float(drawn.attrib["x"]),
        int(drawn.attrib["y"]) // PITCH,
        float(drawn.attrib["width"]),
    )


def head(root: ET.Element) -> str:
    found = root.find(f"./{SVG}g[@class='head']")
    assert found is not None
    return "\n".join(found.itertext())


def of(*stacks: WeightedStack, title: str = "t") -> Profile:
    return Profile(title, 0, NS, stacks, ())


def expected_boxes(profile: Profile, weight: Weight) -> list[Placed]:
    return list(placed(tree(profile.merged, fold=True), weight))


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("make", [examples.server, examples.idle, examples.empty, examples.hostile])
def test_is_well_formed_and_the_same_every_time(
    make: Callable[[], Profile], weight: Weight
) -> None:
    root = parsed(make(), weight)
    assert root.tag == f"{SVG}svg"
    assert len(root.findall(f".//{SVG}script")) == 1
    assert written(make(), weight) == written(make(), weight)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_widths_and_places_are_proportional_to_the_weight(weight: Weight) -> None:
    profile = examples.server()
    expected = expected_boxes(profile, weight)
    scale = SPAN / expected[0].width
    drawn = boxes(parsed(profile, weight))
    assert len(drawn) == len(expected) > 15
    for box, one in zip(drawn, expected, strict=True):
        left, depth, width = rect(box)
        assert title(box)[0] == (
            one.node.frame.function if one.node.folded is None else one.node.folded.name()
        )
        assert depth == one.depth
        assert left == pytest.approx(one.left * scale, abs=1e-4)
        assert width == pytest.approx(one.width * scale, abs=1e-4)


def test_titles_say_all_three_weights_and_their_shares() -> None:
    stack = (Frame("f", "/x.py", 7), Frame("[sleep] time.sleep", ""))
    other = WeightedStack((Frame("g", ""),), 3.0, 0.0, 0.0)
    root = parsed(of(WeightedStack(stack, 1.0, 0.25, 2.5), other))
    shown = {title(box)[0]: title(box)[1:] for box in boxes(root)}
    assert shown["f"] == [
        "/x.py:7",
        "wall time 1 s (25.0 %)",
        "starved time 250 ms (100.0 %)",
        "victim time 2.5 victim-s (100.0 %)",
    ]
    assert shown["[sleep] time.sleep"][0] == "what the thread did below its last Python frame"
    assert shown["g"] == [
        "file not known",
        "wall time 3 s (75.0 %)",
        "starved time 0 s (0.0 %)",
        "victim time 0 victim-s (0.0 %)",
    ]
    assert shown["all"][0] == "all threads together"


def looks(profile: Profile, weight: Weight = "wall") -> dict[str, str]:
    return {title(box)[0]: box.attrib["class"] for box in boxes(parsed(profile, weight))}


@pytest.mark.parametrize(
    ("starved_s", "caller", "wait"),
    [
        (0.0, "code", "wait"),
        (0.009, "code", "wait"),
        (0.01, "path1", "harm slight"),
        (0.05, "path1", "harm slight"),
        (0.1, "path2", "harm part"),
        (0.3, "path2", "harm part"),
        (0.5, "path3", "harm"),
        (1.0, "path3", "harm"),
    ],
)
def test_what_starves_is_marked_by_its_share(starved_s: float, caller: str, wait: str) -> None:
    found = looks(of(WeightedStack((Frame("f", "/x.py"), Frame("[lock]", "")), 1.0, starved_s, 1)))
    assert found["f"].startswith(caller)
    assert found["[lock]"] == wait


def test_a_poll_that_starved_for_milliseconds_is_not_the_guilty_one() -> None:
    """The widest box of a healthy server."""
    poll = (Frame("run", "/x.py"), Frame("[loop-poll] epoll.poll", ""))
    found = looks(of(WeightedStack(poll, 4.85, 0.0065, 0.0065)))
    assert found["[loop-poll] epoll.poll"] == "wait"
    assert found["run"].startswith("code")
    assert found["all"].startswith("code")


def test_where_widths_are_harm_nothing_is_left_unmarked() -> None:
    profile = of(WeightedStack((Frame("f", "/x.py"), Frame("[lock]", "")), 4.85, 0.0065, 0.0065))
    for weight in ("starved", "victims"):
        found = looks(profile, weight)
        assert (found["all"], found["f"], found["[lock]"]) == ("path1", "path1", "harm slight")


def test_the_way_to_what_starves_is_marked_however_long_its_boxes_last() -> None:
    stalls = (Frame("run", "/x.py"), Frame("handle", "/x.py"), Frame("[sleep]", ""))
    polls = (Frame("run", "/x.py"), Frame("[loop-poll]", ""))
    found = looks(of(WeightedStack(stalls, 1.0, 1.0, 1.0), WeightedStack(polls, 299.0)))
    assert found == {
        "all": "path1",
        "run": "path1",
        "handle": "path3",
        "[sleep]": "harm",
        "[loop-poll]": "wait",
    }


def test_code_that_starves_by_itself_is_marked_as_busy() -> None:
    found = looks(
        of(
            WeightedStack((Frame("f", "/x.py"),), 1.0, 1.0, 1),
            WeightedStack((Frame("f", "/x.py"), Frame("[lock]", "")), 1.0, 0.5, 1),
            WeightedStack((Frame("g", "/x.py"), Frame("[on-cpu]", "")), 1.0, 1.0, 1),
        )
    )
    assert (found["f"], found["[lock]"]) == ("busy", "harm")
    assert (found["g"], found["[on-cpu]"]) == ("path3", "busy")
    found = looks(of(WeightedStack((Frame("f", "/x.py"),), 1.0, 0.3, 1)))
    assert found["f"] == "busy part"
    found = looks(of(WeightedStack((Frame("f", "/x.py"),), 1.0, 0.05, 1)))
    assert found["f"] == "path1"


def test_every_starving_frame_of_a_server_is_marked_and_no_other() -> None:
    profile = examples.server()
    drawn = boxes(parsed(profile))
    kinds = set()
    for box, one in zip(drawn, expected_boxes(profile, "wall"), strict=True):
        look = box.attrib["class"]
        kinds.add(look.rstrip("012345"))
        assert bool(re.search("path|busy|harm", look)) == (one.node.total.starved_s > 0)
        assert look.startswith("layers") == (one.node.folded is not None)
        assert look.startswith(("wait", "harm")) == (wait_kind(one.node.frame) is not None)
    assert kinds == {
        *("code", "wait", "path", "busy", "harm", "harm part", "layers", "layers path"),
    }


def test_every_look_is_styled_and_explained() -> None:
    css = resources.files("waitspy.render").joinpath("svg_assets", "flame.css").read_text()
    root = parsed(examples.server())
    swatches = {
        group.attrib["class"].removeprefix("swatch ")
        for group in root.iter(f"{SVG}g")
        if group.attrib.get("class", "").startswith("swatch")
    }
    assert swatches == {
        *("code0", "layers", "path1", "path2", "path3", "busy"),
        *("wait", "harm slight", "harm part", "harm"),
    }
    shown = [box.attrib["class"] for box in boxes(root)]
    names = {name for look in (*shown, *swatches) for name in look.split()}
    for name in names:
        assert f".{name} rect" in css, name
    ids = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    assert set(re.findall(r"url\(#([\w-]+)\)", css)) == ids


def test_library_frames_are_one_box_unless_all_are_wanted() -> None:
    profile = examples.server()
    root = parsed(profile)
    found = looks(profile)
    assert found["⋯ asyncio · selectors"] == "layers"
    assert found["⋯ queue · threading"] == "layers path2"
    assert "BaseEventLoop._run_once" not in found
    assert "monthly_report" in found
    (box,) = [box for box in boxes(root) if title(box)[0] == "⋯ threading · bin · uvicorn …"]
    assert title(box)[1] == (
        "up to 14 library frames, folded: threading, bin, uvicorn, asyncio, fastapi, starlette, "
        "selectors, concurrent"
    )
    assert "--all-frames" in head(root)
    stream = io.StringIO()
    SvgRenderer(all_frames=True).render(profile, stream)
    whole = ET.fromstring(stream.getvalue())
    every = [title(box)[0] for box in boxes(whole)]
    assert every == [one.node.frame.function for one in placed(tree(profile.merged), "wall")]
    assert "BaseEventLoop._run_once" in every
    assert "--all-frames" not in head(whole)


def test_names_of_folded_layers_are_text() -> None:
    attack = "/x/site-packages/<b>\x1b[31m/a.py"
    found = looks(of(WeightedStack((Frame("f", attack), Frame("g", attack)), 1.0)))
    assert found.keys() == {"all", "⋯ <b>\\x1b[31m"}


def test_labels_fit_their_boxes() -> None:
    for profile in (examples.server(), examples.hostile()):
        for box in boxes(parsed(profile)):
            label = box.findtext(f"{SVG}text") or ""
            assert svg._cells(label) * 7.23 <= max(rect(box)[2] - 6, 0)


def test_labels_keep_what_tells_most() -> None:
    assert svg._label("handler", " (app.py)", 200) == "handler (app.py)"
    assert svg._label("handler", " (app.py)", 100) == "handler"
    assert svg._label("handler", " (app.py)", 45) == "handl…"
    assert svg._label("handler", " (app.py)", 28) == ""
    assert svg._label("ExceptionMiddleware.__call__", "", 150) == "Exception…e.__call__"
    assert svg._label("名前" * 5, "", 45) == "名前…"


def test_says_what_a_width_means_and_how_much_there_is() -> None:
    assert "200 s in all" in head(parsed(examples.server()))
    assert "width = starved time" in head(parsed(examples.server(), "starved"))
    assert "width = victim time" in head(parsed(examples.server(), "victims"))
    assert "10 s recorded, 4 workers, 20 threads" in head(parsed(examples.server()))
    assert "uvicorn app:app" in head(parsed(examples.server()))


def test_nothing_starved_is_said_and_not_drawn() -> None:
    for weight in ("starved", "victims"):
        root = parsed(examples.idle(), weight)
        assert boxes(root) == []
        assert "Nothing was starved in 20 s" in head(root)
    healthy = parsed(examples.idle())
    assert len(boxes(healthy)) > 3
    assert "nothing was starved" in head(healthy)
    assert "nothing was starved" not in head(parsed(examples.server()))


def test_nothing_recorded_and_no_victims_are_told_apart_from_nothing_starved() -> None:
    assert "Nothing was recorded." in head(parsed(examples.empty()))
    assert "Nothing was recorded." in head(parsed(examples.empty(), "starved"))
    uncounted = of(WeightedStack((Frame("f", ""),), 1.0, 0.5, 0.0))
    assert "500 ms were starved, but no victims were counted." in head(parsed(uncounted, "victims"))


@pytest.mark.parametrize("prefix", ["function", '"\U0001f980&' * 60])
def test_twenty_thousand_stacks_stay_small_and_the_rest_is_named(prefix: str) -> None:
    profile = examples.wide(20_000 if prefix == "function" else 3_000, prefix=prefix)
    text = written(profile)
    assert len(text.encode()) < 5_000_000
    root = ET.fromstring(text)
    drawn = boxes(root)
    total = len(expected_boxes(profile, "wall"))
    match = re.search(r"the ([\d,]+) lightest of ([\d,]+) frames are left out", head(root))
    assert match is not None
    left_out, of_all = (int(number.replace(",", "")) for number in match.groups())
    assert of_all == total
    assert left_out == total - len(drawn) > 0
    assert len(drawn) >= 1_000
    assert (len(drawn) < svg._MOST_FRAMES) == (
        prefix != "function"
    )  # there the bytes are the limit
    # No box is without its callers, and none is drawn before a heavier one.
    path: list[tuple[float, float]] = []
    for box in drawn:
        left, depth, width = rect(box)
        assert depth <= len(path)
        del path[depth:]
        if path:
            assert path[-1][0] - 1e-4 <= left
            assert left + width <= path[-1][1] + 1e-4
        path.append((left, left + width))
    heaviest = sorted((one.width for one in expected_boxes(profile, "wall")), reverse=True)
    scale = SPAN / heaviest[0]
    assert min(rect(box)[2] for box in drawn) == pytest.approx(
        heaviest[len(drawn) - 1] * scale, abs=1e-4
    )


def test_what_is_left_out_is_weighed_once() -> None:
    every = expected_boxes(
        of(
            WeightedStack((Frame("a", ""), Frame("b", ""), Frame("c", "")), 1.0),
            WeightedStack((Frame("a", ""), Frame("d", "")), 2.0),
            WeightedStack((Frame("e", ""),), 4.0),
        ),
        "wall",
    )
    names = [one.node.frame.function for one in every]
    assert names == ["all", "a", "b", "c", "d", "e"]
    assert svg._weight_of_missing(every, {0, 1, 2, 3, 4, 5}) == 0
    assert svg._weight_of_missing(every, {0, 1, 4, 5}) == 1.0
    assert svg._weight_of_missing(every, {0, 1, 2, 5}) == 3.0
    assert svg._weight_of_missing(every, {0}) == 7.0


def test_stacks_of_any_depth_are_drawn() -> None:
    deep = of(WeightedStack(tuple(Frame("again", "/x.py") for _ in range(3_000)), 1.0))
    assert len(boxes(parsed(deep))) == 3_001


def test_hostile_text_is_text() -> None:
    root = parsed(examples.hostile())
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "style", "defs", "linearGradient", "stop", "pattern", "circle"),
        *("rect", "g", "text", "script"),
    }
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    names = [title(box)[0] for box in boxes(root)]
    for shown in (
        "<script>document.title='owned'</script>",
        "]]><script>document.title='owned'</script>",
        "\\x1b[31mred\\x1b[0m\\x00\\x07",
        "\\u202egnp.exe\\u2066",
        "lone\\udc80\\ud800surrogate\\ufffe",
        "two\\nlines\\r\\u2028three;four",
        "&lt;b&gt;&#x41;&amp;",
    ):
        assert shown in names
    assert all(len(title(box)) == 5 for box in boxes(root))
    assert max(len(name) for name in names) == 200


def test_frames_without_a_name_can_still_be_seen() -> None:
    assert "(no name)" in looks(of(WeightedStack((Frame("", "/x.py"),), 1.0)))


def test_style_and_script_arrive_unchanged() -> None:
    root = parsed(examples.server())
    folder = resources.files("waitspy.render").joinpath("svg_assets")
    assert root.findtext(f"{SVG}script") == folder.joinpath("flame.js").read_text("utf-8")
    assert root.findtext(f"{SVG}style") == folder.joinpath("flame.css").read_text("utf-8")
    assert ET.fromstring(f"<a>{svg._cdata('x]]>y]]>')}</a>").text == "x]]>y]]>"


def test_nothing_is_fetched_from_elsewhere() -> None:
    text = written(examples.server())
    assert set(re.findall(r"\w+://[^\"'<\s]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xhtml",
    }
    assert "@import" not in text
    assert not re.search(r"\b(href|src)=", text)


def test_times_have_units_a_reader_expects() -> None:
    assert [svg._amount(value, "wall") for value in (0, 0.0004, 0.25, 1.5, 42.25, 1234.5)] == [
        *("0 s", "0.4 ms", "250 ms", "1.5 s", "42.2 s", "1,234 s"),
    ]
    assert svg._amount(1234.56, "victims") == "1,234.6 victim-s"
    assert svg._percent(1, 0) == ""
    assert svg._percent(0.0001, 1) == " (<0.1 %)"
    assert svg._percent(0, 1) == " (0.0 %)"


def test_one_worker_and_thread_are_counted_in_the_singular() -> None:
    thread = ThreadActivity(
        1, 1, "t", activities(Activity(0, NS, (Frame("f", ""),), Wait(WaitKind.ON_CPU)))
    )
    text = head(parsed(merge([thread], title="t", start_ns=0, end_ns=NS)))
    assert "1 s recorded, 1 worker, 1 thread" in text
