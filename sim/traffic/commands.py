"""The command that looks at a road network, of a city or of a file, and writes it for other programs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cim import plugins
from cim.errors import UsageError

if TYPE_CHECKING:
    from cim.model.road_network import RoadNetwork

__all__ = ["network"]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


def network(
    path: Annotated[Path, typer.Argument(help="A .cim folder with road links, or a network: GMNS, TNTP, SUMO, Parquet.")],
    to: Annotated[str | None, typer.Option(help="Write it as gmns, sumo or parquet, into --output.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write into.")] = None,
    *,
    length_unit: Annotated[str | None, typer.Option(help="Unit of lengths of GMNS or TNTP, such as mile.")] = None,
    speed_unit: Annotated[str | None, typer.Option(help="Unit of speeds of GMNS, such as mph.")] = None,
    time_unit: Annotated[str | None, typer.Option(help="Unit of times of TNTP, such as h.")] = None,
    toll_factor: Annotated[float | None, typer.Option(help="Time that a unit of toll costs: GMNS [s], TNTP [its unit].")] = None,
    distance_factor: Annotated[float | None, typer.Option(help="Time that a unit of length costs, TNTP [its units].")] = None,
    default_capacity: Annotated[float | None, typer.Option(help="Of GMNS links that state none [veh/h per lane].")] = None,
    default_speed: Annotated[float | None, typer.Option(help="Of GMNS links that state none [m/s].")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a road network 路网检查: parts, traps, numbers that cannot be; exit code 1 when a run would be refused."""
    from cim.model.network_checks import check_network

    if (to is None) != (output is None):
        msg = "--to and --output belong together: --to gmns -o folder"
        raise UsageError(msg)
    options = {
        "length_unit": length_unit, "speed_unit": speed_unit, "time_unit": time_unit, "toll_factor": toll_factor,
        "distance_factor": distance_factor, "default_capacity": default_capacity, "default_speed": default_speed,
    }  # fmt: skip
    read = _read(path, {name: value for name, value in options.items() if value is not None})
    report = check_network(read)
    written = [] if to is None or output is None else _write(read, to, output)
    if as_json:
        sys.stdout.write(json.dumps(_document(path, read, report, written), ensure_ascii=False) + "\n")
    else:
        length = float(sum(one for one in read.links["length"].to_pylist() if one)) / 1000.0
        sys.stdout.write(f"{path}: {read.nodes.num_rows:,} nodes, {read.links.num_rows:,} links, {length:,.1f} km of them\n")
        for one in [*(f"info: {note}" for note in read.notes), *report.lines(), *(f"written: {note}" for note in written)]:
            sys.stdout.write(f"{one}\n")
    if report.worst == "error":
        raise typer.Exit(1)


def _read(path: Path, options: dict[str, str | float]) -> RoadNetwork:
    if path.suffix == ".cim" and path.is_dir():
        import cim
        from cim.model.earlier_links import NOTES
        from cim.sim.traffic.city_network import road_network

        if options:
            msg = f"{path.name} is a city, whose units are known; {', '.join(options)} is of files"
            raise UsageError(msg)
        city = cim.open(path)
        made = road_network(city)
        loose = [row["message"] for row in city.tables["issues"].to_pylist() if row["record"] == NOTES and row["code"] == "unmatched"]
        return replace(made, notes=(*made.notes, *loose))
    found: RoadNetwork = plugins.load("cim.networks", "network")(path, **options)
    return found


def _write(read: RoadNetwork, to: str, output: Path) -> list[str]:
    """Write a network and return what the format cannot hold."""
    known = [name.removeprefix("write_") for name in plugins.available("cim.networks") if name.startswith("write_")]
    if to not in known:
        msg = f"--to {to}: there is no writer of that name; give {', '.join(known)}"
        raise UsageError(msg)
    said: Any = plugins.load("cim.networks", f"write_{to}")(read, output)
    notes = said if isinstance(said, list | tuple) else getattr(said, "notes", ())
    return [str(output), *map(str, notes)]


def _document(path: Path, read: RoadNetwork, report: Any, written: list[str]) -> dict[str, Any]:
    return {
        "path": str(path),
        "nodes": read.nodes.num_rows,
        "links": read.links.num_rows,
        "notes": list(read.notes),
        "findings": report.findings.to_pylist(),
        "parts": report.parts.to_pylist(),
        "written": written,
    }
