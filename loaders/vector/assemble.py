"""Layers to a City: geometry cleaned and placed, fields planned, objects, attributes, identifiers and issues added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError
from cim.loaders.source import source_record
from cim.loaders.vector.fields import Plan, Target, as_mapping, plan_for
from cim.loaders.vector.frame import Layer, Note
from cim.loaders.vector.place import one_system, placed, used_crs
from cim.loaders.vector.raised import raised_geometries
from cim.loaders.vector.repair import clean
from cim.loaders.vector.values import converted, instants
from cim.model.identifiers import normalise_identifier

if TYPE_CHECKING:
    import pyarrow as pa

    from cim.loaders.protocol import ReadOptions
    from cim.model import City, CityBuilder

__all__ = ["assemble"]


def assemble(layers: Sequence[Layer], path: Path, options: ReadOptions, *, companions: Iterable[Path] = ()) -> City:
    """Return the city that the layers of one file make.

    Raises
    ------
    CorruptFileError
        If there were records, and none is usable.
    CRSError
        If a coordinate system is missing, unknown or impossible.
    """
    from cim.model import CityBuilder

    shown = Path(str(options.extra.get("_shown", path)))
    systems = []
    for layer in layers:
        crs, notes = used_crs(layer, options.crs, shown)
        systems.append((placed(clean(layer.noted(*notes)), crs, shown), crs))
    ready, target, pipelines = one_system(systems, shown)
    _check_something_left(ready, shown)
    builder = CityBuilder(target, name=options.name or shown.stem)
    for layer, (_, crs), pipeline in zip(ready, systems, pipelines, strict=True):
        plan = plan_for(layer, shown.stem, options.mapping)
        record = source_record(
            path, reader="vector", format=layer.format, mapping=as_mapping(plan), companions=companions, shown=str(shown), layer=layer.name,
            declared_crs=layer.crs, used_crs=crs.to_string(), used_vertical=crs.vertical.name if crs.vertical is not None else None,
            pipeline=pipeline or None, encoding=layer.encoding or None, records_in=layer.records_in, objects_out=len(layer),
            rejected=layer.rejected, repaired=layer.repaired,
        )  # fmt: skip
        _add_layer(builder, layer, plan, builder.add_source(record))
    return builder.build()


def _check_something_left(layers: Sequence[Layer], path: Path) -> None:
    if any(len(layer) for layer in layers) or not any(layer.rejected for layer in layers):
        return
    first = next((note.message for layer in layers for note in layer.notes if note.code == "rejected"), "")
    total = sum(layer.rejected for layer in layers)
    raise CorruptFileError(path, f"not one of {total} records is usable; the first: {first}", "check how the file was written")


def _add_layer(builder: CityBuilder, layer: Layer, plan: Plan, source: int) -> None:
    notes = [*layer.notes, *plan.notes]
    if not len(layer):
        said = any(note.code == "empty" for note in layer.notes)
        _add_notes(
            builder, layer.notes if said else [*layer.notes, Note("empty", f"layer {layer.name} is empty: it holds no feature")], source
        )
        return
    since, until = (_times(layer, name, notes) for name in (plan.valid_from, plan.valid_to))
    ids, id_notes = _ids(layer, plan)
    keys = builder.add_objects(
        plan.type, ids, footprints=layer.geometry, names=_text(layer, plan.name), valid_from=since, valid_to=until, source=source
    )
    for raised in raised_geometries(layer.geometry):
        builder.add_geometries(keys[raised.row], lod="0", role=raised.role, type=raised.type, vertices=raised.vertices,
                               boundaries=raised.boundaries, source=source)  # fmt: skip
    columns, more = _attributes(layer, plan.attributes)
    if columns:
        builder.add_attributes(keys, plan.type, columns)
    _add_identifiers(builder, keys, layer, plan)
    _add_leftovers(builder, keys, layer)
    _add_notes(builder, [*notes, *id_notes, *more, *_coded(layer)], source)


def _add_notes(builder: CityBuilder, notes: Iterable[Note], source: int) -> None:
    for note in notes:
        builder.add_issue(note.code, note.message, severity=note.severity, source=source, record=note.record, count=note.count)


def _ids(layer: Layer, plan: Plan) -> tuple[pa.Array, list[Note]]:
    """Return one id per record: from the field, from the format, or made of layer and record number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    made = pa.array([f"{layer.name}.{n}" for n in layer.number.tolist()], pa.string())
    if plan.id is not None:
        column = layer.columns[plan.id]
    elif layer.ids is not None:
        column = pa.array([None if one is None else str(one) for one in layer.ids], pa.string())
    else:
        return made, [Note("assumed", f"layer {layer.name}: no field identifies its records; ids are layer and record number", "info")]
    text = _whole(column)
    bare = pc.match_substring_regex(text, r"^\d{1,9}$")  # a bare number tells records of one layer apart, not those of two
    text = pc.if_else(bare, pc.binary_join_element_wise(pa.scalar(layer.name), text, "."), text)
    missing = pc.or_kleene(pc.is_null(text), pc.equal(text, ""))
    count = pc.sum(missing).as_py() or 0
    notes = (
        [Note("assumed", f"layer {layer.name}: {count} records have no id; theirs are layer and record number", count=count)]
        if count
        else []
    )
    return pc.if_else(missing, made, text), notes


def _whole(column: pa.Array) -> pa.Array:
    """Return a column as text, whole numbers without a decimal point."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        whole = pc.equal(column, pc.floor(column))
        if pc.all(whole).as_py():
            column = column.cast(pa.int64())
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def _text(layer: Layer, name: str | None) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if name is None:
        return None
    text = pc.utf8_trim_whitespace(layer.columns[name].cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _times(layer: Layer, name: str | None, notes: list[Note]) -> pa.Array | None:
    if name is None:
        return None
    times, lost = instants(layer.columns[name])
    if lost:
        notes.append(Note("rejected", f"field {name}: {lost} values are no dates; set to missing", count=lost))
    return times


def _attributes(layer: Layer, targets: Sequence[Target]) -> tuple[dict[str, Any], list[Note]]:
    from cim.model import Column
    from cim.standard_names import STANDARD_NAMES

    columns: dict[str, Any] = {}
    notes: list[Note] = []
    for target in targets:
        name = target.name if target.name not in columns and target.name != "object" else f"{target.name}_{len(columns)}"
        values, unit, more = converted(layer, target)
        notes += more
        standard = STANDARD_NAMES.get(target.standard or "")
        labels = {"label_en": standard.label_en, "label_zh": standard.label_zh} if standard else {}
        columns[name] = Column(values, unit=unit, source_field=target.source, **labels)
    return columns, notes


def _add_identifiers(builder: CityBuilder, keys: Any, layer: Layer, plan: Plan) -> None:
    import pyarrow.compute as pc

    for name, scheme in plan.identifiers:
        text = _whole(layer.columns[name])
        there = np.asarray(pc.fill_null(pc.not_equal(text, ""), False).to_numpy(zero_copy_only=False))
        if there.any():
            kept = text.filter(there)
            builder.add_identifiers(keys[there], scheme, kept, normalise_identifier(scheme, kept))


def _add_leftovers(builder: CityBuilder, keys: Any, layer: Layer) -> None:
    """Keep what did not fit its column as text, so that nothing is lost."""
    for name, values in layer.leftovers.items():
        numbers = np.array(list(values), np.int64)
        place = np.searchsorted(layer.number, numbers)
        here = (place < len(layer)) & (layer.number[np.minimum(place, len(layer) - 1)] == numbers)
        texts = [text for text, kept in zip(values.values(), here.tolist(), strict=True) if kept]
        if texts:
            builder.add_properties(keys[place[here]], "source", name, texts)


def _coded(layer: Layer) -> list[Note]:
    """Report texts that carry a code before their value, such as "(1:6)": they are kept as they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = [name for name, column in layer.columns.items() if pa.types.is_string(column.type) and len(column)
             and (pc.sum(pc.match_substring_regex(column, r"^\(\d+:")).as_py() or 0) > 0]  # fmt: skip
    if not found:
        return []
    message = f"layer {layer.name}: values such as '(1:6)text' in {', '.join(found)} carry the length of a list; kept as they are"
    return [Note("unsupported", message, "info", count=len(found))]
