"""The whole demo in one call: sources, fusion and its score, checks and inundation for base and option, pictures, a storm."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.demo import oblique
from cim.demo.options import LEVELS, write_scenarios
from cim.demo.pictures import HIDDEN, SIZE, draw_district, draw_drains, draw_office, draw_pieces, without
from cim.demo.score import Score, score
from cim.demo.score_sources import Check, piece_checks
from cim.demo.sources import SEED, write_sources
from cim.errors import UsageError

if TYPE_CHECKING:
    from cim.demo.truth import Truth
    from cim.model import City
    from cim.results import Comparison, Fields, Verdicts
    from cim.scenes import Scene
    from cim.scenes.layer import Layer

__all__ = ["Demo", "build_demo"]

_SHOWN = 4
"""Changes of a comparison that are told one by one."""
_LEVEL = LEVELS[1]
"""Water level of the picture [m]."""
_DEEP = 1.5
"""Depth with the darkest colour [m]: over it nobody stands."""
_INSET = (0.02, 0.03, 0.12, 0.05)
"""Kept free for the legend: left, top, right, bottom."""


@dataclass(frozen=True)
class Demo:
    """Where the demo is, and how the fusion did."""

    city: Path
    picture: Path
    page: Path
    results: Path
    sources: Path
    score: Score
    pieces: Path
    """City of the oblique mesh cut into buildings."""
    cut: tuple[Check, ...]
    """How well it was cut."""
    pictures: tuple[Path, ...]
    """District on its orthophoto, drains, cut mesh, office."""
    storm: Path
    """Picture of the storm, base above option."""
    streets: Path
    """Picture of what the storm does to streets, traffic and the reach of the fire brigade, base above option."""
    storm_pages: tuple[Path, Path]
    """Base and option with the time slider."""


def build_demo(out: str | Path = "out", *, seed: int = SEED, say: Callable[[str], None] | None = None) -> Demo:
    """Build the demo district from its source files, check it, flood it, compare an option, draw it, and let a storm fall on both.

    Parameters
    ----------
    out
        Folder to write into: ``sources/``, ``demo.cim``, ``pieces.cim``, ``base.toml``, ``option.toml``, ``storm_base.toml``,
        ``storm_option.toml``, ``results/``, ``demo.html``, ``storm_base.html``, ``storm_option.html`` and the pictures ``demo.png``,
        ``district.png``, ``office.png``, ``drains.png``, ``pieces.png``, ``storm.png`` and ``streets.png``; ``trips.csv``.
    seed
        Seed of the district.
    say
        Called with each line for people; the last one says where everything is.

    Notes
    -----
    The same steps as on the command line: ``cim build``, ``cim singulate``, ``cim run`` four times, ``cim compare``, ``cim render``.
    """
    import cim
    from cim.loaders.build import build

    tell = say or (lambda _: None)
    folder = Path(out)
    begun, used = time.perf_counter(), time.process_time()
    tell("三河 Sanhe: a made-up waterfront quarter, written as ordinary source files and read back like anyone's")
    truth = write_sources(folder / "sources", seed)
    tell("\n".join(f"  {file:<24}{count:>6,} records" for file, count in truth.records.items()))
    tell(f"  {oblique.MESH:<24}     1 mesh, cut below")
    for file, reason in truth.left_out.items():
        tell(f"  {file:<24}left out: {reason}")
    city = build(truth.build_file)
    found = score(city, truth)
    tell(f"\n{_fusion(city)}\n\nFusion against the truth 融合评分\n{found.text()}")
    stored = folder / "demo.cim"
    cim.save(city, stored)
    stored_city = cim.open(stored)
    pieces, cut = _cut(stored_city, truth, folder / "pieces.cim", tell)
    base_file, option_file = write_scenarios(truth, folder, stored.name)
    results = folder / "results"
    base, option = _runs(stored_city, base_file, option_file, results)
    tell(f"\nChecks and water, base against option 基准与方案\n{_told(base, option)}")
    picture, page = _draw(stored_city, base, folder)
    pictures = _pictures(stored_city, pieces, truth, folder)
    storm, streets, pages = _storm(stored_city, truth, folder, stored.name, tell)
    tell(f"\npictures 图: {', '.join(str(one) for one in (picture, *pictures, storm, streets))}")
    tell(f"pages with the time slider 带时间滑块的网页: {', '.join(map(str, pages))}")
    tell(f"\n{time.perf_counter() - begun:.0f} s, {time.process_time() - used:.0f} s of them this process's processor time")
    tell(f"demo: city {stored}, picture {picture}, page {page} (opens in a browser), results {results}, sources {truth.folder}")
    return Demo(stored, picture, page, results, truth.folder, found, folder / "pieces.cim", cut, pictures, storm, streets, pages)


def _cut(city: City, truth: Truth, path: Path, tell: Callable[[str], None]) -> tuple[City, tuple[Check, ...]]:
    """Cut the oblique mesh into buildings, store them, and return them with how well that went."""
    import cim
    from cim.loaders import read, singulate

    tell("\nOblique mesh cut into buildings 单体化 (longer the very first time: its kernels are compiled)")
    mesh = read(truth.folder / oblique.MESH, name="oblique mesh")
    terrain = read(truth.folder / "dtm_2m.tif", surface="terrain")
    pieces = singulate(mesh, city.subset(city.key_of(list(truth.flown))), terrain)
    cim.save(pieces, path)
    found = piece_checks(pieces, truth)
    tell("\n".join(one.text() for one in found))
    return pieces, found


def _storm(city: City, truth: Truth, folder: Path, stored: str, tell: Callable[[str], None]) -> tuple[Path, Path, tuple[Path, Path]]:
    """Let a storm fall on base and option, tell both in one table, and return the pictures of water and of streets, and the pages."""
    from cim.demo.storm import storm_table, write_storm
    from cim.demo.storm_picture import draw_storm, draw_streets, plain_scene, storm_scene, streets_scene, titles
    from cim.demo.storm_traffic import dry_traffic
    from cim.demo.trips import write_trips
    from cim.scenario import read_scenario

    tell("\nStorm 暴雨 -> water -> streets -> traffic -> reach, base against option (longer the very first time: its kernels are compiled)")
    write_trips(city, folder)
    files = write_storm(truth, folder, stored)
    base, option = (_fields(made) for made in _runs(city, *files, folder / "results"))
    tell(storm_table(city, base, option, dry_traffic(city, files[0])))
    changed = read_scenario(files[1]).change.apply(city)
    named = titles(base["flood"])
    plain = plain_scene(city, named[0]), plain_scene(changed, named[1])
    wet = storm_scene(plain[0], base), storm_scene(plain[1], option)
    both = tuple(zip(wet, (base, option), files, strict=True))
    pages = tuple(streets_scene(scene, found).html(file.with_suffix(".html")) for scene, found, file in both)
    streets = tuple(streets_scene(scene.add(found["flood"]), found) for scene, found in zip(plain, (base, option), strict=True))
    drawn = draw_streets((streets[0], streets[1]), folder / "streets.png")
    return draw_storm(wet, folder / "storm.png"), drawn, (pages[0], pages[1])


def _fields(results: Mapping[str, Verdicts | Fields]) -> dict[str, Fields]:
    from cim.results import Fields

    return {name: one for name, one in results.items() if isinstance(one, Fields)}


def _pictures(city: City, pieces: City, truth: Truth, folder: Path) -> tuple[Path, ...]:
    """Write the pictures of the sources beside registers and terrain; the office's where there is one."""
    drawn = [draw_district(city, folder / "district.png"), draw_drains(city, folder / "drains.png"),
             draw_pieces(pieces, truth, folder / "pieces.png")]  # fmt: skip
    return tuple(drawn) if truth.office is None else (*drawn, draw_office(city, truth.office.id, folder / "office.png"))


def _fusion(city: City) -> str:
    """Return what became of each record, and what the city names as doubtful, in a few lines."""
    report = city.report
    kinds = ", ".join(f"{count:,} {name}" for name, count in sorted(city.types().items()))
    balance = report.balance.to_string(index=False)
    issues = report.issues.to_string(index=False, max_colwidth=100)
    return f"Fusion 融合: {kinds}\n{balance}\n\nIssues 问题\n{issues}"


def _runs(city: City, base: Path, option: Path, results: Path) -> tuple[Mapping[str, Verdicts | Fields], Mapping[str, Verdicts | Fields]]:
    """Run both scenarios and return their results by name."""
    from cim.sim.run import run

    made = [{one.name: one for one in run(file, results / file.stem, city=city)} for file in (base, option)]
    return made[0], made[1]


def _told(base: Mapping[str, Verdicts | Fields], option: Mapping[str, Verdicts | Fields]) -> str:
    """Return the results of both runs and what changed, a few lines each."""
    from cim.results import Verdicts, compare

    lines = []
    for name, one in base.items():
        other = option[name]
        comparison = compare(one, other)
        if isinstance(one, Verdicts) and isinstance(other, Verdicts):
            lines.append(f"{name}: {_counts(one)}; option: {_counts(other)}")
            lines += _changes(comparison)
        elif not isinstance(one, Verdicts):
            lines += _water(one)
            lines.append(f"    option: the state of {comparison.changed('buildings').num_rows} buildings and levels differs")
    return "\n".join(lines)


def _counts(verdicts: Verdicts) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.counts().items())


def _changes(comparison: Comparison) -> list[str]:
    """Return the first rows whose verdict differs."""
    rows = comparison.changed().to_pylist()
    turned = [row for row in rows if row.get("change") not in {"same", "changed"}]
    told = [f"    {row['object']}: {row['change']}" for row in turned[:_SHOWN]]
    return told + ([f"    and {len(turned) - _SHOWN} more"] if len(turned) > _SHOWN else [])


def _water(fields: Fields) -> list[str]:
    """Return the wet area and the wet buildings of each level, and what lies below the level but is not reached."""
    levels, buildings = fields.tables["levels"].to_pandas(), fields.tables["buildings"].to_pandas()
    wet = buildings[buildings["status"] == "wet"].groupby("level").size()
    return [
        f"inundation at {row.level:.1f} m: {row.wet_area / 1e4:.1f} ha under water, {int(wet.get(row.level, 0))} buildings wet; "
        f"{row.unconnected_cells:,} cells lie as low but are not connected and stay dry"
        for row in levels.itertuples()
    ]


# ---------------------------------------------------------------- pictures


def _draw(city: City, results: Mapping[str, Verdicts | Fields], folder: Path) -> tuple[Path, Path]:
    """Write the picture and the page: the water at one level, and the buildings over their height limit."""
    from cim.scenes import Scene

    scene = Scene(
        city,
        language="both",
        title=f"三河 Sanhe · 水位 {_LEVEL:g} m 静态淹没与控高 · Water at {_LEVEL:g} m, height control",
        underground=False,
    )
    scene = without(scene, *HIDDEN)
    water, failing = _water_layer(scene, results["inundation"]), _failing_layer(scene, results["height_control"])
    scene = scene.add(water).add(failing)
    shown = [layer.name for layer in scene.layers if layer.visible]
    picture = scene.screenshot(folder / "demo.png", size=SIZE, camera=scene.camera(SIZE, azimuth=18.0, elevation=37.0, inset=_INSET))
    for name in ("height_control", "far", "density"):  # there to switch on, and told when a building or plot is clicked
        scene = scene.add(results[name])
    return picture, scene.show_only(*shown).html(folder / "demo.html")


def _water_layer(scene: Scene, result: Verdicts | Fields) -> Layer:
    """Return the water at one level in colours that tell shallow depths apart: people are on the streets, not in the river."""
    from cim.scenes.depth import depth_layer
    from cim.scenes.layer import Text
    from cim.scenes.style import DEPTH, Ramp

    layer = depth_layer(scene.context, result, at={"water_level": _LEVEL})  # type: ignore[arg-type]  # the inundation gives fields
    title = Text(f"Water depth at level {_LEVEL:g} m", f"水位 {_LEVEL:g} m 时水深")
    encoded = Ramp(DEPTH, 0.0, _DEEP).encode(np.asarray(layer.values, float), title, "m")
    return layer.recoloured(encoded.colours, encoded.legend, encoded.values, "m")


def _failing_layer(scene: Scene, result: Verdicts | Fields) -> Layer:
    """Return only what fails, so that the rest of the city keeps its colours."""
    from cim.results import Verdicts
    from cim.scenes.layer import Text
    from cim.scenes.verdicts import verdict_layer

    if not isinstance(result, Verdicts):
        msg = f"{result.name} is no check; its verdicts cannot be drawn"
        raise UsageError(msg)
    layer = verdict_layer(scene, replace(result, table=result.only("fail")))
    return replace(layer, name="over the limit", label=Text("Over the height limit", "超出限高"))
