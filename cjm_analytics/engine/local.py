"""The engine of one machine: threads over partitions."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        with ThreadPoolExecutor(threads) as pool:
            in_turn = map if threads == 1 else pool.map
            partials = list(in_turn(ask, journeys.partitions))
            # Neighbours are added first: a partial takes part in few sums, and the sums run side by side.
            while len(partials) > 1:
                left_over = partials[len(partials) // 2 * 2 :]
                partials = [*in_turn(added, zip(partials[::2], partials[1::2], strict=False)), *left_over]
        return [analysis.finalize(total) for analysis, total in zip(analyses, partials[0], strict=True)]
