"""The engine of one machine: threads over partitions."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from cjm_analytics.engine import Analysis
    from cjm_analytics.journeys import Journeys, Partition

__all__ = ["LocalEngine"]


@dataclass(frozen=True)
class LocalEngine:
    """Runs analyses in threads; the kernels release the interpreter lock.

    Equal data give equal bits, whatever the number of threads or partitions: partials are added with their
    neighbours, in an order that only the number of partitions determines.

    Parameters
    ----------
    threads : int, optional
        How many partitions are worked on at once; default: one per processor.

    Raises
    ------
    InputError
        `threads` is below 1.

    Examples
    --------
    >>> LocalEngine(threads=2)
    LocalEngine(threads=2)
    """

    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads={self.threads} must be at least 1.")

    def run_all(self, analyses: Sequence[Analysis[Any, Any]], journeys: Journeys) -> list[Any]:
        """The results of several analyses, computed in one pass over the data."""

        def ask(partition: Partition) -> list[Any]:
            held = partition.held()
            return [analysis.map(held) for analysis in analyses]

        def added(pair: tuple[list[Any], list[Any]]) -> list[Any]:
            return [one + other for one, other in zip(*pair, strict=True)]

        threads = min(self.threads or os.cpu_count() or 1, len(journeys.partitions))
        total = _Total(added)
        with ThreadPoolExecutor(threads) as pool:
            for partial in _in_order(pool if threads > 1 else None, ask, journeys.partitions, 2 * threads):
                total.add(partial)
        return [analysis.finalize(one) for analysis, one in zip(analyses, total.whole(), strict=True)]


def _in_order(
    pool: ThreadPoolExecutor | None,
    ask: Callable[[Partition], list[Any]],
    partitions: Sequence[Partition],
    ahead: int,
) -> Iterator[list[Any]]:
    """The answers of the partitions, in their order; only so many are asked ahead of what was taken."""
    if pool is None:
        yield from map(ask, partitions)
        return
    asked: deque[Future[list[Any]]] = deque()
    for partition in partitions:
        if len(asked) == ahead:
            yield asked.popleft().result()
        asked.append(pool.submit(ask, partition))
    while asked:
        yield asked.popleft().result()


@dataclass
class _Total:
    """A sum of neighbours: two partials of equal weight are added as soon as both are there.

    So a partial takes part in few sums, few of them are held at once, and the order of the sums follows from
    the number of partials alone.
    """

    added: Callable[[tuple[list[Any], list[Any]]], list[Any]]
    waiting: list[tuple[int, list[Any]]] = field(default_factory=list)

    def add(self, partial: list[Any]) -> None:
        """Take the next partial."""
        weight = 1
        while self.waiting and self.waiting[-1][0] == weight:
            partial = self.added((self.waiting.pop()[1], partial))
            weight *= 2
        self.waiting.append((weight, partial))

    def whole(self) -> list[Any]:
        """The sum of all."""
        _, total = self.waiting.pop()
        while self.waiting:
            total = self.added((self.waiting.pop()[1], total))
        return total
