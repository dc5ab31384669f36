"""Layers of things that stand up: buildings, bridges, furniture; their best geometry, else blocks over their footprints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.classes import label
from cim.scenes.appearance import SEE_THROUGH, Looks, looks
from cim.scenes.context import BUILDINGS, CONSTRUCTIONS, ELEMENTS, INTERIOR, SURFACES, Members, members, values_of
from cim.scenes.drape import drape
from cim.scenes.faces import Faces, blocks, faces
from cim.scenes.layer import OUTLINE_LIMIT, Layer, Legend, LegendEntry, Text, join
from cim.scenes.style import Categorical, Encoded, Style, hex_colour, style_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cim.scenes.context import Context

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["buildings_layer", "class_style", "colour_by", "constructions_layer", "finest", "solid_layer"]

CLASS_COLOURS = {
    "Building": hex_colour("#ece4d6"),
    "BuildingPart": hex_colour("#e4d5bf"),
    "BuildingInstallation": hex_colour("#cbbda6"),
    "BuildingConstructiveElement": hex_colour("#d6cdbd"),
    "Bridge": hex_colour("#b9b4ae"),
    "BridgePart": hex_colour("#aaa59e"),
    "Tunnel": hex_colour("#a39c94"),
    "OtherConstruction": hex_colour("#c2b8c9"),
    "GenericOccupiedSpace": hex_colour("#c9c1b4"),
    "CityFurniture": hex_colour("#c9a55c"),
    "Window": hex_colour("#a9c3cf"),
    "Door": hex_colour("#b08a63"),
}
MUTED = tuple(hex_colour(text) for text in ["#b58f7a", "#a89bb5", "#c7a9a9", "#8f9c7c", "#b5a36a", "#9aa7b5", "#c4b3c9", "#a8a08f"])
"""Colours of classes without one of their own; none looks like water, grass or road."""
PRINTED = hex_colour("#a09a8e")
"""Stands in a legend for what is shown in images."""
FLAT = hex_colour("#a98f78")
"""Footprints of what stands up but has no height: neither like a building nor like the plots that they lie on."""
FLAT_LABEL = Text("height unknown, drawn flat", "高度未知，按平面绘制")
_FOOT_SHADE = 0.74  # brightness where a wall meets the ground
_FLAT = "height unknown"  # stands among the classes for what has no height
_FLAT_LIFT = 0.5  # m above the ground, over plots and roads, of a footprint without height
_DEEPEST = 12  # levels of a tree of objects that are climbed
_FOOT_HEIGHT = 7.0  # m above the foot where the shade ends


def buildings_layer(context: Context) -> tuple[Layer, ...]:
    """Return buildings with their parts, installations and elements."""
    return solid_layer(context, "buildings", Text("Buildings", "建筑"), BUILDINGS)


def constructions_layer(context: Context) -> tuple[Layer, ...]:
    """Return bridges, tunnels and other constructions."""
    return solid_layer(context, "constructions", Text("Bridges and constructions", "桥梁与构筑物"), CONSTRUCTIONS)


def class_style(types: Iterable[str] = ()) -> Categorical:
    """Return the fixed colours of classes, named in both languages, and the one of what is drawn flat."""
    labels = {name: Text(label(name, "en"), label(name, "zh")) for name in {*CLASS_COLOURS, *types}}
    return Categorical({**CLASS_COLOURS, _FLAT: FLAT}, {**labels, _FLAT: FLAT_LABEL}, MUTED)


def _by_class(types: NDArray[np.object_], flat: NDArray[np.bool_] | None, title: Text) -> Encoded:
    """Return objects coloured by class, those without height in a colour of their own that the legend names."""
    if flat is None or not flat.any():
        return class_style(types).encode(types, title)
    if flat.all():  # a legend of one entry shows its title only
        title = Text(f"{title.en}: {FLAT_LABEL.en}", f"{title.zh}：{FLAT_LABEL.zh}")
    return class_style(types).encode(np.where(flat, _FLAT, types), title)


def solid_layer(
    context: Context, name: str, title: Text, types: Iterable[str], keys: NDArray[np.int64] | None = None, *, plain: bool = False
) -> tuple[Layer, ...]:
    """Return one merged mesh of all objects of some classes, and one more of what is seen through; none where there is no object.

    An object is drawn with its finest geometry, in the images and materials of its source where it has them; one without
    geometry is raised from its footprint between `z_ground` and `z_roof` (or the attribute `height`); one without any height
    lies flat, counted in `notes`. The whole is left out where its elements (walls, slabs) are drawn in finer detail.

    Parameters
    ----------
    keys : shape (n,)
        Only these objects.
    plain
        Without the images and materials of the source.
    """
    who = members(context, types, keys)
    if not len(who):
        return ()
    made, drawn, failed, look = _modelled(context, who)
    stand = ~drawn & ~_has_drawn_parts(context, who, drawn) & _polygonal(who.shapes)
    raised, flat = _raised(context, who, np.flatnonzero(stand))
    points, triangles, objects = join([_mesh(part) for part in (made, raised, flat)])
    edges, start = [], 0
    for part in (made, raised, flat):
        edges.append(part.edges + start)
        start += len(part.points)
    outline = np.concatenate(edges).astype(np.int32)
    low = np.zeros(len(who), bool)
    low[flat.row] = True
    encoded = _by_class(who.types, low, title)
    used = np.zeros(len(who), bool)
    used[objects] = True
    notes = _notes(
        [
            (
                int((~used).sum() - _has_drawn_parts(context, who, used)[~used].sum()),
                "have no shape and are not drawn",
                "个对象没有形状，未绘制",
            ),
            (len(np.unique(flat.row)), "have no height and are drawn flat", "个对象没有高度，按平面绘制"),
            (failed, "faces have no area", "个面没有面积"),
        ]
    )
    shade = _foot_shade(points, triangles, objects, low | ~np.isin(who.types, sorted((BUILDINGS | CONSTRUCTIONS) - set(ELEMENTS))))
    layer = Layer(
        name=name,
        label=title,
        points=points,
        triangles=triangles,
        cell_object=objects,
        ids=who.ids,
        colours=encoded.colours,
        legend=encoded.legend,
        point_shade=shade,
        edges=outline if 0 < len(outline) <= OUTLINE_LIMIT else None,
        flat=low if low.any() else None,
        notes=notes,
    )
    if not len(triangles):
        return (replace(layer, visible=False),)
    return (layer,) if look is None or plain else dressed(layer, look, len(made.triangles))


def dressed(layer: Layer, look: Looks, count: int) -> tuple[Layer, ...]:
    """Return a layer whose first triangles have looks, and a second one of those that are seen through.

    Parameters
    ----------
    count
        How many triangles, from the first, are those of the looks; their vertices come first too.
    """
    vertices = len(look.points)
    rest = len(layer.triangles) - count
    image = np.concatenate([look.image, np.full(rest, -1, np.int32)])
    colours = layer.colours[np.maximum(layer.point_object, 0)]
    colours[:vertices][look.painted] = look.colour[look.painted]
    uv = np.zeros((len(layer.points), 2), np.float32)
    uv[:vertices] = look.uv
    own = bool(look.images)
    whole = replace(
        layer,
        texture=look.images if own else None,
        uv=uv if own else None,
        cell_image=image if own else None,
        point_colours=colours if look.painted.any() else None,
        notes=(*layer.notes, *look.notes),
    )
    shown = (image >= 0) | (np.append(look.painted, False)[np.minimum(whole.triangles[:, 0], vertices)])
    if len(shown) and shown.mean() > 0.5:  # the colours of classes are hardly seen
        tint = list(PRINTED) if own else np.rint(colours[whole.triangles[shown, 0]].mean(axis=0)).astype(int).tolist()
        said = Text("images of the source", "原始纹理") if own else Text("colours of the source", "原始材质颜色")
        title = Text(f"{layer.label.en}: {said.en}", f"{layer.label.zh}：{said.zh}")
        whole = replace(whole, legend=Legend(title, (LegendEntry((tint[0], tint[1], tint[2]), said, len(layer)),)))
    clear = np.concatenate([1 - look.opacity, np.zeros(rest, np.float32)])
    return _see_through(whole, clear)


def _see_through(layer: Layer, clear: NDArray[np.float32]) -> tuple[Layer, ...]:
    """Return a layer without what is seen through, and that as a layer of its own.

    Parameters
    ----------
    clear : shape (m,)
        Transparency of each triangle.
    """
    glass = clear > SEE_THROUGH
    if not glass.any():
        return (layer,)
    said = Text(f"{layer.label.en}: see-through parts", f"{layer.label.zh}：透明部分")
    least, most = (float(value) for value in np.percentile(clear[glass], (5, 95)))
    spread = (Text(f"transparencies of {least:.0%} to {most:.0%} drawn alike", f"透明度 {least:.0%}–{most:.0%} 统一显示"),)
    mean = float(np.clip(1 - clear[glass].mean(), 0.15, 0.95))
    through = _part(layer, glass)
    middle = np.rint(layer.colours[np.unique(through.cell_object)].mean(axis=0)).astype(int).tolist()
    count = len(np.unique(through.cell_object))
    legend = Legend(said, (LegendEntry((middle[0], middle[1], middle[2]), said, count),))
    through = replace(
        through, name=f"{layer.name}, see-through", label=said, opacity=mean, edges=None, legend=legend, flat=None,
        notes=spread if most - least > 0.1 else (),
    )  # fmt: skip
    return (_with_used_objects(through),) if glass.all() else (_part(layer, ~glass), _with_used_objects(through))


def _part(layer: Layer, mine: NDArray[np.bool_]) -> Layer:
    image = None if layer.cell_image is None else layer.cell_image[mine]
    return replace(layer, triangles=layer.triangles[mine], cell_object=layer.cell_object[mine], cell_image=image)


def _with_used_objects(layer: Layer) -> Layer:
    """Return a layer with only those objects and vertices that are drawn."""
    objects, cell = np.unique(layer.cell_object, return_inverse=True)
    used, index = np.unique(layer.triangles, return_inverse=True)

    def of_points(values: Any) -> Any:
        return None if values is None else values[used]

    return replace(
        layer, points=layer.points[used], triangles=index.reshape(-1, 3).astype(np.int32), cell_object=cell.astype(np.int32),
        ids=layer.ids[objects], colours=layer.colours[objects], uv=of_points(layer.uv), point_shade=of_points(layer.point_shade),
        point_colours=of_points(layer.point_colours),
    )  # fmt: skip


def _notes(counts: list[tuple[int, str, str]]) -> tuple[Text, ...]:
    return tuple(Text(f"{count:,} {en}", f"{count:,} {zh}") for count, en, zh in counts if count)


def _mesh(part: Faces) -> tuple[Reals, NDArray[np.int32], NDArray[np.int32]]:
    return part.points, part.triangles.astype(np.int32), part.row.astype(np.int32)


def finest(geometries: pa.Table, *, solid: bool = True) -> Ints:
    """Return the rows of the finest surface geometry of each object, in the order of the objects.

    Parameters
    ----------
    geometries
        Columns `object`, `lod`, `role` and `type`; what lost to another source (role ``alternative``) is left out.
    solid
        Whether LoD 0 and footprints are left out.
    """
    types, lods, roles = (geometries[name].combine_chunks() for name in ("type", "lod", "role"))
    usable = np.asarray(pc.is_in(types, pa.array(SURFACES)).to_numpy(zero_copy_only=False))
    usable &= ~np.asarray(pc.fill_null(pc.equal(roles, "alternative"), fill_value=False).to_numpy(zero_copy_only=False))
    detail = _detail(lods)
    if solid:
        usable &= (detail >= 1) & ~np.asarray(pc.equal(roles, "footprint").to_numpy(zero_copy_only=False))
    rows = np.flatnonzero(usable)
    owners = np.asarray(geometries["object"].to_numpy(), np.int64)[rows]
    closed = np.asarray(pc.match_substring(types, "Solid").to_numpy(zero_copy_only=False))[rows]
    order = np.lexsort((closed, detail[rows], owners))
    owners = owners[order]
    last = np.concatenate([owners[1:] != owners[:-1], [True]]) if len(owners) else np.empty(0, bool)
    return np.asarray(rows[order][last], np.int64)


def _detail(lods: pa.Array) -> Reals:
    """Return levels of detail as numbers; a text that is none counts as 1."""
    coded = lods.dictionary_encode()
    names = coded.dictionary.to_pylist()
    numbers = np.array([float(name) if name.replace(".", "", 1).isdigit() else 1.0 for name in names] or [1.0])
    return numbers[np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)] if len(lods) else np.empty(0)


def _modelled(context: Context, who: Members) -> tuple[Faces, NDArray[np.bool_], int, Looks | None]:
    """Return the faces of objects that have geometry, which do, how many faces have no area, and how the source shows them."""
    table = context.city.geometry_table(keys=who.keys)
    chosen = _without_shells(context, pa.concat_tables([table.take(pa.array(finest(table))), _decks(who, table)]))
    found = faces(chosen, _floors(context, chosen))
    look = looks(context.city, chosen, found)
    if look is not None:
        found = replace(found, points=look.points, triangles=look.triangles, edges=_moved_edges(found.edges, look))
    found = _without_mesh_edges(found, chosen)
    place = np.searchsorted(who.keys, np.asarray(chosen["object"].to_numpy(), np.int64))
    row = place[found.row]
    drawn = np.zeros(len(who), bool)
    drawn[row] = True
    points = found.points + (context.city.origin - context.origin)
    finite = np.asarray(np.isfinite(points).all(axis=1))
    if not finite.all():
        points = np.where(finite[:, None], points, 0.0)
        keep = finite[found.triangles].all(axis=1)
        found = replace(found, triangles=found.triangles[keep], edges=found.edges[finite[found.edges].all(axis=1)])
        row = row[keep]
        look = None if look is None else replace(look, image=look.image[keep], opacity=look.opacity[keep])
    return replace(found, points=points, row=row), drawn, found.failed, look


def _decks(who: Members, table: pa.Table) -> pa.Table:
    """Return surfaces of level 0 of constructions without a body and without heights: the deck of a bridge is where it is stated."""
    kind = np.isin(who.types, sorted(CONSTRUCTIONS)) & ~np.isfinite(who.z_roof)
    kind &= ~np.isin(who.keys, np.asarray(table["object"].to_numpy(), np.int64)[finest(table)])
    level = pc.starts_with(table["lod"].combine_chunks(), "0")
    mine = table.filter(pc.and_(level, pc.is_in(table["object"].combine_chunks(), pa.array(who.keys[kind], pa.int64()))))
    mine = mine.filter(pc.not_equal(mine["role"], "footprint"))
    return mine.take(pa.array(finest(mine, solid=False)))


def _moved_edges(edges: Ints, look: Looks) -> Ints:
    """Return edges between vertices of the mesh with looks: any of those that one vertex became."""
    any_new = np.full(int(max(look.old.max(initial=-1), edges.max(initial=-1))) + 1, -1, np.int64)
    any_new[look.old] = np.arange(len(look.old))
    moved = any_new[edges]
    return moved[(moved >= 0).all(axis=1)]


def _without_mesh_edges(found: Faces, chosen: pa.Table) -> Faces:
    """Return faces without the outlines of photographed or scanned meshes, whose edges mean nothing."""
    mesh = np.asarray(pc.fill_null(pc.equal(chosen["role"], "mesh"), fill_value=False).to_numpy(zero_copy_only=False))
    if not mesh.any() or not len(found.triangles):
        return found
    loud = np.zeros(len(found.points), bool)
    loud[found.triangles[mesh[found.row]].reshape(-1)] = True
    return replace(found, edges=found.edges[~loud[found.edges].any(axis=1)])


def _without_shells(context: Context, chosen: pa.Table) -> pa.Table:
    """Return geometries without those of buildings whose elements are among them in finer detail."""
    if not chosen.num_rows:
        return chosen
    objects = context.city.tables.scan("objects", ["key", "parent", "type"])
    every = np.asarray(objects["key"].to_numpy(), np.int64)
    parent = np.asarray(pc.fill_null(objects["parent"], -1).to_numpy(), np.int64)
    element = np.isin(np.array(objects["type"].to_pylist(), object), ELEMENTS)
    detail, mine = _detail(chosen["lod"].combine_chunks()), np.asarray(chosen["object"].to_numpy(), np.int64)
    row = np.searchsorted(every, mine)
    fine = np.zeros(len(every))
    level = np.where(element[row], detail, 0.0)
    above = parent[row]
    for _ in range(_DEEPEST):  # a level of the tree at a time
        up = above >= 0
        if not up.any():
            break
        level, above = level[up], above[up]
        at = np.searchsorted(every, above)
        np.maximum.at(fine, at, level)
        above = parent[at]
    keep = element[row] | (fine[row] <= detail)
    return chosen.filter(pa.array(keep))


def _floors(context: Context, geometries: pa.Table) -> NDArray[np.bool_] | None:
    """Return which surfaces of the flattened table nobody sees: floors on the ground, and closures, which are only thought."""
    surfaces = context.city.surface_table(geometries)
    if not surfaces.num_rows or not geometries.num_rows:
        return None
    count = pc.list_value_length(pc.list_flatten(pc.list_flatten(geometries["boundaries"].combine_chunks())))
    total = int(pc.sum(count).as_py() or 0)
    semantics = geometries["semantics"].combine_chunks()
    per_geometry = _surfaces_per_geometry(geometries)
    said = np.asarray(pc.fill_null(pc.list_value_length(semantics), 0).to_numpy(zero_copy_only=False), np.int64)
    value = np.asarray(pc.list_flatten(semantics).to_numpy(zero_copy_only=False), np.int64)
    fits = said == per_geometry
    value = value[np.repeat(fits, said)]
    local = np.full(total, -1, np.int64)
    local[np.repeat(fits, per_geometry)] = value
    floor = surfaces.filter(pc.is_in(surfaces["type"], pa.array(["GroundSurface", "ClosureSurface"])))
    wide = np.int64(1) << 20  # semantic surfaces of one geometry
    keys = np.repeat(np.asarray(geometries["key"].to_numpy(), np.int64), per_geometry)
    codes = np.asarray(floor["geometry"].to_numpy(), np.int64) * wide + np.asarray(floor["index"].to_numpy(), np.int64)
    return np.asarray((local >= 0) & np.isin(keys * wide + local, codes))


def _surfaces_per_geometry(geometries: pa.Table) -> Ints:
    from cim.model.geometry import flatten

    flat = flatten(geometries)
    return np.diff(flat.shell_start[flat.solid_start[flat.geometry_start]])


def _has_drawn_parts(context: Context, who: Members, drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which objects have a part that is drawn, also one inside a storey of theirs: the whole need not be drawn again."""
    table = context.city.tables.scan("objects", ["key", "parent", "type"], pc.field("parent").is_valid())
    child = np.asarray(table["key"].to_numpy(), np.int64)
    parent = np.asarray(table["parent"].to_numpy(), np.int64)
    inside = np.asarray(pc.is_in(table["type"], pa.array(sorted(INTERIOR) + list(ELEMENTS))).to_numpy(zero_copy_only=False), bool)
    above = np.unique(parent[np.isin(child, who.keys[drawn])])
    found = above
    for _ in range(_DEEPEST):
        above = np.unique(parent[inside & np.isin(child, above)])
        if not len(above):
            break
        found = np.union1d(found, above)
    return np.isin(who.keys, found)


def _polygonal(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    import shapely

    return np.asarray(
        np.isin(shapely.get_type_id(shapes), (3, 6)) & ~shapely.is_empty(shapes) & np.isfinite(shapely.bounds(shapes)).all(axis=1)
    )


def _raised(context: Context, who: Members, rows: Ints) -> tuple[Faces, Faces]:
    """Return blocks over footprints whose height is known, and the other footprints lying on the ground."""
    import shapely

    shapes = who.shapes[rows].copy()
    crossed = ~shapely.is_valid(shapes)
    shapes[crossed] = shapely.buffer(shapes[crossed], 0)
    middle = shapely.get_coordinates(shapely.centroid(shapes)) if len(rows) else np.empty((0, 2))
    middle = np.nan_to_num(middle)
    low = np.where(np.isfinite(who.z_ground[rows]), who.z_ground[rows], context.ground.at(middle[:, 0], middle[:, 1]))
    high = np.where(np.isfinite(who.z_roof[rows]), who.z_roof[rows], low + _heights(context, who, rows))
    tall = np.isfinite(high) & (high > low) & ~shapely.is_empty(shapes)
    up = blocks(shapes[tall], low[tall], high[tall])
    points, triangles, row, _ = drape(shapes[~tall], context.ground, _FLAT_LIFT)
    flat = Faces(points, triangles.astype(np.int64), rows[~tall][row], np.empty((0, 2), np.int64))
    return replace(up, row=rows[tall][up.row]), flat


def _heights(context: Context, who: Members, rows: Ints) -> Reals:
    """Return the attribute `height` [m], NaN where unknown."""
    found = np.full(len(rows), np.nan)
    for type in sorted(set(who.types[rows].tolist())):
        if "height" not in context.city.attributes.schema(type).names:
            continue
        mine = np.flatnonzero(who.types[rows] == type)
        column = context.city.column(type, "height", who.keys[rows[mine]])
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            found[mine] = np.asarray(column.cast(pa.float64()).to_numpy(), float)
    return found


def _foot_shade(points: Reals, triangles: NDArray[np.int32], objects: NDArray[np.int32], flat: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a factor that darkens walls towards their foot: it sets a building on the ground.

    Parameters
    ----------
    flat : shape (n,)
        Objects that are not darkened, such as what lies flat.
    """
    owner = np.full(len(points), -1, np.int64)
    owner[triangles.reshape(-1)] = np.repeat(objects, 3)
    foot = np.full(max(len(flat), 1), np.inf)
    used = np.flatnonzero(owner >= 0)
    np.minimum.at(foot, owner[used], points[used, 2])
    above = points[:, 2] - np.where(np.isfinite(foot), foot, 0.0)[owner]
    shade = _FOOT_SHADE + (1 - _FOOT_SHADE) * np.clip(above / _FOOT_HEIGHT, 0, 1)
    return np.where((owner >= 0) & np.append(flat, False)[owner], 1.0, shade).astype(np.float32)


def colour_by(context: Context, layer: Layer, name: str | None, style: Style | None = None) -> Layer:
    """Return a layer coloured by an attribute or core column; by class when `name` is None.

    Raises
    ------
    ObjectNotFoundError
        If no object of the layer has the attribute.
    """
    keys = context.city.key_of(layer.ids.tolist())
    table = context.city.tables.scan("objects", ["type"]).take(pa.array(context.city.row_of_key(keys)))
    types = texts_of(table["type"])
    if name is None:
        encoded = _by_class(types, layer.flat, layer.label)
        return layer.recoloured(encoded.colours, encoded.legend)
    values, unit = values_of(context.city, keys, types, name)
    numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    array = np.array([np.nan if value is None else value for value in values], float) if numbers else np.array(values, object)
    chosen = style or style_for(array)
    title = attribute_title(context, types, name)
    encoded = chosen.encode(array, Text(f"{layer.label.en}: {title.en}", f"{layer.label.zh}：{title.zh}"), unit)
    coloured = layer.recoloured(encoded.colours, encoded.legend, encoded.values, unit)
    return replace(coloured, hatched=encoded.hatched if encoded.hatched.any() else None)


def texts_of(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return a text column as an array of str."""
    return np.asarray(column.to_pylist(), object)


def attribute_title(context: Context, types: NDArray[np.object_], name: str) -> Text:
    """Return what people call an attribute, in both languages."""
    from cim.standard_names import STANDARD_NAMES

    said = {"en": "", "zh": ""}
    for type in sorted(set(types.tolist())):
        schema = context.city.attributes.schema(type)
        metadata = (schema.field(name).metadata or {}) if name in schema.names else {}
        said = {language: text or metadata.get(f"label_{language}".encode(), b"").decode() for language, text in said.items()}
    standard = STANDARD_NAMES.get(name)
    return Text(said["en"] or (standard.label_en if standard else name), said["zh"] or (standard.label_zh if standard else name))
