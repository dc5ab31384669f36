"""SWMM input files (.inp): drainage networks as objects with diameter, invert and cover, and as links for networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cim.loaders.protocol import Description, LayerInfo

if TYPE_CHECKING:
    from pathlib import Path

    from cim.loaders.protocol import ReadOptions
    from cim.model import City

__all__ = ["READER", "SwmmReader"]

_SECTIONS = (b"[junctions]", b"[conduits]", b"[subcatchments]", b"[outfalls]", b"[raingages]", b"[xsections]")


class SwmmReader:
    """Reads the input file of EPA SWMM 5."""

    name = "swmm"
    priority = 60

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether the text has sections that only SWMM has."""
        del path
        lower = head.lower()
        if b"\0" in head[:1024] or b"[" not in lower:
            return False
        first = lower.lstrip(b"\xef\xbb\xbf \t\r\n")
        while first.startswith(b";"):
            first = first.partition(b"\n")[2].lstrip()
        return first.startswith(b"[") and (b"flow_units" in lower or any(section in lower for section in _SECTIONS))

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return the network: nodes, links and subcatchments.

        Raises
        ------
        InputError
            If a row cannot be used (every line is named), or coordinates have no system.
        """
        from cim.loaders.swmm.city import city_of
        from cim.loaders.swmm.sections import parse

        return city_of(parse(path.read_bytes(), path, options.limits), path, options)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return the sections with their counts, the units, and what is missing."""
        from cim.loaders.swmm.sections import LINKS, NODES, parse

        document = parse(path.read_bytes(), path, options.limits)
        doubts = [] if options.crs else ["the format states no coordinate system: give crs="]
        if not document.rows("COORDINATES"):
            doubts.append("it has no [COORDINATES]: nothing can be placed")
        known = {**dict.fromkeys(NODES, "node"), **dict.fromkeys(LINKS, "link"), "SUBCATCHMENTS": "area"}
        layers = tuple(LayerInfo(name, len(document.rows(name)), kind, options.crs, guess="GenericOccupiedSpace")
                       for name, kind in known.items() if document.rows(name))  # fmt: skip
        unit = "metres" if document.is_metric else "feet"
        return Description(f"SWMM INP ({document.flow_units}, {unit})", layers, document.encoding, tuple(doubts), whole=True)


READER = SwmmReader()
