"""Commands that take a step on a stored city: storeys, singulate, classify, pipes, roads; each saves a new version."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cim.errors import InputError

__all__ = ["classify", "pipes", "roads", "singulate", "storeys"]

City = Annotated[Path, typer.Argument(help="A .cim folder; a new version is saved in it.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Save here instead, as a city of its own.")]
Ground = Annotated[str | None, typer.Option(help="Id of the terrain; the only one without it. none: use no terrain.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


def storeys(
    path: City,
    storey_height: Annotated[float | None, typer.Option(help="Height of a storey [m], to estimate numbers that no source states.")] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Make an object of every storey 分层建模, stated or estimated."""
    _take("storeys", path, output, as_json=as_json, storey_height=storey_height)


def singulate(
    path: City,
    mesh: Annotated[str | None, typer.Option(help="Id of the mesh; every mesh of no particular class without it.")] = None,
    terrain: Ground = None,
    wall_tolerance: Annotated[float, typer.Option(help="How far a wall may bulge out of its footprint [m].")] = 0.1,
    lid: Annotated[str, typer.Option(help="terrain: the lid follows the ground; lowest: flat at its lowest point.")] = "terrain",
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Cut oblique meshes at the footprints of buildings, one closed model each 单体化."""
    _take("singulate", path, output, as_json=as_json, mesh=mesh, terrain=terrain, wall_tolerance=wall_tolerance, lid=lid)


def classify(
    path: City,
    terrain: Ground = None,
    least_confidence: Annotated[float, typer.Option(help="Confidence from which an object changes its class [0 to 1].")] = 0.7,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Label the faces of meshes and give objects the class they show 语义化."""
    _take("classify", path, output, as_json=as_json, terrain=terrain, least_confidence=least_confidence)


def pipes(
    path: City,
    type: Annotated[str, typer.Option(help="Class of the pipes and of the points that may be nodes.")] = "GenericOccupiedSpace",
    network: Annotated[str, typer.Option(help="Name of the network.")] = "pipes",
    terrain: Ground = None,
    snap: Annotated[float, typer.Option(help="Ends nearer to each other than this are one node [m].")] = 0.1,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Make bodies and a network of the pipes of a city 管线."""
    _take("pipes", path, output, as_json=as_json, type=type, network=network, terrain=terrain, snap=snap)


def roads(
    path: City,
    snap: Annotated[float, typer.Option(help="Ends of lines nearer to each other, or to a line, than this meet [m].")] = 1.0,
    cross: Annotated[str, typer.Option(help="split: lines that cross on one level are joined; pass: they pass over each other.")] = "split",
    road_class: Annotated[str, typer.Option(help="Class of roads that state none.")] = "unclassified",
    lane_width: Annotated[float, typer.Option(help="Width of road area that makes one lane [m].")] = 3.25,
    again: Annotated[bool, typer.Option("--again", help="Derive anew what was derived before; links of a source are kept.")] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Make a road network of roads that have none 道路网络: lines are joined, areas get centrelines; what is assumed is marked."""
    _take("roads", path, output, as_json=as_json, snap=snap, cross=cross, road_class=road_class, lane_width=lane_width, again=again)


def _take(name: str, path: Path, output: Path | None, *, as_json: bool, **options: Any) -> None:
    import cim
    from cim.loaders.steps import run_steps, step_report
    from cim.model.earlier_links import NOTES

    if not (path.is_dir() and path.suffix == ".cim"):
        raise InputError(path, "is no city store", "give a .cim folder; cim build or cim.save makes one")
    before = cim.open(path)
    after = run_steps(before, [(name, {option: value for option, value in options.items() if value is not None})])
    target = output or path
    cim.save(after, target, message=f"cim {name}")
    known = set(before.tables["issues"]["message"].to_pylist())
    rows = [
        row for row in after.tables["issues"].to_pylist() if row["message"] not in known or (name == "roads" and row["record"] == NOTES)
    ]
    told = [{key: row[key] for key in ("code", "severity", "count", "message")} for row in rows]
    report = step_report(name, before, after)
    if as_json:
        whole = {"path": str(target), "step": name, "objects": after.types(), "report": report, "issues": told}
        sys.stdout.write(json.dumps(whole, ensure_ascii=False) + "\n")
        return
    counts = ", ".join(f"{count:,} {kind}" for kind, count in after.types().items())
    sys.stdout.write(f"{target}: {counts}\n{_told(name, report)}")
    for row in told:
        sys.stdout.write(f"{row['severity']}: {row['message']}\n")


def _told(name: str, report: dict[str, Any]) -> str:
    """Return the quality of a step as lines of text."""
    if name == "singulate":
        return (
            "pieces 单体: {pieces:,} ({closed:,} closed), {unmatched:,} footprints unmatched\n"
            "triangles 三角面: {triangles_in:,.0f} in, {triangles_changed:,.0f} of them split, {triangles_rejected:,.0f} rejected; "
            "{triangles_assigned:,.0f} assigned, {triangles_left:,.0f} left\n"
            "area 面积: {area_in:,.2f} m2 in, {area_assigned:,.2f} m2 assigned, {area_left:,.2f} m2 left, relative error {area_error:.1e}\n"
            "volume 体积: {volume:,.1f} m3 in closed pieces\n"
        ).format(**report)
    lines = (f"{label}: {one['area']:,.1f} m2, mean confidence {one['confidence']:.2f}\n" for label, one in report.items())
    return "".join(lines)
