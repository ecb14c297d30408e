"""Typeform: the answers to a form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.csv_files import CsvFormat, unique_names
from cjm_analytics.loaders.mapping import different
from cjm_analytics.loaders.ratings import ANSWERS, Asked, Response, Scale, in_zone, is_nps_question
from cjm_analytics.loaders.responses import Responses, first_filled, in_zones
from cjm_analytics.loaders.rows import ColumnRows, filled_member
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import one_text, plain, texts
from cjm_analytics.loaders.vendor import Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.mapping import Side, Sides
    from cjm_analytics.loaders.ratings import Scores
    from cjm_analytics.loaders.responses import Made, Rated
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["typeform"]

_NPS: Final = Scale.of("nps")
_REST: Final = ("landed_at", "calculated", "variables", "metadata", "form_id")
_UNSENT: Final = "0001-01-01"
_PARTIAL: Final = ("partial", "started")
_PARTIAL_EVENT: Final = "form_response_partial"
_TIMES: Final = ("Submit Date (UTC)", "Start Date (UTC)", "Stage Date (UTC)")


def _heading(head: Sequence[Sequence[str]]) -> list[str] | None:
    """The questions of a form, of which several may ask the same (`Other`)."""
    names = [one.strip() for one in head[0]]
    return unique_names(names) if names[0] == "#" and _TIMES[0] in names else None


def _fields(form: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The questions of a form, those inside groups, too."""
    for one in form.get("fields") or []:
        yield {**(one.get("properties") or {}), **one, "_field": one.get("id")}
        yield from _fields(one.get("properties") or {})


def _responses(
    rows: list[dict[str, Any]], sides: Sides, *, asked: Asked
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The answers of the API, or those that a webhook sends one by one."""
    for place, row in enumerate(rows):
        sent = row.get("form_response") or row
        given = str(sent.get("submitted_at") or _UNSENT)
        is_partial = sent.get("response_type") in _PARTIAL or row.get("event_type") == _PARTIAL_EVENT
        if given.startswith(_UNSENT) or is_partial:
            yield place, {"_event": None}
            continue
        known = {one["_field"]: one for one in _fields(sent.get("definition") or {})}
        fields = {**sides.get("form", {}), **known}
        answers = [one for one in sent.get("answers") or [] if isinstance(one, dict)]
        told = {_name(one, fields): _value(one) for one in answers}
        words = [_name(one, fields) for one in answers if one.get("type") == "text"]
        hidden = sent.get("hidden") or {}
        rest = {name: sent.get(name) for name in _REST}
        response = Response(
            vendor="typeform",
            identity=one_text(filled_member(sent, "response_id", "token", "landing_id")),
            at=given,
            values={**rest, **told, **hidden},
            email=next((one["email"] for one in answers if one.get("email")), hidden.get("email")),
            survey=sent.get("form_id"),
            comment=told[words[0]] if words else None,
            channel="web",
        )
        ratings = [found for one in answers if (found := _rating(one, fields, asked)) is not None]
        for event in response.events(ratings, asked):
            yield place, event


def _by_columns(rows: ColumnRows, sides: Mapping[str, Side], *, asked: Asked) -> Made | None:
    """The same of whole columns, where each question has answers of one kind."""
    answers = rows.column("answers")
    is_listed = pa.types.is_list(answers.type) and pa.types.is_struct(answers.type.value_type)
    if not is_listed or rows.has("form_response") or rows.has("definition"):
        return None
    told = _Told.of(rows, sides.get("form", {}), asked)
    if told is None:
        return None
    sent = rows.column("submitted_at")
    is_sent = pc.invert(pc.starts_with(pc.coalesce(first_filled(sent), _UNSENT), _UNSENT))
    if rows.has("response_type"):
        is_partial = pc.is_in(texts(rows.column("response_type")), value_set=pa.array(_PARTIAL))
        is_sent = pc.and_(is_sent, pc.invert(is_partial))
    hidden = rows.column("hidden")
    given = {}
    if pa.types.is_struct(hidden.type):
        given = {name: plain(one) for name, one in zip(hidden.type.names, hidden.flatten(), strict=True)}
    elif hidden.null_count < len(rows):
        return None
    rest = {name: rows.column(name) for name in _REST if rows.has(name)}
    nothing = pa.nulls(len(rows), pa.string())
    responses = Responses(
        "typeform",
        rows,
        identity=first_filled(*(rows.column(name) for name in ("response_id", "token", "landing_id"))),
        at=sent,
        values={**rest, **told.values, **given},
        email=first_filled(told.email, given.get("email", nothing)),
        survey=texts(rows.column("form_id")),
        comment=told.comment,
        channel=pa.repeat("web", len(rows)),
        real=is_sent.to_numpy(zero_copy_only=False),
    )
    return responses.events(told.ratings, asked)


@dataclass(frozen=True)
class _Told:
    """What the lists of answers say, a column for each question."""

    values: dict[str, pa.Array]
    ratings: list[Rated]
    email: pa.Array
    comment: pa.Array

    @classmethod
    def of(cls, rows: ColumnRows, fields: Mapping[str, Mapping[str, Any]], asked: Asked) -> _Told | None:
        """Nothing where two kinds of answers to one question would share a column."""
        answers = rows.column("answers")
        parents = pc.list_parent_indices(answers).to_numpy().astype(np.int64)
        items = ColumnRows(rows.file, pa.Table.from_struct_array(answers.flatten()), parents)
        tells = [texts(items.column(one)) for one in ("field.ref", "field.id", "field.type", "type")]
        few, which = different(tells)
        kinds = which.to_numpy()
        values: dict[str, pa.Array] = {}
        ratings: list[Rated] = []
        for number, (ref, identity, kind, answered) in enumerate(few):
            one = {"field": {"ref": ref, "id": identity, "type": kind}, "type": answered}
            name, mine = _name(one, fields), np.flatnonzero(kinds == number)
            cells = _cells(items, str(answered))
            if cells is None or name in values:
                return None
            values[name] = _spread(cells, mine, parents, len(rows))
            rated = _rating(one, fields, asked)
            if rated is not None:
                ratings.append((name, rated[1], values[name]))

        def first_of(answered: str) -> pa.Array:
            """The first answer of a kind, row by row."""
            mine = np.flatnonzero(
                pc.fill_null(pc.equal(tells[3], answered), False).to_numpy(zero_copy_only=False)
            )
            return _spread(texts(items.column(answered)), mine[::-1], parents, len(rows))

        return cls(values, ratings, first_of("email"), first_of("text"))


def _cells(items: ColumnRows, answered: str) -> pa.Array | None:
    """What was answered, of choices their labels; nothing where they have labels of several kinds."""
    cells = items.column(answered)
    if not pa.types.is_struct(cells.type):
        return cells
    there = [
        items.column(f"{answered}.{one}")
        for one in ("label", "other", "labels")
        if items.has(f"{answered}.{one}")
    ]
    filled = [one for one in there if one.null_count < len(one)]
    if len(filled) > 1 and not all(pa.types.is_string(one.type) for one in filled):
        return None
    return pc.coalesce(*filled) if filled else None


def _spread(cells: pa.Array, mine: NDArray[np.int64], parents: NDArray[np.int64], size: int) -> pa.Array:
    """Cells of some items as a column of the rows in which they stand; of several the last one counts."""
    at = np.full(size, -1, np.int64)
    at[parents[mine]] = mine
    return cells.take(pa.array(at, mask=at < 0))


def _name(answer: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of a question: its reference, which copies of the form keep, else its id."""
    asked = answer.get("field") or {}
    return str(asked.get("ref") or fields.get(str(asked.get("id")), {}).get("ref") or asked.get("id"))


def _value(answer: Mapping[str, Any]) -> object:
    """What was answered, whichever type of question it was; of choices their labels."""
    value = answer.get(str(answer.get("type")))
    if isinstance(value, dict):
        return filled_member(value, "label", "other", "labels")
    return value


def _rating(
    answer: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]], asked: Asked
) -> tuple[str, Scale, object] | None:
    """The answer to a question that asks for a rating, as the user said, or as the form does."""
    field = answer.get("field") or {}
    name, identity, kind = _name(answer, fields), str(field.get("id")), field.get("type")
    form = fields.get(identity, {})
    said = asked.scales.get(name) or asked.scales.get(identity)
    if said is not None:
        return name, said, _value(answer)
    is_whole = form.get("steps") == 11 and not form.get("start_at_one")  # noqa: PLR2004 - 0 to 10
    title = str(form.get("title") or "")
    is_nps = kind == "nps" or name.lower().startswith("nps") or is_nps_question(title)
    if kind in {"nps", "opinion_scale"} and is_nps:
        if form and kind == "opinion_scale" and not is_whole:
            first = 1 if form.get("start_at_one") else 0
            raise InputError(
                f"The question {name!r} asks like an NPS, but its scale has {form.get('steps')} steps from "
                f"{first}, not 0 to 10. Say what it is, for example scores={{{name!r}: "
                f"('csat', {first}, {first + int(form.get('steps') or 1) - 1})}}."
            )
        return name, _NPS, _value(answer)
    if kind == "rating" and form.get("steps"):
        return name, Scale("stars", 1, float(form["steps"])), _value(answer)
    return None


def _exported(row: dict[str, Any], *, asked: Asked) -> Iterator[dict[str, Any]]:
    """A row of the file that the results page exports: the questions are its columns."""
    if not row.get(_TIMES[0]):
        yield {"_event": None}
        return
    values = {name: value for name, value in row.items() if name not in {"#", "Network ID", *_TIMES}}
    response = Response(
        vendor="typeform",
        identity=one_text(row.get("#")),
        at=in_zone(row[_TIMES[0]], "UTC"),
        values=values,
        email=filled_member(row, "email", "Email"),
        channel="web",
    )
    known = asked.scales or {name: _NPS for name in values if is_nps_question(name)}
    yield from response.events([(name, scale, values.get(name)) for name, scale in known.items()], asked)


def _exported_columns(rows: ColumnRows, _: Mapping[str, Side], *, asked: Asked) -> Made | None:
    """The same of whole columns, where times are text."""
    sent = rows.column(_TIMES[0])
    if not pa.types.is_string(sent.type):
        return None
    values = {name: rows.column(name) for name in rows.names() if name not in {"#", "Network ID", *_TIMES}}
    nothing = pa.nulls(len(rows), pa.string())
    responses = Responses(
        "typeform",
        rows,
        identity=rows.column("#"),
        at=in_zones(sent, "UTC"),
        values=values,
        email=first_filled(*(values[name] for name in ("email", "Email") if name in values), nothing),
        channel=pa.repeat("web", len(rows)),
        real=pc.is_valid(first_filled(sent)).to_numpy(zero_copy_only=False),
    )
    known = asked.scales or {name: _NPS for name in values if is_nps_question(name)}
    rated = [(name, scale, values[name]) for name, scale in known.items() if name in values]
    return responses.events(rated, asked)


def _checked(rows: Rows, asked: Asked) -> Rows:
    """A block of a file whose columns are its questions, if it has those that were named."""
    if _TIMES[0] in rows.names() and not rows.is_sparse:
        asked.check(rows.names(), rows.file)
    return rows


def _vendor(asked: Asked, clock: Clock, written: CsvFormat) -> Vendor:
    return Vendor(
        name="typeform",
        title="Typeform",
        kind="survey",
        clock=clock,
        written=written,
        asked=(asked,),
        required=("api_responses", "webhook", "export"),
        tidied=partial(_checked, asked=asked),
        parts={
            "api_responses": Part(
                told_by=("landing_id", "landed_at"),
                together=partial(_responses, asked=asked),
                by_columns=partial(_by_columns, asked=asked),
                run="landing_id",
                **ANSWERS,
            ),
            "webhook": Part(
                told_by=("event_type", "form_response"),
                together=partial(_responses, asked=asked),
                run="event_id",
                **ANSWERS,
            ),
            "export": Part(
                told_by=("#", _TIMES[0]),
                unfold=partial(_exported, asked=asked),
                by_columns=partial(_exported_columns, asked=asked),
                **ANSWERS,
            ),
            "form": Part(told_by=("fields", "title"), unfold=_fields, key="_field"),
        },
    )


def typeform(
    source: object,
    *,
    scores: Scores | None = None,
    comment: str | None = None,
    user_id: str | None = None,
    dayfirst: bool | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "typeform",
    format: str | None = None,  # noqa: A002 - the user's word
    sep: str | None = None,
    encoding: str = "utf-8",
    sheet: str | None = None,
) -> EventStream:
    """Read the answers to a Typeform form.

    **Where it comes from.** *The responses API* (`GET /forms/<id>/responses`), its answers as JSON
    (`{"items": […]}`) or their items as JSON lines; what webhooks send (`form_response`). Put the form itself
    (`GET /forms/<id>`) into the same folder if you have it: it tells the scales. *Results → Responses →
    Download*: CSV or a workbook.

    **What becomes what.** A response is a `survey_response` for each question that asks for a rating, at
    `submitted_at`, with `instrument`, `score` and the ends of its scale; one without a score where no
    question does. Questions are called by their reference (`ref`), which copies of a form keep, else by their
    id; in files by their text, behind which a second one of the same text has its place (`Other (7)`). A
    question of type `nps`, or an opinion scale whose reference begins with `nps` or whose text asks how
    likely a recommendation is, is an NPS; ratings are `stars` if the form is there to say how many. `scores=`
    names the questions otherwise. The first answer in words, or that to the question of `comment=`, is the
    comment. Hidden fields named `order_id`, `ticket_id`, `account_id`, `campaign_id` or `utm_source` (and its
    kin) are these; other answers and fields stay in `properties`.

    **Who.** The field or question of `user_id=`, else a hidden field `user_id` or `customer_id`, is
    `user_id`; without one an address that was asked for is `anonymous_id`. Who has neither is a customer of
    their own, known by the response alone.

    **Traps.** Forms that were opened or begun, and not sent, are counted as excluded. An opinion scale may
    begin at 1 and have 5 to 11 steps: one that asks like an NPS and is none is an error if the form tells.
    The score of a quiz (`calculated`) is no rating. Nobody is invited by Typeform, so there is no response
    rate; bring invites with `loaders.table(…, event="=survey_invite")`.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    scores : mapping, optional
        Question (reference, id, or in files its text) → instrument: `nps`, `csat` (1…5), `ces` (1…7), `stars`
        (1…5), or, with other ends, `("csat", 1, 7)`.
    comment, user_id : str, optional
        Question with the comment; hidden field or question with your own id of the customer.
    dayfirst : bool, optional
        Whether 03/10/2025 is 3 October: of a file that a spreadsheet wrote again.
    keep : sequence of str, or mapping of str to type
        Answers and hidden fields that become typed columns.
    name : str
        The `source` column.
    format : str, optional
        csv, json, parquet or excel, where a file's ending does not tell.
    sep, encoding, sheet : str
        How files are written (see `loaders.table`).

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; not an export of Typeform; a question that asks like an NPS and has another scale.
    UnknownNameError
        No such question (of a file) or instrument.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"#": ["r1"], "How likely are you to recommend us?": [9], "user_id": ["u1"],
    ...         "Submit Date (UTC)": ["2025-03-10 12:00:00"]}
    >>> batch = next(cjm.loaders.typeform(rows).batches())
    >>> batch.events.select(["user_id", "instrument", "score"]).to_pylist()
    [{'user_id': 'u1', 'instrument': 'nps', 'score': 9.0}]
    """
    asked = Asked.of(scores, comment, user_id)
    written = CsvFormat(sep, encoding, sheet=sheet, heading=_heading)
    return _vendor(asked, Clock(tz="UTC", dayfirst=dayfirst, options=("dayfirst",)), written).stream(
        source, keep=keep, name=name, format=format
    )
