"""The section ``[impact]`` of a scenario file: exposure, damage and people of the flood that the same file runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cim.errors import UsageError
from cim.results import Fields
from cim.sim.impact.assess import VERSION, exposure
from cim.sim.impact.damages import BuildingValues, damage
from cim.sim.impact.parameters import ImpactParameters, impact_parameters
from cim.sim.impact.residents import people

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import BaseModel

    from cim.model import City

__all__ = ["SIMULATOR", "Impact"]


@dataclass(frozen=True)
class Impact:
    """The simulator, as its entry point names it."""

    name: str = "impact"
    version: str = VERSION
    title_en: str = "Impact of a flood"
    title_zh: str = "洪涝影响评估"
    parameters: type[BaseModel] = ImpactParameters
    needs: Mapping[str, str] = field(default_factory=lambda: {"water": "flood"})
    """Results it reads: argument of `run`, and the section that makes it."""

    def run(self, city: City, *, water: Fields | None = None, **parameters: Any) -> Fields:
        """Return exposure, damage (where a continent is given) and people as the tables of one result.

        Raises
        ------
        UsageError
            If there is no water.
        """
        if water is None:
            msg = "[impact] needs the water of a flood; add a section [flood] before it, or give water="
            raise UsageError(msg)
        limits = impact_parameters(None, parameters)
        exposed = exposure(city, water, parameters=limits)
        parts = [exposed, people(city, exposed, parameters=limits)]
        if limits.continent is not None:
            values = _values(limits)
            parts.append(damage(city, exposed, curves=limits.continent, values=values, depth=limits.damage_depth, uses=limits.uses))
        return _joined(parts)


def _values(limits: ImpactParameters) -> BuildingValues | None:
    if not limits.value_per_m2 or limits.currency is None or limits.price_year is None:
        return None
    return BuildingValues(limits.value_per_m2, limits.currency, limits.price_year)


def _joined(parts: list[Fields]) -> Fields:
    """Return several results as one; the first names it."""
    first = parts[0]
    tables: dict[str, pa.Table] = {name: table for part in parts for name, table in part.tables.items()}
    run = replace(
        first.run,
        balance={name: value for part in parts for name, value in part.run.balance.items()},
        assumptions=tuple(dict.fromkeys(text for part in parts for text in part.run.assumptions)),
        wall_seconds=sum(part.run.wall_seconds for part in parts),
        cpu_seconds=sum(part.run.cpu_seconds for part in parts),
    )
    return Fields(first.name, first.dataset, tables, run)


SIMULATOR = Impact()
