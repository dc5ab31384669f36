"""The ledger of a flood: every cubic metre that came, went and stays."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["TERMS", "Ledger"]

TERMS = ("initial", "rain", "inflow", "boundary_in", "boundary_out", "infiltration", "pumped_in", "pumped_out", "stored")


@dataclass
class Ledger:
    """Volumes since the start, by term [m³].

    Examples
    --------
    >>> ledger = Ledger(stored=2.0)
    >>> ledger.book("rain", 3.0)
    >>> ledger.book("boundary_out", 1.0)
    >>> ledger.error
    0.0
    """

    initial: float = 0.0
    rain: float = 0.0
    inflow: float = 0.0
    boundary_in: float = 0.0
    boundary_out: float = 0.0
    infiltration: float = 0.0
    pumped_in: float = 0.0
    pumped_out: float = 0.0
    stored: float = 0.0
    lost: dict[str, float] = field(default_factory=dict)
    """Digits that a term could not hold; a hundred thousand steps would lose 10⁻¹² of the volume without them."""

    def book(self, term: str, volume: float) -> None:
        """Add a volume to a term (Kahan's sum)."""
        before = getattr(self, term)
        change = volume - self.lost.get(term, 0.0)
        after = before + change
        self.lost[term] = (after - before) - change
        setattr(self, term, after)

    def terms(self) -> dict[str, float]:
        """Return the volumes by term [m³]."""
        return {term: float(getattr(self, term)) for term in TERMS}

    @property
    def entered(self) -> float:
        """All that came in."""
        return self.initial + self.rain + self.inflow + self.boundary_in + self.pumped_in

    @property
    def error(self) -> float:
        """What is stored beyond what came in and did not leave."""
        return self.stored - (self.entered - self.boundary_out - self.infiltration - self.pumped_out)

    @property
    def relative_error(self) -> float:
        """The error as a share of the water that came in, or is there."""
        return self.error / max(self.entered, self.stored, 1e-30)
