"""Axes of an ensemble: what varies, the members that follow, and what each is called.

An axis is a list of values of one key of the file. ``seed`` varies the seed, ``change`` the options of the file (``"none"`` is the city
as the base changes leave it), everything else a parameter of a section, such as ``flood.rain.return_period``.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cim.errors import UsageError
from cim.scenario.faults import Fault, Key, dotted, draft_model, line_of, near, read_model

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from cim.scenario.file import Scenario

__all__ = ["MOST_MEMBERS", "NONE", "flat_axes", "member_name", "members", "section_faults", "with_setting"]

MOST_MEMBERS = 100_000
NONE = "none"
"""The option that changes nothing."""
_LONGEST_WORD, _LONGEST_NAME = 40, 180


def members(scenario: Scenario) -> list[Scenario]:
    """Return the members of a scenario: one concrete scenario for each combination of the values of its axes.

    A member has no axes and no options. Its `member` is its name, made from its values only: it stays the same when values are added to
    an axis or axes stand in another order, and may name a folder. Its `settings` say which value it has on each axis.

    Returns
    -------
    list
        In the order of the values, the last axis fastest. A scenario without axes is its only member, ``"base"``.

    Raises
    ------
    UsageError
        If there are more than `MOST_MEMBERS`, or parameters that are right one by one make no sense together.
    """
    count = math.prod(len(values) for values in scenario.axes.values())
    if count > MOST_MEMBERS:
        msg = f"{scenario.name or 'the scenario'}: its axes make {count:,} members, at most {MOST_MEMBERS:,} are allowed; give fewer values"
        raise UsageError(msg)
    if not scenario.axes:
        return [replace(scenario, member="base", options={})]
    made: dict[str, BaseModel] = {}
    names = list(scenario.axes)
    return [_member(scenario, dict(zip(names, values, strict=True)), made) for values in itertools.product(*scenario.axes.values())]


def _member(scenario: Scenario, settings: Mapping[str, Any], made: dict[str, BaseModel]) -> Scenario:
    """Return one member; `made` keeps the parameters that several share."""
    seed = settings.get("seed", scenario.seed)
    option = settings.get("change", NONE)
    change = scenario.change if option == NONE else scenario.options[option]
    name = member_name(settings)
    parts: dict[str, dict[str, BaseModel]] = {"simulations": {}, "checks": {}}
    for part, prefix in (("simulations", ""), ("checks", "checks.")):
        for section, base in getattr(scenario, part).items():
            mine = {key[len(prefix + section) + 1 :]: value for key, value in settings.items() if key.startswith(f"{prefix}{section}.")}
            seeded = {"seed": seed} if _takes_seed(scenario, prefix + section, base, seed) else {}
            known = json.dumps([part, section, {**seeded, **mine}], sort_keys=True, default=str)
            if known not in made:
                folder = None if scenario.path is None else scenario.path.parent
                made[known] = _parameters(base, scenario.sections.get(prefix + section), {**seeded, **mine}, name, folder)
            parts[part][section] = made[known]
    return replace(
        scenario, change=change, seed=seed, member=name, settings=settings, axes={}, options={}, simulations=parts["simulations"],
        checks=parts["checks"],
    )  # fmt: skip


def _takes_seed(scenario: Scenario, section: str, base: BaseModel, seed: int | None) -> bool:
    """Say whether a section gets the seed of the scenario: it knows one, and states none of its own."""
    return seed is not None and "seed" in type(base).model_fields and "seed" not in scenario.sections.get(section, {})


def _parameters(
    base: BaseModel, stated: Mapping[str, Any] | None, mine: Mapping[str, Any], name: str, folder: Path | None
) -> BaseModel:  # fmt: skip
    """Return the parameters of a section with the values of a member."""
    if not mine:
        return base
    values: Any = base.model_dump(exclude_unset=True, by_alias=True) if stated is None else stated
    for key, value in mine.items():
        values = with_setting(values, tuple(key.split(".")), value)
    faults: list[Fault] = []
    model = read_model(type(base), values, (), {}, faults, folder=folder)
    if model is None:
        msg = f"member {name}: " + "; ".join(str(fault) for fault in faults)
        raise UsageError(msg)
    return model


def with_setting(values: Any, path: Key, value: Any) -> Any:
    """Return a copy of nested values with one set; tables that are not there are made.

    Examples
    --------
    >>> with_setting({"rain": {"place": "A"}}, ("rain", "return_period"), 10)
    {'rain': {'place': 'A', 'return_period': 10}}
    """
    held = dict(values) if isinstance(values, Mapping) else {}
    inner = copy.deepcopy(value) if len(path) == 1 else with_setting(held.get(str(path[0])), path[1:], value)
    return {**held, str(path[0]): inner}


def member_name(settings: Mapping[str, Any]) -> str:
    """Return the name of a member: ``key=value`` sorted by key; what no file name may hold is replaced, and told apart by a hash.

    Examples
    --------
    >>> member_name({"seed": 2, "flood.rain.return_period": 100})
    'flood.rain.return_period=100,seed=2'
    """
    name = ",".join(f"{key}={_word(settings[key])}" for key in sorted(settings))
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 20]}~{_hash(name, 12)}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    word = re.sub(r"[^\w.+-]+", "-", text).strip("-.")
    return word if word == text and len(text) <= _LONGEST_WORD else f"{word[:_LONGEST_WORD]}~{_hash(text, 6)}"


def _hash(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


# ---------------------------------------------------------------- reading


def flat_axes(
    stated: Any, sections: Mapping[str, Any], kinds: Mapping[str, type[BaseModel]], options: Sequence[str], lines: Mapping[Key, int],
    faults: list[Fault],
) -> dict[str, tuple[Any, ...]]:  # fmt: skip
    """Return the axes of a file by dotted key, in its order; what is wrong is added to the faults.

    Parameters
    ----------
    stated
        What stands under ``[axes]``.
    sections
        Stated values by section, ``flood`` or ``checks.far``.
    kinds
        Parameters by section.
    options
        Names of the options.
    """
    axes: dict[str, tuple[Any, ...]] = {}
    if not isinstance(stated, dict):
        faults.append(Fault(lines.get(("axes",)), "axes", "expected keys with lists of values, such as seed = [1, 2, 3]"))
        return {}
    for path, values in _leaves(stated, ()):
        place: Key = ("axes", *path)
        told = _list_fault(values) or _word_fault(path, values, options)
        name = dotted(path) if path in {("seed",), ("change",)} else _section_key(path, sections, kinds)
        if name is None:
            told = told or f"is no key of this file; an axis is seed, change or a key of {', '.join(sections) or 'a section'}"
        elif name in axes:
            told = told or f"means {name}, which is an axis already"
        if told:
            faults.append(Fault(line_of(place, lines), dotted(place), told))
        elif name is not None:
            axes[name] = tuple(values)
    count = math.prod(len(values) for values in axes.values())
    if count > MOST_MEMBERS:
        faults.append(
            Fault(lines.get(("axes",)), "axes", f"make {count:,} members, at most {MOST_MEMBERS:,} are allowed; give fewer values")
        )
    return axes


def _leaves(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _list_fault(values: Any) -> str:
    """Return why something is no list of values, ``""`` where it is."""
    if not isinstance(values, list) or not values:
        return f"expected a list of values, such as [1, 2, 3] (found {values!r})"
    words = [json.dumps(value, sort_keys=True, default=str) for value in values]
    twice = next((value for value, word in zip(values, words, strict=True) if words.count(word) > 1), None)
    return f"the value {twice!r} stands twice" if len(set(words)) < len(words) else ""


def _word_fault(path: tuple[str, ...], values: Any, options: Sequence[str]) -> str:
    """Return what is wrong with the values of ``seed`` or ``change``."""
    if path == ("seed",):
        bad = [value for value in values if isinstance(value, bool) or not isinstance(value, int) or value < 0]
        return f"seeds are whole numbers of 0 or more (found {bad[0]!r})" if bad else ""
    if path == ("change",):
        bad = [value for value in values if value not in {NONE, *options}] if all(isinstance(one, str) for one in values) else values
        return f"there is no [[option]] named {bad[0]!r}{near(str(bad[0]), [NONE, *options])}" if bad else ""
    return ""


def _section_key(path: tuple[str, ...], sections: Mapping[str, Any], kinds: Mapping[str, type[BaseModel]]) -> str | None:
    """Return the full dotted key of an axis; without its section it is that of the only one which knows its first word."""
    name = dotted(path)
    if any(name.startswith(f"{section}.") for section in sections):
        return name
    fits = [section for section in sections if section in kinds and path[0] in kinds[section].model_fields]
    return f"{fits[0]}.{name}" if len(fits) == 1 else None


def section_faults(
    kind: type[BaseModel], values: Any, section: str, axes: Mapping[str, Sequence[Any]], lines: Mapping[Key, int], faults: list[Fault],
    folder: Path | None = None,
) -> BaseModel | None:  # fmt: skip
    """Read a section as its first member has it where the file leaves a varied key open, and try every value of its axes alone.

    Where it has faults, what they leave of it is returned, so that the rest can be checked; None where nothing is left.
    """
    prefix: Key = tuple(section.split("."))
    mine = {tuple(key[len(section) + 1 :].split(".")): row for key, row in axes.items() if key.startswith(f"{section}.")}
    lacking = {path: row for path, row in mine.items() if not _has(values, path)}
    filled = values
    for path, row in lacking.items():
        filled = with_setting(filled, path, row[0]) if isinstance(filled, Mapping) else filled
    found: list[Fault] = []
    model = read_model(kind, filled, prefix, lines, found, folder=folder) or draft_model(kind, filled, folder)
    said = {(fault.key, fault.message) for fault in found}
    new = [fault for fault in found if not any(fault.key.startswith(dotted((*prefix, *path))) for path in lacking)]
    for path, row in mine.items():
        place: Key = ("axes", *_as_stated(section, path, lines))
        here = dotted((*prefix, *path))
        for number, value in enumerate(row):
            tried: list[Fault] = []
            read_model(kind, with_setting(filled, path, value), prefix, {}, tried, folder=folder)
            key = dotted((*place, number))
            new += [
                Fault(line_of(place, lines), key, f"{one.message}{_elsewhere(one.key, here)}")
                for one in tried
                if one.key.startswith(here) or (one.key, one.message) not in said
            ]
    faults += new
    return model


def _elsewhere(key: str, here: str) -> str:
    """Return a hint when a value breaks something at another key."""
    return "" if key.startswith(here) or not key else f" (at {key})"


def _has(values: Any, path: tuple[str, ...]) -> bool:
    for one in path:
        if not isinstance(values, Mapping) or one not in values:
            return False
        values = values[one]
    return True


def _as_stated(section: str, path: tuple[str, ...], lines: Mapping[Key, int]) -> Key:
    """Return the key of an axis as the file writes it: with its section or without."""
    full: Key = (*section.split("."), *path)
    return full if ("axes", *full) in lines else path
