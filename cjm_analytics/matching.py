"""The match grammar: which events a rule or a `where=` means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Match", "compile_match"]


@dataclass(frozen=True)
class Match:
    """A compiled match.

    Attributes
    ----------
    spec : mapping
        As written.
    columns : frozenset of str
        The event columns that it reads.
    markers : frozenset of str
        The markers that it names (`marker = "purchase"`); only rules of a model may.
    """

    spec: Mapping[str, Any]
    columns: frozenset[str]
    markers: frozenset[str]

    def mask(
        self, table: pa.Table, markers: Mapping[str, NDArray[np.bool_]] | None = None
    ) -> NDArray[np.bool_]:
        """Which rows of the table fit; `markers` says per marker name which rows are it."""
        raise AssertionError


def compile_match(spec: Mapping[str, Any], *, where: str = "where") -> Match:
    """Check a match and make it ready to run; `where` names the place in messages."""
    raise AssertionError
