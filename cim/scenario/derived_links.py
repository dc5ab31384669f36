"""The verb that makes a road network for a city that has roads but no links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cim.model.road_links import derive_road_links
from cim.scenario.step import Step

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["DeriveRoadLinks"]


class DeriveRoadLinks(Step):
    """Make the links of the network from the roads: lines are cut where they meet, areas get a centreline; what is assumed is marked."""

    do: Literal["derive_road_links"] = "derive_road_links"
    id: Literal["road"] = Field(default="road", description="name of the network that is made")
    snap: float = Field(default=1.0, ge=0, le=50, description="ends of lines this near to each other, or to a line, meet [m]")
    cross: Literal["split", "pass"] = Field(
        default="split", description="whether lines that cross without a common vertex on one level are joined or pass over each other"
    )
    road_class: str = Field(default="unclassified", min_length=1, description="class of roads that state none")
    lane_width: float = Field(default=3.25, ge=2, le=6, description="width of road area that makes one lane [m]")
    island: float = Field(default=30.0, ge=0, allow_inf_nan=False, description="smaller holes of road areas are driven over [m²]")
    also: tuple[str, ...] = Field(default=(), description="ids of roads that cars use although their function says otherwise")
    again: bool = Field(default=False, description="links that were derived before are taken away first; links of a source never are")

    def apply(self, city: City, method: str) -> City:
        """Return the city with links; see `cim.model.road_links.derive_road_links`.

        Raises
        ------
        UsageError
            If there are road links already (with `again`: that were not derived), or no roads to make them from.
        CRSError
            If the city does not count in true metres.
        """
        return derive_road_links(
            city, snap=self.snap, cross=self.cross, road_class=self.road_class, lane_width=self.lane_width, island=self.island,
            also=self.also, again=self.again, method=method,
        )  # fmt: skip
