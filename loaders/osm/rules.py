"""Which tagged thing is which class: the table `rules.json`, and how the first rule that fits is found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Rule", "Rules", "rules"]

_ALL = frozenset({"point", "line", "area"})


@dataclass(frozen=True)
class Rule:
    """One line of the table."""

    rank: int
    key: str
    type: str
    """Class of the city."""
    values: frozenset[str]
    """Values it takes; empty: every one that is not in `never`."""
    never: frozenset[str]
    shapes: frozenset[str]
    closed_is_area: bool
    """Whether a closed way is an area when no area=* says so."""
    network: str | None
    poi: bool

    def takes(self, value: str) -> bool:
        """Return whether it takes this value of its key."""
        return value in self.values if self.values else value not in self.never


@dataclass(frozen=True)
class Rules:
    """All rules, found by key."""

    rules: tuple[Rule, ...]
    by_key: Mapping[str, tuple[Rule, ...]]
    silent: frozenset[str]
    """Keys that alone do not say what a thing is."""
    poi_code: str

    def candidates(self, tags: Mapping[str, str]) -> list[Rule]:
        """Return the rules that the tags fit, the first first."""
        found = [rule for key in tags.keys() & self.by_key.keys() for rule in self.by_key[key] if rule.takes(tags[key])]
        found.sort(key=_rank)
        return found

    def match(self, tags: Mapping[str, str], form: str) -> tuple[Rule, str] | None:
        """Return the first rule that fits, and the shape it makes of a thing of this form.

        Parameters
        ----------
        form
            "node", "open" (way), "closed" (way) or "relation" (multipolygon).

        Examples
        --------
        >>> rule, shape = rules().match({"highway": "residential", "junction": "roundabout"}, "closed")
        >>> rule.type, shape
        ('Road', 'line')
        """
        for rule in self.candidates(tags):
            shape = _shape(rule, tags, form)
            if shape in rule.shapes:
                return rule, shape
        return None


def _rank(rule: Rule) -> int:
    return rule.rank


def _shape(rule: Rule, tags: Mapping[str, str], form: str) -> str:
    if form != "closed":
        return {"node": "point", "open": "line", "relation": "area"}[form]
    said = tags.get("area")
    if said in ("yes", "no"):
        return "area" if said == "yes" else "line"
    if "line" not in rule.shapes:
        return "area"
    return "area" if rule.closed_is_area else "line"


@cache
def rules() -> Rules:
    """Return the table."""
    text = json.loads(files("cim.loaders.osm").joinpath("rules.json").read_text(encoding="utf-8"))
    made = tuple(_rule(rank, entry) for rank, entry in enumerate(text["rules"]))
    by_key: dict[str, tuple[Rule, ...]] = {}
    for rule in made:
        by_key[rule.key] = (*by_key.get(rule.key, ()), rule)
    return Rules(made, by_key, frozenset(text["no_information"]), text["poi_code"])


def _rule(rank: int, entry: Mapping[str, object]) -> Rule:
    def words(name: str) -> frozenset[str]:
        found = entry.get(name, ())
        return frozenset(map(str, found)) if isinstance(found, list) else frozenset()

    network = entry.get("network")
    return Rule(rank, str(entry["key"]), str(entry["class"]), words("values"), words("not"), words("shapes") or _ALL,
                entry.get("closed", "area") == "area", None if network is None else str(network),
                bool(entry.get("poi", False)))  # fmt: skip
