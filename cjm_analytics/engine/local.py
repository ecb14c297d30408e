"""The engine of one machine: threads over partitions."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add
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

    Equal data give equal bits, whatever the number of threads or partitions: partials are added in the
    order of the partitions.

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
            return [analysis.map(partition) for analysis in analyses]

        threads = min(self.threads or os.cpu_count() or 1, len(journeys.partitions))
        if threads == 1:
            partials = [ask(partition) for partition in journeys.partitions]
        else:
            with ThreadPoolExecutor(threads) as pool:
                partials = list(pool.map(ask, journeys.partitions))
        totals = [reduce(add, column) for column in zip(*partials, strict=True)]
        return [analysis.finalize(total) for analysis, total in zip(analyses, totals, strict=True)]
