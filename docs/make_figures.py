"""Draw the picture of the architecture, docs/images/architecture.svg: python docs/make_figures.py."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

TARGET = Path(__file__).resolve().parent / "images" / "architecture.svg"
WIDTH, HEIGHT = 1180, 610
INK, SOFT, LINE = "#1f2937", "#6b7280", "#94a3b8"
FILLS = {"file": "#f1f5f9", "door": "#fef3c7", "city": "#dbeafe", "run": "#dcfce7", "scene": "#fce7f3", "store": "#ede9fe"}
EDGES = {"file": "#cbd5e1", "door": "#b45309", "city": "#2563eb", "run": "#16a34a", "scene": "#db2777", "store": "#7c3aed"}
FONT = "'Helvetica Neue', Arial, 'Noto Sans CJK SC', 'Noto Sans SC', 'Microsoft YaHei', sans-serif"


def text(x: float, y: float, words: str, *, size: int = 13, colour: str = INK, bold: bool = False, anchor: str = "start") -> str:
    """Return one line of text."""
    weight = ' font-weight="700"' if bold else ""
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def box(kind: str, x: float, y: float, width: float, height: float, title: str, lines: list[str], *, code: str = "") -> str:
    """Return a box with a title, a line of code beneath it, and lines."""
    parts = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{FILLS[kind]}" stroke="{EDGES[kind]}" stroke-width="1.6"/>',
        text(x + 14, y + 25, title, size=15, bold=True),
    ]
    row = y + 45
    if code:
        mono = "font-family=\"'SF Mono', Consolas, 'DejaVu Sans Mono', monospace\""
        parts.append(f'<text x="{x + 14}" y="{row}" font-size="12.5" fill="{EDGES[kind]}" {mono}>{escape(code)}</text>')
        row += 22
    parts += [text(x + 14, row + 19 * place, line, colour=INK) for place, line in enumerate(lines)]
    return "\n".join(parts)


def arrow(points: list[tuple[float, float]]) -> str:
    """Return an arrow through points."""
    path = "M" + " L".join(f"{x} {y}" for x, y in points)
    return f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.8" marker-end="url(#head)"/>'


# kind, x, y, width, height, title, code, lines
BOXES = (
    (
        "door",
        276,
        60,
        190,
        284,
        "One door 入口",
        "read(path)",
        [
            "format by content",
            "sizes before memory",
            "own process, limited",
            "no network",
            "one gate for all:",
            "numbers, CRS, units,",
            "ids, indices, counts",
            "",
            "→ a City each",
        ],
    ),
    (
        "city",
        504,
        60,
        190,
        284,
        "Fusion 融合",
        "fuse([...])",
        [
            "one object per thing",
            "identifiers, then",
            "overlap of footprints",
            "heights from points,",
            "surface, terrain",
            "a claim per value",
            "conflicts, leftovers,",
            "a balance that adds up",
        ],
    ),
    (
        "city",
        732,
        60,
        200,
        284,
        "City 城市模型",
        "frozen Arrow tables",
        [
            "objects, one row each",
            "attributes per class",
            "geometries, surfaces",
            "coverages, links",
            "identifiers, relations",
            "claims: who says so",
            "sources, issues",
            "",
            "never changed in place",
        ],
    ),
    (
        "run",
        970,
        60,
        190,
        130,
        "Option 方案",
        "Change(...).apply",
        [
            "a new City;",
            "the old one stays",
        ],
    ),
    (
        "run",
        970,
        214,
        190,
        130,
        "Checks and runs",
        "far(city), ...",
        [
            "FAR 容积率, density,",
            "height 控高, flooding",
        ],
    ),
    (
        "store",
        504,
        414,
        428,
        160,
        "Store 存储",
        "city.cim/   cim.save, cim.open",
        [
            "Parquet parts that geopandas, QGIS and DuckDB open",
            "a checksum for every part; a save is one rename",
            "each save a version; asof and diff over them",
            'cim.sql(city, "SELECT …"), read-only',
        ],
    ),
    (
        "run",
        970,
        414,
        190,
        160,
        "Results 结果",
        "Verdicts, Fields",
        [
            "pass, fail, or",
            "not assessed",
            "fields and tables by",
            "the ids of the model",
            "compare(base, option)",
        ],
    ),
    (
        "scene",
        24,
        414,
        442,
        160,
        "Scene 场景",
        "Scene(city).add(result)",
        [
            "terrain, buildings, roads, water, trees, verdicts, water depth",
            "click on a building: its attributes, and who says so",
            "one HTML file without network, PNG, notebook",
            "layers are data; renderers draw them",
        ],
    ),
)
FILES = (("GIS layers 矢量", "GeoPackage, Shapefile, …"), ("Terrain 地形", "GeoTIFF, ASC"), ("Point cloud 点云", "LAS, LAZ"),
         ("City model 城市模型", "CityJSON"))  # fmt: skip
ARROWS: tuple[list[tuple[float, float]], ...] = (
    [(238, 202), (272, 202)],
    [(466, 202), (500, 202)],
    [(694, 202), (728, 202)],
    [(932, 110), (966, 110)],
    [(932, 290), (966, 290)],
    [(1065, 190), (1065, 210)],
    [(1065, 344), (1065, 410)],
    [(832, 344), (832, 410)],
    [(790, 414), (790, 348)],
    [(1065, 574), (1065, 596), (245, 596), (245, 578)],
    [(740, 344), (740, 379), (245, 379), (245, 410)],
)


def picture() -> str:
    """Return the whole picture."""
    parts = [text(24, 44, "Files you have", size=15, bold=True)]
    for place, (title, line) in enumerate(FILES):
        parts.append(box("file", 24, 60 + 74 * place, 214, 62, title, []))
        parts.append(text(38, 107 + 74 * place, line, size=12, colour=SOFT))
    parts += [box(kind, x, y, w, h, title, lines, code=code) for kind, x, y, w, h, title, code, lines in BOXES]
    parts += [arrow(points) for points in ARROWS]
    parts.append(text(842, 384, "save, open", size=12, colour=SOFT))
    parts.append(text(490, 371, "drawn from the model", size=12, colour=SOFT, anchor="middle"))
    parts.append(text(655, 591, "results are drawn on it", size=12, colour=SOFT, anchor="middle"))
    marker = 'viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto"'
    head = f'<defs><marker id="head" {marker}><path d="M0 0 L10 5 L0 10 z" fill="{INK}"/></marker></defs>'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="#ffffff"/>'
    title = "<title>Architecture of the CIM toolkit: files pass one door, become one city, and results and scenes come from it</title>"
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="{FONT}" role="img"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', title, head, ground, *parts, "</svg>", ""])


def main() -> None:
    """Write the picture."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(picture(), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
