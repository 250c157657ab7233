"""The package's build hook: wheels, sdists and editable installs carry the pages' assets."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_LACKS = "npm is not there: this build has no report page (waitspy report --format html)"


class AssetsHook(BuildHookInterface[Any]):
    """Builds the assets where they are missing or stale; an sdist without them is refused."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each target is built."""
        del version, build_data
        assets = runpy.run_path(str(Path(self.root, "frontend", "assets.py")))
        try:
            assets["build"]()
        except FileNotFoundError:
            if self.target_name == "sdist":
                raise RuntimeError("npm is needed to build an sdist") from None
            self.app.display_warning(_LACKS)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"building the assets failed: {error}") from None
