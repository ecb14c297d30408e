"""What the exports of survey tools have in common: answers on scales, who gave them, and who was asked."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.mapping import filled, first
from cjm_analytics.loaders.rows import filled_member
from cjm_analytics.loaders.values import one_text
from cjm_analytics.loaders.vendor import Events
from cjm_analytics.schema import INVITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Scores: TypeAlias = "Mapping[str, str | tuple[str, float, float]]"

__all__ = [
    "ANSWERS",
    "KEYS",
    "USERS",
    "Asked",
    "Response",
    "Scale",
    "in_zone",
    "invite",
    "is_nps_question",
]

_SCALES: Final = {"nps": (0.0, 10.0), "csat": (1.0, 5.0), "ces": (1.0, 7.0), "stars": (1.0, 5.0)}
_NUMBER: Final = re.compile(r"(?<![\w.,])[+-]?\d+(?:[.,]\d+)?(?![\w.,]*\d)")
USERS: Final = ("user_id", "customer_id")
"""Fields with the id of the customer that other systems use."""

_UTM: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
KEYS: Final = ("order_id", "ticket_id", "account_id", "anonymous_id", "campaign_id", *_UTM)
"""Fields of a survey that have a canonical place, wherever they are called so."""

_LIKELY: Final = r"likely|wahrscheinlich|probab|waarschijnlijk|prawdopodob"
_RECOMMEND: Final = r"recommend|empfehl|recommand|recom[ei]nd|consigli|raccomand|aanbevel|aanrad|polec"


@dataclass(frozen=True)
class Scale:
    """An instrument, and the ends of its scale as the export writes them."""

    instrument: str
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, said: str | tuple[str, float, float]) -> Scale:
        """A scale by the name of a known instrument, or with its ends."""
        if isinstance(said, str):
            if said not in _SCALES:
                raise UnknownNameError("instrument with a known scale", said, _SCALES)
            return cls(said, *_SCALES[said])
        try:
            instrument, low, high = said
            scale = cls(str(instrument), float(low), float(high))
        except (TypeError, ValueError) as fault:
            raise InputError(
                f"scores= wants an instrument, or (instrument, lowest, highest), not {said!r}."
            ) from fault
        if scale.low >= scale.high or (scale.instrument == "nps" and scale.high - scale.low != 10):  # type: ignore[operator]  # noqa: PLR2004
            raise InputError(f"{said!r} is no scale: the lowest stands first, and an NPS has eleven answers.")
        return scale

    def rated(self, cell: object, question: str) -> dict[str, Any]:
        """An answer on it; an NPS that is counted from 1 is counted from 0 again."""
        score = _number(cell)
        moved = 0.0 if self.instrument != "nps" else self.low or 0.0
        if isinstance(score, float):
            if self.instrument == "nps" and self.high == 10 and score == 11:  # noqa: PLR2004
                raise InputError(
                    f"An answer to {question!r} is 11, but an NPS goes from 0 to 10: the export holds "
                    f"recoded values. Export the values as they were shown, or, if 1 stands for 0, say "
                    f"scores={{{question!r}: ('nps', 1, 11)}}."
                )
            score -= moved
        return {
            "instrument": self.instrument,
            "score": score,
            "score_min": None if self.low is None else self.low - moved,
            "score_max": None if self.high is None else self.high - moved,
        }


def _number(cell: object) -> object:
    """The one number of an answer: `10 - Extremely likely` is 10; a text without any stays as it is."""
    if isinstance(cell, bool) or cell is None:
        return cell
    if isinstance(cell, int | float):
        return float(cell)
    found = _NUMBER.findall(str(cell))
    return float(found[0].replace(",", ".")) if len(found) == 1 else cell


def is_nps_question(text: str) -> bool:
    """Whether a question asks, in one of the usual languages, how likely a recommendation is."""
    return bool(re.search(_LIKELY, text, re.IGNORECASE) and re.search(_RECOMMEND, text, re.IGNORECASE))


def in_zone(time: object, zone: str) -> object:
    """A time that carries no zone, with the name of the one in which it is meant."""
    if isinstance(time, dt.datetime):
        return time.isoformat() if time.tzinfo else f"{time.isoformat(' ')}[{zone}]"
    return time if time in (None, "") else f"{str(time).strip()}[{zone}]"


@dataclass(frozen=True)
class Asked:
    """What the user said of the questions of a survey.

    Attributes
    ----------
    scales : mapping
        Question → its scale.
    comment : str or None
        The question whose answer is the comment.
    user : str or None
        The field that holds the customer's id.
    instruments : dict
        Survey → the instruments that its answers had so far; invites, which come last, ask for these.
    """

    scales: Mapping[str, Scale] = field(default_factory=dict)
    comment: str | None = None
    user: str | None = None
    instruments: dict[str | None, set[str]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, scores: Scores | None, comment: str | None, user: str | None) -> Asked:
        """Checked."""
        return cls({name: Scale.of(said) for name, said in (scores or {}).items()}, comment, user)

    def check(self, names: Iterable[str], file: str) -> None:
        """Refuse questions and fields that a table has not."""
        there = list(names)
        for one in (*self.scales, self.comment, self.user):
            if one is not None and one not in there:
                raise UnknownNameError(f"question or field in {file}", one, there)

    def instruments_of(self, survey: str | None) -> Sequence[str]:
        """The instruments for which a survey asks, as far as its answers tell."""
        every = {one.instrument for one in self.scales.values()}.union(*self.instruments.values())
        return sorted(self.instruments.get(survey, every))


@dataclass(frozen=True)
class Response:
    """One filled form.

    Attributes
    ----------
    vendor, identity : str
        Where it comes from, and its id there; an empty one is made of who answered which survey when.
    at, received : object
        When it was given, and when the vendor knew.
    values : mapping
        What it holds: answers by question, fields by name. What has no canonical place is kept.
    email, survey, comment, channel, someone, user : object
        What is known beyond that; `someone` is who it is where nothing else is known.
    """

    vendor: str
    identity: str | None
    at: object
    values: Mapping[str, Any]
    email: object = None
    survey: str | None = None
    comment: object = None
    channel: str | None = None
    someone: str | None = None
    user: object = None
    received: object = None

    def events(self, ratings: Sequence[tuple[str, Scale, object]], asked: Asked) -> Iterator[dict[str, Any]]:
        """An event for each question that was rated; one without a score where none was."""
        given = [(question, scale, cell) for question, scale, cell in ratings if cell not in (None, "")]
        comment = self.values.get(asked.comment) if asked.comment else self.comment
        user = (
            filled_member(self.values, asked.user)
            if asked.user
            else self.user or filled_member(self.values, *USERS)
        )
        known = self.values.get("anonymous_id") or self.someone
        alone = f"{self.vendor}:{self.identity}" if self.identity else None
        someone = user or self.email or known
        identity = self.identity or (
            someone and ":".join(one_text(one) or "" for one in (someone, self.survey, self.at))
        )
        taken = {*KEYS, *USERS, asked.comment, asked.user, *(question for question, _, _ in given)}
        shared = {
            **{name: value for name, value in self.values.items() if name not in taken},
            **{name: self.values.get(name) for name in KEYS},
            "_event": "survey_response",
            "_at": self.at,
            "_received": self.received,
            "_actor": "customer",
            "_user": user,
            "_email": self.email,
            "_someone": None if self.email else known or (None if user else alone),
            "_device": self.values.get("anonymous_id"),
            "_survey": self.survey,
            "_comment": comment,
            "_channel": self.channel,
        }
        if not given:
            yield {**shared, "_id": identity}
        for question, scale, cell in given:
            self._note(scale, asked)
            yield {
                **shared,
                **scale.rated(cell, question),
                "_id": f"{identity}:{question}" if identity else None,
                "question": question,
            }

    def _note(self, scale: Scale, asked: Asked) -> None:
        asked.instruments.setdefault(self.survey, set()).add(scale.instrument)


def invite(
    identity: str,
    at: object,
    instruments: Sequence[str],
    *,
    user: object = None,
    email: object = None,
    someone: str | None = None,
    survey: str | None = None,
    inferred: bool = False,
    **rest: object,
) -> Iterator[dict[str, Any]]:
    """An invite for each instrument for which the survey asks."""
    for instrument in instruments or (None,):
        yield {
            **rest,
            "_event": INVITE,
            "_at": at,
            "_actor": "company",
            "_id": f"invite:{identity}:{instrument or ''}",
            "_user": user,
            "_email": email,
            "_someone": None if email else someone,
            "_survey": survey,
            "instrument": instrument,
            "_is_inferred": inferred,
        }


ANSWERS: Final[dict[str, Any]] = {
    "events": (
        Events(
            where=filled("_event"),
            columns={
                "event": "_event",
                "timestamp": "_at",
                "received_at": "_received",
                "event_id": "_id",
                "user_id": "_user",
                "anonymous_id": "_someone",
                "email": "_email",
                "account_id": "account_id",
                "actor": "_actor",
                "channel": "_channel",
                "survey_id": "_survey",
                "instrument": "instrument",
                "score": "score",
                "score_min": "score_min",
                "score_max": "score_max",
                "comment": "_comment",
                "order_id": "order_id",
                "ticket_id": "ticket_id",
                "campaign_id": "campaign_id",
                **dict(zip(_UTM, _UTM, strict=True)),
            },
            inferred=first("_is_inferred"),
            aside=("_is_inferred", "_device", "anonymous_id"),
        ),
    ),
    "links": (("_device", "_user"),),
    "time": "_at",
}
"""How laid-out answers and invites become events: the same for every survey tool."""
