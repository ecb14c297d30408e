"""What ingest did with every input row, per source."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from cjm_analytics._card import Card, plain, shown
from cjm_analytics.errors import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IdentityFacts", "IngestReport", "Marked", "RejectReason", "SourceAccount"]


_COLUMNS = (
    "source", "read", "kept", "duplicates", "rejected", "excluded", "nameless", "first", "last", "bots",
    "bot_share", "tests", "test_share", "known", "known_share", "edited",
)  # fmt: skip


@dataclass(frozen=True)
class SourceAccount:
    """The rows of one source: `read = kept + duplicates + rejected + excluded`.

    Attributes
    ----------
    source : str
    read, kept, duplicates, rejected, excluded : int
        `excluded`: rows that are no events by the format's own rules.
    nameless : int
        Those of the excluded that carry no id at all, as when consent was denied.
    first, last : int or None
        Time of the first and last kept event, microseconds UTC.
    bots : int
        Kept events that are marked as a robot's.
    known : int
        Kept events of a customer whose user id is known.
    tests : int
        Kept events that are marked as tests or as the company's own.
    edited : int
        Kept answers of which a copy had another score or comment.
    """

    source: str
    read: int = 0
    kept: int = 0
    duplicates: int = 0
    rejected: int = 0
    excluded: int = 0
    nameless: int = 0
    first: int | None = None
    last: int | None = None
    bots: int = 0
    known: int = 0
    tests: int = 0
    edited: int = 0


@dataclass(frozen=True)
class Marked:
    """How many customers and events of a source one rule of ingest marked."""

    source: str
    marked_by: str
    customers: int
    events: int


@dataclass(frozen=True)
class RejectReason:
    """How often one reason rejected rows of a source, and one such row."""

    source: str
    reason: str
    rows: int
    example: str = ""


@dataclass(frozen=True)
class IdentityFacts:
    """What identity stitching found.

    Attributes
    ----------
    anonymous_ids : int
        Devices, addresses and other aliases that belong to another customer than their own.
    shared_devices : int
        Those of them that several persons use: split by time.
    conflicts : int
        Pairs of ids that were kept apart, because one person would have had too many ids.
    hubs : int
        Ids that link nobody, because too many people have them.
    top_hubs : tuple of (str, int)
        The 20 largest of them, and with how many known ids each was seen.
    ids_per_person : tuple of int
        Median, 99th percentile and maximum, over the ids that were seen together with another one.
    customers : int
        Customers in the store.
    known_customers : int
        Those of them with a strong id: a user id, or one by which a system knows a person.
    """

    anonymous_ids: int = 0
    shared_devices: int = 0
    conflicts: int = 0
    hubs: int = 0
    top_hubs: tuple[tuple[str, int], ...] = ()
    ids_per_person: tuple[int, int, int] = (0, 0, 0)
    customers: int = 0
    known_customers: int = 0


def _facts(values: Mapping[str, Any]) -> IdentityFacts:
    lists = {
        "top_hubs": tuple((str(name), int(count)) for name, count in values["top_hubs"]),
        "ids_per_person": tuple(values["ids_per_person"]),
    }
    return IdentityFacts(**{**values, **lists})


@dataclass(frozen=True)
class IngestReport:
    """What became of every input row, who is known, and why rows were rejected.

    `to_frame()` has one row per source, `reasons()` one per reason of a reject.

    Attributes
    ----------
    sources : tuple of SourceAccount
    reject_reasons : tuple of RejectReason
    identity : IdentityFacts
    marked : tuple of Marked
        What `cjm.BotRules` and `cjm.Internal` marked.
    notes : tuple of str
        What a reader should know besides, for example which files were there already.
    """

    sources: tuple[SourceAccount, ...] = ()
    reject_reasons: tuple[RejectReason, ...] = ()
    identity: IdentityFacts = field(default_factory=IdentityFacts)
    notes: tuple[str, ...] = ()
    marked: tuple[Marked, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Columns `source, read, kept, duplicates, rejected, excluded, nameless, first, last, bots,
        bot_share, tests, test_share, known, known_share, edited`; `nameless` are among the excluded, the
        shares are of `kept`, and `edited` are answers among these of which a copy said something else.
        """  # noqa: D205 - one sentence
        frame = pd.DataFrame(
            [asdict(account) for account in self.sources], columns=[one.name for one in fields(SourceAccount)]
        )
        kept = frame["kept"].where(frame["kept"] > 0)
        for name in ("first", "last"):
            frame[name] = pd.to_datetime(frame[name].astype("Int64"), unit="us", utc=True)
        shares = {
            f"{one}_share": (frame[column] / kept).astype(float)
            for one, column in (("bot", "bots"), ("test", "tests"), ("known", "known"))
        }
        return frame.assign(**shares)[[*_COLUMNS]]

    def marks(self) -> pd.DataFrame:
        """Columns `source, marked_by, customers, events`: what each rule of `cjm.BotRules` and `cjm.Internal`
        marked. What sources mark themselves is in `to_frame()` only.
        """  # noqa: D205 - one sentence
        return pd.DataFrame(
            [asdict(one) for one in self.marked], columns=[one.name for one in fields(Marked)]
        )

    def reasons(self) -> pd.DataFrame:
        """Columns `source, reason, rows, example`, the most frequent first."""
        frame = pd.DataFrame(
            [asdict(one) for one in self.reject_reasons], columns=["source", "reason", "rows", "example"]
        )
        return frame.sort_values(
            ["rows", "source", "reason"], ascending=[False, True, True], ignore_index=True
        )

    def facts(self) -> dict[str, str]:
        """The few numbers that say it all, ready to be shown."""
        kept = sum(account.kept for account in self.sources)
        known = sum(account.known for account in self.sources)
        firsts = [account.first for account in self.sources if account.first is not None]
        lasts = [account.last for account in self.sources if account.last is not None]
        facts = {
            "events": f"{kept:,}",
            "customers": f"{self.identity.customers:,}",
            "of a known person": shown(known / kept if kept else None, share=True),
            "anonymous ids stitched": f"{self.identity.anonymous_ids:,}",
        }
        more = {
            "shared devices": self.identity.shared_devices,
            "ids kept apart": self.identity.conflicts,
            "ids of too many": self.identity.hubs,
        }
        facts |= {name: f"{count:,}" for name, count in more.items() if count}
        if self.identity.anonymous_ids:
            median, high, most = self.identity.ids_per_person
            facts["ids per person"] = f"median {median:,}, 99 % up to {high:,}, at most {most:,}"
        if firsts:
            facts["from"], facts["to"] = (
                shown(pd.Timestamp(time, unit="us")) for time in (min(firsts), max(lasts))
            )
        return facts

    def to_json(self) -> dict[str, Any]:
        """The report as plain values, for a manifest."""
        return asdict(self)

    def hubs(self) -> pd.DataFrame:
        """Columns `id, partners`: the ids that too many people have, the largest 20, and with how many known
        ids of one system, persons or (of an order) devices each was seen.
        """  # noqa: D205 - one sentence
        return pd.DataFrame(list(self.identity.top_hubs), columns=["id", "partners"])

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> IngestReport:
        """The report that `to_json` gave."""
        return cls(
            sources=tuple(SourceAccount(**one) for one in values["sources"]),
            reject_reasons=tuple(RejectReason(**one) for one in values["reject_reasons"]),
            identity=_facts(values["identity"]),
            notes=tuple(values["notes"]),
            marked=tuple(Marked(**one) for one in values["marked"]),
        )

    def with_notes(self, *notes: str) -> IngestReport:
        """The report with more to know."""
        return replace(self, notes=(*self.notes, *notes))

    def _repr_html_(self) -> str:
        reasons = self.reasons()
        more = Card("Why rows were rejected", {}, reasons).html() if len(reasons) else ""
        if self.marked:
            more = Card("Marked as no customer's", {}, self.marks()).html() + more
        return Card("Events", self.facts(), self._shown(), note=" ".join(self.notes)).html() + more

    def __repr__(self) -> str:
        lines = [" · ".join(f"{name} {value}" for name, value in self.facts().items())]
        frame = self._shown()
        lines += ["", plain(frame, rows=len(frame))]
        if self.marked:
            lines += ["", "Marked as no customer's:"]
            lines += [
                f"  {one.events:>9,}  {one.source}: {one.marked_by} ({counted(one.customers, 'customer')})"
                for one in self.marked
            ]
        reasons = self.reasons()
        if len(reasons):
            lines += ["", "Why rows were rejected:"]
            lines += [
                f"  {one.rows:>9,}  {one.source}: {one.reason}"
                + (f"   e.g. {one.example[:60]}" if one.example else "")
                for one in self.reject_reasons
            ]
        lines += ["", *self.notes] if self.notes else []
        return "\n".join(lines)

    def _shown(self) -> pd.DataFrame:
        """The frame without what says nothing: counts that the shares tell already, and a lack of nobody."""
        frame = self.to_frame()
        silent = {"nameless": "nameless", "tests": "test_share", "edited": "edited"}
        dropped = [column for name, column in silent.items() if not frame[name].any()]
        return frame.drop(columns=["bots", "tests", "known", *dropped])
