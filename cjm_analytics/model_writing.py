"""From a `JourneyModel` to what its file would say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cjm_analytics.durations import DAY, HOUR, MINUTE, SECOND
from cjm_analytics.model import SCHEMA

if TYPE_CHECKING:
    from cjm_analytics.model import Branch, Condition, JourneyModel, Marker, Rates, Survey, Touchpoint

__all__ = ["duration_text", "spec_of"]


def spec_of(model: JourneyModel) -> dict[str, Any]:
    """See `JourneyModel.to_dict`. The order of the keys is that of the documentation."""
    return _said(
        schema=SCHEMA,
        name=model.name or None,
        timezone=model.timezone,
        unmatched=model.unmatched,
        exclude=model.exclude and _plain(model.exclude.spec),
        phase=[
            _said(id=one.id, title=one.title, stages=list(one.stages), horizon=duration_text(one.horizon))
            for one in model.phases
        ],
        stage={name: {"title": title} for name, title in model.stage_titles.items()},
        marker={one.id: _marker(one) for one in model.markers},
        touchpoint=[_touchpoint(one) for one in model.touchpoints],
        journeys=_journeys(model),
        survey=[_survey(one) for one in model.surveys],
        friction=_plain(model.friction),
        assumption=_plain(model.assumptions),
        note=_plain(model.notes),
        report={
            "min_n": model.report.min_n,
            "weak_n": model.report.weak_n,
            "confidence": model.report.confidence,
        },
    )


def duration_text(length: int | None) -> str | None:
    """A length in µs as the file writes it, exactly.

    Examples
    --------
    >>> duration_text(30 * DAY), duration_text(90 * MINUTE), duration_text(1_500_000), duration_text(0)
    ('30d', '90m', '1500ms', '0s')
    """
    if length is None:
        return None
    units = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1_000), ("us", 1))
    unit, size = next((unit, size) for unit, size in units if length % size == 0 and (length or unit == "s"))
    return f"{length // size}{unit}"


def _marker(one: Marker) -> dict[str, Any]:
    return _said(
        role=one.role,
        of=one.of,
        match=_plain(one.match.spec),
        dedupe_on=one.dedupe_on,
        within=duration_text(one.within),
        prefer=list(one.prefer),
    )


def _touchpoint(one: Touchpoint) -> dict[str, Any]:
    stage: object = [_said(when=_when(branch), stage=branch.stage) for branch in one.branches]
    if len(one.branches) == 1 and not one.branches[0].when:
        stage = one.branches[0].stage
    said = _said(id=one.id, title=one.title, stage=stage, match=_plain(one.match.spec))
    return said if one.progress else {**said, "progress": False}


def _when(branch: Branch) -> dict[str, Any]:
    when: dict[str, Any] = {}
    for one in branch.when:
        target = when.setdefault("not", {}) if one.negate else when
        target.update(_condition(one, target))
    return when


def _condition(one: Condition, so_far: dict[str, Any]) -> dict[str, Any]:
    count = {**so_far.get("count", {}), one.count[0]: one.count[1]} if one.count else None
    return _said(
        marker=one.marker, within=duration_text(one.within), count=count, phase_reached=one.phase_reached
    )


def _journeys(model: JourneyModel) -> dict[str, Any]:
    rules = model.journeys
    cycle = rules.new_cycle
    return _said(
        unit=rules.unit,
        inactivity=duration_text(rules.inactivity),
        new_cycle=cycle
        and {
            "after": cycle.after,
            "on_stage": list(cycle.on_stage),
            "min_gap": duration_text(cycle.min_gap),
        },
        end=rules.end and _plain(rules.end.spec),
    )


def _survey(one: Survey) -> dict[str, Any]:
    return _said(
        id=one.id,
        instrument=one.instrument,
        kind=one.kind,
        match=_plain(one.match.spec),
        positive=list(one.positive),
        scale=one.scale and list(one.scale),
        direction=one.direction,
        rates=one.rates and _rates(one.rates),
    )


def _rates(one: Rates) -> dict[str, Any]:
    touchpoints = list(one.touchpoints)
    return _said(
        touchpoint=touchpoints[0] if len(touchpoints) == 1 else touchpoints,
        join_on=one.join_on,
        look_back=duration_text(one.look_back),
        pick=one.pick,
    )


def _said(**parts: object) -> dict[str, Any]:
    """Only what says something."""
    return {
        key: value
        for key, value in parts.items()
        if value is not None and (key == "match" or value not in ("", [], {}))
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a file
    """Mappings and tuples as dicts and lists, which every writer knows."""
    if hasattr(value, "items"):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
