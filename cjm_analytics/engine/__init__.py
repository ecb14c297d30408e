"""Where analyses run: a map over partitions of customers, a sum, and a finalize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cjm_analytics.journeys import Journeys, Partition

__all__ = ["Analysis", "Engine", "Partial", "run"]


class Partial(Protocol):
    """What an analysis knows after some of the partitions.

    Adding is associative and commutative, and the partial of an empty partition is zero.
    """

    def __add__(self, other: Self, /) -> Self: ...


P = TypeVar("P", bound=Partial)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Analysis(Protocol[P, R_co]):
    """One question: how to ask one partition, and what to make of the grand total."""

    def map(self, partition: Partition, /) -> P: ...
    def finalize(self, partial: P, /) -> R_co: ...


class Engine(Protocol):
    """Runs analyses over the partitions of journeys."""

    def run_all(self, analyses: Sequence[Analysis[Any, Any]], journeys: Journeys) -> list[Any]:
        """The results of several analyses, computed in one pass over the data."""
        ...


def run(analysis: Analysis[P, R], journeys: Journeys, engine: Engine | None) -> R:
    """The result of one analysis, on this machine unless an engine is given."""
    if engine is None:
        from cjm_analytics.engine.local import LocalEngine

        engine = LocalEngine()
    result: R = engine.run_all([analysis], journeys)[0]
    return result
