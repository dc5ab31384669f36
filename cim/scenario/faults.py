"""Faults of a scenario file, each with the line and key it lies at, and reading sections so that all are found at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

__all__ = ["Fault", "Key", "dotted", "draft_model", "line_of", "lines_of", "models_in", "near", "read_model"]

Key = tuple[str | int, ...]
_MOST_TRIES = 5
"""A value that is left out may bring up another fault, of one that agreed with it."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a scenario file."""

    line: int | None
    """Line of the file, None where it has none."""
    key: str
    """Where, such as ``checks.far.limit``."""
    message: str

    def __str__(self) -> str:
        """Return line, key and message."""
        return (f"line {self.line}: " if self.line else "") + (f"{self.key}: " if self.key else "") + self.message


def dotted(key: Key) -> str:
    """Return a key as the messages name it."""
    return ".".join(map(str, key))


def read_model(
    kind: type[BaseModel], values: Any, prefix: Key, lines: Mapping[Key, int], faults: list[Fault], known: Iterable[str] = (),
    folder: Path | None = None,
) -> BaseModel | None:  # fmt: skip
    """Read values with a pydantic model; what is wrong is added to the faults.

    Parameters
    ----------
    prefix
        Where in the file the values stand.
    known
        Further words that may be meant at the top.
    folder
        Folder of the scenario file, where paths in it begin; validators find it in their context as ``"folder"``.
    """
    try:
        return kind.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        for one in error.errors():
            place = _location(one["loc"], values, missing=one["type"] == "missing")
            key = (*prefix, *place)
            words = one["msg"].removeprefix("Value error, ")
            if one["type"] == "extra_forbidden":
                words = _unknown(kind, place, values, known)
            elif one["type"] == "union_tag_invalid":
                tag, known_tags = one["ctx"]["tag"], re.findall("'([^']*)'", one["ctx"]["expected_tags"])
                words = f"there is no {tag!r}{near(tag, known_tags)}"
            elif one["type"] != "missing" and not isinstance(one["input"], dict | list):
                words += f" (found {one['input']!r})"
            faults.append(Fault(line_of(key, lines), dotted(key), words))
        return None


def draft_model(kind: type[BaseModel], values: Any, folder: Path | None = None) -> BaseModel | None:
    """Return a model without the values that are wrong, so that the rest can be checked; None where it needs them.

    A model may have `stand_ins` for keys that it needs, by name.
    """
    stand_ins: Mapping[str, Any] = getattr(kind, "stand_ins", {})
    for _ in range(_MOST_TRIES):
        try:
            return kind.model_validate(values, context={"folder": folder})
        except ValidationError as error:
            places = {_location(one["loc"], values, missing=False) for one in error.errors()}  # of a key that is missing: its table
            if () in places and isinstance(values, Mapping):
                lacking = {name: one for name, one in stand_ins.items() if name not in values}
                if not lacking:
                    return None
                values, places = {**values, **lacking}, places - {()}
            elif () in places:
                return None
            values = _without(values, (), places)
    return None


def _without(values: Any, here: Key, places: set[Key]) -> Any:
    """Return nested values without those at some places; tables and lists are copied."""
    if isinstance(values, Mapping):
        return {key: _without(one, (*here, key), places) for key, one in values.items() if (*here, key) not in places}
    if isinstance(values, list | tuple):
        return [_without(one, (*here, at), places) for at, one in enumerate(values) if (*here, at) not in places]
    return values


def _location(place: tuple[str | int, ...], values: Any, *, missing: bool) -> Key:
    """Return where in the file a fault lies: without the names of steps, types and models that pydantic puts between.

    What can be found in the values is a key of the file; a key that is missing is the last of the place.
    """
    kept: list[str | int] = []
    for at, one in enumerate(place):
        held = (isinstance(values, dict) and one in values) or (isinstance(values, list) and isinstance(one, int) and one < len(values))
        if held:
            values = values[one]
        if held or (missing and at == len(place) - 1):
            kept.append(one)
    return tuple(kept)


def models_in(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Return the models that a type may hold, such as those of a union or a list.

    Examples
    --------
    >>> class Rain(BaseModel): ...
    >>> [model.__name__ for model in models_in(list[Rain] | None)]
    ['Rain']
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(dict.fromkeys(model for one in get_args(annotation) for model in models_in(one)))


def _unknown(kind: type[BaseModel], place: Key, values: Any, known: Iterable[str]) -> str:
    """Say that a key is not known where it stands; where other tables than the one chosen there have it, say which was chosen."""
    name, table = str(place[-1]), _at(values, place[:-1])
    kinds = _models_at(kind, place[:-1])
    words = {model: _words(model) for model in kinds}
    chosen = [model for model in kinds if all(table.get(word) == value for word, value in words[model].items())]
    own = list(dict.fromkeys(field for model in chosen or kinds for field in model.model_fields))
    if chosen and name not in own and any(name in model.model_fields for model in kinds):
        said = ", ".join(f'{word} = "{value}"' for word, value in words[chosen[0]].items())
        return f"is not a key of a table with {said}; known are {', '.join(sorted(own))}"
    return f"is not known{near(name, [*own, *(known if len(place) == 1 else ())])}"


def _words(model: type[BaseModel]) -> dict[str, Any]:
    """Return the keys of a model that take one word only, which tells it from others, such as ``kind``."""
    found = {name: get_args(field.annotation) for name, field in model.model_fields.items() if get_origin(field.annotation) is Literal}
    return {name: allowed[0] for name, allowed in found.items() if len(allowed) == 1}


def _at(values: Any, place: Key) -> Mapping[str, Any]:
    """Return the table at a place of nested values, an empty one where there is none."""
    for one in place:
        values = values[one]
    return values if isinstance(values, Mapping) else {}


def _models_at(kind: type[BaseModel], place: Key) -> tuple[type[BaseModel], ...]:
    """Return every model that may stand at a place of a model."""
    kinds: tuple[type[BaseModel], ...] = (kind,)
    for one in place:
        if isinstance(one, str):
            kinds = tuple(model for held in kinds if one in held.model_fields for model in models_in(held.model_fields[one].annotation))
    return kinds


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint: the nearest known word, else all of them."""
    import difflib

    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(names) or 'none'}"


def line_of(key: Key, lines: Mapping[Key, int]) -> int | None:
    """Return the line of a key, or of the nearest section it would stand in."""
    for end in range(len(key), 0, -1):
        if key[:end] in lines:
            return lines[key[:end]]
    return None


_HEADER = re.compile(r"""^\s*(\[\[?)\s*((?:[^\[\]#"']|"[^"]*"|'[^']*')+?)\s*\]\]?\s*(?:#.*)?$""")
_ASSIGNMENT = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def lines_of(text: str) -> dict[Key, int]:
    """Return the line of each section and key of a TOML text; keys inside inline tables have none of their own."""
    found: dict[Key, int] = {}
    section: Key = ()
    counts: dict[Key, int] = {}
    quoted, depth = "", 0  # inside a text, or inside a list, of several lines
    for number, line in enumerate(text.splitlines(), start=1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        if depth > 0:
            depth += _brackets(line)
            continue
        header, assignment = _HEADER.match(line), _ASSIGNMENT.match(line)
        if header:
            section = _section(_names(header[2]), header[1] == "[[", counts)
            for end in range(1, len(section) + 1):
                found.setdefault(section[:end], number)
        elif assignment:
            key = (*section, *_names(assignment[1]))
            for end in range(len(section) + 1, len(key) + 1):
                found.setdefault(key[:end], number)
            quoted = next((mark for mark in ('"""', "'''") if line.count(mark) == 1), "")
            depth = 0 if quoted else max(_brackets(line[assignment.end() :]), 0)
    return found


def _section(names: Key, one_more: bool, counts: dict[Key, int]) -> Key:  # noqa: FBT001  # whether the header has two brackets
    """Return the place of a header: tables of a list are counted, also where they stand inside another list."""
    place: Key = ()
    for at, name in enumerate(names):
        place = (*place, name)
        last = at == len(names) - 1
        if last and one_more:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _brackets(line: str) -> int:
    """Return how many lists a line leaves open, texts and comments left out."""
    bare = re.sub(r"""("(?:[^"\\]|\\.)*"|'[^']*')|#.*$""", "", line)
    return bare.count("[") - bare.count("]")


def _names(text: str) -> Key:
    return tuple(one.strip().strip("\"'") for one in re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", text))
