"""The demo district step by step: read its files, ask where a value comes from, check a plot, flood it, try an option, draw it.

Run it with ``python examples/demo_walkthrough.py [FOLDER]``; it takes about a minute and needs no other data.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cim
from cim.demo import score, write_sources
from cim.demo.options import choose_option
from cim.demo.score_sources import piece_checks
from cim.loaders import read, singulate
from cim.loaders.build import build
from cim.scenario import Change
from cim.scenes import Scene
from cim.sim import inundation, planning


def main(folder: Path) -> None:
    # 1. ordinary files, as an office would send them; `truth` knows what is wrong with them
    truth = write_sources(folder / "sources")

    # 2. one city of all of them: one object per real building, every value with its claim
    city = build(truth.build_file)
    print(city.report.balance.to_string(index=False))
    print(score(city, truth).text())

    # 3. two registers disagree about a height: who says what
    disputed = truth.where("height_disagrees")[0]
    for claim in city.why(disputed, "height"):
        chosen = " <- chosen" if claim.chosen else ""
        print(f"{disputed} height {claim.value} {claim.unit or ''} says {claim.source} ({claim.method}){chosen}")

    # 4. the office: one object for the registers, the map and the IFC model, with its storeys and rooms
    if truth.office is not None:
        office = city[truth.office.id]
        rooms = city.table("BuildingRoom", columns=["name", "long_name", "net_floor_area"])
        print("office:", office.identifiers)
        print(rooms.drop(columns="geometry").groupby("long_name")["net_floor_area"].agg(["count", "sum"]).round(1).to_string())

    # 5. an oblique mesh becomes one model per building, closed, with its volume
    mesh, ground = read(truth.folder / "oblique" / "blocks.obj"), read(truth.folder / "dtm_2m.tif", surface="terrain")
    pieces = singulate(mesh, city.subset(city.key_of(list(truth.flown))), ground)
    print("\n".join(check.text() for check in piece_checks(pieces, truth)))

    # 6. planning checks: missing data is never a pass
    far = planning.far(city)
    print("floor-area ratio:", far.counts())

    # 7. what water at 4.7 m reaches from the river
    water = inundation.simulate(city, levels=[4.7], source=["W-01"])
    print(water.tables["levels"].to_pandas().to_string(index=False))

    # 8. an option, compared object by object
    house = choose_option(truth).raised
    option = Change("option B").raise_building(house, by=12.8, storeys=city[house].attributes["storeys_above_ground"] + 4).apply(city)
    changed = cim.compare(far, planning.far(option)).changed().to_pandas()
    print(changed[["object", "value_base", "value_option", "change"]].to_string(index=False))

    # 9. kept, and drawn
    cim.save(city, folder / "walkthrough.cim")
    picture = Scene(city, language="both").add(far).screenshot(folder / "walkthrough.png")
    print("city and picture:", folder / "walkthrough.cim", picture)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/walkthrough"))
