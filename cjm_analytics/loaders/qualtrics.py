"""Qualtrics: answers, and who was invited, from the exports of a survey or a warehouse copy."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.csv_files import CsvFormat, unique_names
from cjm_analytics.loaders.opened import as_object, objects_of, respelt
from cjm_analytics.loaders.ratings import ANSWERS, Asked, Response, Scale, in_zone, invite
from cjm_analytics.loaders.responses import Responses, first_filled, in_zones, told_by
from cjm_analytics.loaders.rows import ObjectRows, filled_member
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import one_text, texts
from cjm_analytics.loaders.vendor import Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.mapping import Side, Sides
    from cjm_analytics.loaders.ratings import Scores
    from cjm_analytics.loaders.responses import Made, Rated
    from cjm_analytics.loaders.rows import ColumnRows, Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["qualtrics"]

_IMPORT: Final = re.compile(r"""\{['"]{1,2}ImportId['"]""")
_FIXED: Final = (
    "startDate", "endDate", "status", "ipAddress", "progress", "duration", "finished", "recordedDate",
    "_recordId", "recipientLastName", "recipientFirstName", "recipientEmail", "externalDataReference",
    "locationLatitude", "locationLongitude", "distributionChannel", "userLanguage",
)  # fmt: skip
_SPELT: Final = {
    **{one[:1].upper() + one[1:]: one for one in _FIXED},
    "ResponseId": "_recordId", "ResponseID": "_recordId", "ExternalReference": "externalDataReference",
    "EmailAddress": "recipientEmail", "IPAddress": "ipAddress", "Duration (in seconds)": "duration",
    "ExternalDataReference": "externalDataReference",
}  # fmt: skip
"""The fixed columns as the first header row of an export, or the second of an old one, calls them."""

_LABELS: Final = {
    "Start Date": "startDate", "End Date": "endDate", "Response Type": "status", "IP Address": "ipAddress",
    "Progress": "progress", "Duration (in seconds)": "duration", "Finished": "finished",
    "Recorded Date": "recordedDate", "Response ID": "_recordId", "Recipient Last Name": "recipientLastName",
    "Recipient First Name": "recipientFirstName", "Recipient Email": "recipientEmail",
    "External Data Reference": "externalDataReference", "Location Latitude": "locationLatitude",
    "Location Longitude": "locationLongitude", "Distribution Channel": "distributionChannel",
    "User Language": "userLanguage",
}  # fmt: skip
"""The same in the second header row, which some people keep instead of the first."""

_OLD_IDS: Final = {
    "responseId": "_recordId", "panel-RecipientEmail": "recipientEmail",
    "panel-RecipientLastName": "recipientLastName", "panel-RecipientFirstName": "recipientFirstName",
    "panel-ExternalDataReference": "externalDataReference", "Location-LocationLatitude": "locationLatitude",
    "Location-LocationLongitude": "locationLongitude",
}  # fmt: skip
"""Where columns come from, as the exports of 2016 said it."""

_HEADINGS: Final = ("ResponseId", "ResponseID", "Response ID")
"""What stands in place of a response's id in a header row that somebody took for a response."""

_COPIED: Final = {
    "id": "_recordId", "start_date": "startDate[UTC]", "end_date": "endDate[UTC]",
    "recorded_date": "recordedDate[UTC]",
    "recipient_email": "recipientEmail", "distribution_channel": "distributionChannel",
    "duration_in_seconds": "duration", "user_language": "userLanguage", "ip_address": "ipAddress",
    "external_data_reference": "externalDataReference", "external_reference": "externalDataReference",
}  # fmt: skip
"""The same as a warehouse copy calls them."""

_REAL: Final = ("0", "16", "32", "48", "ip address", "offline", "ex", "ex offline")
"""Kinds of responses by people; the others are previews, tests, imports and spam."""

_GROUPS: Final = {"1": "detractor", "2": "passive", "3": "promoter"}
_UNSENT: Final = (
    "failure",
    "error",
    "hardbounce",
    "softbounce",
    "skipped",
    "blocked",
    "duplicate",
    "unknown",
)
_CHANNELS: Final = {"email": "email", "sms": "phone", "social": "social"}
_SURVEY: Final = re.compile(r"SV_\w+")
_NPS: Final = Scale.of("nps")
_MARKED: Final = re.compile(r"(\w+)\[([^\]]+)\]")
_TEXT: Final = "[text]"
"""What stands behind the name of a question that is answered in words, while the file is read."""


# How the files are written


def _heading(head: Sequence[Sequence[str]]) -> list[str] | None:
    """Three rows (name, question, where it comes from); in old exports two (number or name, name).

    The last one says that it is the last, also where somebody took the questions out.
    """
    if len(head) == 2 and head[0][0].strip() == "V1":  # noqa: PLR2004
        pairs = zip(head[0], head[1], strict=False)
        names = [below.strip() if above.startswith("V") else above.strip() for above, below in pairs]
        return unique_names([_SPELT.get(name, name) for name in names])
    if not any(map(_IMPORT.match, head[-1])):
        return None
    tags = head[0] if len(head) > 1 else [""] * len(head[0])
    return unique_names([_imported(tag.strip(), said) for tag, said in zip(tags, head[-1], strict=False)])


def _imported(tag: str, said: str) -> str:
    """The name of a column, the fixed ones by where they come from, with a zone or a mark behind."""
    try:
        told = orjson.loads(said.replace('""', '"').replace("'", '"'))
    except orjson.JSONDecodeError:
        return tag
    name = str(told.get("ImportId"))
    name = _OLD_IDS.get(name, name)
    zone = told.get("timeZone")
    if name in _FIXED:
        return f"{name}[{zone}]" if zone else name
    tag = tag or name
    return tag + _TEXT if name.startswith("QID") and name.endswith(("_TEXT", "-TEXT")) else tag


def _tidied(rows: Rows, asked: Asked) -> Rows:
    """A block with the fixed columns as the loader calls them."""
    if {"responseId", "values"} <= set(rows.names()):
        return _of_json(rows)
    there = rows.names()
    is_copy = "recorded_date" in there and "survey_id" in there
    spelt = _COPIED if is_copy else _SPELT if {"ResponseId", "ResponseID"} & set(there) else {}
    if "Response ID" in there and {"Recorded Date", "Response Type"} & set(there):
        spelt = _LABELS
    tidy = respelt(rows, lambda name: spelt.get(name, name), lambda _, cells: cells) if spelt else rows
    if "_recordId" in tidy.names() and not tidy.is_sparse and not is_copy:
        asked.check([name.removesuffix(_TEXT) for name in tidy.names()], rows.file)
    return tidy


def _of_json(rows: Rows) -> Rows:
    """Responses as the JSON export writes them: what was answered stands in an object of its own."""
    objects = []
    for one in objects_of(rows):
        values = as_object(one.get("values"))
        objects.append({"_recordId": one.get("responseId"), **(values if isinstance(values, dict) else {})})
    return ObjectRows(rows.file, objects, rows.numbers, None, rows.broken)


# What the rows stand for


def _time(values: Mapping[str, Any], name: str) -> object:
    """A time, with the zone that its header names."""
    if values.get(name) not in (None, ""):
        return values[name]
    for column, value in values.items():
        marked = _MARKED.fullmatch(column)
        if marked and marked[1] == name and value not in (None, ""):
            return in_zone(value, marked[2])
    return None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Answers and fields under their bare names."""
    bare = {name: _bare(name) for name in values}
    return {told: values[name] for name, told in bare.items() if told is not None}


@lru_cache(maxsize=4096)
def _bare(name: str) -> str | None:
    """What a question or field is called; None for what is not kept among the answers."""
    return None if name.partition("[")[0] in _GONE else name.removesuffix(_TEXT)


def _responses(
    rows: list[dict[str, Any]], sides: Sides, *, asked: Asked
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The answers of people to the questions that ask for a rating."""
    for place, row in enumerate(rows):
        identity = one_text(row.get("_recordId")) or ""
        values = {
            **row,
            **sides.get("survey_embedded_data", {}).get(identity, {}),
            **sides.get("question_response", {}).get(identity, {}),
        }
        is_real = _is_by_people(row.get("status")) and not _is_heading(identity)
        if not is_real or row.get("distributionChannel") == "preview":
            yield place, {"_event": None}
            continue
        survey = row.get("survey_id")
        response = Response(
            vendor="qualtrics",
            identity=identity,
            at=_time(row, "endDate") or _time(row, "recordedDate"),
            received=_time(row, "recordedDate"),
            values=_plain(values),
            user=filled_member(row, "externalDataReference"),
            email=row.get("recipientEmail"),
            survey=survey,
            comment=next((values[name] for name in values if name.endswith((_TEXT, "_TEXT"))), None),
            channel=_CHANNELS.get(str(row.get("distributionChannel"))),
        )
        for one in response.events(_rated(values, sides, survey, asked), asked):
            yield place, one


def _is_by_people(status: object) -> bool:
    return (one_text(status) or "0").strip().lower() in _REAL


def _is_heading(identity: str) -> bool:
    """Whether a row is one of the header, read as a response by somebody who wrote the table again."""
    return identity in _HEADINGS or _IMPORT.match(identity) is not None


def _headings(identities: pa.Array) -> NDArray[np.bool_]:
    """The same of a column."""
    said = texts(identities)
    found = pc.or_(
        pc.is_in(said, value_set=pa.array(_HEADINGS)), pc.match_substring_regex(said, f"^{_IMPORT.pattern}")
    )
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), bool)


def _by_columns(rows: ColumnRows, sides: Mapping[str, Side], *, asked: Asked) -> Made | None:
    """The same of whole columns, where all that was answered stands in them."""
    if any(sides.get(one) for one in ("question", "question_response", "survey_embedded_data")):
        return None
    names = rows.names()
    times = {one: [name for name in names if name.partition("[")[0] == one] for one in _TIMES}
    if not all(pa.types.is_string(rows.column(name).type) for several in times.values() for name in several):
        return None
    nothing = pa.nulls(len(rows), pa.string())

    def time(*ones: str) -> pa.Array:
        found = [
            in_zones(rows.column(name), marked[2])
            if (marked := _MARKED.fullmatch(name))
            else rows.column(name)
            for one in ones
            for name in sorted(times[one], key=lambda name: "[" in name)
        ]
        return first_filled(*found, nothing)

    values = {told: rows.column(name) for name in names if (told := _bare(name)) is not None}
    words = [rows.column(name) for name in names if name.endswith((_TEXT, "_TEXT"))]
    is_real = told_by(
        rows,
        lambda status, way: _is_by_people(status) and way != "preview",
        "status",
        "distributionChannel",
    )
    responses = Responses(
        "qualtrics",
        rows,
        identity=rows.column("_recordId"),
        at=time("endDate", "recordedDate"),
        received=time("recordedDate"),
        values=values,
        user=rows.column("externalDataReference"),
        email=rows.column("recipientEmail"),
        survey=rows.column("survey_id"),
        comment=pc.coalesce(*map(texts, words)) if words else None,
        channel=told_by(rows, lambda way: _CHANNELS.get(str(way)), "distributionChannel"),
        real=is_real.to_numpy(zero_copy_only=False).astype(bool) & ~_headings(rows.column("_recordId")),
    )
    return responses.events(_rated_columns(rows, asked), asked)


def _rated_columns(rows: ColumnRows, asked: Asked) -> list[Rated]:
    """The questions that were asked for; else those of which the export says in which group answers are."""
    there = [(name, scale) for name, scale in asked.scales.items() if rows.has(name)]
    if asked.scales:
        return [(name, scale, rows.column(name)) for name, scale in there]
    rated: list[Rated] = []
    for group in (name for name in rows.names() if name.endswith("_NPS_GROUP")):
        name = group.removesuffix("_NPS_GROUP")
        told_by(rows, partial(_checked_group, name), name, group)
        cells = rows.column(name)
        in_group = pc.is_valid(rows.column(group))
        rated.append((name, _NPS, pc.if_else(in_group, cells, pa.scalar(None, cells.type))))
    return rated


def _checked_group(question: str, cell: object, group: object) -> None:
    if group is not None:
        _check_group(question, cell, group)


_TIMES: Final = ("startDate", "endDate", "recordedDate")
_GONE: Final = (
    "startDate", "endDate", "recordedDate", "recipientEmail", "recipientFirstName", "recipientLastName",
    "externalDataReference", "ipAddress", "locationLatitude", "locationLongitude", "status", "_recordId",
    "_response", "survey_id", "recipient_first_name", "recipient_last_name", "location_latitude",
    "location_longitude", "last_modified_date",
)  # fmt: skip
"""What has a canonical place, or is nobody's business."""


def _rated(
    values: Mapping[str, Any], sides: Sides, survey: object, asked: Asked
) -> list[tuple[str, Scale, object]]:
    """The questions that were asked for; else those that the export knows as an NPS."""
    questions = sides.get("question", {})
    if asked.scales:
        tags = {str(questions.get(f"{survey}:{name}", {}).get("data_export_tag")): name for name in values}
        named = {name: name if name in values else tags.get(name, name) for name in asked.scales}
        return [(name, scale, values.get(named[name])) for name, scale in asked.scales.items()]
    grouped = [name.removesuffix("_NPS_GROUP") for name in values if name.endswith("_NPS_GROUP")]
    for name in grouped:
        _check_group(name, values.get(name), values[f"{name}_NPS_GROUP"])
    known = [
        name
        for name in (values if questions else ())
        if str(questions.get(f"{survey}:{name}", {}).get("selector")).upper() == "NPS"
    ]
    return [(name, _NPS, values.get(name)) for name in dict.fromkeys([*grouped, *known])]


def _check_group(question: str, cell: object, group: object) -> None:
    """Refuse an NPS whose group says something else: its values were recoded."""
    named = _GROUPS.get(str(group).removesuffix(".0"), str(group).lower())
    score = _NPS.rated(cell, question)["score"]
    if not isinstance(score, float) or named not in _GROUPS.values():
        return
    meant = "detractor" if score <= 6 else "passive" if score <= 8 else "promoter"  # noqa: PLR2004
    if meant != named:
        raise InputError(
            f"An answer to {question!r} is {score:g}, which is a {meant}'s, but {question}_NPS_GROUP says "
            f"{named}: the export holds recoded values. Export the values as they were shown, or, if 1 "
            f"stands for 0, say scores={{{question!r}: ('nps', 1, 11)}}."
        )


def _answer(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row of the table of answers as what a response says to one question."""
    said = row.get("value") if row.get("value") not in (None, "") else row.get("text")
    yield {"_response": row.get("response_id"), str(row.get("question_id")): said}


def _embedded(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"_response": row.get("response_id"), str(row.get("key")): row.get("value")}


def _question(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {**row, "_question": f"{row.get('survey_id')}:{row.get('id')}"}


def _invites(
    rows: list[dict[str, Any]], sides: Sides, *, asked: Asked
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Who was asked: what was sent, did not come back, and was no reminder."""
    distributions, people = sides.get("distribution", {}), sides.get("contact", {})
    for place, row in enumerate(rows):
        sent = distributions.get(str(row.get("distribution_id")), {})
        is_lost = str(row.get("status")).lower() in _UNSENT or not row.get("sent_at")
        if is_lost or sent.get("parent_distribution_id") or "Test" in str(sent.get("request_type")):
            yield place, {"_event": None}
            continue
        linked = _SURVEY.search(str(row.get("survey_link")))
        survey = sent.get("survey_link_survey_id") or (linked[0] if linked else None)
        contact = people.get(str(row.get("contact_id")), {})
        for one in invite(
            f"{row.get('distribution_id')}:{row.get('contact_id')}",
            in_zone(row["sent_at"], "UTC"),
            asked.instruments_of(survey),
            user=filled_member(contact, "ext_ref", "external_data_reference"),
            email=contact.get("email"),
            someone=f"qualtrics:{row.get('contact_id')}",
            survey=survey,
            status=row.get("status"),
        ):
            yield place, one


def _vendor(asked: Asked, clock: Clock, written: CsvFormat) -> Vendor:
    return Vendor(
        name="qualtrics",
        title="Qualtrics",
        kind="survey",
        copies="latest",
        clock=clock,
        written=written,
        asked=(asked,),
        required=("responses", "distribution_contact"),
        tidied=partial(_tidied, asked=asked),
        parts={
            "responses": Part(
                told_by=("_recordId",),
                names=("survey_response",),
                together=partial(_responses, asked=asked),
                by_columns=partial(_by_columns, asked=asked),
                run="_recordId",
                **ANSWERS,
            ),
            "question_response": Part(
                told_by=("response_id", "question_id"), unfold=_answer, key="_response"
            ),
            "survey_embedded_data": Part(
                told_by=("response_id", "import_id"), unfold=_embedded, key="_response"
            ),
            "question": Part(told_by=("question_text", "selector"), unfold=_question, key="_question"),
            "distribution": Part(told_by=("survey_link_survey_id",), key="id"),
            "contact": Part(
                told_by=("directory_id", "ext_ref"), names=("directory_contact", "core_contact"), key="id"
            ),
            "distribution_contact": Part(
                told_by=("distribution_id", "contact_id", "sent_at"),
                together=partial(_invites, asked=asked),
                **ANSWERS,
            ),
        },
    )


def qualtrics(
    source: object,
    *,
    scores: Scores | None = None,
    comment: str | None = None,
    user_id: str | None = None,
    tz: str | None = None,
    dayfirst: bool | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "qualtrics",
    format: str | None = None,  # noqa: A002 - the user's word
    sep: str | None = None,
    encoding: str = "utf-8",
    sheet: str | None = None,
) -> EventStream:
    """Read Qualtrics survey answers and invites.

    **Where it comes from.** *Data & Analysis → Export data*: CSV, TSV or a workbook, with its three header
    rows (names, questions, `{"ImportId": …, "timeZone": …}`), any one of them, or the two of old exports
    (`V1`, …); also a table in which some of them became rows (these are excluded); or JSON
    (`{"responses": […]}`, JSON lines), in which questions are called by their ids (`QID1`). *A warehouse
    copy* (Fivetran and its like): the tables `survey_response`, `question_response`, `question`,
    `survey_embedded_data` and, for response rates, `distribution_contact` with `distribution` and
    `directory_contact`, in one folder.

    **What becomes what.** A response is a `survey_response` for each question that asks for a rating, at
    `EndDate` (else `RecordedDate`, which is `received_at`), with `instrument`, `score` and the ends of its
    scale; one without a score where no question does. An NPS is told by its column `…_NPS_GROUP` (in tables
    by the question's selector); `scores=` names the questions otherwise. The first answer in words, or that
    to the question of `comment=`, is the comment. Fields named `order_id`, `ticket_id`, `account_id`,
    `campaign_id` or `utm_source` (and its kin) are these; other answers and fields stay in `properties`. A
    contact to whom a survey was sent, and not sent back, is a `survey_invite` at `sent_at` for each
    instrument of that survey; reminders are none.

    **Who.** The field of `user_id=`, else the external reference, else a field `user_id` or `customer_id`, is
    `user_id`; without one the address is `anonymous_id`. Who has neither is a customer of their own, known
    by the response alone: they count in the figures of satisfaction, and no journey is theirs. A response
    without an id is told apart by who gave it to which survey when.

    **Traps.** Previews, tests, imports and spam (`Status`) are counted as excluded. Times are those of the
    zone that the third header row names; where it names none, say `tz=`; those of copies are UTC. Values may
    be recoded: an NPS of 11, or one that its group contradicts, is an error. Labels are read by their number
    (`10 - Extremely likely`); one without is a reject. Unfinished responses are recorded late, often by a
    week, which is why their `EndDate` counts, too.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    scores : mapping, optional
        Question (its name in the first row, or its id in tables) → instrument: `nps`, `csat` (1…5), `ces`
        (1…7), `stars` (1…5), or, with other ends, `("csat", 1, 7)`. An NPS exported as 1…11 is
        `("nps", 1, 11)`.
    comment, user_id : str, optional
        Question with the comment; field with your own id of the customer.
    tz : str, optional
        Zone of times whose header names none.
    dayfirst : bool, optional
        Whether 03/10/2025 is 3 October: of a file that a spreadsheet wrote again.
    keep : sequence of str, or mapping of str to type
        Answers and fields that become typed columns.
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
        No such file; not an export of Qualtrics; times without a zone; an NPS that was recoded.
    UnknownNameError
        No such question, field, instrument or zone.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"ResponseId": ["R_1"], "EndDate": ["2025-03-10 06:00:00"], "Status": ["IP Address"],
    ...         "ExternalReference": ["u1"], "Q1": ["9"], "Q1_NPS_GROUP": ["Promoter"]}
    >>> batch = next(cjm.loaders.qualtrics(rows, tz="America/Denver").batches())
    >>> batch.events.select(["user_id", "instrument", "score", "score_max"]).to_pylist()
    [{'user_id': 'u1', 'instrument': 'nps', 'score': 9.0, 'score_max': 10.0}]
    """
    asked = Asked.of(scores, comment, user_id)
    written = CsvFormat(sep, encoding, sheet=sheet, heading=_heading)
    return _vendor(asked, Clock(tz=tz, dayfirst=dayfirst, options=("dayfirst",)), written).stream(
        source, keep=keep, name=name, format=format
    )
