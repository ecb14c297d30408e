"""Which stages are touched, by whom and by which contacts: lanes of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from cjm_analytics.analysis.sequences import frozen, union
from cjm_analytics.errors import InputError
from cjm_analytics.events.identity import ANONYMOUS
from cjm_analytics.journeys import CLOSED, NEVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["Contacts", "ContactsAnalysis", "ContactsPartial"]


@dataclass(frozen=True)
class ContactsAnalysis:
    """The codebook, and what is a goal.

    Attributes
    ----------
    codebook : Codebook
    goals : tuple of str
        The markers that are a goal.
    """

    codebook: Codebook
    goals: tuple[str, ...]

    @classmethod
    def plan(cls, journeys: Journeys) -> ContactsAnalysis:
        """Check that there are stages to be touched."""
        codebook, model = journeys.codebook, journeys.model
        if not codebook.stages:
            raise InputError(
                "These journeys have no phases and stages, so there is no map to draw. Give cjm.sessionize "
                "a model: cjm.JourneyModel.standard() to start with, or your own: cjm.JourneyModel.read(…)."
            )
        goals = (
            tuple(marker.id for marker in model.markers if marker.role == "goal")
            if model
            else codebook.markers
        )
        return cls(codebook, goals)

    def map(self, partition: Partition) -> ContactsPartial:
        """Count stages and contacts in one partition."""
        from cjm_analytics.kernels.contacts import count_contacts, occurring

        n_stages, n_channels = len(self.codebook.stages), len(self.codebook.channels)
        if not partition.n_events:
            return ContactsPartial.zero(n_stages, n_channels)
        stage = frozen(partition.event("stage").astype(np.int16, copy=False))
        touchpoint = frozen(partition.event("touchpoint"))
        time = partition.event("time")
        progress = np.array(self.codebook.progress, dtype=bool)
        inside, outside = occurring(stage, touchpoint, len(progress))
        names = np.flatnonzero(inside)
        number = np.full(len(progress), -1, dtype=np.int64)
        number[names] = np.arange(len(names))
        bits = sum(1 << place for place, name in enumerate(self.codebook.markers) if name in self.goals)
        found = count_contacts(
            partition.offsets,
            frozen(partition.journey("customer")),
            stage,
            touchpoint,
            frozen(partition.event("channel")),
            frozen(partition.event("marker")),
            number,
            progress,
            np.uint32(bits),
            (n_stages, len(names), n_channels),
        )
        kept = ~partition.journey("truncated").astype(bool)
        furthest = partition.journey("furthest_stage")[kept]
        return ContactsPartial(
            contacts=names,
            of_stage=found.of_stage,
            of_contact=found.of_contact,
            by_channel=found.by_channel,
            at_goal=found.at_goal,
            unassigned=_sparse(outside),
            furthest=np.bincount(furthest[furthest >= 0], minlength=n_stages).astype(np.int64),
            totals=np.array(
                [
                    partition.n_customers,
                    partition.n_journeys,
                    partition.n_events,
                    int((partition.journey("goal") != NEVER).sum()),
                    int((partition.journey("closed") == CLOSED.index("open")).sum()),
                    partition.n_customers - _anonymous(partition),
                    int((~kept).sum()),
                ],
                dtype=np.int64,
            ),
            first=int(time.min()),
            last=int(time.max()),
        )

    def finalize(self, partial: ContactsPartial) -> Contacts:
        """Name what was counted."""
        return Contacts(self, partial)


def _sparse(counts: NDArray[np.int64]) -> dict[int, int]:
    return {int(code): int(counts[code]) for code in np.flatnonzero(counts)}


def _anonymous(partition: Partition) -> int:
    return int(pc.sum(pc.starts_with(partition.customer_ids, ANONYMOUS)).as_py() or 0)


@dataclass(frozen=True, eq=False)
class ContactsPartial:
    """Counts of some of the customers.

    Attributes
    ----------
    contacts : int64
        Codes of the touchpoints that occur in a stage, ascending.
    of_stage : int64, (n_stages, 3)
        Journeys, customers, and journeys with a progressing event.
    of_contact : int64, (n_stages, n_contacts, 3)
        Journeys, events and customers.
    by_channel : int64, (n_stages, n_contacts, n_channels + 1)
        Events; first those without a channel.
    at_goal : int64, n_contacts
        Events that are a goal.
    unassigned : mapping of touchpoint code to int
        Events that are in no stage.
    furthest : int64, n_stages
        Journeys whose furthest stage it is; those that began before the data did are left out.
    totals : int64, 7
        Customers, journeys, events, journeys with the goal, open journeys, customers with a known user id,
        journeys that began before the data did.
    first, last : int
        Time of the first and the last event; NEVER and −NEVER where there is none.
    """

    contacts: NDArray[np.int64]
    of_stage: NDArray[np.int64]
    of_contact: NDArray[np.int64]
    by_channel: NDArray[np.int64]
    at_goal: NDArray[np.int64]
    unassigned: dict[int, int] = field(default_factory=dict)
    furthest: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    totals: NDArray[np.int64] = field(default_factory=lambda: np.zeros(7, np.int64))
    first: int = NEVER
    last: int = -NEVER

    @classmethod
    def zero(cls, n_stages: int, n_channels: int) -> ContactsPartial:
        """What is known of nobody."""
        return cls(
            contacts=np.zeros(0, np.int64),
            of_stage=np.zeros((n_stages, 3), np.int64),
            of_contact=np.zeros((n_stages, 0, 3), np.int64),
            by_channel=np.zeros((n_stages, 0, n_channels + 1), np.int64),
            at_goal=np.zeros(0, np.int64),
            furthest=np.zeros(n_stages, np.int64),
        )

    def __add__(self, other: ContactsPartial) -> ContactsPartial:
        both = union(self.contacts, other.contacts)
        unassigned = dict(self.unassigned)
        for code, events in other.unassigned.items():
            unassigned[code] = unassigned.get(code, 0) + events
        return ContactsPartial(
            contacts=both,
            of_stage=self.of_stage + other.of_stage,
            of_contact=self._aligned(self.of_contact, both, 1) + other._aligned(other.of_contact, both, 1),
            by_channel=self._aligned(self.by_channel, both, 1) + other._aligned(other.by_channel, both, 1),
            at_goal=self._aligned(self.at_goal, both, 0) + other._aligned(other.at_goal, both, 0),
            unassigned=unassigned,
            furthest=self.furthest + other.furthest,
            totals=self.totals + other.totals,
            first=min(self.first, other.first),
            last=max(self.last, other.last),
        )

    def _aligned(
        self, counts: NDArray[np.int64], contacts: NDArray[np.int64], axis: int
    ) -> NDArray[np.int64]:
        """The counts with a place for each of the contacts."""
        shape = list(counts.shape)
        shape[axis] = len(contacts)
        wide = np.zeros(shape, dtype=np.int64)
        place = np.searchsorted(contacts, self.contacts)
        wide[(slice(None),) * axis + (place,)] = counts
        return wide


@dataclass(frozen=True, eq=False)
class Contacts:
    """What touches each stage.

    Attributes
    ----------
    customers, journeys, events, converted, still_open, known, truncated : int
        `converted`: journeys that reached the goal; `known`: customers with a user id; `truncated`: journeys
        that began before the data did.
    first, last : pandas.Timestamp or None
        First and last event, UTC.
    """

    _analysis: ContactsAnalysis
    _partial: ContactsPartial

    @property
    def customers(self) -> int:
        return int(self._partial.totals[0])

    @property
    def journeys(self) -> int:
        return int(self._partial.totals[1])

    @property
    def events(self) -> int:
        return int(self._partial.totals[2])

    @property
    def converted(self) -> int:
        return int(self._partial.totals[3])

    @property
    def still_open(self) -> int:
        return int(self._partial.totals[4])

    @property
    def known(self) -> int:
        return int(self._partial.totals[5])

    @property
    def truncated(self) -> int:
        return int(self._partial.totals[6])

    @property
    def first(self) -> pd.Timestamp | None:
        return pd.Timestamp(self._partial.first, unit="us", tz="UTC") if self.events else None

    @property
    def last(self) -> pd.Timestamp | None:
        return pd.Timestamp(self._partial.last, unit="us", tz="UTC") if self.events else None

    def stages(self) -> pd.DataFrame:
        """One row per stage, in the order of the road.

        Columns: `stage, phase, journeys, customers, share` (of all journeys), `on_road` (journeys with a
        progressing contact in it), `reached` (in it or a later one).
        """
        codebook, partial = self._analysis.codebook, self._partial
        return pd.DataFrame(
            {
                "stage": codebook.stages,
                "phase": [codebook.phases[phase] for phase in codebook.stage_phase],
                "journeys": partial.of_stage[:, 0],
                "customers": partial.of_stage[:, 1],
                "share": partial.of_stage[:, 0] / (self.journeys or math.nan),
                "on_road": partial.of_stage[:, 2],
                "reached": partial.furthest[::-1].cumsum()[::-1],
            }
        )

    def touchpoints(self) -> pd.DataFrame:
        """One row per stage and touchpoint, in each stage the one with most events first.

        Columns: `stage, touchpoint, journeys, events, customers, channels` (a tuple of names, the most used
        first), `progress, goal` (events of the touchpoint that are the goal).
        """
        codebook, partial = self._analysis.codebook, self._partial
        channels = np.array([*codebook.channels, ""], dtype=object)[
            np.r_[len(codebook.channels), : len(codebook.channels)]
        ]
        rows = []
        for stage, position in np.argwhere(partial.of_contact[:, :, 1] > 0):
            code = int(partial.contacts[position])
            often = partial.by_channel[stage, position]
            order = [
                one for one in np.lexsort((np.arange(len(often)), -often)) if often[one] and channels[one]
            ]
            rows.append(
                {
                    "stage": codebook.stages[stage],
                    "touchpoint": codebook.touchpoints[code],
                    "journeys": int(partial.of_contact[stage, position, 0]),
                    "events": int(partial.of_contact[stage, position, 1]),
                    "customers": int(partial.of_contact[stage, position, 2]),
                    "channels": tuple(str(channels[one]) for one in order),
                    "progress": codebook.progress[code],
                    "goal": int(partial.at_goal[position]),
                    "place": int(stage),
                }
            )
        columns = [
            "stage",
            "touchpoint",
            "journeys",
            "events",
            "customers",
            "channels",
            "progress",
            "goal",
            "place",
        ]
        frame = pd.DataFrame(rows, columns=columns)
        frame = frame.sort_values(
            ["place", "events", "touchpoint"], ascending=[True, False, True], ignore_index=True
        )
        return frame.drop(columns="place")

    def unassigned(self) -> pd.DataFrame:
        """Rows `event, events, share` (of all events): what is in no stage, the most frequent first."""
        names = self._analysis.codebook.touchpoints
        rows = [(names[code], events) for code, events in self._partial.unassigned.items()]
        frame = pd.DataFrame(rows, columns=["event", "events"]).astype({"events": np.int64})
        frame = frame.sort_values(["events", "event"], ascending=[False, True], ignore_index=True)
        return frame.assign(share=frame["events"] / (self.events or math.nan))
