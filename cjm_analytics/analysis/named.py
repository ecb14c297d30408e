"""Events that are meant by name, and the groups that events fall into: what analyses of occasions share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.analysis.sequences import CODED, check_by, frozen, in_one_group
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.journeys import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = [
    "Group",
    "GroupCounts",
    "Named",
    "active_events",
    "columns",
    "groups_of",
    "in_group_order",
    "observed_until",
]

Group = tuple[str, ...]
"""The names of a group, one per column of `by`."""


@dataclass(frozen=True)
class Named:
    """Any of some touchpoints and markers.

    Attributes
    ----------
    names : tuple of str
        As the caller wrote them.
    touchpoints : tuple of int
    markers : int
        Bits of the event column `marker`.
    """

    names: tuple[str, ...]
    touchpoints: tuple[int, ...]
    markers: int

    @classmethod
    def read(cls, codebook: Codebook, names: str | Sequence[str], *, what: str) -> Named:
        """Look names up: touchpoints first, then markers.

        Raises
        ------
        UnknownNameError
            A name is neither.
        InputError
            There is no name.
        """
        asked = (names,) if isinstance(names, str) else tuple(names)
        if not asked:
            raise InputError(f"{what}= is an empty list: name at least one touchpoint or marker.")
        touchpoints, bits = [], 0
        for name in asked:
            if name in codebook.touchpoints:
                touchpoints.append(codebook.touchpoints.index(name))
            elif name in codebook.markers:
                bits |= 1 << codebook.markers.index(name)
            else:
                raise UnknownNameError("touchpoint", name, [*codebook.touchpoints, *codebook.markers])
        return cls(asked, tuple(touchpoints), bits)

    @property
    def text(self) -> str:
        """The names for a reader."""
        return " or ".join(self.names)

    def fits(self, partition: Partition) -> NDArray[np.bool_]:
        """Which events of the partition are meant."""
        meant = np.zeros(max(len(partition.codebook.touchpoints), 1), dtype=bool)
        meant[list(self.touchpoints)] = True
        fits: NDArray[np.bool_] = meant[partition.event("touchpoint")]
        if self.markers:
            fits |= (partition.event("marker") & np.uint32(self.markers)) != 0
        return frozen(fits)


def observed_until(journeys: Journeys, meant: Iterable[Named | None]) -> int:
    """Until when the sources are complete in which the events occur; a marker may be in any."""
    asked = [one for one in meant if one is not None]
    if not asked or any(one.markers for one in asked):
        return journeys.observed_until()
    return journeys.observed_until(sorted({code for one in asked for code in one.touchpoints}))


def columns(journeys: Journeys, by: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns of `by=`, checked."""
    found = () if by is None else (by,) if isinstance(by, str) else tuple(by)
    for column in found:
        check_by(journeys, column)
    return found


def groups_of(
    partition: Partition, by: Sequence[str], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[Group]]:
    """The group of each of some rows, as a position in the groups that occur among them."""
    group = np.zeros(len(rows), dtype=np.int64)
    names: list[Group] = [()]
    for column in by:
        labels = partition.labels(column)
        shown = [*labels.names, NONE]
        codes = labels.codes[rows]
        codes = np.where(codes < 0, len(shown) - 1, codes)
        pairs, group = np.unique(group * len(shown) + codes, return_inverse=True)
        names = [(*names[pair // len(shown)], shown[pair % len(shown)]) for pair in pairs.tolist()]
    return group, names if len(rows) else []


def in_group_order(groups: Iterable[Group], by: Sequence[str], codebook: Codebook) -> list[Group]:
    """Groups as a reader expects them: along the road, else by name; missing values last."""
    roads = [codebook.names(column) if column in CODED else () for column in by]

    def place(group: Group) -> list[tuple[bool, int, str]]:
        return [
            (name == NONE, road.index(name) if name in road else len(road), name)
            for road, name in zip(roads, group, strict=True)
        ]

    return sorted(groups, key=place)


def active_events(
    partition: Partition, of: Named | None, by: Sequence[str], until: int
) -> tuple[NDArray[np.bool_], NDArray[np.int32], list[Group]]:
    """Which events up to an instant are activity (all, without `of`), the group of each, the names."""
    active = partition.event("time") <= until
    if of is not None:
        active &= of.fits(partition)
    if not by:
        return active, in_one_group(len(active)), [()] if active.any() else []
    rows = np.flatnonzero(active)
    codes, names = groups_of(partition, by, rows)
    group = np.zeros(len(active), dtype=np.int32)
    group[rows] = codes
    return active, frozen(group), names


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """Tables of counts by group: a partial.

    Attributes
    ----------
    counts : mapping of Group to int64 array
        All of one shape.
    """

    counts: Mapping[Group, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Sequence[Group], counts: NDArray[np.int64]) -> GroupCounts:
        """The tables of one partition, one per name; names that occur twice are one group, empty ones none.

        Without names there may still be a table of nothing.
        """
        total = cls()
        for name, table in zip(names, counts, strict=False):
            if table.any():
                total += cls({name: table})
        return total

    def __add__(self, other: GroupCounts) -> GroupCounts:
        counts = dict(self.counts)
        for group, more in other.counts.items():
            counts[group] = counts[group] + more if group in counts else more
        return GroupCounts(counts)
