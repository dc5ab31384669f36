"""An analyst's script: a base case and an option, three checks and a still flood on both, and a table of what differs by object id.

    python examples/analyst.py                       # on the demo district
    python examples/analyst.py city.cim -o results --levels 4.4 4.7 --terrain dtm_2m

It writes one Excel workbook per comparison, a GeoPackage of the verdicts and a GeoTIFF of the water depth.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cim
from cim.results import Comparison, Fields, Verdicts, save_result, to_excel, to_geopackage, to_geotiff
from cim.sim import inundation, planning

Results = dict[str, Verdicts | Fields]


def demo_city() -> cim.City:
    """Return the demo district, built from its source files."""
    from cim.demo import write_sources
    from cim.loaders.build import build

    folder = Path(tempfile.mkdtemp(prefix="sanhe-"))
    write_sources(folder)
    return build(folder / "district.toml")


def make_option(city: cim.City) -> tuple[cim.Change, str]:
    """Return an option: the tallest building becomes two storeys of 3.2 m higher, the lowest one goes."""
    table = city.table("Building", ["height", "storeys_above_ground"]).dropna()
    tallest, lowest = str(table["height"].idxmax()), str(table["height"].idxmin())
    storeys = int(table.loc[tallest, "storeys_above_ground"]) + 2
    change = cim.Change("two storeys more").raise_building(tallest, by=6.4, storeys=storeys).remove_building(lowest)
    return change, tallest


def run_all(city: cim.City, levels: Sequence[float], terrain: str | None) -> Results:
    """Run every check and the flood on a city."""
    return {
        "far": planning.far(city),
        "density": planning.density(city),
        "height": planning.height_control(city, limit_datum="ground"),
        "water": inundation.simulate(city, levels=levels, source="WaterBody", terrain=terrain),
    }


def write(city: cim.City, results: Results, compared: dict[str, Comparison], folder: Path) -> None:
    """Write what other programs read: QGIS the GeoPackages and the GeoTIFF, everybody the workbooks."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        save_result(result, folder / name)
        to_geopackage(result, city, folder / f"{name}.gpkg")
        if isinstance(result, Fields):
            to_geotiff(result, folder / f"{name}.tif", "water_depth")
    for name, comparison in compared.items():
        to_excel(comparison, folder / f"{name}_difference.xlsx")


def main(arguments: Sequence[str] | None = None, say: Callable[[str], object] = print) -> dict[str, Comparison]:
    """Run the study and return what the option changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("city", nargs="?", help="a .cim folder; the demo district without it")
    parser.add_argument("-o", "--output", default="results", help="folder to write into")
    parser.add_argument(
        "--levels", nargs="+", type=float, default=[4.4, 4.7, 5.2], help="water levels [m], in the height system of the terrain"
    )
    parser.add_argument("--terrain", default="dtm_2m", help="id of the terrain")
    asked = parser.parse_args(arguments)

    base = cim.open(asked.city) if asked.city else demo_city()
    change, raised = make_option(base)
    option = change.apply(base)
    before, after = (run_all(city, asked.levels, asked.terrain) for city in (base, option))
    compared = {name: cim.compare(before[name], after[name]) for name in before}
    write(option, after, compared, Path(asked.output))

    say(f"{base}\n{cim.diff(base, option)}; raised {raised}")
    for name, comparison in compared.items():
        say(f"\n{name}: {comparison}")
        changed = comparison.changed().to_pandas()
        say(changed.dropna(axis=1, how="all").head(8).to_string(index=False))
    say(f"\nwater, base case\n{before['water'].to_pandas('levels').to_string(index=False)}")
    return compared


if __name__ == "__main__":
    main()
