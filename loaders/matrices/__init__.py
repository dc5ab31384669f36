"""Matrices of trips between zones: comma-separated tables in long and square form, and OMX files."""

from __future__ import annotations

from cim.loaders.matrices.omx import list_omx, read_omx
from cim.loaders.matrices.text import read_csv
from cim.loaders.matrices.write import write_csv, write_omx

__all__ = ["list_omx", "read_csv", "read_omx", "write_csv", "write_omx"]
