"""A run folder: one folder per result and ``run.json``, which says what was run on which city."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cim.errors import FormatError, UsageError
from cim.results.comparison import Comparison, compare
from cim.results.export import to_excel, to_geopackage, to_parquet, to_zarr
from cim.results.fields import Fields
from cim.results.files import load_result, save_result
from cim.results.geotiff import to_geotiff
from cim.results.verdicts import Verdicts

if TYPE_CHECKING:
    from cim.model import City
    from cim.results.tolerance import Tolerance

__all__ = ["compare_runs", "export_result", "load_run", "save_run", "zone_of"]

_FORMAT = 1


def save_run(results: Mapping[str, Verdicts | Fields], folder: str | Path, facts: Mapping[str, Any]) -> Path:
    """Write results and ``run.json`` into a folder and return its path; ``run.json`` is written last, so a folder that has it is whole.

    Parameters
    ----------
    results
        By name; each gets a folder of that name.
    facts
        What else the run should say of itself, plain values.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    summary = target / "run.json"
    summary.unlink(missing_ok=True)
    for name, result in results.items():
        save_result(result, target / name)
    listed = {
        name: {"kind": type(one).__name__.lower(), **({"counts": one.counts()} if isinstance(one, Verdicts) else {})}
        for name, one in results.items()
    }
    content = {"format": _FORMAT, **facts, "results": listed}
    part = summary.with_name(f".{summary.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(summary)
    return target


def load_run(folder: str | Path) -> dict[str, Verdicts | Fields]:
    """Return the results of a run folder by name.

    Raises
    ------
    FormatError
        If it is no run folder, or the run did not end.
    """
    base = Path(folder)
    try:
        content = json.loads((base / "run.json").read_text(encoding="utf-8"))
        names = list(content["results"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(base, "holds no finished run (run.json cannot be read)", "run the scenario again") from error
    if content.get("format") != _FORMAT or any(Path(name).name != name or name in {"", ".", ".."} for name in names):
        raise FormatError(
            base, f"run.json has format {content.get('format')!r} with the results {names}, expected {_FORMAT}", "update the toolkit"
        )
    return {name: load_result(base / name) for name in names}


def zone_of(folder: str | Path) -> tzinfo | None:
    """Return the zone in which the scenario of a run folder, or of the folder of one of its results, states its start; None without."""
    for place in (Path(folder), Path(folder).parent):
        try:
            return datetime.fromisoformat(json.loads((place / "run.json").read_text(encoding="utf-8"))["start"]).tzinfo
        except (OSError, ValueError, KeyError, TypeError):  # no run, one of before, or one without a start
            continue
    return None


def compare_runs(base: str | Path, option: str | Path, *, tolerance: Tolerance | None = None) -> dict[str, Comparison]:
    """Return the comparison of every result that two run folders share, by name; `tolerance` as for `compare`.

    Raises
    ------
    UsageError
        If they share none.
    """
    one, other = load_run(base), load_run(option)
    shared = [name for name in one if name in other]
    if not shared:
        msg = f"{base} holds {', '.join(one) or 'nothing'}, {option} holds {', '.join(other) or 'nothing'}: no result to compare"
        raise UsageError(msg)
    return {name: compare(one[name], other[name], tolerance=tolerance) for name in shared}


def export_result(result: Verdicts | Fields, city: City, kind: str, folder: Path) -> list[Path]:
    """Write a result in one of the formats of other programs and return the paths.

    Parameters
    ----------
    kind
        ``"excel"``, ``"geopackage"``, ``"geotiff"`` (fields on a grid), ``"parquet"`` (tables with footprints) or ``"zarr"`` (fields).
    """
    if kind == "excel":
        return [to_excel(result, folder / f"{result.name}.xlsx")]
    if kind == "geopackage":
        return [to_geopackage(result, city, folder / f"{result.name}.gpkg")]
    if kind == "parquet":
        names = ["verdicts"] if isinstance(result, Verdicts) else list(result.tables)
        return [to_parquet(result, folder / f"{name}.geo.parquet", city=city, table=name) for name in names]
    if kind == "geotiff":
        grids = (
            [str(name) for name, one in result.dataset.data_vars.items() if one.dims[-2:] == ("y", "x")]
            if isinstance(result, Fields)
            else []
        )
        return [to_geotiff(result, folder / f"{name}.tif", name) for name in grids if isinstance(result, Fields)]
    if kind == "zarr":
        return [to_zarr(result, folder / f"{result.name}.zarr")] if isinstance(result, Fields) and len(result.dataset.data_vars) else []
    msg = f"results cannot be written as {kind!r}; there are excel, geopackage, geotiff, parquet, zarr"
    raise UsageError(msg)
