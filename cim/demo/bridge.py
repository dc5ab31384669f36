"""The bridge of the demo district as a small CityJSON file: a deck, piers, and two arches with hangers, all of plain boxes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.ground import elevation
from cim.demo.plan import AVENUES, ORIGIN, river_axis, river_half_width, to_place

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["ID", "write_bridge"]

ID = "QL-01"
_HALF = 8.0  # half the width of the deck [m]
_DECK = 1.1  # thickness of the deck [m]
_RISE = (3.4, 15.0)  # of the deck over its ends, and of the arches over the deck [m]
_STEPS = 28


def write_bridge(path: Path) -> Path:
    """Write the bridge as CityJSON 2.0, LoD 2; the same bytes every time."""
    corners, quads = _all()
    vertices = np.round(corners * 1000).astype(np.int64)
    surfaces = [[quad] for quad in quads.tolist()]
    bridge = {
        "type": "Bridge",
        "attributes": {"名称": "三河大桥", "name_en": "Sanhe Bridge", "建成年代": 1998},
        "geometry": [{"type": "MultiSurface", "lod": "2", "boundaries": surfaces}],
    }
    content = {
        "type": "CityJSON",
        "version": "2.0",
        "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/4549"},
        "transform": {"scale": [0.001, 0.001, 0.001], "translate": [ORIGIN[0], ORIGIN[1], 0.0]},
        "CityObjects": {ID: bridge},
        "vertices": vertices.tolist(),
    }
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    return path


def _all() -> tuple[Reals, NDArray[np.int64]]:
    """Return corners (n, 3) in local coordinates and quadrilaterals (m, 4), seen from outside counter-clockwise."""
    avenue = next(one for one in AVENUES if one.en == "Bridge Road")
    start = to_place(avenue.at, 14.0)
    x, south = float(start[0]), float(river_axis(start[0]) - river_half_width(start[0]) - 14.0)
    share = np.linspace(0.0, 1.0, _STEPS + 1)
    y = start[1] + (south - start[1]) * share
    deck = 6.2 * (1 - share) + 5.6 * share + _RISE[0] * 4 * share * (1 - share)
    parts = [_loft(np.full_like(y, x), y, deck - _DECK / 2, _HALF, _DECK / 2)]
    inner = slice(4, _STEPS - 3)
    arc = (share[inner] - share[4]) / (share[_STEPS - 4] - share[4])
    arch = deck[inner] + _RISE[1] * 4 * arc * (1 - arc)
    for side in (-1.0, 1.0):
        edge = x + side * (_HALF - 0.9)
        parts.append(_loft(np.full_like(arch, edge), y[inner], arch, 0.6, 0.8))
        hangers = [(edge, y[inner][at], deck[inner][at], arch[at]) for at in range(2, len(arch) - 2, 2)]
        parts += [_post(*one, 0.16) for one in hangers]
    piers = [(x + side * 4.6, y[at]) for at in (4, _STEPS - 4) for side in (-1.0, 1.0)]
    parts += [_post(px, py, float(elevation(px, py)) - 0.5, float(np.interp(-py, -y, deck)) - _DECK, 1.3) for px, py in piers]
    start_at = np.cumsum([0, *(len(corners) for corners, _ in parts)])
    return np.concatenate([corners for corners, _ in parts]), np.concatenate(
        [quads + at for (_, quads), at in zip(parts, start_at[:-1], strict=True)]
    )


def _loft(x: Reals, y: Reals, z: Reals, half_width: float, half_height: float) -> tuple[Reals, NDArray[np.int64]]:
    """Return a beam along a line that runs south, its section upright."""
    section = np.array([[-half_width, -half_height], [half_width, -half_height], [half_width, half_height], [-half_width, half_height]])
    corners = np.stack([x[:, None] + section[:, 0], np.repeat(y[:, None], 4, axis=1), z[:, None] + section[:, 1]], axis=2)
    first = 4 * np.arange(len(x) - 1)[:, None]
    sides = [np.column_stack([first + b, first + 4 + b, first + 4 + a, first + a]) for a, b in ((0, 1), (1, 2), (2, 3), (3, 0))]
    caps = np.array([[3, 2, 1, 0], len(x) * 4 - np.array([4, 3, 2, 1])])
    return corners.reshape(-1, 3), np.concatenate([*sides, caps]).astype(np.int64)


def _post(x: float, y: float, low: float, high: float, half: float) -> tuple[Reals, NDArray[np.int64]]:
    """Return an upright box."""
    return _loft(np.array([x, x]), np.array([y + half, y - half]), np.full(2, (low + high) / 2), half, (high - low) / 2)
