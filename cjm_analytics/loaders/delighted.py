"""Delighted: answers to its one-question surveys, and who was asked."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.mapping import Cells, first, joined, looked_up, plainly
from cjm_analytics.loaders.opened import as_object, respelt
from cjm_analytics.loaders.ratings import ANSWERS, Asked, Response, Scale, invite
from cjm_analytics.loaders.responses import Responses, first_filled
from cjm_analytics.loaders.rows import filled_member
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import one_text, plain
from cjm_analytics.loaders.vendor import Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Side, Sides
    from cjm_analytics.loaders.ratings import Scores
    from cjm_analytics.loaders.responses import Made
    from cjm_analytics.loaders.rows import ColumnRows, Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["delighted"]

_SCALES: Final = {
    "nps": Scale.of("nps"),
    "enps": Scale("enps", 0, 10),
    "csat": Scale.of("csat"),
    "ces": Scale("ces", 1, 5),
    "stars": Scale.of("stars"),
    "smileys": Scale("smileys", 1, 5),
    "thumbs": Scale("thumbs", 0, 1),
}
"""The types of survey, and their scales."""

_CHANNELS: Final = {
    "email": "email",
    "sms": "phone",
    "web": "web",
    "link": "web",
    "ios sdk": "app",
    "android sdk": "app",
}
_WAYS: Final = ("Delighted Source", "delighted_source")
_SENT: Final = ("email", "sms")
_WHO: Final = ("id", "person", "person_id", "survey_type", "created_at", "person_properties")
_GONE: Final = (
    "id", "person", "person_id", "score", "comment", "survey_type", "created_at", "updated_at", "permalink",
    "person_properties", "email",
)  # fmt: skip


_LABELS: Final = {
    one.replace("_", " "): one
    for one in (
        "id", "person", "person_id", "email", "survey_type", "score", "comment", "created_at", "updated_at",
        "permalink", "tags", "notes", "delighted_source", "user_id", "customer_id", "order_id", "ticket_id",
        "account_id", "last_sent_at", "last_responded_at",
    )
}  # fmt: skip
"""Columns as a file with labels writes them, in small letters."""


def _tidied(rows: Rows) -> Rows:
    """A table with labels (`Survey Type`, `Created At`) under the names of the API."""
    if not {"Score", "Created At", "Last Sent At"} & set(rows.names()):
        return rows
    return respelt(
        rows, lambda name: _LABELS.get(name.lower().replace("_", " "), name), lambda _, cells: cells
    )


def _responses(
    rows: list[dict[str, Any]], sides: Sides, *, asked: Asked
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The answers, each with what the survey knew of the person."""
    people = sides.get("people", {})
    for place, row in enumerate(rows):
        known = as_object(row.get("person_properties"))
        fields = known if isinstance(known, dict) else {}
        person = row["person"] if isinstance(row.get("person"), dict) else people.get(_person(row) or "", {})
        kind = str(row.get("survey_type") or "nps").lower()
        scale = asked.scales.get(kind) or _SCALES.get(kind) or Scale(kind)
        response = Response(
            vendor="delighted",
            identity=one_text(row.get("id")),
            at=row.get("created_at"),
            received=row.get("updated_at"),
            values={**{name: row[name] for name in row if name not in _GONE}, **fields},
            email=filled_member(person, "email") or filled_member(row, "email"),
            comment=row.get("comment"),
            channel=_CHANNELS.get(_way({**row, **fields})),
            someone=f"delighted:{_person(row)}" if _person(row) else None,
        )
        for one in response.events([(kind, scale, row.get("score"))], asked):
            yield place, one


def _by_columns(rows: ColumnRows, sides: Mapping[str, Side], *, asked: Asked) -> Made | None:
    """The same of whole columns, where what is known of the person is no JSON text."""
    known = rows.column("person_properties") if rows.has("person_properties") else pa.nulls(len(rows))
    if not pa.types.is_struct(known.type) and known.null_count < len(rows):
        return None
    cells = Cells(rows, sides)
    members = (
        dict(zip(known.type.names, known.flatten(), strict=True)) if known.null_count < len(rows) else {}
    )
    fields = {name: plain(one) for name, one in members.items()}
    values = {name: rows.column(name) for name in rows.names() if name not in _GONE} | fields
    person = first("person_id", "person.id", plainly("person"))
    kinds = pc.utf8_lower(pc.fill_null(first_filled(cells["survey_type"]), "nps"))
    score = rows.column("score")
    ratings = []
    for kind in pc.unique(kinds).to_pylist():
        scale = asked.scales.get(kind) or _SCALES.get(kind) or Scale(kind)
        ratings.append((kind, scale, pc.if_else(pc.equal(kinds, kind), score, pa.scalar(None, score.type))))
    way = first_filled(*(values[one] for one in _WAYS if one in values), pa.nulls(len(rows), pa.string()))
    ways = pc.dictionary_encode(pc.fill_null(pc.utf8_lower(way), "email"))
    responses = Responses(
        "delighted",
        rows,
        identity=rows.column("id"),
        at=rows.column("created_at"),
        received=rows.column("updated_at"),
        values=values,
        email=cells.of(first("person.email", looked_up("people", person, "email"), "email")),
        comment=rows.column("comment"),
        channel=pa.array(map(_CHANNELS.get, ways.dictionary.to_pylist()), pa.string()).take(ways.indices),
        someone=cells.of(joined("=delighted", person)),
    )
    return responses.events(ratings, asked)


def _person(row: Mapping[str, Any]) -> str | None:
    found = filled_member(row, "person_id", "person")
    return one_text(found.get("id") if isinstance(found, dict) else found)


def _way(fields: Mapping[str, Any]) -> str:
    """How the survey reached the person."""
    return str(filled_member(fields, *_WAYS) or "email").lower()


def _people(
    rows: list[dict[str, Any]], sides: Sides, *, asked: Asked
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Who was asked: each who answered a survey that was sent, and each who has not answered the last one."""
    answered: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    kinds = {str(one.get("survey_type") or "nps").lower() for one in sides.get("responses", {}).values()}
    for one in sides.get("responses", {}).values():
        fields = as_object(one.get("person_properties"))
        if _way(fields if isinstance(fields, dict) else {}) in _SENT:
            answered[_person(one) or ""].append(one)
    every = sorted(
        {(asked.scales.get(kind) or _SCALES.get(kind) or Scale(kind)).instrument for kind in kinds}
    )
    for place, row in enumerate(rows):
        person = str(one_text(row.get("id")))
        given = answered.get(person, [])
        fields = next((one["person_properties"] for one in given if one.get("person_properties")), {})
        user = _user(as_object(fields), asked)
        who: dict[str, Any] = {"email": row.get("email"), "someone": f"delighted:{person}", "user": user}
        made = False
        for one in given:
            kind = str(one.get("survey_type") or "nps").lower()
            name = (asked.scales.get(kind) or _SCALES.get(kind) or Scale(kind)).instrument
            for event in invite(str(one.get("id")), one.get("created_at"), [name], inferred=True, **who):
                made = True
                yield place, event
        sent, back = _instant(row.get("last_sent_at")), _instant(row.get("last_responded_at"))
        if sent and sent > back:
            for event in invite(f"{person}:{sent}", row["last_sent_at"], every or ["nps"], **who):
                made = True
                yield place, event
        if not made:
            yield place, {"_event": None}


def _user(fields: object, asked: Asked) -> object:
    names = [asked.user] if asked.user else ["user_id", "customer_id"]
    return filled_member(fields, *names) if isinstance(fields, dict) else None


def _instant(time: object) -> str:
    """A time in a form in which later ones are greater: epochs with as many digits, or ISO texts."""
    return (one_text(time) or "").strip()


def _vendor(asked: Asked, clock: Clock, written: CsvFormat) -> Vendor:
    return Vendor(
        name="delighted",
        title="Delighted",
        kind="survey",
        copies="latest",
        clock=clock,
        written=written,
        asked=(asked,),
        required=("responses",),
        tidied=_tidied,
        parts={
            "people": Part(
                told_by=("last_sent_at", "last_responded_at"),
                names=("person",),
                key="id",
                together=partial(_people, asked=asked),
                **ANSWERS,
            ),
            "responses": Part(
                told_by=("score", "created_at"),
                names=("survey_response", "survey_responses", "response"),
                key="id",
                holds=_WHO,
                together=partial(_responses, asked=asked),
                by_columns=partial(_by_columns, asked=asked),
                run="id",
                **ANSWERS,
            ),
        },
    )


def delighted(
    source: object,
    *,
    scores: Scores | None = None,
    user_id: str | None = None,
    tz: str = "UTC",
    dayfirst: bool | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "delighted",
    format: str | None = None,  # noqa: A002 - the user's word
    sep: str | None = None,
    encoding: str = "utf-8",
    sheet: str | None = None,
) -> EventStream:
    """Read Delighted survey answers, and who was asked.

    **Where it comes from.** *The API*: `survey_responses.json` and, for addresses and response rates,
    `people.json`, each as JSON array or JSON lines, in one folder; or tables of a warehouse copy
    (`survey_response`, `people`), also as CSV or a workbook, with names or labels (`Survey Type`) for
    columns.

    **What becomes what.** A response is a `survey_response` at `created_at` (`updated_at` is `received_at`),
    with its type as `instrument` and its `score` between the ends of its scale: `nps` and `enps` 0…10,
    `csat`, `ces`, `stars` and `smileys` 1…5, `thumbs` 0…1. `comment` is the comment. Members of
    `person_properties` stand in `properties` by themselves; `order_id`, `ticket_id`, `account_id`,
    `campaign_id` and `utm_source` (and its kin) among them are these. *Delighted Source* tells the channel.
    With `people` there are invites (`survey_invite`): one for each response to a survey that was sent (at the
    time of the answer, marked as inferred), and one at `last_sent_at` for each who has not responded since.
    What people were asked before and left open is not known any more: the response rate is an upper bound.

    **Who.** The member of `person_properties` that `user_id=` names, else `user_id` or `customer_id` there,
    is `user_id`; without one the address of the person is `anonymous_id`, and without `people`
    `delighted:<person>`.

    **Traps.** Times are in seconds; a file that mixes units is refused. A comment that is added later changes
    the response: the last copy of an `id` is not another answer. People are asked by one type of survey in a
    project: where the responses have several, each of them is taken to be open.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    scores : mapping, optional
        Type of survey → instrument with other ends: `{"ces": ("ces", 1, 7)}`.
    user_id : str, optional
        Member of `person_properties` with your own id of the customer.
    tz : str
        Zone of times that carry none.
    dayfirst : bool, optional
        Whether 03/10/2025 is 3 October: of a file that a spreadsheet wrote.
    keep : sequence of str, or mapping of str to type
        Members of `person_properties` that become typed columns.
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
        No such file; not an export of Delighted; seconds and milliseconds in one file.
    UnknownNameError
        No such instrument or zone.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"id": ["1"], "person": ["7"], "survey_type": ["nps"], "score": [9],
    ...         "created_at": [1741608000], "person_properties": [{"customer_id": "u1"}]}
    >>> batch = next(cjm.loaders.delighted(rows).batches())
    >>> batch.events.select(["user_id", "instrument", "score"]).to_pylist()
    [{'user_id': 'u1', 'instrument': 'nps', 'score': 9.0}]
    """
    asked = Asked.of(scores, None, user_id)
    written = CsvFormat(sep, encoding, sheet=sheet)
    return _vendor(asked, Clock(tz=tz, dayfirst=dayfirst, options=("dayfirst",)), written).stream(
        source, keep=keep, name=name, format=format
    )
