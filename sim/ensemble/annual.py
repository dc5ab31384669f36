"""Expected annual values from storms of several return periods: the trapezoid over the probability of exceedance."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.results.columns import column, unit
from cim.sim.ensemble.reading import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["COLUMNS", "annual_table", "expected_annual", "storm_groups"]

COLUMNS = ("damage", "damage_fraction", "people_affected")
"""Columns that make sense as an expectation per year."""


def expected_annual(periods: Sequence[float], values: Floats) -> tuple[Floats, Floats]:
    """Return the expected value per year between the rarest and the most frequent storm, and what still rarer ones add at least.

    Parameters
    ----------
    periods : shape (storms,)
        Return periods [a], rising.
    values : shape (storms, n)
        What each storm does.

    Returns
    -------
    within : shape (n,)
        Integral of the value over the probability of exceedance 1/T, by the trapezoid.
    beyond : shape (n,)
        The value of the rarest storm times its probability: storms that are rarer do at least as much.

    Examples
    --------
    >>> within, beyond = expected_annual([10.0, 100.0], np.array([[0.0], [200.0]]))
    >>> round(float(within[0]), 9), float(beyond[0])
    (9.0, 2.0)
    """
    chance = 1.0 / np.asarray(periods, float)
    within = np.zeros(values.shape[1])
    for place in range(len(chance) - 1):
        within += (values[place] + values[place + 1]) / 2 * (chance[place] - chance[place + 1])
    return within, values[-1] * chance[-1]


def storm_groups(settings: Sequence[Mapping[str, Any]]) -> dict[str, dict[float, list[int]]]:
    """Return the members by what they share besides storm and seed, then by return period; empty where no axis is a return period."""
    names = [key for key in (settings[0] if settings else {}) if key.rsplit(".", 1)[-1] == "return_period"]
    if len(names) != 1:
        return {}
    found: dict[str, dict[float, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, values in enumerate(settings):
        period = values[names[0]]
        if isinstance(period, bool) or not isinstance(period, int | float) or not period > 0:
            return {}
        rest = {key: value for key, value in values.items() if key not in {names[0], "seed"}}
        words = ", ".join(f"{key}={value if isinstance(value, str) else json.dumps(value, default=str)}" for key, value in rest.items())
        found[words][float(period)].append(number)
    return {word: dict(sorted(storms.items())) for word, storms in found.items() if len(storms) > 1}


def annual_table(rows: Rows, storms: Mapping[float, Sequence[int]], names: Sequence[str]) -> pa.Table:
    """Return the expected annual values by object; null where one of the storms is not assessed.

    Parameters
    ----------
    storms
        Members by return period, rising; of several (seeds) the mean is taken.
    names
        Columns.
    """
    fields, arrays = list(rows.keys.schema), list(rows.keys.columns)
    for name in names:
        said = rows.schema.field(name)
        values = np.stack([_middle(rows, same, name) for same in storms.values()])
        within, beyond = expected_annual(list(storms), values)
        of = f"{unit(said)}/a" if unit(said) else "1/a"
        fields += [
            column(f"{name}_annual", pa.float64(), unit=of, en=f"{name}, expected per year", zh="年期望值"),
            column(f"{name}_annual_beyond", pa.float64(), unit=of, en=f"{name}, added by rarer storms at least", zh="更罕见暴雨至少增加"),
        ]
        arrays += [pa.array(one, pa.float64(), from_pandas=True) for one in (within, beyond)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _middle(rows: Rows, members: Sequence[int], name: str) -> Floats:
    total = np.zeros(rows.count)
    for one in members:
        total += rows.numbers(one, name)
    return total / len(members)
