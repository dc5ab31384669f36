"""What a simulator and a check look like to the rest of the toolkit; entry points `cim.simulators` and `cim.checks` name such objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from cim.model import City
    from cim.results.fields import Fields
    from cim.results.verdicts import Verdicts

__all__ = ["Check", "Looking", "Needing", "Preparing", "Resuming", "Simulator", "Using"]


@runtime_checkable
class Simulator(Protocol):
    """Turns a city into fields and tables. It may also be `Needing`, `Using`, `Preparing` and `Resuming`."""

    @property
    def name(self) -> str:
        """Name of the entry point, and of its section in a scenario file."""

    @property
    def version(self) -> str:
        """Version of the method: it rises when the same inputs give other numbers."""

    @property
    def title_en(self) -> str:
        """Title in English."""

    @property
    def title_zh(self) -> str:
        """Title in Chinese."""

    @property
    def parameters(self) -> type[BaseModel]:
        """The section of the scenario file: every parameter with its default, unit and meaning; unknown names are refused."""

    def run(self, city: City, **parameters: Any) -> Fields:
        """Return the result; the city is left as it was. Parameters are those of the section, and richer values than a file can hold."""


@runtime_checkable
class Check(Protocol):
    """Turns a city into verdicts; the members mean what they mean for `Simulator`."""

    @property
    def name(self) -> str:
        """Name of the entry point, and of its section ``[checks.<name>]``."""

    @property
    def version(self) -> str:
        """Version of the method."""

    @property
    def title_en(self) -> str:
        """Title in English."""

    @property
    def title_zh(self) -> str:
        """Title in Chinese."""

    @property
    def parameters(self) -> type[BaseModel]:
        """The section of the scenario file."""

    def run(self, city: City, **parameters: Any) -> Verdicts:
        """Return one verdict per object; what is missing makes it not assessed, never a pass."""


@runtime_checkable
class Needing(Protocol):
    """A simulator or check that reads results which the same scenario makes earlier: an optional member of either."""

    @property
    def needs(self) -> Mapping[str, str]:
        """Argument of `run`, and the name of the simulator whose result it takes."""


@runtime_checkable
class Using(Protocol):
    """A simulator or check that reads results which the same scenario makes earlier, where it makes them: an optional member of either."""

    @property
    def uses(self) -> Mapping[str, str]:
        """Argument of `run`, and the name of the simulator whose result it takes if the scenario has that section."""


@runtime_checkable
class Looking(Protocol):
    """A simulator that looks at the other sections of its scenario before anything computes: an optional member of `Simulator`."""

    def beside(self, own: BaseModel, others: Mapping[str, BaseModel]) -> list[str]:
        """Return what its section and those of other simulators make no sense of together, one sentence each."""


@runtime_checkable
class Preparing(Protocol):
    """A simulator that can check everything before it computes: an optional member of `Simulator`."""

    def prepare(self, city: City, **parameters: Any) -> Callable[..., Fields]:
        """Return what runs it, which takes the results it needs; a `UsageError` lists every fault of parameters, city and files."""


@runtime_checkable
class Resuming(Protocol):
    """A simulator whose `prepare` takes ``checkpoint=``: a folder of its own, from which a run that was stopped goes on."""

    @property
    def resumes(self) -> bool:
        """Whether it does."""
