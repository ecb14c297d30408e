"""Why a model calls one event what it calls it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cjm_analytics._card import Card
from cjm_analytics.durations import readable
from cjm_analytics.errors import InputError
from cjm_analytics.schema import CANONICAL, INVITE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cjm_analytics.matching import Match
    from cjm_analytics.model import Branch, Condition, JourneyModel

__all__ = ["Explanation"]

_MARK = {True: "✓", False: "✗"}


@dataclass(frozen=True)
class Explanation:
    """The rules that a model tries on one event, in order, up to the one that fits.

    Attributes
    ----------
    touchpoint : str or None
        What the event is; None if no rule fits, if it is excluded, or if it is a survey's invitation.
    stages : tuple of str
        The stages that it may belong to, each with its condition on what was before.
    markers : tuple of str
        The markers that the event sets.
    survey : str or None
        The survey that it answers or offers.
    verdict : str
        The answer in a sentence.
    """

    touchpoint: str | None
    stages: tuple[str, ...]
    markers: tuple[str, ...]
    survey: str | None
    verdict: str
    rows: tuple[tuple[str, str, object, bool, bool], ...]

    def to_frame(self) -> pd.DataFrame:
        """Columns `rule, condition, value, held, fits`, a row per condition; `fits`: the whole rule does."""
        return pd.DataFrame(list(self.rows), columns=["rule", "condition", "value", "held", "fits"])

    def __str__(self) -> str:
        lines = [self.verdict]
        lines += [f"  stage {one}" for one in self.stages]
        if self.markers:
            lines.append(f"  sets the marker {', '.join(self.markers)}")
        if self.survey:
            lines.append(f"  belongs to the survey {self.survey}")
        rule = ""
        for name, condition, value, held, fits in self.rows:
            if name != rule:
                lines.append(f"{_MARK[fits]} {name}")
                rule = name
            shown = "missing" if value is None else f"'{value}'" if isinstance(value, str) else str(value)
            lines.append(f"    {_MARK[held]} {condition}    ({shown})")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        facts = {"stage": " · ".join(self.stages) or "none"}
        if self.markers:
            facts["marker"] = ", ".join(self.markers)
        if self.survey:
            facts["survey"] = self.survey
        frame = self.to_frame().assign(
            value=lambda rows: rows["value"].map(lambda one: one, na_action="ignore")
        )
        return Card(self.verdict, facts, frame.astype({"value": object})).html()


def explain(model: JourneyModel, event: Mapping[str, Any]) -> Explanation:
    """See `JourneyModel.explain`."""
    table = _one_row(event, {column for match in _matches(model) for column in match.columns})
    markers = {one.id: one.match.mask(table) for one in model.markers}
    rows: list[tuple[str, str, object, bool, bool]] = []

    def tried(rule: str, match: Match) -> bool:
        fits = bool(match.mask(table, markers)[0])
        rows.extend((rule, *held, fits) for held in match.trace(table, markers))
        if not match.columns and not match.markers:
            rows.append((rule, "every event", None, True, fits))
        return fits

    verdict = "No rule fits: the event stays unassigned."
    touchpoint: str | None = None
    stages: tuple[str, ...] = ()
    if model.unmatched != "keep":
        verdict = f"No rule fits (unmatched = {model.unmatched!r})."
    if model.exclude is not None and tried("exclude", model.exclude):
        verdict = "The event is excluded."
    elif table.column("event")[0].as_py() == INVITE:
        verdict = (
            "The event is the invitation to a survey: it counts for the response rate and is no contact."
        )
    else:
        for one in model.touchpoints:
            if tried(one.id, one.match):
                touchpoint, stages = one.id, tuple(_branch(branch) for branch in one.branches)
                verdict = f"The event is the touchpoint {one.id!r}."
                break
    survey = next((one.id for one in model.surveys if one.match.mask(table)[0]), None)
    seen = tuple(name for name, fits in markers.items() if fits[0])
    return Explanation(touchpoint, stages, seen, survey, verdict, tuple(rows))


def _matches(model: JourneyModel) -> Iterator[Match]:
    for one in model.touchpoints:
        yield one.match
    for marker in model.markers:
        yield marker.match
    for survey in model.surveys:
        yield survey.match
    if model.exclude is not None:
        yield model.exclude


def condition_text(one: Condition) -> str:
    """A condition on what was before, in words.

    Examples
    --------
    >>> from cjm_analytics.model import Condition
    >>> condition_text(Condition("purchase", within=86_400_000_000, count=("ge", 2)))
    'purchase was seen >= 2 times within 1 d'
    """
    if one.marker is not None:
        signs = {"eq": "=", "ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
        count = f" {signs[one.count[0]]} {one.count[1]} times" if one.count else ""
        within = f" within {readable(one.within)}" if one.within else ""
        said = f"{one.marker} was seen{count}{within}"
    else:
        said = f"the phase {one.phase_reached} was reached"
    return f"not ({said})" if one.negate else said


def _branch(branch: Branch) -> str:
    if not branch.when:
        return branch.stage
    return f"{branch.stage} if {' and '.join(condition_text(one) for one in branch.when)}"


def _one_row(event: Mapping[str, Any] | pd.Series[Any], columns: set[str]) -> pa.Table:
    """The event as a table of one row, with the types of the store; what it lacks is null."""
    if not isinstance(event, Mapping | pd.Series):
        raise InputError(f"An event is a mapping of columns to values, not {type(event).__name__}.")
    given = {str(name): _value(value) for name, value in event.items()}
    for name, value in list(given.items()):
        if name == "properties" and isinstance(value, Mapping):
            given[name] = json.dumps(value, default=str)
        elif name == "customer" and isinstance(value, Mapping):
            given.update({f"customer.{key}": inner for key, inner in value.items()})
    properties = given.get("properties")
    arrays = {}
    for name in {*columns, "event", "properties"}:
        if name.startswith("properties.") and name not in given and properties is not None:
            continue
        arrays[name] = _array(name, given.get(name))
    return pa.table(arrays)


def _value(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping | list | tuple):
        return value
    return None if value is None or value is pd.NA or value != value else value  # noqa: PLR0124 - NaN, NaT


def _array(name: str, value: object) -> pa.Array:
    if name not in CANONICAL.names:
        return pa.array([value])
    kind = CANONICAL.field(name).type
    try:
        if pa.types.is_timestamp(kind) and isinstance(value, str):
            value = pd.Timestamp(value)
            value = value.tz_localize("UTC") if value.tzinfo is None else value
        if pa.types.is_dictionary(kind):
            return pa.array([value], kind.value_type).dictionary_encode()
        if pa.types.is_decimal(kind) and value is not None:
            value = round(float(str(value)), kind.scale)
            return pa.array([value]).cast(kind)
        return pa.array([value], kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError):
        raise InputError(f"{name} = {value!r} is not what the column holds ({kind}).") from None
