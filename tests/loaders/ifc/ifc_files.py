"""Small IFC files, written out by hand, for the tests of the reader."""

from __future__ import annotations

import textwrap
from pathlib import Path

GUID = "0000000000000000000{:03d}"

HEAD = """\
ISO-10303-21;
HEADER;
FILE_DESCRIPTION(('ViewDefinition [CoordinationView]'),'2;1');
FILE_NAME('a.ifc','2026-01-01T00:00:00',('a'),('o'),'p','s','');
FILE_SCHEMA(('{schema}'));
ENDSEC;
DATA;
"""
TAIL = "ENDSEC;\nEND-ISO-10303-21;\n"

TREE = """\
#1=IFCPROJECT('0000000000000000000001',$,'P',$,$,$,$,(#6),#2);
#2=IFCUNITASSIGNMENT((#3,#4));
#3=IFCSIUNIT(*,.LENGTHUNIT.,.MILLI.,.METRE.);
#4=IFCSIUNIT(*,.AREAUNIT.,$,.SQUARE_METRE.);
#5=IFCCARTESIANPOINT((0.,0.,0.));
#6=IFCGEOMETRICREPRESENTATIONCONTEXT($,'Model',3,1.E-05,#7,$);
#7=IFCAXIS2PLACEMENT3D(#5,$,$);
#8=IFCLOCALPLACEMENT($,#7);
#9=IFCSITE('0000000000000000000002',$,'Site',$,$,#8,$,$,.ELEMENT.,$,$,$,$,$);
#11=IFCBUILDING('0000000000000000000003',$,'House',$,$,#8,$,$,.ELEMENT.,$,$,$);
#12=IFCBUILDINGSTOREY('0000000000000000000004',$,'Ground',$,$,#8,$,$,.ELEMENT.,0.);
#16=IFCRELAGGREGATES('0000000000000000000005',$,$,$,#1,(#9));
#17=IFCRELAGGREGATES('0000000000000000000006',$,$,$,#9,(#11));
#18=IFCRELAGGREGATES('0000000000000000000007',$,$,$,#11,(#12));
#20=IFCDIRECTION((0.,0.,1.));
#21=IFCCARTESIANPOINT((0.,0.));
#22=IFCAXIS2PLACEMENT2D(#21,$);
"""


def box(start: int, size: tuple[float, float, float], at: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> str:
    """Return a box centred on `at` in plan, standing on it [mm]: records from `start`; placement start+3, shape start+6."""
    return textwrap.dedent(f"""\
        #{start}=IFCCARTESIANPOINT(({at[0]},{at[1]},{at[2]}));
        #{start + 1}=IFCAXIS2PLACEMENT3D(#{start},$,$);
        #{start + 2}=IFCRECTANGLEPROFILEDEF(.AREA.,$,#22,{size[0]},{size[1]});
        #{start + 3}=IFCLOCALPLACEMENT(#8,#{start + 1});
        #{start + 4}=IFCEXTRUDEDAREASOLID(#{start + 2},#7,#20,{size[2]});
        #{start + 5}=IFCSHAPEREPRESENTATION(#6,'Body','SweptSolid',(#{start + 4}));
        #{start + 6}=IFCPRODUCTDEFINITIONSHAPE($,$,(#{start + 5}));
        """)


def house(*, extra: str = "") -> str:
    """Return the records of a house: a slab 10 x 8 m, 0.3 m thick, and a roof slab of the same size at 3 m; both in one storey."""
    return (
        TREE
        + box(100, (10000.0, 8000.0, 300.0), (0.0, 0.0, -300.0))
        + box(110, (10000.0, 8000.0, 200.0), (0.0, 0.0, 3000.0))
        + "#108=IFCSLAB('0000000000000000000010',$,'Floor',$,$,#103,#106,'T1',.FLOOR.);\n"
        + "#118=IFCSLAB('0000000000000000000011',$,'Roof',$,$,#113,#116,$,.ROOF.);\n"
        + "#190=IFCRELCONTAINEDINSPATIALSTRUCTURE('0000000000000000000008',$,$,$,(#108,#118),#12);\n"
        + extra
    )


def write(folder: Path, records: str, *, schema: str = "IFC4", name: str = "model.ifc", tail: str = TAIL) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_text(HEAD.format(schema=schema) + records + tail, encoding="utf-8")
    return path
