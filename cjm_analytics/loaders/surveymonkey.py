"""SurveyMonkey: answers from its export files or its API."""

from __future__ import annotations

import re
from functools import partial
from html import unescape
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.csv_files import CsvFormat, unique_names
from cjm_analytics.loaders.opened import respelt
from cjm_analytics.loaders.ratings import (
    ANSWERS,
    Asked,
    Response,
    Scale,
    in_zone,
    invite,
    is_nps_question,
)
from cjm_analytics.loaders.responses import Responses, first_filled
from cjm_analytics.loaders.rows import filled_member
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import one_text, texts
from cjm_analytics.loaders.vendor import Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Side, Sides
    from cjm_analytics.loaders.ratings import Scores
    from cjm_analytics.loaders.responses import Made
    from cjm_analytics.loaders.rows import ColumnRows, Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["surveymonkey"]

_NPS: Final = Scale.of("nps")
_FIXED: Final = {
    "Respondent ID": "respondent_id", "Collector ID": "collector_id", "Start Date": "date_created",
    "Date Created": "date_created", "End Date": "date_modified", "Date Modified": "date_modified",
    "IP Address": "ip_address", "Email Address": "email", "First Name": "first_name",
    "Last Name": "last_name",
    "RespondentID": "respondent_id", "CollectorID": "collector_id", "StartDate": "date_created",
    "EndDate": "date_modified", "LastName": "last_name", "CustomData": "Custom Data 1",
    "Custom Data": "Custom Data 1",
}  # fmt: skip
"""The fixed columns as files call them, also those of before 2014."""

_TAG: Final = re.compile(r"<[^>]*>")
_IDS: Final = ("Respondent ID", "RespondentID")
_OPEN: Final = " / Open-Ended Response"
_PLAIN: Final = " / Response"
_GONE: Final = (
    "ip_address",
    "first_name",
    "last_name",
    "email",
    "date_created",
    "date_modified",
    "respondent_id",
)


# How the files are written


def _heading(head: Sequence[Sequence[str]]) -> list[str] | None:
    """Two rows: the question, and what of it; a cell without a question belongs to the one on its left."""
    if len(head) != 2 or head[0][0].strip() not in _IDS:  # noqa: PLR2004
        return None
    if any(below.strip() for above, below in zip(*head, strict=False) if above.strip() in _FIXED):
        return None  # an answer
    names: list[str] = []
    question = ""
    for above, below in zip(head[0], [*head[1], *[""] * len(head[0])], strict=False):
        question = above.strip() or question
        name = f"{question} / {below.strip()}" if below.strip() else question
        names.append(_FIXED.get(name, name))
    return unique_names(names)


def _tidied(rows: Rows, asked: Asked) -> Rows:
    """A block with the fixed columns as the loader calls them."""
    if not set(_IDS).isdisjoint(rows.names()):
        rows = respelt(rows, lambda name: _FIXED.get(name, name), lambda _, cells: cells)
    if "respondent_id" in rows.names() and not rows.is_sparse:
        asked.check([_question(name) for name in rows.names()], rows.file)
    return rows


def _question(name: str) -> str:
    return name.removesuffix(_OPEN).removesuffix(_PLAIN)


# What the rows stand for


def _exported(row: dict[str, Any], *, asked: Asked) -> Iterator[dict[str, Any]]:
    """A row of an export file."""
    values = {_question(name): value for name, value in row.items() if name not in _GONE}
    at = filled_member(row, "date_modified", "date_created")
    response = Response(
        vendor="surveymonkey",
        identity=one_text(row.get("respondent_id")),
        at=at,
        received=at,
        values=values,
        user=filled_member(row, "user_id", "customer_id", "Custom Data 1"),
        email=row.get("email"),
        comment=next((row[name] for name in row if name.endswith(_OPEN)), None),
    )
    known = asked.scales or {name: _NPS for name in values if is_nps_question(name)}
    yield from response.events([(name, scale, values.get(name)) for name, scale in known.items()], asked)


def _by_columns(rows: ColumnRows, _: Mapping[str, Side], *, asked: Asked) -> Made | None:
    """The same of whole columns, where times are text."""
    times = [rows.column(name) for name in ("date_modified", "date_created") if rows.has(name)]
    if not times or not all(pa.types.is_string(one.type) for one in times):
        return None
    nothing = pa.nulls(len(rows), pa.string())
    at = first_filled(*times)
    values = {_question(name): rows.column(name) for name in rows.names() if name not in _GONE}
    words = [texts(rows.column(name)) for name in rows.names() if name.endswith(_OPEN)]
    users = [rows.column(name) for name in ("user_id", "customer_id", "Custom Data 1")]
    responses = Responses(
        "surveymonkey",
        rows,
        identity=rows.column("respondent_id"),
        at=at,
        received=at,
        values=values,
        user=first_filled(*users),
        email=rows.column("email"),
        comment=pc.coalesce(*words, nothing),
    )
    known = asked.scales or {name: _NPS for name in values if is_nps_question(name)}
    return responses.events([(name, scale, values[name]) for name, scale in known.items() if name in values],
                            asked)  # fmt: skip


def _details(survey: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The questions of a survey and their choices, each by its id."""
    for page in survey.get("pages") or []:
        for one in page.get("questions") or []:
            heading = next((said.get("heading") for said in one.get("headings") or []), None)
            yield {"_asked": one.get("id"), "heading": heading and unescape(_TAG.sub("", heading)).strip()}
            for choice in (one.get("answers") or {}).get("choices") or []:
                yield {**choice, "_asked": choice.get("id")}


def _responses(
    rows: list[dict[str, Any]], sides: Sides, *, asked: Asked
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The answers of the API; what its ids mean stands in the details of the survey."""
    details = sides.get("details", {})
    for place, row in enumerate(rows):
        fields = row.get("custom_variables") or {}
        questions = [one for page in row.get("pages") or [] for one in page.get("questions") or []]
        told = {_called(one, details): one.get("answers") or [] for one in questions}
        texts = {name: _said(answers, details) for name, answers in told.items()}
        words = [
            one["text"] for one in (one for answers in told.values() for one in answers) if _is_free(one)
        ]
        response = Response(
            vendor="surveymonkey",
            identity=one_text(row.get("id")),
            at=filled_member(row, "date_modified", "date_created"),
            received=row.get("date_modified"),
            values={
                "status": row.get("response_status"),
                "collector_id": row.get("collector_id"),
                **texts,
                **fields,
            },
            user=filled_member(fields, "user_id", "customer_id") or row.get("custom_value"),
            email=filled_member(row, "metadata.contact.email.value", "email_address"),
            survey=row.get("survey_id"),
            comment=words[0] if words else None,
            someone=f"surveymonkey:{row['recipient_id']}" if row.get("recipient_id") else None,
        )
        known = asked.scales or {name: _NPS for name in told if is_nps_question(name)}
        ids = {str(one.get("id")): _called(one, details) for one in questions}
        ratings = [
            (name, scale, _rated(told.get(ids.get(name, name), []), scale, details))
            for name, scale in known.items()
        ]
        for event in response.events(ratings, asked):
            yield place, event


def _called(question: Mapping[str, Any], details: Mapping[str, Mapping[str, Any]]) -> str:
    identity = str(question.get("id"))
    return str(question.get("heading") or details.get(identity, {}).get("heading") or identity)


def _is_free(answer: Mapping[str, Any]) -> bool:
    return bool(answer.get("text")) and not answer.get("choice_id") and not answer.get("row_id")


def _said(answers: Sequence[Mapping[str, Any]], details: Mapping[str, Mapping[str, Any]]) -> object:
    """The answers to a question in words."""
    words = [
        filled_member(one, "simple_text", "text")
        or filled_member(details.get(str(filled_member(one, "choice_id", "row_id")), {}), "text", "position")
        or filled_member(one, "choice_id", "row_id")
        for one in answers
    ]
    return words[0] if len(words) == 1 else words or None


def _rated(
    answers: Sequence[Mapping[str, Any]], scale: Scale, details: Mapping[str, Mapping[str, Any]]
) -> object:
    """The number that an answer stands for: that of its text, else its place among the choices."""
    if not answers:
        return None
    choice = details.get(str(answers[0].get("choice_id")), {})
    text = filled_member(answers[0], "simple_text", "text") or choice.get("text")
    if text and any(sign.isdigit() for sign in str(text)):
        return text
    place = choice.get("position")
    return text if place is None else float(place) - 1 + (scale.low or 0)


def _invites(
    rows: list[dict[str, Any]], sides: Sides, *, asked: Asked
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Who was asked: recipients of a message that invited and was sent."""
    messages = sides.get("messages", {})
    for place, row in enumerate(rows):
        message = messages.get(str(row.get("message_id")), {})
        time = filled_member(message, "scheduled_date", "scheduled_at", "date_created", "created_at")
        if row.get("mail_status") != "sent" or message.get("type", "invite") != "invite" or time is None:
            yield place, {"_event": None}
            continue
        for one in invite(
            str(row.get("id")),
            in_zone(time, "UTC"),
            asked.instruments_of(row.get("survey_id")),
            email=row.get("email"),
            someone=f"surveymonkey:{row.get('id')}",
            survey=row.get("survey_id"),
            status=row.get("survey_response_status"),
        ):
            yield place, one


def _vendor(asked: Asked, clock: Clock, written: CsvFormat) -> Vendor:
    return Vendor(
        name="surveymonkey",
        title="SurveyMonkey",
        kind="survey",
        copies="latest",
        clock=clock,
        written=written,
        asked=(asked,),
        required=("export", "api_responses"),
        tidied=partial(_tidied, asked=asked),
        wrappers=("data",),
        parts={
            "export": Part(
                told_by=("respondent_id",),
                unfold=partial(_exported, asked=asked),
                by_columns=partial(_by_columns, asked=asked),
                **ANSWERS,
            ),
            "api_responses": Part(
                told_by=("response_status", "date_modified"),
                together=partial(_responses, asked=asked),
                run="id",
                **ANSWERS,
            ),
            "details": Part(told_by=("pages", "title"), unfold=_details, key="_asked"),
            "messages": Part(
                told_by=("collector_id", "type", "status"), names=("message", "messages"), key="id"
            ),
            "recipients": Part(
                told_by=("mail_status", "survey_response_status"),
                together=partial(_invites, asked=asked),
                **ANSWERS,
            ),
        },
    )


def surveymonkey(
    source: object,
    *,
    scores: Scores | None = None,
    comment: str | None = None,
    user_id: str | None = None,
    tz: str | None = None,
    dayfirst: bool = False,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "surveymonkey",
    format: str | None = None,  # noqa: A002 - the user's word
    sep: str | None = None,
    encoding: str = "utf-8",
    sheet: str | None = None,
) -> EventStream:
    """Read SurveyMonkey answers, and who was invited.

    **Where it comes from.** *Analyze results → Save as → Export file → All individual responses*: CSV or a
    workbook with two header rows, condensed or expanded. *The API*: `responses/bulk` as answers
    (`{"data": […]}`) or JSON lines; put the details of the survey (`GET /surveys/<id>/details`) into the same
    folder, because answers say only the ids of questions and choices (`simple=true` makes that needless). For
    response rates also the `recipients` and `messages` of an e-mail collector, of a warehouse copy.

    **What becomes what.** A response is a `survey_response` for each question that asks for a rating, at
    *End Date* (`date_modified`), with `instrument`, `score` and the ends of its scale; one without a score
    where no question does. A question is called by its text, with that of the row or choice behind ` / `. One
    that asks how likely a recommendation is, is an NPS; `scores=` names the questions otherwise. The first
    open-ended answer, or that to the question of `comment=`, is the comment. Columns and custom variables
    named `order_id`, `ticket_id`, `account_id`, `campaign_id` or `utm_source` (and its kin) are these; other
    answers and fields stay in `properties`.
    Recipients of a message that invited and was sent are `survey_invite` at the message's time, for each
    instrument of the survey.

    **Who.** The column or variable of `user_id=`, else a column or custom variable `user_id` or
    `customer_id`, else *Custom Data 1* (`custom_value`), is `user_id`; without one the address is
    `anonymous_id`. Who has neither is a customer of their own, known by the response alone.

    **Traps.** Times of files are those of the account's zone, which no file tells: say `tz=`. They are
    written month first; say `dayfirst=True` if yours are not. Choices come as text or numbers, as the export
    was asked to: a label is read by its number (`Not at all likely - 0`), in the API else by its place; one
    without is a reject, and so is a score off its scale. *Custom Data 1* is what the mailing list had in that
    column.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    scores : mapping, optional
        Question (its text, in the API also its id) → instrument: `nps`, `csat` (1…5), `ces` (1…7), `stars`
        (1…5), or, with other ends, `("csat", 1, 7)`. An NPS exported as 1…11 is `("nps", 1, 11)`.
    comment, user_id : str, optional
        Question with the comment; column or variable with your own id of the customer.
    tz : str, optional
        Zone of the account, for files.
    dayfirst : bool
        Whether 03/10/2025 is 3 October.
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
        No such file; not an export of SurveyMonkey; times without a zone; an NPS that was recoded.
    UnknownNameError
        No such question, field, instrument or zone.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"Respondent ID": ["118"], "End Date": ["03/10/2025 12:00:00 PM"], "Custom Data 1": ["u1"],
    ...         "How likely is it that you would recommend us to a friend?": ["Extremely likely - 10"]}
    >>> batch = next(cjm.loaders.surveymonkey(rows, tz="UTC").batches())
    >>> batch.events.select(["user_id", "instrument", "score"]).to_pylist()
    [{'user_id': 'u1', 'instrument': 'nps', 'score': 10.0}]
    """
    asked = Asked.of(scores, comment, user_id)
    written = CsvFormat(sep, encoding, sheet=sheet, heading=_heading)
    return _vendor(asked, Clock(tz=tz, dayfirst=dayfirst), written).stream(
        source, keep=keep, name=name, format=format
    )
