"""What a model says of each kind of event: a distinct combination of the columns that its rules read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import ModelError
from cjm_analytics.matching import with_codes
from cjm_analytics.schema import INVITE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns
    from cjm_analytics.kernels.state_machine import Kinds, Machine
    from cjm_analytics.model import Condition, JourneyModel, Survey

__all__ = ["KEPT", "REASONS", "UNLIMITED", "Meaning", "machine_of", "meaning_of"]

KEPT = 0
REASONS = (
    "in journeys",
    "bots",
    "tests",
    "excluded by the model",
    "survey invites",
    "unmatched and dropped",
    "merged duplicates",
)
"""What can become of an event; the codes of `Meaning.fate` are positions in it."""

BOT, TEST, EXCLUDED, INVITED, DROPPED, MERGED = range(1, 7)

UNLIMITED = 2**62
"""Longer than any time between two events, in microseconds."""

DIGITAL = ("clickstream", "log")
"""Source kinds whose events belong to sessions; an event without a kind does too."""

_MOST_MARKERS = 32
_CODED = ("event", "source", "source_kind", "channel", "instrument")
FLAGS = ("is_bot", "is_test")
_HAS_SCORE = "a score is given"


@dataclass(frozen=True, eq=False)
class Meaning:
    """Per kind of event what the model and the canonical columns say of it.

    Attributes
    ----------
    fate : int8
        Position in `REASONS`; `KEPT` where the event may become part of a journey.
    rule : int32
        The touchpoint of the model, −1 where no rule fits.
    named : bool
        Some rule fits: of a touchpoint, a marker, a survey or the journeys' end.
    marker : uint32
        Bit i is set where the event is marker i.
    end, digital, answer, survey_kind : bool
        It ends the journey; it can be in a session; it is a survey answer; it comes from a survey system.
    survey : int16
        The survey that an answer or invite belongs to, −1 none.
    attach : int64
        For an answer, how long after a closed journey's last event it still belongs to it; else −1.
    event, source, source_kind, channel, instrument : object
        Names; None where missing.
    """

    fate: NDArray[np.int8]
    rule: NDArray[np.int32]
    named: NDArray[np.bool_]
    marker: NDArray[np.uint32]
    end: NDArray[np.bool_]
    digital: NDArray[np.bool_]
    answer: NDArray[np.bool_]
    survey_kind: NDArray[np.bool_]
    survey: NDArray[np.int16]
    attach: NDArray[np.int64]
    event: NDArray[np.object_]
    source: NDArray[np.object_]
    source_kind: NDArray[np.object_]
    channel: NDArray[np.object_]
    instrument: NDArray[np.object_]

    def for_machine(self) -> Kinds:
        """What the state machine needs to know of each kind."""
        from cjm_analytics.kernels.state_machine import Kinds

        return Kinds(self.rule, self.marker, self.end, self.attach)


def meaning_of(
    columns: Columns, model: JourneyModel | None, *, include_bots: bool
) -> tuple[NDArray[np.int32], Meaning]:
    """The kind of each row, and what each kind means.

    Rules run once per kind: on twenty million rows there are some hundred kinds, unless a rule reads a column
    in which every value is different.
    """
    names = dict.fromkeys([*_CODED, *FLAGS, *(_columns_of(model) if model else ())])
    table = columns.read(list(names))
    if table.column("instrument").null_count < table.num_rows:
        score = columns.read(["score"]).column("score")
        table = table.append_column(_HAS_SCORE, pc.is_valid(score))
    kind, kinds = _distinct_rows(table)
    return kind, _meaning(kinds, model, include_bots=include_bots)


def _columns_of(model: JourneyModel) -> set[str]:
    matches = [
        *(marker.match for marker in model.markers),
        *(touchpoint.match for touchpoint in model.touchpoints),
        *(survey.match for survey in model.surveys),
        *(match for match in (model.exclude, model.journeys.end) if match is not None),
    ]
    return {name for match in matches for name in match.columns}


def _distinct_rows(table: pa.Table) -> tuple[NDArray[np.int32], pa.Table]:
    """The number of each row's combination of values, and a table with a row per combination."""
    from cjm_analytics.kernels.kinds import distinct, distinct_below

    table = with_codes(table)
    key = np.zeros(table.num_rows, dtype=np.int64)
    size = 1
    for name in table.column_names:
        codes, n = _codes(table.column(name))
        if n == 1:
            continue
        if size * n >= 2**62:
            narrow, first = distinct(key)
            key, size = narrow.astype(np.int64), len(first)
        key = codes if size == 1 else key * n + codes
        size *= n
    if size <= max(2**16, 2 * len(key)):
        kind, first = distinct_below(key.astype(np.int64, copy=False), size)
    else:
        kind, first = distinct(key)
    return kind, table.take(pa.array(first))


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], int]:
    """A number per value, a missing one included, and one more than the largest."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    if not column.num_chunks:
        return np.zeros(0, dtype=np.int64), 1
    n = len(column.chunk(0).dictionary)
    if column.null_count == len(column) or (n == 1 and not column.null_count):
        return np.zeros(len(column), dtype=np.int64), 1
    if not column.null_count:
        return np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks]).astype(np.int64), n
    parts = [chunk.indices.fill_null(-1).to_numpy() for chunk in column.chunks]
    return np.concatenate(parts).astype(np.int64) + 1, n + 1


def _meaning(kinds: pa.Table, model: JourneyModel | None, *, include_bots: bool) -> Meaning:
    n = kinds.num_rows
    event, source, channel, instrument, source_kind = (
        _texts(kinds.column(name)) for name in ("event", "source", "channel", "instrument", "source_kind")
    )
    nothing = np.zeros(n, dtype=bool)
    marker, rule = np.zeros(n, dtype=np.uint32), np.full(n, -1, dtype=np.int32)
    survey, end, excluded = np.full(n, -1, dtype=np.int16), nothing, nothing
    if model is not None:
        markers = {one.id: one.match.mask(kinds) for one in model.markers}
        for bit, mask in enumerate(markers.values()):
            marker[mask] |= np.uint32(1 << bit)
        rule = _first([touchpoint.match.mask(kinds, markers) for touchpoint in model.touchpoints], n).astype(
            np.int32
        )
        survey = _first([one.match.mask(kinds, markers) for one in model.surveys], n).astype(np.int16)
        end = model.journeys.end.mask(kinds, markers) if model.journeys.end is not None else nothing
        if model.exclude is not None:
            excluded = model.exclude.mask(_as_if_the_customer_acted(kinds, event == INVITE), markers)
    invite = event == INVITE
    asked = _is_valid(instrument) & ~invite
    answer = asked & _flag(kinds, _HAS_SCORE)
    survey[~answer & ~invite] = -1
    named = (rule >= 0) | (marker > 0) | end | (survey >= 0)
    bot, test = (nothing if include_bots else _flag(kinds, name) for name in FLAGS)
    dropped = ~named if model is not None and model.unmatched == "drop" else nothing
    fate = np.select(
        [bot, test, excluded, invite, dropped], [BOT, TEST, EXCLUDED, INVITED, DROPPED], default=KEPT
    ).astype(np.int8)
    look_backs = np.array(
        [*(_attached_within(one) for one in model.surveys), UNLIMITED] if model else [UNLIMITED],
        dtype=np.int64,
    )
    return Meaning(
        fate=fate,
        rule=rule,
        named=named,
        marker=marker,
        end=end,
        digital=~_is_valid(source_kind) | np.isin(source_kind.astype(str), DIGITAL),
        answer=answer,
        survey_kind=source_kind == "survey",
        survey=survey,
        attach=np.where(answer, look_backs[survey], -1),
        event=event,
        source=source,
        source_kind=source_kind,
        channel=channel,
        instrument=_scale_names(instrument, survey, model),
    )


def _as_if_the_customer_acted(kinds: pa.Table, invite: NDArray[np.bool_]) -> pa.Table:
    """The kinds with invites as acts of the customer.

    A model that excludes what the company does means contacts; the invite stands and falls with its answer.
    """
    if "actor" not in kinds.column_names or not invite.any():
        return kinds
    actor = pc.if_else(pa.array(invite), "customer", kinds.column("actor").cast(pa.string()))
    return kinds.set_column(kinds.column_names.index("actor"), "actor", actor)


def _first(masks: Sequence[NDArray[np.bool_]], n: int) -> NDArray[np.int64]:
    """Per row the number of the first mask that fits, −1 for none."""
    first = np.full(n, -1, dtype=np.int64)
    for number, mask in enumerate(masks):
        first[mask & (first < 0)] = number
    return first


def _texts(column: pa.ChunkedArray) -> NDArray[np.object_]:
    texts: NDArray[np.object_] = column.cast(pa.string()).to_numpy()
    return texts


def _is_valid(names: NDArray[np.object_]) -> NDArray[np.bool_]:
    return np.array([name is not None for name in names], dtype=bool)


def _flag(kinds: pa.Table, name: str) -> NDArray[np.bool_]:
    if name not in kinds.column_names:
        return np.zeros(kinds.num_rows, dtype=bool)
    flags: NDArray[np.bool_] = kinds.column(name).fill_null(False).to_numpy()
    return flags


def _scale_names(
    instrument: NDArray[np.object_], survey: NDArray[np.int16], model: JourneyModel | None
) -> NDArray[np.object_]:
    """The instrument as the model's survey calls it, else as the event does."""
    if model is None or not model.surveys:
        return instrument
    names = np.array([*(one.instrument for one in model.surveys), None], dtype=object)
    return np.where(survey >= 0, names[survey], instrument)


def _attached_within(survey: Survey) -> int:
    if survey.rates is None or survey.rates.look_back is None:
        return UNLIMITED
    return survey.rates.look_back


# ── the model as arrays ──────────────────────────────────────────────────────────────────────────────────


def machine_of(model: JourneyModel, *, never: int) -> Machine:
    """The rules of a model about state, as the arrays that the compiled state machine reads."""
    from cjm_analytics.kernels.state_machine import COMPARISONS, Machine

    if len(model.markers) > _MOST_MARKERS:
        raise ModelError(f"The model has {len(model.markers)} markers; {_MOST_MARKERS} are the most.")
    stages = {stage: code for code, stage in enumerate(model.stages)}
    phases = {phase.id: code for code, phase in enumerate(model.phases)}
    markers = {marker.id: code for code, marker in enumerate(model.markers)}
    branches = [branch for touchpoint in model.touchpoints for branch in touchpoint.branches]
    conditions: list[Condition] = [one for branch in branches for one in branch.when]
    cycle = model.journeys.new_cycle
    on_stage = np.zeros(len(stages), dtype=bool)
    if cycle is not None:
        on_stage[[stages[name] for name in cycle.on_stage]] = True
    goals = [one.id for one in model.markers if one.role == "goal"]
    reversals = [
        one.id for one in model.markers if one.role == "reversal" and (one.of is None or one.of in goals)
    ]
    return Machine(
        always=np.array(
            [-1 if one.branches[0].when else stages[one.branches[0].stage] for one in model.touchpoints],
            dtype=np.int16,
        ),
        branches=_offsets([len(one.branches) for one in model.touchpoints]),
        branch_stage=np.array([stages[one.stage] for one in branches], dtype=np.int16),
        conditions=_offsets([len(one.when) for one in branches]),
        marker=np.array([markers.get(one.marker or "", -1) for one in conditions], dtype=np.int32),
        within=_lengths([one.within for one in conditions]),
        compare=np.array(
            [COMPARISONS.index(one.count[0]) if one.count else 0 for one in conditions], dtype=np.int8
        ),
        bound=np.array([one.count[1] if one.count else 0 for one in conditions], dtype=np.int64),
        phase=np.array([phases.get(one.phase_reached or "", -1) for one in conditions], dtype=np.int32),
        negate=np.array([one.negate for one in conditions], dtype=bool),
        progress=np.array([one.progress for one in model.touchpoints], dtype=bool),
        stage_phase=np.array(
            [code for code, phase in enumerate(model.phases) for _ in phase.stages], dtype=np.int8
        ),
        on_stage=on_stage,
        n_markers=len(markers),
        goals=sum(1 << markers[name] for name in goals),
        reversals=sum(1 << markers[name] for name in reversals),
        cycle_after=markers[cycle.after] if cycle is not None else -1,
        min_gap=cycle.min_gap if cycle is not None else 0,
        inactivity=-1 if model.journeys.inactivity is None else model.journeys.inactivity,
        never=never,
    )


def _offsets(lengths: Sequence[int]) -> NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)


def _lengths(lengths: Sequence[int | None]) -> NDArray[np.int64]:
    return np.array([-1 if one is None else one for one in lengths], dtype=np.int64)
