"""speedscope's viewer and a profile in one HTML file that opens from disk.

The viewer is npm's package ``speedscope``, unchanged. Opened from disk it asks for its profile with
a script element (``#localProfilePath``) and waits for a call of ``loadFileFromBase64``; the page
makes that call itself instead of letting the element load anything.
"""

from __future__ import annotations

import base64
import gzip
import io
from typing import TextIO

from waitspy.model.judged import Profile, Weight
from waitspy.render import escape
from waitspy.render.profiles.speedscope import SpeedscopeRenderer
from waitspy.render.reports import assets_of_pages
from waitspy.render.reports.content_policy import hashes, policy

_BEFORE = """\
location.hash = "#localProfilePath=profile&view=left-heavy";
const append = document.head.appendChild;
document.head.appendChild = (node) => {
  if (node.localName !== "script") return append.call(document.head, node);
  document.head.appendChild = append;
  const profile = document.getElementById("profile");
  speedscope.loadFileFromBase64(profile.dataset.name, profile.textContent);
  return node;
};
"""

_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · speedscope</title>
<style>{style}</style>
</head>
<body>
<script type="application/gzip" id="profile" data-name="{title}">{profile}</script>
<script type="text/plain">
{licences}
</script>
<script>{before}</script>
<script>{script}</script>
</body>
</html>
"""


def render(profile: Profile, weight: Weight, stream: TextIO) -> None:
    """Write the page; profile 0 is the merged one, by that weight.

    Raises:
        AssetsMissing: the viewer has not been built into this installation.
    """
    text = io.StringIO()
    SpeedscopeRenderer(weight).render(profile, text)
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    script = assets_of_pages.read("speedscope.js")
    # The viewer makes its style and its reader of Java's recordings while it runs.
    rules = policy(
        script=f"{hashes([_BEFORE, script])} 'wasm-unsafe-eval'",
        style="'unsafe-inline'",
        more=("font-src data:", "img-src data:"),
    )
    stream.write(
        _SHELL.format(
            policy=rules,
            title=escape.xml(escape.shorten(escape.terminal(profile.title), 200)),
            style=assets_of_pages.read("speedscope.css"),
            profile=base64.b64encode(packed).decode("ascii"),
            licences=assets_of_pages.read("speedscope.licences.txt").replace("</", "< /"),
            before=_BEFORE,
            script=script,
        )
    )
