"""The build file: which files make a city, what their fields mean, and how they are fused; drafted from a folder, run to a city."""

from __future__ import annotations

from cim.loaders.build.draft import Draft, Found, draft
from cim.loaders.build.file import BuildFile, FusionSettings, SourceEntry, check_build, read_build
from cim.loaders.build.run import build

__all__ = ["BuildFile", "Draft", "Found", "FusionSettings", "SourceEntry", "build", "check_build", "draft", "read_build"]
