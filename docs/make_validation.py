"""Measure the figures of docs/validation.md and print them as tables: python docs/make_validation.py [FOLDER of the real data].

Without the folder only the parts that need no foreign file are measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import shapely
import validate_sources

from cim.loaders import fuse, read
from cim.loaders.build import build
from cim.model import City, CityBuilder, Column

Row = tuple[str, str, str]


def exact_cases() -> Iterator[Row]:
    """Yield the planning checks and the flood against results that can be worked out on paper."""
    from cim.sim.bathtub import flood
    from cim.sim.planning import density, far, height_control

    builder = CityBuilder("EPSG:4549+5737")
    shapes = [shapely.box(500010, 3460010, 500050, 3460030), shapely.box(500060, 3460060, 500080, 3460080)]
    keys = builder.add_objects("Building", ["slab", "tower"], footprints=shapes, z_ground=[12.3, 12.3], z_roof=[30.3, 60.3])
    builder.add_attributes(keys, "Building", {"storeys_above_ground": Column([6, 18])})
    builder.add_objects("LandUse", ["P1"], footprints=[shapely.box(500000, 3460000, 500100, 3460100)])
    city = builder.build()
    yield "floor area ratio of 800 m² × 6 and 400 m² × 18 on 10 000 m²", "1.2", f"{value(far(city, limit=2.0)):.12g}"
    yield "building density of the same", "0.12", f"{value(density(city, limit=1.0)):.12g}"
    tops = height_control(city, limit=60.0, limit_datum="EPSG:5737").to_pandas().loc["tower"]
    yield "base 12.3 m + 48 m against 60 m, same height system", "fail by 0.3 m", f"{tops['verdict']} by {tops['excess']:.6g} m"
    pits = np.tile([1.0, 1.0, 5.0, 1.0, 1.0], (5, 1))
    start = np.zeros((5, 5), bool)
    start[2, 0] = True
    wet = [int((flood(pits, level, start).depth > 0).sum()) for level in (4.0, 5.0)]
    yield "two pits with a ridge at 5 m: wet cells at 4 m and 5 m", "10, 20", ", ".join(map(str, wet))


def value(verdicts: object) -> float:
    """Return the one value of a check."""
    return float(verdicts.table["value"][0].as_py())  # type: ignore[attr-defined]


def demo() -> Iterator[Row]:
    """Yield how the fusion of the demo district did against the truth that its generator knows."""
    from cim.demo import score, write_sources

    with tempfile.TemporaryDirectory() as folder:
        truth = write_sources(folder)
        begun = time.process_time()
        city = build(truth.build_file)
        used = time.process_time() - begun
        scored = score(city, truth)
        lines = scored.text().splitlines()
        yield "matches of the two registers", f"{scored.pairs} of {scored.pairs}, 0 wrong", lines[0].partition(": ")[2]
        yield "ground and roof heights", "all within 0.5 m", lines[1].partition(": ")[2]
        for one in scored.checks:
            yield one.what, f"{one.of}", f"{one.right}"
        planted, found = (sum(getattr(one, name) for one in scored.findings) for name in ("planted", "found"))
        told = f"{found} of {planted} found, {sum(len(one.false) for one in scored.findings)} false"
        yield f"planted defects, {len(scored.findings)} kinds", "all found, none false", told
        balance = city.report.balance.set_index("source")["records"].to_dict()
        fused = {name.partition(".")[0]: count for name, count in truth.records.items() if not name.startswith("oblique")}
        kept = sum(min(balance[name], count) for name, count in fused.items())
        yield "records accounted for", f"{sum(fused.values()):,}", f"{kept:,}"
        yield f"build from {len(fused)} sources: processor time of the main process", "–", f"{used:.1f} s"


def delft(data: Path) -> Iterator[Row]:
    """Yield how a real quarter of Delft comes together from register, clouds, terrain, surface model and city model."""
    folder = data / "city" / "delft"
    register = [read(path) for path in sorted(folder.glob("bgt_*.sqlite"))]
    clouds = [read(folder / f"ahn3_cropped_{number}.laz", crs="EPSG:7415") for number in (1, 2)]
    reference = read(folder / "delft_3dfier_v1.0.city.json")
    measured = [*register, *clouds, read(folder / "dtm_05m_filled.tif"), read(folder / "dsm_05m.tif")]
    city = fuse([*measured, reference], crs="EPSG:7415")
    matches = city.report.matches
    same = matches[(matches["source"] == reference.name) & (matches["kind"] == "same")]
    buildings = set(city.ids(city.keys("Building")))
    yield "buildings matched by identifier", "160 of 160", f"{int(same['object'].isin(buildings).sum())} of {len(buildings)}"
    balance = city.report.balance.set_index("source")["records"]
    counted = int(balance[[name for name in balance.index if name.startswith("bgt_")]].sum())
    yield "register and city model records accounted for", "582 and 570", f"{counted} and {int(balance[reference.name])}"
    yield from roofs(city, reference)


def roofs(city: City, reference: City) -> Iterator[Row]:
    """Yield how far the roofs of the cloud lie from those of the published model."""
    claims = city.tables["claims"].filter(pc.field("attribute") == "z_roof").to_pandas()
    mine = claims[claims["method"].str.contains("roof points inside")]
    ours = pd.Series([json.loads(text) for text in mine["value"]], index=city.ids(mine["object"].to_numpy()))
    theirs = reference.table("Building", ["z_roof"])["z_roof"]
    off = (ours.reindex(theirs.index) - theirs).abs()
    large = city.table("Building", ["z_roof"]).geometry.area.reindex(theirs.index) >= 25
    yield "roof heights within 0.5 m of the published model", "≥ 84 %", f"{100 * (off <= 0.5).mean():.1f} % of {len(off)}"
    yield "the same, footprints of 25 m² or more", "≥ 95 %", f"{100 * (off[large] <= 0.5).mean():.1f} % of {int(large.sum())}"


def suzhou(data: Path) -> Iterator[Row]:
    """Yield floor and footprint areas of 3,076 buildings in Suzhou, worked out before with another program."""
    from cim.model.reproject import to_crs
    from cim.sim.planning import covered_footprint_area, footprint_area, gross_floor_area

    folder = data / "china" / "suzhou_buildings_floor"
    city = to_crs(read(next(folder.glob("*.geojson")), crs="EPSG:4490"), "EPSG:4549")  # its WGS 84 is taken for CGCS2000, and that is said
    yield "footprints", "3,076", f"{city.types()['Building']:,}"
    yield "gross floor area in EPSG:4549 [m²]", "4 146 603.593", grouped(gross_floor_area(city))
    yield "sum of the footprints [m²]", "1 236 016.963", grouped(footprint_area(city))
    yield "their union [m²]", "1 236 014.084", grouped(covered_footprint_area(city))


def grouped(number: float) -> str:
    """Return a number with thin groups of three."""
    return f"{number:,.3f}".replace(",", " ")


def table(title: str, rows: Iterator[Row]) -> None:
    """Print one table."""
    print(f"### {title}\n\n| what | expected | measured |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def main() -> None:
    """Measure and print."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    table("Exact cases", exact_cases())
    table("The demo district", demo())
    parts: list[tuple[str, Callable[[Path], Iterator[Row]]]] = [
        ("Delft, from five kinds of file", delft),
        ("Suzhou, footprints with storeys", suzhou),
        ("Readers, beside other counts", validate_sources.sources),
        ("Where building models land", validate_sources.places),
        ("A mesh of Delft cut by 160 footprints 单体化", validate_sources.single_buildings),
        ("Faces of a mesh of Helsinki 语义化", validate_sources.semantics),
    ]
    for title, measure in parts if data else []:
        table(title, measure(data))


if __name__ == "__main__":
    main()
