"""The built scripts and styles of pages: made from ``frontend/`` when the package is built."""

from __future__ import annotations

from importlib import resources

from waitspy.errors import AssetsMissing


def read(name: str) -> str:
    """The text of a built file, by its path below ``assets``.

    Raises:
        AssetsMissing: this installation has none.
    """
    file = resources.files("waitspy.render").joinpath("assets", *name.split("/"))
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise AssetsMissing(
            "the scripts of the report page have not been built",
            "make assets (it needs npm), or install a released package, which has them",
        ) from None
