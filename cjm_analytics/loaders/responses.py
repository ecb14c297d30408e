"""The filled forms of a block, column by column: what `ratings.Response` says of one, for all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.mapping import Cells, each
from cjm_analytics.loaders.ratings import KEYS, USERS
from cjm_analytics.loaders.rows import ColumnRows, inferred
from cjm_analytics.loaders.values import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.ratings import Asked, Scale
    from cjm_analytics.loaders.rows import Rows

    Rated: TypeAlias = "tuple[str, Scale, pa.Array]"
    Made: TypeAlias = "list[tuple[Rows, NDArray[np.int64]]]"

__all__ = ["Made", "Rated", "Responses", "first_filled", "in_zones", "told_by"]


def first_filled(*columns: pa.Array) -> pa.Array:
    """The first of several that is not empty, as text."""
    found = [texts(one) for one in columns]
    return pc.coalesce(*(pc.if_else(pc.equal(one, ""), None, one) for one in found))


def in_zones(times: pa.Array, zone: str) -> pa.Array:
    """Times as text that carry no zone, with the name of the one in which they are meant."""
    bare = pc.utf8_trim_whitespace(first_filled(times))
    return pc.binary_join_element_wise(bare, f"[{zone}]", "")


def told_by(rows: ColumnRows, function: Callable[..., object], *names: str) -> pa.Array:
    """What a function makes of the cells of a row; it is asked once for cells that are the same."""
    return Cells(rows).of(each(function, *names))


@dataclass(frozen=True)
class Responses:
    """The filled forms of a block.

    Attributes
    ----------
    vendor : str
        Where they come from.
    rows : ColumnRows
        The block; of what the forms hold see `values`.
    identity, at, received : pyarrow.Array
        Their ids there (an empty one is made of who answered which survey when), when they were given, and
        when the vendor knew.
    values : mapping
        What they hold: answers by question, fields by name.
    email, survey, comment, channel, someone, user : pyarrow.Array, optional
        What is known beyond that.
    real : numpy.ndarray, optional
        Which are answers of people at all; default all.
    """

    vendor: str
    rows: ColumnRows
    identity: pa.Array
    at: pa.Array
    values: Mapping[str, pa.Array]
    received: pa.Array | None = None
    email: pa.Array | None = None
    survey: pa.Array | None = None
    comment: pa.Array | None = None
    channel: pa.Array | None = None
    someone: pa.Array | None = None
    user: pa.Array | None = None
    real: NDArray[np.bool_] | None = None

    def events(self, ratings: Sequence[Rated], asked: Asked) -> Made:
        """A row for each question that was rated; one without a score where none was."""
        size = len(self.rows)
        columns = self._shared({question for question, _, _ in ratings}, asked)
        unrated = np.ones(size, bool) if self.real is None else self.real.copy()
        every = [(*rated, _is_filled(rated[2]) & unrated) for rated in ratings]
        for question, _, _, given in every:
            left = self.values.get(question)
            if left is not None:  # what is not rated is kept as it was said
                columns[question] = pc.if_else(pa.array(given), pa.scalar(None, left.type), left)
        shared = pa.table(columns)
        made = []
        for question, scale, cells, given in every:
            unrated &= ~given
            if given.any():
                self._note(scale, given, asked)
                made.append(self._made(shared, given, _score(scale, question, cells.filter(pa.array(given)))))
        if unrated.any():
            made.append(self._made(shared, unrated, {}))
        return made

    def _made(
        self, shared: pa.Table, which: NDArray[np.bool_], rated: Mapping[str, pa.Array]
    ) -> tuple[Rows, NDArray[np.int64]]:
        origin = np.flatnonzero(which)
        table = shared if len(origin) == len(which) else shared.take(pa.array(origin))
        columns = {name: table.column(name) for name in table.column_names} | dict(rated)
        if "question" in rated:
            identity = texts(table.column("_id").combine_chunks())
            columns["_id"] = pc.binary_join_element_wise(identity, rated["question"], ":")
        file = self.rows.file
        return ColumnRows(file, pa.table(columns), self.rows.numbers[origin], is_sparse=True), origin

    def _shared(self, questions: set[str], asked: Asked) -> dict[str, pa.Array]:
        """The columns that all rows of a form have in common."""
        nothing = pa.nulls(len(self.rows), pa.string())
        values, email = self.values, nothing if self.email is None else first_filled(self.email)
        named = [values[name] for name in ([asked.user] if asked.user else USERS) if name in values]
        own = [] if self.user is None or asked.user else [self.user]
        user = first_filled(*own, *named, nothing)
        known = first_filled(
            values.get("anonymous_id", nothing), *([] if self.someone is None else [self.someone])
        )
        given = first_filled(self.identity)
        alone = pc.coalesce(known, pc.binary_join_element_wise(self.vendor, given, ":"))
        someone = pc.if_else(pc.and_(pc.is_valid(user), pc.is_null(known)), None, alone)
        taken = {*KEYS, *USERS, *questions, *filter(None, (asked.comment, asked.user))}
        comment = values.get(asked.comment) if asked.comment else self.comment
        return {
            **{name: cells for name, cells in values.items() if name not in taken},
            **{name: values.get(name, nothing) for name in KEYS},
            "_event": pa.repeat("survey_response", len(self.rows)),
            "_at": self.at,
            "_received": nothing if self.received is None else self.received,
            "_actor": pa.repeat("customer", len(self.rows)),
            "_user": user,
            "_email": email,
            "_someone": pc.if_else(pc.is_valid(email), None, someone),
            "_device": values.get("anonymous_id", nothing),
            "_survey": nothing if self.survey is None else self.survey,
            "_comment": nothing if comment is None else comment,
            "_channel": nothing if self.channel is None else self.channel,
            "_id": pc.coalesce(given, self._told_apart(pc.coalesce(user, email, known))),
        }

    def _told_apart(self, who: pa.Array) -> pa.Array:
        """What forms without an id are known by: who answered which survey when."""
        nothing = pa.nulls(len(self.rows), pa.string())
        survey = pc.fill_null(nothing if self.survey is None else texts(self.survey), "")
        return pc.binary_join_element_wise(who, survey, texts(self.at), ":")

    def _note(self, scale: Scale, given: NDArray[np.bool_], asked: Asked) -> None:
        """Remember which surveys ask for an instrument: invites, which come last, ask for it, too."""
        surveys = (
            [None] if self.survey is None else pc.unique(self.survey.filter(pa.array(given))).to_pylist()
        )
        for survey in surveys:
            asked.instruments.setdefault(survey, set()).add(scale.instrument)


def _is_filled(cells: pa.Array) -> NDArray[np.bool_]:
    there = pc.is_valid(cells)
    if pa.types.is_string(cells.type):
        there = pc.and_(there, pc.fill_null(pc.not_equal(cells, ""), False))
    return np.asarray(there.to_numpy(zero_copy_only=False), bool)


def _score(scale: Scale, question: str, cells: pa.Array) -> dict[str, pa.Array]:
    """What answers say on a scale."""
    few = pc.dictionary_encode(cells)
    rated: list[dict[str, Any]] = [scale.rated(one, question) for one in few.dictionary.to_pylist()]
    said = rated[0]
    ends = {
        name: pa.nulls(len(cells), pa.string()) if said[name] is None else pa.repeat(said[name], len(cells))
        for name in ("instrument", "score_min", "score_max")
    }
    scores = inferred([one["score"] for one in rated]).take(few.indices)
    return {**ends, "score": scores, "question": pa.repeat(question, len(cells))}
