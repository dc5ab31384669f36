"""IFC files to a City: text guard, reference graph, objects, property sets, shapes, place, and what a building is from outside."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import CorruptFileError, FormatError, InputError, MissingExtraError
from cim.loaders.ifc.envelope import look_from_outside, write_outside
from cim.loaders.ifc.geometry import placed, write_geometry
from cim.loaders.ifc.graph import check
from cim.loaders.ifc.network import write_links
from cim.loaders.ifc.notes import Notes
from cim.loaders.ifc.orient import orient
from cim.loaders.ifc.placements import Placements
from cim.loaders.ifc.psets import gather_sets, write_sets
from cim.loaders.ifc.shapes import make_shapes
from cim.loaders.ifc.step import MAGIC, Step, header_schema, scan
from cim.loaders.ifc.tree import grow
from cim.loaders.protocol import Description, LayerInfo, ReadOptions
from cim.loaders.source import plain_name, source_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.ifc.geometry import Placed
    from cim.loaders.ifc.georeference import Placement
    from cim.loaders.ifc.psets import Sets
    from cim.loaders.ifc.tree import Tree
    from cim.model import City, CityBuilder

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["IFCReader", "open_model"]

_KNOWN = {"IFC2X3": "IFC2X3", "IFC4": "IFC4", "IFC4X3_ADD2": "IFC4X3_ADD2"}
_NEAR = {
    "IFC2X3_TC1": "IFC2X3", "IFC4_ADD1": "IFC4", "IFC4_ADD2": "IFC4", "IFC4_ADD2_TC1": "IFC4", "IFC4X3": "IFC4X3_ADD2",
    "IFC4X3_TC1": "IFC4X3_ADD2", "IFC4X3_ADD1": "IFC4X3_ADD2",
}  # fmt: skip
_FARTHEST = 1e7  # m from the project's origin: a double still resolves a nanometre there, and no project is that wide
_TALLEST, _WIDEST = 1000.0, 100_000.0  # m: of a storey building, and of a project
_REMEDY = "save it as IFC2X3, IFC4 or IFC4X3"


class IFCReader:
    """Reads IFC 2x3, 4 and 4.3 in the STEP encoding."""

    name = "ifc"
    priority = 20
    imports = ("ifcopenshell", "ifcopenshell.geom", "scipy.sparse.csgraph", "shapely")

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether it is a STEP file."""
        del path
        return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(MAGIC)

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return the city that the model holds, placed as the evidence in it says.

        Raises
        ------
        InputError
            If the file cannot be used.
        MissingExtraError
            If ifcopenshell is not installed.
        """
        if options.layer is not None:
            reason = f"a building model has no layers, but layer={options.layer!r} was asked for"
            raise FormatError(path, reason, "leave layer out; take a part of the city afterwards with city.subset(city.keys(class))")
        notes = Notes()
        step, model = open_model(path, options, notes)
        return _assemble(step, model, path, options, notes)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return schema, counts and place."""
        notes = Notes()
        with path.open("rb") as file:
            schema = header_schema(file.read(1 << 16))
        doubts: list[str] = []
        try:
            step, model = open_model(path, options, notes)
        except FormatError as error:
            doubts.append(f"{error.reason}; {error.remedy}")
            layers: tuple[LayerInfo, ...] = ()
            doubts += _told_place(path, options, None)[1]
        else:
            counts = Counter({name: count for name, count in step.keywords.items() if name in _LISTED})
            crs, told = _told_place(path, options, model)
            layers = tuple(LayerInfo(name, count, "3D", crs) for name, count in counts.most_common())
            doubts += [note.message for note in notes.rows] + told
        return Description(f"IFC ({schema})", layers, "", tuple(doubts), whole=True, without_crs=_UNPLACED)


_UNPLACED = "the model is put on the footprint its building fits, else it stays in local coordinates"


_LISTED = frozenset({
    "IFCSITE", "IFCBUILDING", "IFCBUILDINGSTOREY", "IFCSPACE", "IFCWALL", "IFCWALLSTANDARDCASE", "IFCSLAB", "IFCROOF", "IFCDOOR",
    "IFCWINDOW", "IFCCOLUMN",
    "IFCBEAM", "IFCSTAIR", "IFCBUILDINGELEMENTPROXY", "IFCFURNISHINGELEMENT", "IFCFURNITURE", "IFCBRIDGE", "IFCROAD",
    "IFCRAILWAY", "IFCFLOWSEGMENT", "IFCPIPESEGMENT", "IFCDUCTSEGMENT", "IFCPROPERTYSET",
})  # fmt: skip


def _told_place(path: Path, options: ReadOptions, model: Any) -> tuple[str | None, list[str]]:
    """Return the coordinate system the model is placed in, None where its place is not known, and what is doubtful about it."""
    from cim.loaders.ifc import evidence
    from cim.loaders.ifc.georeference import locate

    _library()
    facts = evidence.gather(model) if model is not None else evidence.gather_header(path)
    if facts is None:
        return None, ["nothing can be told about its place"]
    try:
        placement = locate(facts, path, options)
    except InputError as error:
        return None, [error.reason]
    good = "" if placement.uncertainty is None else f", uncertainty {placement.uncertainty:.3g} m"
    sure = placement.verdict in {"given", "agreed", "stated once"}
    told = f"place {placement.verdict} in {placement.crs.label}{good}: {placement.reason}"
    return None if placement.crs.is_local else placement.crs.to_string(), [] if sure and model is not None else [told]


def _library() -> Any:
    try:
        import ifcopenshell
    except ImportError as error:
        msg = 'reading IFC needs ifcopenshell, which is not installed; run: pip install "cim-toolkit[ifc]"'
        raise MissingExtraError(msg) from error
    return ifcopenshell


def open_model(path: Path, options: ReadOptions, notes: Notes) -> tuple[Step, Any]:
    """Return the scanned text and the opened model.

    Raises
    ------
    FormatError
        If it is no IFC file, or of a schema that is not read.
    CorruptFileError
        If it is damaged.
    """
    library = _library()
    with path.open("rb") as file:
        head = file.read(1 << 16)
    schema = header_schema(head)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(MAGIC) and schema and schema not in _KNOWN and schema not in _NEAR:
        what = f"schema {schema} is not read" if schema.startswith("IFC") else f"is a STEP file of schema {schema}, not IFC"
        raise FormatError(path, f"{what}; schemas that are: IFC2X3, IFC4, IFC4X3", _REMEDY)
    step = scan(path, options.limits, notes, options.encoding)
    options.limits.check("records", len(step.ids), path)
    text = step.text
    if schema in _NEAR:
        notes.add("assumed", f"schema {schema} is read as {_NEAR[schema]}, which it differs from in details", severity="info")
        stated = text[: 1 << 16]
        place = stated.upper().find(schema.encode(), stated.upper().find(b"FILE_SCHEMA"))
        text = text[:place] + _NEAR[schema].encode() + text[place + len(schema) :]
    model = _opened(library, path, text, mended=step.mended or text is not step.text)
    return _without_unknown(step, model, notes), model


def _opened(library: Any, path: Path, text: bytes, *, mended: bool) -> Any:
    from cim.loaders.parcel import work_file

    place = path
    if mended:
        place = work_file(path, ".ifc")
        place.write_bytes(text)
    try:
        return library.open(str(place))
    except (library.Error, OSError, RuntimeError, ValueError) as error:
        raise CorruptFileError(path, f"cannot be parsed ({str(error)[:200]})", "export the file again") from error
    finally:
        if mended:
            place.unlink(missing_ok=True)


def _without_unknown(step: Step, model: Any, notes: Notes) -> Step:
    """Name the records of entities that the schema does not have: the library drops them without a word."""
    import re

    import ifcopenshell

    schema = ifcopenshell.ifcopenshell_wrapper.schema_by_name(model.schema_identifier)
    dropped = dict(step.dropped)
    for name, count in step.keywords.items():
        try:
            schema.declaration_by_name(name)
        except RuntimeError:
            found = re.findall(rb"#(\d{1,10})\s*=\s*" + name.encode() + rb"\s*\(", step.text, re.IGNORECASE)
            message = f"{count} records of the unknown entity type {name} are left out; schema {model.schema_identifier} has none"
            notes.add("rejected", message, count=count)
            dropped |= {int(one): f"its entity type {name} is unknown" for one in found}
    if len(dropped) == len(step.dropped):
        return step
    gone = np.isin(step.ids, list(dropped))
    more = np.stack([step.ids[step.source[gone[step.target]]], step.ids[step.target[gone[step.target]]]], axis=1)
    return replace(step, dropped=dropped, missing=np.concatenate([step.missing, more]))


# ------------------------------------------------------------------------------------------ assembly


def _assemble(step: Step, model: Any, path: Path, options: ReadOptions, notes: Notes) -> City:
    from cim.loaders.ifc import evidence
    from cim.loaders.ifc.georeference import locate
    from cim.model import CityBuilder

    if not model.by_type("IfcObjectDefinition"):
        return _nothing(step, path, options)
    graph = check(step)
    _tell_missing(step, notes)
    facts = evidence.gather(model)
    placement = locate(facts, path, options)
    sets = gather_sets(model, notes)
    tree = grow(model, sets, notes)
    shapes = make_shapes(model, tree.entities, graph, notes, facts.unit)
    _check_found(shapes, path)
    bodies = orient(shapes.shapes)
    uses = _sane(placed(shapes, bodies, tree.row, np.eye(4)), tree, notes)
    uses = replace(uses, **_moved(uses, placement.matrix))
    _tell_open(uses, tree, notes)
    levels = _levels(tree, graph, placement, facts.unit)
    outside = look_from_outside(tree, uses, levels, notes)
    builder = CityBuilder(placement.crs, name=options.name or plain_name(path))
    source = builder.add_source(_source(step, placement, path, options, len(tree.steps)))
    keys = builder.add_objects(
        tree.types, tree.ids, footprints=outside.footprint, names=pa.array(tree.names, pa.string()), z_ground=outside.ground,
        z_roof=outside.roof, parents=[tree.ids[one] if one >= 0 else None for one in tree.parent], source=source,
    )  # fmt: skip
    write_geometry(builder, uses, keys, source)
    write_outside(builder, tree, outside, keys, source)
    write_sets(builder, tree, keys, sets, notes)
    _write_identifiers(builder, tree, keys)
    _write_attributes(builder, tree, keys, sets, facts.unit)
    _write_floor_areas(builder, tree, keys, outside.footprint, placement, notes)
    _write_relations(builder, tree, keys, source)
    write_links(builder, model, tree, keys, notes)
    evidence.record(builder, int(keys[0]), source, placement)
    notes.write(builder, {one: int(keys[row]) for one, row in tree.row.items()}, source)
    return builder.build()


def _nothing(step: Step, path: Path, options: ReadOptions) -> City:
    from cim.model import CityBuilder

    builder = CityBuilder(options.crs or "local", name=options.name or plain_name(path))
    source = builder.add_source(
        source_record(path, reader="ifc", format=f"IFC ({step.schema})", shown=options.extra.get("_shown"), records_in=0)
    )
    builder.add_issue("empty", "the file is empty: it holds no project and no objects", source=source)
    return builder.build()


def _tell_missing(step: Step, notes: Notes) -> None:
    lost = step.missing[~np.isin(step.missing[:, 1], list(step.dropped))]
    if len(lost):
        message = f"{len(lost)} references lead to records that are missing, such as #{lost[0, 0]} to #{lost[0, 1]}"
        notes.add("invalid", message, count=len(lost))


def _check_found(shapes: Any, path: Path) -> None:
    if shapes.wanted and not shapes.owner and not shapes.emptied and shapes.corrupt:
        reason = f"none of its {shapes.wanted} products with geometry yields a shape: {shapes.corrupt}"
        raise CorruptFileError(path, reason, "export the file again")


def _moved(uses: Placed, matrix: Reals) -> dict[str, Any]:
    """Return matrices and boxes of all uses after the georeference."""
    motion = matrix @ uses.matrix
    low, high = np.empty_like(uses.low), np.empty_like(uses.high)
    for use in range(len(uses.row)):
        points = uses.bodies.shapes[uses.shape[use]].points @ motion[use, :3, :3].T
        low[use], high[use] = points.min(axis=0) + motion[use, :3, 3], points.max(axis=0) + motion[use, :3, 3]
    return {"matrix": motion, "low": low, "high": high}


def _sane(uses: Placed, tree: Tree, notes: Notes) -> Placed:
    """Leave out shapes that are not finite or lie absurdly far from the project's origin, and doubt sizes no building has."""
    reach = np.maximum(np.abs(uses.low), np.abs(uses.high)).max(axis=1, initial=0) if len(uses.row) else np.zeros(0)
    bad = ~(reach < _FARTHEST) | ~np.isfinite(uses.low).all(axis=1)
    for use in np.flatnonzero(bad).tolist():
        row = int(uses.row[use])
        where = f"{reach[use]:.3g} m from the project's origin, out of range (limit {_FARTHEST:.0e} m)"
        message = f"the geometry of {tree.kinds[row]} lies {where}; it is left out"
        notes.add("rejected", message, entity=tree.steps[row])
    kept = replace(uses, row=uses.row[~bad], shape=uses.shape[~bad], matrix=uses.matrix[~bad], low=uses.low[~bad], high=uses.high[~bad])
    if len(kept.row):
        size = kept.high.max(axis=0) - kept.low.min(axis=0)
        if size[2] > _TALLEST or size[:2].max() > _WIDEST:
            message = (
                f"the model measures {size[0]:,.0f} x {size[1]:,.0f} x {size[2]:,.0f} m; its length unit is probably wrong or not stated"
            )
            notes.add("invalid", message)
    return kept


def _tell_open(uses: Placed, tree: Tree, notes: Notes) -> None:
    """Count meshes that are not closed, and name those that a solid representation promised to be."""
    promised = []
    for use in np.flatnonzero(~uses.bodies.closed[uses.shape]).tolist():
        row = int(uses.row[use])
        if _promises_solid(tree.entities[row]):
            promised.append(tree.steps[row])
    loose = int((~uses.bodies.closed[uses.shape]).sum()) - len(promised)
    notes.add_each("invalid", "its representation promises a solid, but the mesh is not closed; kept as a surface", promised)
    if loose:
        message = f"{loose} shapes are surfaces that enclose no volume; they are kept as MultiSurface"
        notes.add("invalid", message, severity="info", count=loose)


def _promises_solid(entity: Any) -> bool:
    kinds = {part.RepresentationType for part in entity.Representation.Representations if part.RepresentationIdentifier == "Body"}
    return bool(kinds & {"Brep", "AdvancedBrep", "SolidModel", "SweptSolid", "CSG", "Clipping", "AdvancedSweptSolid"}) or any(
        getattr(item, "Closed", None) is True
        for part in entity.Representation.Representations
        for item in part.Items or ()
        if item.is_a("IfcTessellatedFaceSet")
    )


def _levels(tree: Tree, graph: Any, placement: Placement, unit: float) -> Reals:
    """Return the height of every storey in the city [m], from its placement, else from its elevation."""
    placements = Placements(unit)
    levels = np.full(len(tree.steps), np.nan)
    for row, kind in enumerate(tree.kinds):
        if kind != "IfcBuildingStorey":
            continue
        entity = tree.entities[row]
        where = entity.ObjectPlacement
        world = placements.world(where) if where is not None and not graph.fault(where.id()) else None
        if world is None:
            world = np.eye(4)
            world[2, 3] = float(entity.Elevation or 0.0) * unit
        levels[row] = (placement.matrix @ world)[2, 3]
    return levels


def _source(step: Step, placement: Placement, path: Path, options: ReadOptions, records: int) -> Any:
    vertical = placement.crs.vertical.name if placement.crs.vertical is not None else None
    return source_record(
        path, reader="ifc", format=f"IFC ({step.schema})", mapping=options.mapping, shown=options.extra.get("_shown"),
        used_crs=placement.crs.to_string(), used_vertical=vertical, accuracy=placement.uncertainty, records_in=records,
    )  # fmt: skip


# -------------------------------------------------------------------------------------- plain tables


def _write_identifiers(builder: CityBuilder, tree: Tree, keys: Ints) -> None:
    have = [row for row, guid in enumerate(tree.guids) if guid]
    builder.add_identifiers(keys[have], "ifc_guid", [tree.guids[row] for row in have])
    tags = [(row, tag) for row, one in enumerate(tree.entities) if (tag := getattr(one, "Tag", None))]
    if tags:
        builder.add_identifiers(keys[[row for row, _ in tags]], "ifc_tag", [str(tag) for _, tag in tags])


def _write_relations(builder: CityBuilder, tree: Tree, keys: Ints, source: int) -> None:
    if tree.relations:
        subjects, predicates, objects = zip(*tree.relations, strict=True)
        builder.add_relations(keys[list(subjects)], list(predicates), keys[list(objects)], source=source)


_TEXTS = {
    "description": ("Description", "说明"),
    "object_type": ("ObjectType", "对象类型"),
    "long_name": ("LongName", "全名"),
    "tag": ("Tag", "标记"),
}
_ROOM = {
    "net_floor_area": (("NetFloorArea",), "m²", "net floor area", "净面积"),
    "gross_floor_area": (("GrossFloorArea",), "m²", "gross floor area", "建筑面积"),
    "floor_area": (("NetFloorArea", "GSA BIM Area", "GrossFloorArea", "FloorArea", "Area"), "m²", "floor area", "面积"),
    "volume": (("NetVolume", "GrossVolume", "Volume"), "m³", "volume", "体积"),
    "height": (("FinishCeilingHeight", "Height", "ClearHeight"), "m", "height", "净高"),
}


def _write_attributes(builder: CityBuilder, tree: Tree, keys: Ints, sets: Sets, unit: float) -> None:
    from cim.model import Column

    types = np.array(tree.types, object)
    for name in dict.fromkeys(tree.types):
        rows = np.flatnonzero(types == name).tolist()
        mine = keys[rows]
        columns = {
            "ifc_class": Column([tree.kinds[row] for row in rows], label_en="IFC class", label_zh="IFC类型"),
            "predefined_type": Column(pa.array([tree.predefined[row] for row in rows], pa.string()), source_field="PredefinedType",
                                      label_en="predefined type", label_zh="预定义类型"),
        }  # fmt: skip
        for column, (field, label) in _TEXTS.items():
            values = [_plain(getattr(tree.entities[row], field, None)) for row in rows]
            if any(value is not None for value in values):
                columns[column] = Column(
                    pa.array(values, pa.string()), source_field=field, label_en=column.replace("_", " "), label_zh=label
                )
        if name == "BuildingStorey":
            stated = [getattr(tree.entities[row], "Elevation", None) for row in rows]
            heights = [None if one is None else float(one) * unit for one in stated]
            columns["storey_elevation"] = Column(  # z_ground is where the storey lies in the city
                pa.array(heights, pa.float64()), "m", "Elevation", "elevation above the zero of the building", "相对建筑零点标高"
            )
        if name == "BuildingRoom":
            columns |= _room_columns(tree, sets, rows)
        builder.add_attributes(mine, name, columns)


_SEEN = "area of the footprint seen from above"


def _write_floor_areas(builder: CityBuilder, tree: Tree, keys: Ints, footprints: NDArray[Any], placement: Placement, notes: Notes) -> None:
    """Give storeys the area of their footprint [m²] and say that it is that; those without a footprint are counted."""
    import shapely

    from cim.model import Column

    rows = np.flatnonzero(np.array(tree.types, object) == "BuildingStorey")
    if not len(rows) or not placement.crs.is_projected:
        return
    area = shapely.area(footprints[rows]) * placement.crs.linear_unit_factor**2
    known = np.isfinite(area) & (area > 0)  # nothing has an area of nan
    basis = [_SEEN if one else None for one in known.tolist()]
    builder.add_attributes(keys[rows], "BuildingStorey", {
        "floor_area": Column(np.where(known, area, np.nan), "m²", label_en="floor area", label_zh="层面积"),
        "floor_area_basis": Column(pa.array(basis, pa.string()), label_en="how the area is known", label_zh="面积依据"),
    })  # fmt: skip
    if known.any():
        message = f"floor_area of {known.sum()} of {len(rows)} storeys is the {_SEEN}: its slabs, else its rooms, together"
        notes.add("assumed", message, severity="info", count=int(known.sum()))
    if not known.all():
        message = f"{(~known).sum()} of {len(rows)} storeys have no slabs or rooms to take a footprint from; their floor_area is not known"
        notes.add("empty", message, severity="info", count=int((~known).sum()))


def _plain(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None


def _room_columns(tree: Tree, sets: Sets, rows: list[int]) -> dict[str, Any]:
    """Return the sizes of rooms that the file states, in SI."""
    from cim.model import Column

    stated = [
        {one.name: one.value for each in sets.owners.get(tree.steps[row], ()) for one in sets.quantities.get(each, ())} for row in rows
    ]
    found = {}
    for column, (names, symbol, label, chinese) in _ROOM.items():
        values = [next((have[name] for name in names if name in have), None) for have in stated]
        if any(value is not None for value in values):
            found[column] = Column(pa.array(values, pa.float64()), symbol, " | ".join(names), label, chinese)
    return found
