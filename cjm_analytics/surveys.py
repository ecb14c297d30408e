"""Survey answers and invites: which there are, and which earlier contact each rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.columns import as_numpy
from cjm_analytics.durations import HOUR
from cjm_analytics.meaning import INVITED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns
    from cjm_analytics.meaning import Meaning
    from cjm_analytics.model import JourneyModel, Survey

__all__ = ["Log", "SurveyDraft", "answers_in", "unnamed_scores"]

UNLINKED, BY_KEY, BY_TIME, IN_DOUBT = range(4)
"""Positions in `journeys.LINKS`."""

NEAR = HOUR
"""Two contacts closer than this leave it in doubt which of them an answer means."""

_NOWHERE = -(2**62)
"""Stands for no group: below the numbers of all customers and their keys."""

_DEFAULT_KEY = "ticket_id"
"""The column that tells which invite an answer follows, where the survey names no `join_on`."""


@dataclass(frozen=True, eq=False)
class Log:
    """The events of a partition that are in journeys, and where they stand in the event store.

    Attributes
    ----------
    columns : Columns
        The partition of the event store.
    row : int64 or None
        Per event its row in the store; None: every row is an event of a journey.
    time, kind : int64, int32
        Per event.
    offsets : int64
        Customer c has the events `offsets[c]:offsets[c + 1]`.
    kind_of_row : int32
        Per row of the store.
    store_offsets : int64
        As `offsets`, for the rows and customers of the store.
    customer_number : int32
        Per customer of the store its number among those with journeys, −1 for one without.
    """

    columns: Columns
    row: NDArray[np.int64] | None
    time: NDArray[np.int64]
    kind: NDArray[np.int32]
    offsets: NDArray[np.int64]
    kind_of_row: NDArray[np.int32]
    store_offsets: NDArray[np.int64]
    customer_number: NDArray[np.int32]

    def row_of(self, event: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of some events in the store."""
        return event if self.row is None else self.row[event]

    def customer_of(self, event: NDArray[np.int64]) -> NDArray[np.int64]:
        """The customers of some events."""
        return np.searchsorted(self.offsets, event, side="right") - 1

    def customer_of_row(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """The customers of some rows of the store; one without a journey has a number below 0 of its own."""
        of_store = np.searchsorted(self.store_offsets, row, side="right") - 1
        number = self.customer_number[of_store].astype(np.int64)
        return np.where(number < 0, -1 - of_store, number)


@dataclass(frozen=True, eq=False)
class SurveyDraft:
    """Answers and invites of one partition, sorted by customer, then time.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns `event, customer, time, invite, survey, instrument, score, rated_event, link, lag` (and some
        that only linking needs); `instrument` by name, `customer` −1 for one without a journey.
    off_scale, superseded : int
        Answers that were left out: their score is not on the scale; a later one rates the same contact.
    """

    table: pd.DataFrame
    off_scale: int
    superseded: int


def answers_in(log: Log, meaning: Meaning, model: JourneyModel | None) -> SurveyDraft:
    """The answers and invites among the events of a partition, linked to what they rate."""
    answers, off_scale = _on_scale(_answers(log, meaning), model)
    invites = _invites(log, meaning)
    surveys: Sequence[Survey] = model.surveys if model is not None else ()
    linker = _Linker(log, meaning, model)
    parts = [answers.iloc[:0]]
    superseded = 0
    for code, survey in enumerate([*surveys, None]):
        number = code if survey is not None else -1
        mine = answers[answers["survey"] == number].reset_index(drop=True)
        asked = invites[invites["survey"] == number].reset_index(drop=True)
        if len(mine) or len(asked):
            linked, n_superseded = linker.link(survey, mine, asked)
            parts.append(linked)
            superseded += n_superseded
    table = pd.concat([part for part in parts if len(part)] or parts)
    table["customer"] = table["customer"].clip(lower=-1)
    table = table.sort_values(["customer", "time", "row"], kind="stable", ignore_index=True)
    return SurveyDraft(table, off_scale, superseded)


def unnamed_scores(columns: Columns, row: NDArray[np.int64] | None = None) -> int:
    """How many events (of these rows) have a score and no instrument: they are no answers."""
    table = columns.read(["score", "instrument"])
    if table.column("score").null_count == table.num_rows:
        return 0
    unnamed = as_numpy(pc.and_(pc.is_valid(table.column("score")), pc.is_null(table.column("instrument"))))
    return int((unnamed if row is None else unnamed[row]).sum())


# ── which answers and invites there are ──────────────────────────────────────────────────────────────────


def _answers(log: Log, meaning: Meaning) -> pd.DataFrame:
    event = np.flatnonzero(meaning.answer[log.kind])
    row = log.row_of(event)
    scores = log.columns.read(["score", "score_min", "score_max"]) if len(row) else None
    return _frame(meaning, log.kind[event], row).assign(
        event=event,
        customer=log.customer_of(event),
        time=log.time[event],
        **{
            name: scores.column(name).take(pa.array(row)).to_numpy() if scores is not None else np.zeros(0)
            for name in ("score", "score_min", "score_max")
        },
    )


def _invites(log: Log, meaning: Meaning) -> pd.DataFrame:
    asked = (meaning.fate == INVITED) & np.array([one is not None for one in meaning.instrument], dtype=bool)
    row = np.flatnonzero(asked[log.kind_of_row]) if asked.any() else np.zeros(0, dtype=np.int64)
    customer = log.customer_of_row(row)
    time = np.zeros(0, dtype=np.int64)
    if len(row):
        time = as_numpy(
            log.columns.read(["timestamp"]).column("timestamp").take(pa.array(row)).cast(pa.int64())
        )
    return _frame(meaning, log.kind_of_row[row], row).assign(
        event=np.int64(-1), customer=customer, time=time, invite=True, score=np.nan
    )


def _frame(meaning: Meaning, kind: NDArray[np.int32], row: NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": row,
            "invite": np.zeros(len(row), dtype=bool),
            "survey": meaning.survey[kind],
            "instrument": meaning.instrument[kind],
            "rated_event": np.full(len(row), -1, dtype=np.int64),
            "link": np.full(len(row), UNLINKED, dtype=np.int8),
            "lag": np.zeros(len(row), dtype=np.int64),
        }
    )


def _on_scale(answers: pd.DataFrame, model: JourneyModel | None) -> tuple[pd.DataFrame, int]:
    """The answers whose score lies on the survey's scale, else on the event's own; and how many do not.

    An answer that says itself that it was given on another scale than the survey's is not on it.
    """
    scales = [one.scale or (np.nan, np.nan) for one in model.surveys] if model is not None else []
    survey = answers["survey"].to_numpy()
    low = np.array([*(one for one, _ in scales), np.nan])[survey]
    high = np.array([*(one for _, one in scales), np.nan])[survey]
    own_low, own_high = answers["score_min"].to_numpy(np.float64), answers["score_max"].to_numpy(np.float64)
    foreign = (own_low < low) | (own_low > low) | (own_high < high) | (own_high > high)
    low = np.where(np.isnan(low), np.where(np.isnan(own_low), -np.inf, own_low), low)
    high = np.where(np.isnan(high), np.where(np.isnan(own_high), np.inf, own_high), high)
    fits = (answers["score"] >= low) & (answers["score"] <= high) & ~foreign
    return answers[fits].drop(columns=["score_min", "score_max"]), int((~fits).sum())


# ── what they rate ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _Linker:
    """Links the answers and invites of one partition, survey by survey."""

    log: Log
    meaning: Meaning
    model: JourneyModel | None

    def link(
        self, survey: Survey | None, answers: pd.DataFrame, invites: pd.DataFrame
    ) -> tuple[pd.DataFrame, int]:
        """One survey's answers and invites, linked; and how many answers a later one supersedes."""
        rates = survey.rates if survey is not None else None
        contacts = self._contacts(rates.touchpoints) if rates is not None else np.zeros(0, dtype=np.int64)
        join_on = rates.join_on if rates is not None else None
        rows = [answers["row"].to_numpy(), invites["row"].to_numpy(), self.log.row_of(contacts)]
        if join_on is None and invites.empty:
            keys = [np.full(len(part), -1, dtype=np.int64) for part in rows]
        else:
            keys = _keys(self.log.columns, join_on or _DEFAULT_KEY, rows)
        answers, invites = answers.assign(key=keys[0]), invites.assign(key=keys[1])
        reminder = invites.duplicated(["customer", "key"]) & (invites["key"] >= 0)
        invites = invites[~reminder].reset_index(drop=True)
        superseded = 0
        if survey is not None and rates is not None:
            follows = _invite_of(answers, invites)
            asked_at = np.append(invites["time"].to_numpy(np.int64), np.int64(2**62))[follows]
            candidates = _Contacts(
                contacts,
                self.log.customer_of(contacts),
                self.log.time[contacts],
                keys[2],
                self.meaning.rule[self.log.kind[contacts]].astype(np.int64),
            )
            answers = candidates.link(
                answers, survey, np.minimum(answers["time"].to_numpy(np.int64), asked_at)
            )
            invites = candidates.link(invites, survey, invites["time"].to_numpy(np.int64))
            earlier = _superseded(answers)
            superseded = int(earlier.sum())
            answers = answers.assign(follows=follows)[~earlier]
            invites = _rating_what_the_answer_rates(invites, answers)
            answers = answers.drop(columns="follows")
        both = [part for part in (answers, invites) if len(part)]
        return pd.concat(both).drop(columns="key"), superseded

    def _contacts(self, touchpoints: Sequence[str]) -> NDArray[np.int64]:
        codes = [one.id for one in self.model.touchpoints] if self.model is not None else []
        wanted = [codes.index(touchpoint) for touchpoint in touchpoints]
        rated = np.isin(self.meaning.rule, wanted) & ~self.meaning.answer
        return np.flatnonzero(rated[self.log.kind])


def _keys(columns: Columns, name: str, parts: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Per part equal numbers for equal values of a column in these rows, −1 for a missing one."""
    values = columns.read([name]).column(name).take(pa.array(np.concatenate(parts)))
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    codes, _ = pd.factorize(values.to_pandas())
    return np.split(np.asarray(codes, dtype=np.int64), np.cumsum([len(part) for part in parts])[:-1])


@dataclass(frozen=True, eq=False)
class _Contacts:
    """The contacts that a survey can rate, in order of customer and time."""

    event: NDArray[np.int64]
    customer: NDArray[np.int64]
    time: NDArray[np.int64]
    key: NDArray[np.int64]
    touchpoint: NDArray[np.int64]

    def link(self, answers: pd.DataFrame, survey: Survey, at: NDArray[np.int64]) -> pd.DataFrame:
        """The answers with `rated_event`, `link`, `lag`: by key, else looking back from the time `at`."""
        from cjm_analytics.kernels.linking import latest_before

        found = _nearest(_Keyed(self.customer, self.key, self.time), _Keyed.of(answers))
        found = np.append(self._begun(), -1)[found]
        link = np.where(found >= 0, BY_KEY, UNLINKED)
        rates = survey.rates
        if rates is not None and rates.look_back is not None:
            by_time, doubt = latest_before(
                self.customer, self.time, self.key,
                answers["customer"].to_numpy(np.int64), at, rates.look_back, rates.pick == "first", NEAR,
            )  # fmt: skip
            link = np.where((found < 0) & (by_time >= 0), np.where(doubt, IN_DOUBT, BY_TIME), link)
            found = np.where(found >= 0, found, by_time)
        rated = np.append(self.event, -1)[found]
        lag = np.where(found >= 0, answers["time"] - np.append(self.time, 0)[found], 0)
        return answers.assign(rated_event=rated, link=link.astype(np.int8), lag=lag)

    def _begun(self) -> NDArray[np.int64]:
        """Per contact the first of its customer, key and touchpoint: a ticket is rated as it was opened."""
        frame = pd.DataFrame({"customer": self.customer, "key": self.key, "touchpoint": self.touchpoint})
        first = frame.groupby(["customer", "key", "touchpoint"], sort=False).cumcount().to_numpy() == 0
        number = frame.groupby(["customer", "key", "touchpoint"], sort=False).ngroup().to_numpy()
        return np.flatnonzero(first)[number]


class _Keyed(NamedTuple):
    """Rows with a customer, a key (−1 fits nothing) and a time."""

    customer: NDArray[np.int64]
    key: NDArray[np.int64]
    time: NDArray[np.int64]

    @classmethod
    def of(cls, frame: pd.DataFrame, key: NDArray[np.int64] | None = None) -> _Keyed:
        return cls(
            frame["customer"].to_numpy(np.int64),
            frame["key"].to_numpy(np.int64) if key is None else key,
            frame["time"].to_numpy(np.int64),
        )


def _nearest(candidates: _Keyed, questions: _Keyed) -> NDArray[np.int64]:
    """Per question the last candidate of its customer and key up to its time, else the next; −1 for none."""
    from cjm_analytics.kernels.linking import nearest_of_group

    n_keys = int(max(candidates.key.max(initial=0), questions.key.max(initial=0))) + 1
    group = np.where(candidates.key >= 0, candidates.customer * n_keys + candidates.key, _NOWHERE)
    of = np.where(questions.key >= 0, questions.customer * n_keys + questions.key, _NOWHERE - 1)
    order = np.lexsort((candidates.time, group))
    found = nearest_of_group(group[order], candidates.time[order], of, questions.time)
    return np.append(order, -1)[found]


def _invite_of(answers: pd.DataFrame, invites: pd.DataFrame) -> NDArray[np.int64]:
    """Per answer the position of the invite that it follows, −1 for none.

    That of the same customer with the same key; where one of the two has no key, the customer's latest before
    it.
    """
    found = _nearest(_Keyed.of(invites), _Keyed.of(answers))
    keyed = answers["key"].to_numpy() >= 0
    for asking, asked in (
        (keyed, invites["key"].to_numpy() < 0),
        (~keyed, np.ones(len(invites), dtype=bool)),
    ):
        latest = _nearest(
            _Keyed.of(invites, np.where(asked, 0, -1)),
            _Keyed.of(answers, np.where(asking & (found < 0), 0, -1)),
        )
        invited_at = np.append(invites["time"].to_numpy(np.int64), np.int64(2**62))[latest]
        found = np.where(invited_at <= answers["time"].to_numpy(), latest, found)
    return found


def _superseded(answers: pd.DataFrame) -> NDArray[np.bool_]:
    """Which answers rate a contact (by key, or by event) that a later one of the same survey rates."""
    by_key = answers["link"] == BY_KEY
    contact = np.where(by_key, answers["key"], answers["rated_event"])
    later: NDArray[np.bool_] = (
        answers.assign(by_key=by_key, contact=contact)
        .sort_values(["time", "row"], kind="stable")
        .duplicated(["customer", "by_key", "contact"], keep="last")
        .sort_index()
        .to_numpy()
    )
    return later & (answers["link"] != UNLINKED).to_numpy()


def _rating_what_the_answer_rates(invites: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """The invites, those that were answered linked as their answer is."""
    answered = answers[(answers["follows"] >= 0) & (answers["rated_event"] >= 0)]
    answered = answered.drop_duplicates("follows", keep="last").set_index("follows")
    earlier = answered["time"] - invites["time"].reindex(answered.index)
    invites = invites.copy()
    invites.loc[answered.index, ["rated_event", "link"]] = answered[["rated_event", "link"]]
    invites.loc[answered.index, "lag"] = answered["lag"] - earlier
    return invites
