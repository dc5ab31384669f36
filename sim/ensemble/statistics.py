"""Probabilities and statistics of one table over members, by object id, and what differs from the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.results.columns import column, unit
from cim.sim.ensemble.reading import Rows
from cim.sim.impact.hazard import DEFRA_CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Group", "Limits", "table_statistics", "weighted_quantiles"]

NOT_ASSESSED = "not_assessed"
_ORDERED = {"hazard_class": DEFRA_CLASSES, "arr_class": ("H1", "H2", "H3", "H4", "H5", "H6")}
"""Classes by rising danger: the probability is that of the class or a worse one."""
_EVENTS = {"verdict": ("fail",), "water_inside": ("yes",)}
_STATES = {
    frozenset({"wet", "dry"}): "wet",
    frozenset({"damaged", "undamaged"}): "damaged",
    frozenset({"affected", "unaffected"}): "affected",
}
"""Words of a column ``status``, and the one whose probability is told."""
_MOST_VALUES = 20_000_000
"""Values of one column that are held at a time: members times rows (160 MB)."""


@dataclass(frozen=True)
class Limits:
    """What is asked of the members."""

    thresholds: tuple[float, ...]
    """Depths [m]."""
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class Group:
    """Members that are taken together; numbers are places in the list of all members that are done."""

    members: tuple[int, ...]
    weights: Floats
    """Of these members, of any sum."""
    partners: tuple[int, ...]
    """What each of them is compared with; -1 where that is not done."""
    seeds: tuple[tuple[int, ...], ...]
    """Members that differ in nothing but the seed, two or more in each."""


def table_statistics(rows: Rows, group: Group, limits: Limits) -> pa.Table:
    """Return one row per object.

    Returns
    -------
    table
        Keys; ``members`` that have the object, ``not_assessed`` among them; for each event ``p_…``, the weighted share of the members that
        assess it in which it happens (null where none does); for each column of numbers mean, min, max and quantiles over the members with
        a value, and their ``_count``; ``_base``, the mean of what they are compared with; ``_difference``, the mean of each member less its
        partner; ``_noise``, the standard deviation of such a difference between two seeds (null without seeds); ``p_changed``; ``change``.
    """
    step = max(1, _MOST_VALUES // max(1, len(group.members)))
    words = _words(rows, group)
    parts = [_part(rows, group, limits, words, slice(at, min(at + step, rows.count))) for at in range(0, max(rows.count, 1), step)]
    return pa.concat_tables(parts).combine_chunks()


def _words(rows: Rows, group: Group) -> dict[str, list[str]]:
    """Return the words of each column of classes, over all rows and members."""
    found: dict[str, list[str]] = {}
    for one in rows.schema:
        if one.name not in rows.keys.column_names and _is_class(one.name, one.type):
            members = {*group.members, *group.partners} - {-1}
            held = {str(word) for member in members for word in pc.unique(rows.column(member, one.name)).to_pylist() if word is not None}
            found[one.name] = sorted(held)
    return found


def _part(rows: Rows, group: Group, limits: Limits, words: Mapping[str, list[str]], here: slice) -> pa.Table:
    made = _Columns(rows, group, limits, here)
    made.counts()
    for name, kind in ((one.name, one.type) for one in rows.schema):
        if name in rows.keys.column_names:
            continue
        if name in words:
            made.classes(name, words[name])
        elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
            made.numbers(name)
    made.change()
    keys = rows.keys.slice(here.start, here.stop - here.start)
    fields = [*keys.schema, *made.fields]
    return pa.Table.from_arrays([*keys.columns, *made.arrays], schema=pa.schema(fields))


def _is_class(name: str, kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    return text and (name == "status" or name in _ORDERED or name in _EVENTS or name.startswith("passable_"))


class _Columns:
    """Columns of one table while they are made."""

    def __init__(self, rows: Rows, group: Group, limits: Limits, here: slice) -> None:
        self.rows, self.group, self.limits, self.here = rows, group, limits, here
        self.count = here.stop - here.start
        self.fields: list[pa.Field] = []
        self.arrays: list[Any] = []
        self.present = np.stack([rows.present(one)[here] for one in group.members]) if group.members else np.zeros((0, self.count), bool)
        self.assessed = self._assessed()
        self.partners = [group.members.index(one) if one in group.members else None for one in group.partners]
        self.different = np.zeros_like(self.present)
        self.turns: tuple[list[str], Ints, Ints] | None = None

    def _assessed(self) -> Bools:
        """Return which members assess which rows, shape (members, rows)."""
        names = [name for name in ("status", "verdict") if name in self.rows.schema.names]
        found = self.present.copy()
        for name in names:
            found &= np.stack([self._texts(one, name) != NOT_ASSESSED for one in self.group.members])
        return found

    def _texts(self, member: int, name: str) -> NDArray[np.object_]:
        return self.rows.texts(member, name)[self.here]

    def _values(self, member: int, name: str) -> Floats:
        return self.rows.numbers(member, name)[self.here]

    def _add(self, name: str, values: Any, kind: pa.DataType, *, en: str, zh: str, of: str = "") -> None:
        self.fields.append(column(name, kind, unit=of, en=en, zh=zh))
        self.arrays.append(pa.array(values, kind, from_pandas=True))

    def counts(self) -> None:
        """Add how many members have and assess each row."""
        self._add("members", self.present.sum(axis=0), pa.int64(), en="members that have it", zh="含此对象的成员数")
        lost = (self.present & ~self.assessed).sum(axis=0)
        self._add(NOT_ASSESSED, lost, pa.int64(), en="members that do not assess it", zh="未评估的成员数")

    def _share(self, name: str, event: Bools, known: Bools, *, en: str, zh: str) -> None:
        """Add the weighted share of the members that know in which an event happens."""
        yes, all_ = _weighted(event & known, self.group.weights), _weighted(known, self.group.weights)
        with np.errstate(invalid="ignore"):
            self._add(name, np.where(all_ > 0, yes / all_, np.nan), pa.float64(), en=en, zh=zh)

    def classes(self, name: str, words: list[str]) -> None:
        """Add the probabilities of a column of classes."""
        texts = np.stack([self._texts(one, name) for one in self.group.members])
        known = self.assessed & (texts != NOT_ASSESSED)
        if name in _ORDERED:
            rank = np.full(texts.shape, -1, np.int64)
            for place, word in enumerate(_ORDERED[name]):
                rank[texts == word] = place
            for place, word in enumerate(_ORDERED[name]):
                said = f"probability of {name} {word}" + ("" if place + 1 == len(_ORDERED[name]) else " or worse")
                self._share(f"p_{name}_{word}", rank >= place, known, en=said, zh=f"达到{word}级的概率")
        else:
            for word in _events(name, words, water="depth_max" in self.rows.schema.names):
                title = word if name == "status" else f"{name} {word}"
                self._share(
                    f"p_{word}" if name in {"status", "verdict"} else f"p_{name}_{word}", texts == word, known,
                    en=f"probability of {title}", zh=f"{word}的概率",
                )  # fmt: skip
        code = np.stack([_codes(row, words) for row in texts])
        nothing = np.full(self.count, None, object)
        against = np.stack([_codes(self._texts(one, name) if one >= 0 else nothing, words) for one in self.group.partners])
        self._differ(code != against)
        if name in {"status", "verdict"}:
            self.turns = (words, code, against)

    def numbers(self, name: str) -> None:
        """Add the statistics of a column of numbers, and how often depths are exceeded."""
        said = self.rows.schema.field(name)
        known_as = said.metadata or {}
        en, zh, of = known_as.get(b"label_en", b"").decode() or name, known_as.get(b"label_zh", b"").decode(), unit(said)
        values = np.stack([self._values(one, name) for one in self.group.members])
        if name.startswith("depth") and not name.endswith("_mean") and of == "m":
            known = self.assessed & ~np.isnan(values)
            for limit in self.limits.thresholds:
                with np.errstate(invalid="ignore"):
                    over = values >= limit
                self._share(
                    f"p_{name}_{limit:g}", over, known, en=f"probability of {en} of {limit:g} m or more", zh=f"{zh}≥{limit:g} m 的概率"
                )
        self._statistics(name, values, (en, zh, of))
        self._against_base(name, values, (en, zh, of))

    def _statistics(self, name: str, values: Floats, said: tuple[str, str, str]) -> None:
        en, zh, of = said
        has = ~np.isnan(values)
        number = has.sum(axis=0)
        low, high = np.where(has, values, np.inf).min(axis=0), np.where(has, values, -np.inf).max(axis=0)
        none = number == 0
        self._add(f"{name}_mean", _mean(values, self.group.weights), pa.float64(), en=f"{en}, mean", zh=f"{zh}均值", of=of)
        self._add(f"{name}_min", np.where(none, np.nan, low), pa.float64(), en=f"{en}, least", zh=f"{zh}最小值", of=of)
        self._add(f"{name}_max", np.where(none, np.nan, high), pa.float64(), en=f"{en}, greatest", zh=f"{zh}最大值", of=of)
        for share, row in zip(self.limits.quantiles, weighted_quantiles(values, self.group.weights, self.limits.quantiles), strict=True):
            percent = f"{share * 100:g}"
            self._add(f"{name}_p{percent.zfill(2)}", row, pa.float64(), en=f"{en}, {percent} % quantile", zh=f"{zh}{percent}%分位", of=of)
        self._add(f"{name}_count", number, pa.int64(), en=f"{en}, members with a value", zh=f"{zh}有值的成员数")

    def _against_base(self, name: str, values: Floats, said: tuple[str, str, str]) -> None:
        en, zh, of = said
        nothing = np.full(self.count, np.nan)
        weights = self.group.weights
        theirs = np.stack([self._values(one, name) if one >= 0 else nothing for one in self.group.partners])
        self._differ(~((values == theirs) | (np.isnan(values) & np.isnan(theirs))))
        noise = _noise([np.stack([self._values(one, name) for one in same]) for same in self.group.seeds], self.count)
        self._add(f"{name}_base", _mean(theirs, weights), pa.float64(), en=f"{en}, base", zh=f"{zh}基准", of=of)
        self._add(f"{name}_difference", _mean(values - theirs, weights), pa.float64(), en=f"{en}, difference", zh=f"{zh}差值", of=of)
        self._add(f"{name}_noise", noise, pa.float64(), en=f"{en}, noise of a difference between seeds", zh=f"{zh}差值的噪声", of=of)

    def _differ(self, where: Bools) -> None:
        self.different |= where & self._compared()

    def _compared(self) -> Bools:
        return np.stack([np.full(self.count, one >= 0) for one in self.group.partners])

    def change(self) -> None:
        """Add how often a row differs from the base, and in words what happens to it most often where it does."""
        theirs = np.stack([self.rows.present(one)[self.here] if one >= 0 else np.zeros(self.count, bool) for one in self.group.partners])
        compared = self._compared() & (self.present | theirs)
        gone, new = compared & theirs & ~self.present, compared & self.present & ~theirs
        changed = (self.different | gone | new) & compared
        self._share("p_changed", changed, compared, en="probability of a difference from the base", zh="与基准不同的概率")
        cases = [(gone, "only in base"), (new, "only in option")]
        if self.turns is not None:
            words, mine, base = self.turns
            both = changed & self.present & theirs
            cases += [
                (both & (base == old) & (mine == to), f"{words[old]} -> {words[to]}")
                for old in range(len(words)) for to in range(len(words)) if old != to
            ]  # fmt: skip
        named = np.zeros_like(changed)
        for case, _ in cases:
            named |= case
        cases.append((changed & ~named, "changed"))
        weight = np.stack([_weighted(case, self.group.weights) for case, _ in cases])
        most = np.array([word for _, word in cases], object)[np.argmax(weight, axis=0)]
        words_of = np.where(weight.max(axis=0) > 0, most, "same").astype(object)
        words_of[~compared.any(axis=0)] = None
        self._add("change", words_of.tolist(), pa.string(), en="change", zh="变化")


def _events(name: str, words: Sequence[str], *, water: bool) -> tuple[str, ...]:
    """Return the words of a column whose probabilities are told; `water`: the table tells of depths."""
    if name in _EVENTS:
        return _EVENTS[name]
    if name.startswith("passable_"):
        return ("yes",)
    found = set(words) - {NOT_ASSESSED}
    if not found:
        return ("wet",) if water else ()
    return next(((event,) for states, event in _STATES.items() if found <= states), tuple(sorted(found)))


def _codes(texts: NDArray[np.object_], words: Sequence[str]) -> Ints:
    """Return the place of each text among the words, -1 for none."""
    code = np.full(len(texts), -1, np.int64)
    for place, word in enumerate(words):
        code[texts == word] = place
    return code


def _weighted(mask: Bools, weights: Floats) -> Floats:
    """Return the weight of the members in which something is so; summed member by member, so that it is the same everywhere."""
    total = np.zeros(mask.shape[1])
    for row, weight in zip(mask, weights, strict=True):
        total[row] += weight
    return total


def _mean(values: Floats, weights: Floats) -> Floats:
    """Return the weighted mean of what is known, NaN where nothing is."""
    total, full = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for row, weight in zip(values, weights, strict=True):
        has = ~np.isnan(row)
        total[has] += weight * row[has]
        full[has] += weight
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(full > 0, total / full, np.nan)


def weighted_quantiles(values: Floats, weights: Floats, shares: Sequence[float]) -> Floats:
    """Return, for each share, the least value that at least this share of the weight does not exceed.

    Parameters
    ----------
    values : shape (members, rows)
        NaN where a member has none; it does not count.

    Returns
    -------
    shape (shares, rows)
        NaN where no member has a value of some weight.

    Examples
    --------
    >>> weighted_quantiles(np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 1.0, 2.0]), [0.25, 0.5, 0.75]).tolist()
    [[1.0], [2.0], [4.0]]
    """
    order = np.argsort(values, axis=0, kind="stable")  # NaN come last
    sorted_ = np.take_along_axis(values, order, axis=0)
    weight = np.where(np.isnan(sorted_), 0.0, np.asarray(weights, float)[order])
    grown = np.cumsum(weight, axis=0)
    full = grown[-1] if len(grown) else np.zeros(values.shape[1])
    found = np.full((len(shares), values.shape[1]), np.nan)
    some = np.flatnonzero(full > 0)
    for place, share in enumerate(shares):
        # 1e-12: three weights of a third must reach the whole
        first = np.argmax((grown >= share * full * (1 - 1e-12)) & (weight > 0), axis=0)
        found[place, some] = sorted_[first[some], some]
    return found


def _noise(groups: Sequence[Floats], count: int) -> Floats:
    """Return the standard deviation of the difference of two runs that differ in the seed only, pooled over the groups."""
    total, freedom = np.zeros(count), np.zeros(count)
    for values in groups:
        has = ~np.isnan(values)
        number = has.sum(axis=0)
        middle = np.where(has, values, 0.0).sum(axis=0) / np.maximum(number, 1)
        total += (np.where(has, values - middle, 0.0) ** 2).sum(axis=0)
        freedom += np.maximum(number - 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(freedom > 0, np.sqrt(2 * total / freedom), np.nan)
