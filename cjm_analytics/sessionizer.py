"""From events to journeys: sessions, purchase cycles, phases, and what survey answers rate."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.columns import MemoryColumns, as_numpy
from cjm_analytics.errors import InputError, ModelError, counted
from cjm_analytics.events.partition import EventPartition
from cjm_analytics.events.store import Events
from cjm_analytics.journey_store import JourneyWriter, read_journeys
from cjm_analytics.journeys import (
    CLOSED,
    NEVER,
    NO_INSTRUMENT,
    OFF_SCALE,
    SUPERSEDED,
    UNASSIGNED,
    Codebook,
    Journeys,
    Partition,
)
from cjm_analytics.meaning import KEPT, MERGED, REASONS, machine_of, meaning_of
from cjm_analytics.model import JourneyModel
from cjm_analytics.once import cached_property
from cjm_analytics.plain import are_plain, plain_journeys
from cjm_analytics.progress import progress_bar
from cjm_analytics.sessions import Rows, SessionRules
from cjm_analytics.surveys import Log, SurveyDraft, answers_in, unnamed_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns
    from cjm_analytics.durations import Duration
    from cjm_analytics.kernels.state_machine import Run
    from cjm_analytics.meaning import Meaning
    from cjm_analytics.model import Marker

__all__ = ["sessionize"]

T = TypeVar("T")
R = TypeVar("R")

OPEN, INACTIVE = CLOSED.index("open"), CLOSED.index("inactive")

_MOST_SHOWN = 10
"""So many unmatched names stand in the error of `unmatched = "error"`."""


def sessionize(
    events: Events,
    model: JourneyModel | None = None,
    *,
    timeout: Duration = "30 minutes",
    midnight: str | None = None,
    campaign: bool = False,
    max_length: Duration | None = None,
    by_device: bool = False,
    vendor_sessions: bool = True,
    include_bots: bool = False,
    to: str | Path | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Journeys:
    """Turn events into sessions and journeys, each event with its touchpoint, stage and phase.

    **Without a model** a customer has one journey, a touchpoint is the event's name, and there are no phases.

    **With a model** each customer's events go, in order (timestamp, then seq, then event id), through these
    steps:

    1. An event that the model excludes is skipped. Bots and tests (`is_bot`, `is_test`) always are, unless
       `include_bots=True`. Of several rows that tell one marked moment (equal `dedupe_on`, at most `within`
       after the first), the row of the most preferred source stays (`prefer`: names of sources, or kinds of
       them), the earliest of equals. Survey invites
       are no contacts: they leave the journey and are listed with the answers (for `exclude`, the customer
       is their actor, so that leaving out what the company does leaves them in).
    2. After more than `inactivity` without an event the journey is closed, `inactive` since its last event
       plus `inactivity`; the event starts the next one.
    3. After the marker of `new_cycle`, an event on one of its stages, at least `min_gap` after the journey's
       last event, closes the journey (`new cycle`) and starts the next one. The stage is that in the state of
       the old journey.
    4. The first touchpoint rule that fits names the event; its stage follows from the state *before* the
       event. An event without a rule keeps its own name, has no stage and is counted as unassigned
       (`unmatched = "keep"`), is left out (`"drop"`; not if it is a marker, an answer or the end), or is an
       error.
    5. The event's markers change the state: with a count, a condition compares how often a marker came
       (within the time, if one is given); without, it was seen, the last time at most `within` ago.
    6. Progressing touchpoints move the furthest phase and stage.
    7. The event of `journeys.end` closes the journey as `left`. What follows starts a new one.

    A survey answer never starts a new cycle. After its journey was closed it still belongs to it if it comes
    within the survey's `look_back` of the journey's last event (always, for a survey without one); else, or
    if there is no earlier journey, it starts one by itself. At the end of the data a journey is `inactive` if
    its silence already lasts longer than `inactivity` (measured at the observation end of the sources with
    progressing touchpoints), else open.

    The journey's goal is its first goal marker. A reversal takes back the goal with its own key (`dedupe_on`:
    a refund that of its order), once; without a key, or where no goal has it, one of the latest journey, up
    to its own, that has one left. A journey whose goals are all taken back is marked as reversed, and nothing
    else changes. A customer's first journey is *truncated* if it starts within `inactivity` of the
    observation start and its first progressing event lies in a later phase than the earliest phase seen
    anywhere: it probably began before the data did. Without `inactivity` none is.

    **Sessions** are runs of digital events (source kind clickstream or log, or none given) in a journey's
    customer, numbered from 0 per customer in order of their first event. A new one begins when the gap is
    *greater than* `timeout`, and where the options below say so. Events that are in no journey do not count.

    **Answers.** An event with an instrument and a score is an answer; off its survey's scale (its score, or
    the scale that it was given on: `score_min`, `score_max`) it is none, only an event. What it rates
    (`rates` in the model) is the contact with the same key: of several touchpoints the one met last up to the
    answer (else next), and its first event with the key, as a ticket is rated as it was opened. Else it is
    the last contact (`pick = "first"`: the earliest) within `look_back` before the invite that it follows, or
    before the answer where there is none. Two such contacts within an hour, unless they have the same key,
    make the link ambiguous. Several answers of one survey to one contact: the latest counts. An answer
    follows the invite of its survey with the same key (`join_on`, else the ticket), or, where one of the two
    has none, the customer's latest invite before it; such an invite rates what its answer rates. Reminders
    (the same key again) are left out. Invites of customers without any journey rate nothing and belong to no
    selection of some journeys.

    Parameters
    ----------
    events : Events
        From `cjm.ingest` or `cjm.open_events`.
    model : JourneyModel, optional
        With `journeys.unit = "account"` journeys run over `account_id`: the account is the customer, events
        of its people interleave in time, and the column `person_id` says whose they are. Events without an
        account stay with their own customer. This regroups all events in memory.
    timeout : str or Timedelta
        A longer gap starts a new session; a gap of exactly this does not.
    midnight : str, optional
        A time zone, such as `"Europe/Berlin"`: a new local day starts a new session.
    campaign : bool
        An event with a utm campaign other than the session's (or in a session without one) starts a new
        session.
    max_length : str or Timedelta, optional
        An event later than this after a session's first starts a new one.
    by_device : bool
        Sessions of different `anonymous_id`s of a customer are different, and may overlap.
    vendor_sessions : bool
        Events with a `session_id` of their system belong to that session as it is; all rules above then
        speak of the other events only. False: all events by the rules.
    include_bots : bool
        Keep bots and tests; else `journeys.report()` counts them, an event that is both as a bot's.
    to : str or Path, optional
        Write the journeys into this folder, partition by partition, and return them opened from there.
    threads : int, optional
        How many partitions are worked on at once; default: one per processor. The result does not depend on
        it.
    progress : bool, optional
        Show a progress bar; default: in terminals and notebooks.

    Returns
    -------
    Journeys
        `journeys.report()` tells what became of each event.

    Raises
    ------
    ModelError
        An event fits no rule and the model says `unmatched = "error"`.
    InputError
        A duration without a unit, or a time zone that does not exist.
    StoreError
        The folder of `to` exists and holds something other than journeys.
    UnknownNameError
        A rule names a column that the events do not have.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> events = cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "a", "a"], "what": ["ad", "cart", "buy"],
    ...      "when": ["2026-01-01 10:00", "2026-01-01 10:30", "2026-01-01 11:01"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC"))
    >>> cjm.sessionize(events).to_frame()[["touchpoint", "position", "session"]]
      touchpoint  position  session
    0         ad         0        0
    1       cart         1        0
    2        buy         2        1
    """
    plan = _Plan(
        model=_model(model),
        sessions=SessionRules.of(timeout, midnight, max_length, campaign=campaign, by_device=by_device,
                                  vendor=vendor_sessions),
        include_bots=include_bots,
        observation_start=_events(events).observation_start,
    )  # fmt: skip
    if threads is not None and threads < 1:
        raise InputError(f"threads={threads} must be at least 1.")
    if model is None and to is None and are_plain(events):
        return plain_journeys(events, plan.sessions)
    by_account = model is not None and model.journeys.unit == "account"
    partitions = _by_account(events) if by_account else events.partitions
    bar = progress_bar("Sessionizing", unit="events", total=len(events), show=progress)
    with ExitStack() as stack:
        stack.enter_context(bar)
        writer = stack.enter_context(JourneyWriter(to)) if to is not None else None

        def draft(number: int) -> _Draft:
            made = _draft(partitions[number], plan)
            bar.update(partitions[number].n_rows)
            return made.put_aside(writer, number) if writer is not None else made

        drafts = _in_threads(draft, range(len(partitions)), threads)
        whole = _Whole.of(drafts, plan, events)

        def finish(number: int) -> Partition | None:
            partition = drafts[number].finished(whole, plan)
            if writer is None:
                return partition
            writer.add(number, partition)
            return None

        finished = _in_threads(finish, range(len(partitions)), threads)
        if writer is None:
            partitions_made = tuple(one for one in finished if one is not None)
            return replace(whole.journeys, partitions=partitions_made)
        writer.commit(whole.journeys)
    return read_journeys(writer.path)


def _model(model: object) -> JourneyModel | None:
    if model is None or isinstance(model, JourneyModel):
        return model
    raise InputError(
        f"model= takes a JourneyModel, not {type(model).__name__}. Read one with "
        "cjm.JourneyModel.read('journey.toml')."
    )


def _events(events: object) -> Events:
    if isinstance(events, Events):
        return events
    raise InputError(
        f"sessionize takes events, not {type(events).__name__}. Make them with cjm.ingest, for example "
        "cjm.ingest(cjm.loaders.table(df, customer=…, timestamp=…, event=…))."
    )


def _in_threads(work: Callable[[T], R], over: Iterable[T], threads: int | None) -> list[R]:
    items = list(over)
    n = min(threads or os.cpu_count() or 1, len(items))
    if n <= 1:
        return [work(one) for one in items]
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(work, items))


# ── the plan ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _Plan:
    """All that one partition needs to know."""

    model: JourneyModel | None
    sessions: SessionRules
    include_bots: bool
    observation_start: int

    @cached_property
    def machine(self) -> Any:  # noqa: ANN401 - a Machine; its module loads Numba
        return machine_of(self.model, never=NEVER) if self.model is not None else None

    @property
    def inactivity(self) -> int | None:
        return self.model.journeys.inactivity if self.model is not None else None


# ── one partition, by itself ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _Draft:
    """Journeys of one partition before the codes that all partitions share are known.

    Attributes
    ----------
    held : Columns
        Per event `kind`, `stage`, `session` and `time`.
    cases : Columns
        Per journey what the state machine says of it: all of `Run` but the stages.
    customers : Columns
        Their `customer_id`.
    counts : int64
        Per kind the events in journeys.
    lost : int64
        Per position of `REASONS` the events.
    """

    held: Columns
    cases: Columns
    customers: Columns
    meaning: Meaning
    counts: NDArray[np.int64]
    surveys: SurveyDraft
    unnamed_scores: int
    rows: Columns
    lost: NDArray[np.int64]
    n_stages: NDArray[np.int64]

    def put_aside(self, writer: JourneyWriter, number: int) -> _Draft:
        """The draft with all that grows with the log on disk."""

        def aside(part: str, columns: Columns) -> Columns:
            return writer.spill(f"{number:04d}-{part}", columns.read(columns.names))

        return replace(
            self,
            held=aside("held", self.held),
            cases=aside("cases", self.cases),
            customers=aside("customers", self.customers),
        )

    def names(self, column: NDArray[np.object_]) -> set[str]:
        """The names that occur among the events in journeys."""
        return {name for name in column[self.counts > 0] if name is not None}

    def finished(self, whole: _Whole, plan: _Plan) -> Partition:
        """The partition in the codes of the whole."""
        codebook = whole.journeys.codebook
        meaning, run = self.meaning, _as_run(self.cases)
        kind, stage, session, time = (
            as_numpy(self.held.read([name]).column(name)) for name in ("kind", "stage", "session", "time")
        )
        touchpoints = {name: code for code, name in enumerate(codebook.touchpoints)}
        unnamed = meaning.rule < 0
        touchpoint = meaning.rule.astype(np.int32)
        touchpoint[unnamed] = [touchpoints.get(name, -1) for name in meaning.event[unnamed]]
        channels = {name: code for code, name in enumerate(codebook.channels)}
        channel = np.array([channels.get(name, -1) for name in meaning.channel], dtype=np.int16)
        phases = np.array([*codebook.stage_phase, -1], dtype=np.int8)
        narrow = np.int16 if len(codebook.touchpoints) <= np.iinfo(np.int16).max else np.int32
        columns: dict[str, NDArray[Any]] = {
            "touchpoint": touchpoint.astype(narrow)[kind],
            "channel": channel[kind],
            "phase": phases[stage],
            "stage": stage,
            "session": session,
            "time": time,
            "marker": meaning.marker[kind],
        }
        return Partition(
            codebook=codebook,
            events=MemoryColumns.of(columns),
            cases=MemoryColumns.of(self._cases(run, columns, whole, plan)),
            answers=MemoryColumns.of(self._answers(run, columns, codebook)),
            rows=self.rows,
            customers=self.customers,
        )

    @staticmethod
    def _cases(
        run: Run, columns: dict[str, NDArray[Any]], whole: _Whole, plan: _Plan
    ) -> dict[str, NDArray[Any]]:
        closed, closed_at = run.closed.copy(), run.closed_at.copy()
        truncated = np.zeros(len(closed), dtype=bool)
        if plan.inactivity is not None:
            silent = (closed == OPEN) & (whole.observed_until - run.quiet_since > plan.inactivity)
            closed[silent] = INACTIVE
            closed_at[silent] = run.quiet_since[silent] + plan.inactivity
            start = columns["time"][run.start]
            early = (run.cycle == 0) & (start - plan.observation_start <= plan.inactivity)
            truncated = early & (run.first_phase > whole.earliest_phase)
        return {
            "customer": run.customer,
            "cycle": run.cycle,
            "goal": run.goal,
            "closed": closed,
            "closed_at": closed_at,
            "reversed": run.reversed,
            "truncated": truncated,
            "furthest_phase": run.furthest_phase,
            "furthest_stage": run.furthest_stage,
            "n_events": np.diff(run.start, append=len(columns["time"])),
        }

    def _answers(
        self, run: Run, columns: dict[str, NDArray[Any]], codebook: Codebook
    ) -> dict[str, NDArray[Any]]:
        table = self.surveys.table
        instruments = {name: code for code, name in enumerate(codebook.instruments)}
        rated = table["rated_event"].to_numpy(np.int64)

        def of_rated(name: str, dtype: type) -> NDArray[Any]:
            values: NDArray[Any] = np.full(len(rated), -1, dtype=dtype)
            values[rated >= 0] = columns[name][rated[rated >= 0]]
            return values

        at = table["event"].to_numpy(np.int64)
        return {
            "event": at,
            "journey": _journey_at(table, run, columns["time"]),
            "customer": table["customer"].to_numpy(np.int32),
            "time": table["time"].to_numpy(np.int64),
            "invite": table["invite"].to_numpy(bool),
            "survey": table["survey"].to_numpy(np.int16),
            "instrument": np.array([instruments[name] for name in table["instrument"]], dtype=np.int16),
            "score": table["score"].to_numpy(np.float64),
            "rated_event": rated,
            "rated_touchpoint": of_rated("touchpoint", np.int32),
            "rated_stage": of_rated("stage", np.int16),
            "rated_phase": of_rated("phase", np.int8),
            "rated_channel": of_rated("channel", np.int16),
            "link": table["link"].to_numpy(np.int8),
            "lag": table["lag"].to_numpy(np.int64),
        }


def _as_run(cases: Columns) -> Run:
    """What the state machine said of the journeys, without the stages."""
    from cjm_analytics.kernels.state_machine import Run

    table = cases.read(cases.names)
    return Run(
        stage=np.zeros(0, dtype=np.int16),
        **{name: as_numpy(table.column(name)) for name in table.column_names},
    )


def _journey_at(table: pd.DataFrame, run: Run, time: NDArray[np.int64]) -> NDArray[np.int64]:
    """The journey of each answer, and for an invite the last that the customer had begun by then."""
    event = table["event"].to_numpy(np.int64)
    journey = np.searchsorted(run.start, event, side="right") - 1
    invited = np.flatnonzero(event < 0)
    if len(invited):
        from cjm_analytics.kernels.linking import nearest_of_group

        starts = time[run.start]
        at = table["time"].to_numpy(np.int64)[invited]
        found = nearest_of_group(
            run.customer.astype(np.int64), starts, table["customer"].to_numpy(np.int64)[invited], at
        )
        journey[invited] = np.where(starts[found] <= at, found, -1)
    return journey.astype(np.int64)


def _draft(partition: EventPartition, plan: _Plan) -> _Draft:
    """Everything that one partition can say without the others."""
    columns = partition.columns
    ids, offsets = partition.customers()
    kind, meaning = meaning_of(columns, plan.model, include_bots=plan.include_bots)
    time = np.array(as_numpy(columns.read(["timestamp"]).column("timestamp").cast(pa.int64())))
    fate = meaning.fate[kind]
    for marker_bit, marker in enumerate(plan.model.markers if plan.model is not None else ()):
        if marker.dedupe_on is not None:
            is_marker = (meaning.marker & np.uint32(1 << marker_bit)) != 0
            rows = np.flatnonzero(is_marker[kind] & (fate == KEPT))
            moments = pd.DataFrame(
                {
                    "customer": np.searchsorted(offsets, rows, side="right"),
                    "time": time[rows],
                    "rank": _ranks(marker, meaning)[kind[rows]],
                    "key": columns.read([marker.dedupe_on]).column(0).take(pa.array(rows)).to_pandas(),
                }
            )
            fate[rows[_told_again(moments, marker)]] = MERGED
    log, customers = _kept(columns, fate, kind, time, offsets)
    run = _run(log, meaning, plan, columns)
    surveys = answers_in(log, meaning, plan.model)
    return _Draft(
        held=MemoryColumns.of(
            {
                "kind": log.kind,
                "stage": run.stage,
                "session": plan.sessions.number(
                    Rows(columns, log.row), log.offsets, log.time, meaning.digital[log.kind]
                ),
                "time": log.time,
            }
        ),
        cases=MemoryColumns.of({name: getattr(run, name) for name in run._fields if name != "stage"}),
        customers=MemoryColumns(pa.table({"customer_id": ids.take(pa.array(customers))})),
        meaning=meaning,
        counts=np.bincount(log.kind, minlength=len(meaning.rule)),
        surveys=surveys,
        unnamed_scores=unnamed_scores(columns, log.row),
        rows=columns if log.row is None else columns.take(log.row),
        lost=np.bincount(fate, minlength=len(REASONS)),
        n_stages=np.bincount(run.stage[run.stage >= 0], minlength=1),
    )


def _ranks(marker: Marker, meaning: Meaning) -> NDArray[np.int32]:
    """Per kind of event the place of its source among the preferred ones; a name counts before a kind."""
    place = {name: rank for rank, name in enumerate(marker.prefer)}
    pairs = zip(meaning.source, meaning.source_kind, strict=True)
    return np.array([place.get(name, place.get(kind, len(place))) for name, kind in pairs], dtype=np.int32)


def _told_again(moments: pd.DataFrame, marker: Marker) -> NDArray[np.bool_]:
    """Which rows of a marker tell a moment that another row tells better."""
    from cjm_analytics.kernels.state_machine import surplus

    keys, _ = pd.factorize(moments["key"])
    keyed = np.flatnonzero(keys >= 0)
    n_keys = int(keys.max(initial=0)) + 1
    group = moments["customer"].to_numpy(np.int64)[keyed] * n_keys + keys[keyed]
    order = keyed[np.argsort(group, kind="stable")]
    again = np.zeros(len(moments), dtype=bool)
    again[order] = surplus(
        np.sort(group, kind="stable"),
        moments["time"].to_numpy(np.int64)[order],
        moments["rank"].to_numpy(np.int32)[order],
        -1 if marker.within is None else marker.within,
    )
    return again


def _takes_back(log: Log, meaning: Meaning, model: JourneyModel, columns: Columns) -> NDArray[np.int64]:
    """Per reversal, in order, the event that it takes back, as far as the two have the same key."""
    from cjm_analytics.kernels.state_machine import LATEST, taken_back

    bits = meaning.marker[log.kind]
    bit = {marker.id: np.uint32(1 << place) for place, marker in enumerate(model.markers)}
    undoing = [marker for marker in model.markers if marker.role == "reversal"]
    reversals = np.flatnonzero(bits & sum((bit[one.id] for one in undoing), np.uint32(0)))
    takes = np.full(len(reversals), LATEST, np.int64)
    of = {marker.id: marker for marker in model.markers}
    for marker in undoing if len(reversals) else ():
        goal = of[marker.of or ""]
        own = marker.dedupe_on or goal.dedupe_on
        if own is None:
            continue
        names = (goal.dedupe_on or own, own)
        found = [np.flatnonzero(bits & bit[one.id]) for one in (goal, marker)]
        rows = np.concatenate(found)
        keys = [
            columns.read([name]).column(0).take(pa.array(mine if log.row is None else log.row[mine]))
            for name, mine in zip(names, found, strict=True)
        ]
        code, _ = pd.factorize(np.concatenate([one.to_pandas().to_numpy(object) for one in keys]))
        customer = np.searchsorted(log.offsets, rows, side="right")
        group = customer * (int(code.max(initial=0)) + 1) + code
        is_reversal = np.arange(len(rows)) >= len(found[0])
        keyed = np.flatnonzero(code >= 0)
        order = keyed[np.lexsort((is_reversal[keyed], rows[keyed], group[keyed]))]
        partner = taken_back(group[order], ~is_reversal[order])
        mine = is_reversal[order]
        goal_rows = np.where(partner >= 0, rows[order[np.maximum(partner, 0)]], partner)[mine]
        takes[np.searchsorted(reversals, rows[order[mine]])] = goal_rows
    return takes


def _kept(
    columns: Columns,
    fate: NDArray[np.int8],
    kind: NDArray[np.int32],
    *others: NDArray[np.int64],
) -> tuple[Log, NDArray[np.int64]]:
    """The events that stay, and the numbers of the customers that have some."""
    time, offsets = others
    keep = fate == KEPT
    if keep.all():
        row, kept_offsets = None, offsets
    else:
        row = np.flatnonzero(keep)
        kept_offsets = np.searchsorted(row, offsets)
        time, kind_kept = time[row], kind[row]
    lengths = np.diff(kept_offsets)
    customers = np.flatnonzero(lengths)
    number = np.where(lengths > 0, np.cumsum(lengths > 0) - 1, -1).astype(np.int32)
    log = Log(
        columns=columns,
        row=row,
        time=time,
        kind=kind if row is None else kind_kept,
        offsets=np.concatenate([[0], np.cumsum(lengths[customers])]).astype(np.int64),
        kind_of_row=kind,
        store_offsets=offsets,
        customer_number=number,
    )
    return log, customers


def _run(log: Log, meaning: Meaning, plan: _Plan, columns: Columns) -> Run:
    from cjm_analytics.kernels.state_machine import Run, run_journeys

    if plan.machine is not None and plan.model is not None:
        takes = _takes_back(log, meaning, plan.model, columns)
        return run_journeys(log.offsets, log.time, log.kind, meaning.for_machine(), plan.machine, takes)
    n = len(log.offsets) - 1
    return Run(
        stage=np.full(len(log.time), -1, dtype=np.int16),
        start=log.offsets[:-1],
        customer=np.arange(n, dtype=np.int32),
        cycle=np.zeros(n, dtype=np.int32),
        goal=np.full(n, NEVER, dtype=np.int64),
        closed=np.full(n, OPEN, dtype=np.int8),
        closed_at=np.full(n, NEVER, dtype=np.int64),
        reversed=np.zeros(n, dtype=bool),
        furthest_phase=np.full(n, -1, dtype=np.int8),
        furthest_stage=np.full(n, -1, dtype=np.int16),
        quiet_since=log.time[log.offsets[1:] - 1],
        first_phase=np.full(n, -1, dtype=np.int8),
    )


# ── all partitions together ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _Whole:
    """What only all partitions together tell.

    Attributes
    ----------
    journeys : Journeys
        Without its partitions.
    observed_until : int
        When silence is measured.
    earliest_phase : int
        The earliest phase that any event has.
    """

    journeys: Journeys
    observed_until: int
    earliest_phase: int

    @classmethod
    def of(cls, drafts: list[_Draft], plan: _Plan, events: Events) -> _Whole:
        if plan.model is not None and plan.model.unmatched == "error":
            _refuse_unmatched(drafts)
        codebook = _codebook(drafts, plan.model)
        journeys = Journeys(
            partitions=(),
            codebook=codebook,
            model=plan.model,
            observation_start=events.observation_start,
            observation_ends=dict(events.observation_ends),
            accounting=_accounting(drafts, plan.model),
        )
        used = [codebook.stage_phase[stage] for one in drafts for stage in np.flatnonzero(one.n_stages)
                if codebook.stage_phase]  # fmt: skip
        return cls(journeys, journeys.observed_until(), min(used, default=0))


def _refuse_unmatched(drafts: list[_Draft]) -> None:
    unmatched: Counter[str] = Counter()
    for one in drafts:
        for name, count in zip(one.meaning.event, np.where(one.meaning.named, 0, one.counts), strict=True):
            unmatched[name] += int(count)
    names = sorted(((n, name) for name, n in unmatched.items() if n), key=lambda one: (-one[0], one[1]))
    if names:
        shown = ", ".join(f"{name} ({n:,})" for n, name in names[:_MOST_SHOWN])
        more = f" and {len(names) - _MOST_SHOWN:,} more names" if len(names) > _MOST_SHOWN else ""
        frame = pd.DataFrame([(name, n) for n, name in names], columns=["event", "events"])
        n_events = sum(n for n, _ in names)
        raise ModelError(
            f"{counted(n_events, 'event')} {'fits' if n_events == 1 else 'fit'} no rule of the model, and it "
            'says unmatched = "error": '
            f"{shown}{more}. Add rules for them (model.coverage(events) suggests some), or set unmatched to "
            "keep or drop."
        ).with_failures(frame)


def _codebook(drafts: list[_Draft], model: JourneyModel | None) -> Codebook:
    unnamed: set[str] = set()
    for one in drafts:
        unnamed |= set(one.meaning.event[(one.meaning.rule < 0) & (one.counts > 0)])
    named = [one.id for one in model.touchpoints] if model is not None else []
    touchpoints = (*named, *sorted(unnamed - set(named)))
    code = {name: number for number, name in enumerate(touchpoints)}
    sources: list[set[str]] = [set() for _ in touchpoints]
    contact = [False] * len(touchpoints)
    for one in drafts:
        meaning = one.meaning
        for kind in np.flatnonzero(one.counts):
            touchpoint = meaning.rule[kind] if meaning.rule[kind] >= 0 else code[meaning.event[kind]]
            if meaning.source[kind] is not None:
                sources[touchpoint].add(meaning.source[kind])
            contact[touchpoint] |= not meaning.survey_kind[kind]
    instruments = {name for one in drafts for name in one.surveys.table["instrument"]}
    if model is None:
        progress = contact
    else:
        progress = [one.progress for one in model.touchpoints] + [False] * (len(touchpoints) - len(named))
        instruments |= {one.instrument for one in model.surveys}
    phases = model.phases if model is not None else ()
    return Codebook(
        touchpoints=touchpoints,
        channels=tuple(sorted(set().union(*(one.names(one.meaning.channel) for one in drafts)))),
        phases=tuple(phase.id for phase in phases),
        stages=tuple(stage for phase in phases for stage in phase.stages),
        stage_phase=tuple(number for number, phase in enumerate(phases) for _ in phase.stages),
        markers=tuple(one.id for one in model.markers) if model is not None else (),
        surveys=tuple(one.id for one in model.surveys) if model is not None else (),
        instruments=tuple(sorted(instruments)),
        progress=tuple(progress),
        sources=tuple(frozenset(one) for one in sources),
    )


def _accounting(drafts: list[_Draft], model: JourneyModel | None) -> dict[str, int]:
    lost = np.sum([one.lost for one in drafts], axis=0)
    counts = {reason: int(n) for reason, n in zip(REASONS[1:], lost[1:], strict=True)}
    if model is not None:
        counts[UNASSIGNED] = sum(int(one.counts[one.meaning.rule < 0].sum()) for one in drafts)
    counts[OFF_SCALE] = sum(one.surveys.off_scale for one in drafts)
    counts[SUPERSEDED] = sum(one.surveys.superseded for one in drafts)
    counts[NO_INSTRUMENT] = sum(one.unnamed_scores for one in drafts)
    return counts


# ── journeys of accounts ─────────────────────────────────────────────────────────────────────────────────


def _by_account(events: Events) -> tuple[EventPartition, ...]:
    """The events of all partitions, regrouped so that an account is a customer.

    A customer whose id equals an account's becomes `customer:<id>`, so that nothing is thrown together.
    """
    names = events.schema.names
    table = pa.concat_tables(
        [one.columns.read(names) for one in events.partitions], promote_options="permissive"
    ).unify_dictionaries()
    person, account = table.column("customer_id"), table.column("account_id")
    clash = pc.and_(pc.is_null(account), pc.is_in(person, value_set=account.drop_null().unique()))
    own = pc.if_else(clash, pc.binary_join_element_wise("customer", person, ":"), person)
    unit = pc.coalesce(account, own)
    table = table.set_column(names.index("customer_id"), "customer_id", unit)
    if "person_id" not in names:
        table = table.append_column("person_id", person)
    keys = pa.table(
        {
            "unit": unit,
            "timestamp": table.column("timestamp"),
            "seq": table.column("seq"),
            "event_id": pc.fill_null(table.column("event_id"), ""),
        }
    )
    table = table.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names]))
    n = max(1, len(events.partitions))
    whole = EventPartition.of(table, table.schema)
    _, offsets = whole.customers()
    nearest = np.searchsorted(offsets, np.linspace(0, table.num_rows, n + 1))
    cuts = np.unique(offsets[nearest])
    pieces = [table.slice(low, high - low) for low, high in pairwise(cuts)]
    return tuple(EventPartition.of(piece, table.schema) for piece in pieces) or (whole,)
