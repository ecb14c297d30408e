"""How satisfied customers are with each part of the journey."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cjm_analytics import statistics
from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.scales import Group, Pattern, Scale, Sheet, comparison
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.journeys import NO_INSTRUMENT, NONE, UNASSIGNED
from cjm_analytics.model import ReportRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Journeys, Partition

__all__ = [
    "RELATION",
    "UNLINKED",
    "Satisfaction",
    "SatisfactionAnalysis",
    "satisfaction",
    "without_instrument",
]

UNLINKED = "(unlinked)"
"""The label of answers for which no event was found that they rate."""

RELATION = "(relation)"
"""The label of answers that rate the relation as a whole."""


def satisfaction(
    journeys: Journeys,
    *,
    by: str | Sequence[str] | None = "phase",
    instrument: str | Sequence[str] | None = None,
    engine: Engine | None = None,
) -> Satisfaction:
    """How satisfied customers are with each phase, with numbers of answers, intervals and response rates.

    An answer counts in the phase (stage, touchpoint, channel) that it **rates**, not in that in which it was
    given. Answers for which no such event was found are in the row `(unlinked)`; answers about the relation
    as a whole are in `(relation)`, and never pooled with those about one contact. Instruments are never
    mixed, nor are surveys of one instrument that have another scale or another set of satisfied answers.

    - **nps** (0–10): promoters (9, 10) minus detractors (0–6), as a share of the answers, between −1 and 1;
      adjusted-Wald interval.
    - **csat**: share of satisfied answers, with Wilson's interval. Satisfied are the survey's `positive`;
      else the top two of a scale 1–5, or 1 of a scale 0–1. If neither the model nor the answers tell which
      scale it is, the mean is given.
    - **ces, stars** and any other: mean on the scale of the instrument, with its t interval; missing where
      fewer than two customers answered or all gave the same answer.

    Where a customer answered more than once, answers of one customer are taken to belong together: the
    interval is that of fewer answers, by the design effect of the cluster-robust variance (never below 1).

    `response_rate` is answers over invites (`survey_invite` events) of the same cell; missing where none are
    known, or fewer than there are answers. Answers without a score count nowhere (but in `.missing`); scores
    without an instrument are no answers, as nobody knows their scale (`journeys.report()` counts them).

    Customers who left before a phase cannot rate it: figures speak of those who came so far and answered.

    Parameters
    ----------
    journeys : Journeys
    by : str or sequence of str, optional
        `phase`, `stage`, `touchpoint` or `channel` that is rated, or any event column: its value at the rated
        event. Several give their combinations, None (or `instrument`) one row per instrument.
    instrument : str or sequence of str, optional
        Only these instruments.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    Satisfaction

    Raises
    ------
    UnknownNameError
        No such column or instrument.
    InputError
        A score that is not on the scale of its instrument.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> events = cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "b", "c"], "when": ["2026-01-01", "2026-01-02", "2026-01-03"],
    ...      "what": ["survey"] * 3, "scale": ["nps"] * 3, "answer": [9, 10, 4]},
    ...     customer="who", timestamp="when", event="what", instrument="scale", score="answer", tz="UTC"))
    >>> found = cjm.satisfaction(cjm.sessionize(events, cjm.JourneyModel.standard()), by=None)
    >>> print(found.to_frame(suppress=False)[["instrument", "n", "score", "reliability"]].to_string())
      instrument  n     score reliability
    0        nps  3  0.333333      hidden
    """
    return run(SatisfactionAnalysis.plan(journeys, by=by, instrument=instrument), journeys, engine)


_CODED = ("phase", "stage", "touchpoint", "channel")


@dataclass(frozen=True)
class SatisfactionAnalysis:
    """Which answers, put together how.

    Attributes
    ----------
    by : tuple of str
    scales : tuple of Scale
    of_survey, of_instrument : tuple of int
        Position in `scales` of each code of a survey, or, without one, of an instrument; −1: not asked for.
    order : mapping of str to tuple of str
        Names of the coded columns among `by`, in the order in which they are shown.
    phase_of : mapping of str to str
        The phase of each stage, for charts.
    rules : ReportRules
    unnamed : int
        Events of the log with a score and no instrument.
    """

    by: tuple[str, ...]
    scales: tuple[Scale, ...]
    of_survey: tuple[int, ...]
    of_instrument: tuple[int, ...]
    order: Mapping[str, tuple[str, ...]]
    phase_of: Mapping[str, str]
    rules: ReportRules
    unnamed: int = 0

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        by: str | Sequence[str] | None = "phase",
        instrument: str | Sequence[str] | None = None,
    ) -> SatisfactionAnalysis:
        """Check the arguments of `satisfaction`."""
        codebook = journeys.codebook
        named = [] if by is None else [by] if isinstance(by, str) else list(by)
        columns = tuple(dict.fromkeys(name for name in named if name != "instrument"))
        for column in columns:
            if column not in _CODED:
                journeys.partitions[0].labels(column)
        surveys = {survey.id: survey for survey in journeys.model.surveys} if journeys.model else {}
        of_survey = [Scale.of(surveys[name]) if name in surveys else None for name in codebook.surveys]
        of_instrument = [Scale(name) for name in codebook.instruments]
        scales = list(dict.fromkeys([*(scale for scale in of_survey if scale), *of_instrument]))
        scales.sort(key=lambda scale: _position(codebook.instruments, scale.instrument))
        asked = (
            None if instrument is None else {instrument} if isinstance(instrument, str) else set(instrument)
        )
        known = list(dict.fromkeys(scale.instrument for scale in scales))
        for name in sorted(asked or ()):
            if name not in known:
                raise UnknownNameError("instrument", name, known)
        number = {
            scale: place if asked is None or scale.instrument in asked else -1
            for place, scale in enumerate(scales)
        }
        return cls(
            by=columns,
            scales=tuple(
                replace(
                    scale,
                    surveys=tuple(
                        name for name, own in zip(codebook.surveys, of_survey, strict=True) if own == scale
                    ),
                )
                for scale in scales
            ),
            of_survey=tuple(number[scale] if scale else _NO_SURVEY for scale in of_survey),
            of_instrument=tuple(number[scale] for scale in of_instrument),
            order={column: codebook.names(column) for column in columns if column in _CODED},
            phase_of={
                stage: codebook.phases[phase]
                for stage, phase in zip(codebook.stages, codebook.stage_phase, strict=True)
            },
            rules=journeys.model.report if journeys.model else ReportRules(),
            unnamed=journeys.accounting.get(NO_INSTRUMENT, 0),
        )

    def map(self, partition: Partition) -> SatisfactionPartial:
        """Count what customers answered, and how often they were asked."""
        scale = self._scale(partition)
        group, names = self._groups(partition, scale)
        invite, score = partition.answer("invite"), partition.answer("score") + 0.0
        asked = scale >= 0
        invited = Counter(
            (one, names[place])
            for one, place in zip(scale[asked & invite].tolist(), group[asked & invite].tolist(), strict=True)
        )
        missing = int((asked & ~invite & np.isnan(score)).sum())
        scored = np.flatnonzero(asked & ~invite & ~np.isnan(score))
        answers = Answers(partition.answer("customer")[scored], scale[scored], group[scored], score[scored])
        return SatisfactionPartial(_patterns(answers, names), invited, missing)

    def _scale(self, partition: Partition) -> NDArray[np.int64]:
        """Per answer or invite its position in `scales`, −1 where it is not asked for."""
        # Code −1, no survey, reads the last entry.
        by_survey = np.array([*self.of_survey, _NO_SURVEY], dtype=np.int64)[partition.answer("survey")]
        by_instrument = np.array([*self.of_instrument, -1], dtype=np.int64)[partition.answer("instrument")]
        scale: NDArray[np.int64] = np.where(by_survey == _NO_SURVEY, by_instrument, by_survey)
        return scale

    def _groups(
        self, partition: Partition, scale: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], list[Group]]:
        """Per answer or invite the number of its group, and the groups' names."""
        relational = np.array([*(one.kind == "relational" for one in self.scales), False])[scale]
        event = partition.answer("rated_event")
        rated = np.any([partition.answer(f"rated_{of}") >= 0 for of in _CODED], axis=0)
        linked = (event >= 0) | (rated & (partition.answer("link") > 0))
        group = np.zeros(len(scale), dtype=np.int64)
        names: list[Group] = [()]
        for column in self.by:
            if column in _CODED:
                codes = partition.answer(f"rated_{column}").astype(np.int64)
                shown = [*self.order[column], UNASSIGNED if column in {"phase", "stage"} else NONE]
            else:
                labels = partition.labels(column)
                codes = np.append(labels.codes, np.int32(-1))[event].astype(np.int64)
                shown = [*labels.names, NONE]
            codes = np.where(codes < 0, len(shown) - 1, codes)
            codes = np.where(linked, codes, len(shown))
            codes = np.where(relational, len(shown) + 1, codes)
            shown += [UNLINKED, RELATION]
            pairs, group = np.unique(group * len(shown) + codes, return_inverse=True)
            names = [(*names[pair // len(shown)], shown[pair % len(shown)]) for pair in pairs.tolist()]
        return group, names

    def finalize(self, partial: SatisfactionPartial) -> Satisfaction:
        """Score every cell."""
        return Satisfaction(self, tuple(self._sheets(partial)), partial.missing)

    def _sheets(self, partial: SatisfactionPartial) -> Iterable[Sheet]:
        patterns: defaultdict[int, list[tuple[Pattern, int]]] = defaultdict(list)
        for (number, pattern), customers in sorted(partial.patterns.items()):
            patterns[number].append((pattern, customers))
        for number, scale in enumerate(self.scales):
            groups = {group for pattern, _ in patterns[number] for group, _ in pattern}
            groups |= {group for one, group in partial.invites if one == number}
            if groups:
                ordered = sorted(groups, key=self._place)
                invites = {group: partial.invites[number, group] for group in ordered}
                yield Sheet.of(scale, ordered, patterns[number], invites)

    def _place(self, group: Group) -> tuple[tuple[int, str], ...]:
        """Sorts groups: coded columns in their order, others by name, what is no value last."""
        last = {UNASSIGNED: 1, NONE: 2, UNLINKED: 3, RELATION: 4}
        return tuple(
            (len(names) + last.get(name, 0), name) if name in last else (_position(names, name), name)
            for names, name in (
                (self.order.get(column, ()), name) for column, name in zip(self.by, group, strict=True)
            )
        )


_NO_SURVEY = -2


def _position(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


class Answers(NamedTuple):
    """Answers with a score: who gave them, on which scale, to which group they belong."""

    customer: NDArray[np.int64]
    scale: NDArray[np.int64]
    group: NDArray[np.int64]
    score: NDArray[np.float64]


def _patterns(answers: Answers, names: Sequence[Group]) -> Counter[tuple[int, Pattern]]:
    """Each distinct set of answers of one customer with one instrument, and how many customers gave it."""
    found: Counter[tuple[int, Pattern]] = Counter()
    customer, scale, group, score = answers
    if not len(customer):
        return found
    # Groups in the order of their names, so that the same answers make the same pattern in every partition.
    rank = np.empty(len(names), dtype=np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    by_rank = sorted(names)
    group = rank[group]
    order = np.lexsort((score, group, scale, customer))
    customer, scale, group, score = customer[order], scale[order], group[order], score[order]
    begins = np.append(True, (np.diff(customer) != 0) | (np.diff(scale) != 0))
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(order))
    alone = starts[ends - starts == 1]
    kinds, counts = np.unique(
        np.column_stack([scale[alone], group[alone], score[alone]]), axis=0, return_counts=True
    )
    for (one, place, value), customers in zip(kinds.tolist(), counts.tolist(), strict=True):
        found[int(one), ((by_rank[int(place)], (value,)),)] += customers
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start > 1:
            told: dict[Group, list[float]] = {}
            for place, value in zip(group[start:end].tolist(), score[start:end].tolist(), strict=True):
                told.setdefault(by_rank[place], []).append(value)
            found[int(scale[start]), tuple((name, tuple(values)) for name, values in told.items())] += 1
    return found


@dataclass(frozen=True, eq=False)
class SatisfactionPartial:
    """What some of the customers answered.

    Attributes
    ----------
    patterns : Counter
        Per (position of the scale, all answers of one customer on it) the number of customers.
    invites : Counter
        Per (position of the scale, group) how often customers were asked.
    missing : int
        Answers without a score.
    """

    patterns: Counter[tuple[int, Pattern]] = field(default_factory=Counter)
    invites: Counter[tuple[int, Group]] = field(default_factory=Counter)
    missing: int = 0

    def __add__(self, other: SatisfactionPartial) -> SatisfactionPartial:
        return SatisfactionPartial(
            self.patterns + other.patterns, self.invites + other.invites, self.missing + other.missing
        )


@dataclass(frozen=True, eq=False, repr=False)
class Satisfaction(Shown):
    """How satisfied customers are: made by `cjm.satisfaction`.

    Attributes
    ----------
    missing : int
        Answers without a score, which count nowhere.
    unlinked : int
        Answers for which no event was found that they rate.
    """

    _analysis: SatisfactionAnalysis
    _sheets: tuple[Sheet, ...]
    missing: int

    @property
    def unlinked(self) -> int:
        return sum(
            sheet.n(cell)
            for sheet in self._sheets
            for cell, group in enumerate(sheet.groups)
            if UNLINKED in group
        )

    def to_frame(self, *, suppress: bool = True) -> pd.DataFrame:
        """One row per instrument and cell.

        Columns: `instrument`, what `by` names, `n` (answers with a score), `score`, `low`, `high`,
        `response_rate`, `reliability` (`hidden` when n is below the model's `min_n`, `weak` below `weak_n`,
        else `ok`), `invites`, `customers` (who answered), `kind` of survey and `survey` by the model,
        `measure` (what `score` is), `scale`, `error` (standard error), `design_effect`, `mean` (on the
        scale), `top_box` (share of satisfied answers), `promoters`, `passives`, `detractors` (NPS only), and
        `normalised`, `normalised_low`, `normalised_high`: the mean between −1 (worst) and 1 (best), for
        drawing instruments side by side, not for adding them up.

        Parameters
        ----------
        suppress : bool
            Leave out every figure of the answers in hidden cells. Where one cell alone of an instrument would
            be hidden, the next smallest is hidden too, as the first could be computed from the total.
        """
        rows, hidden = [], []
        for sheet in self._sheets:
            secret = self._secret(sheet) if suppress else set()
            for cell, group in enumerate(sheet.groups):
                row = sheet.row(cell, self._analysis.rules) | dict(zip(self._analysis.by, group, strict=True))
                rows.append(row)
                hidden.append(cell in secret)
        frame = pd.DataFrame(rows, columns=["instrument", *self._analysis.by, *_COLUMNS])
        frame.loc[hidden, _SECRET] = np.nan
        frame.loc[hidden, "reliability"] = "hidden"
        return frame

    def _secret(self, sheet: Sheet) -> set[int]:
        """The cells to hide: those below `min_n`; if that is one of several, the next smallest too."""
        n = {cell: sheet.n(cell) for cell in range(len(sheet.groups)) if sheet.n(cell)}
        few = {cell for cell, answers in n.items() if answers < self._analysis.rules.min_n}
        others = sorted(n.keys() - few, key=lambda cell: (n[cell], cell))
        return few | set(others[:1]) if len(few) == 1 else few

    def distribution(self, *, suppress: bool = True) -> pd.DataFrame:
        """How often each score was given.

        Columns: `instrument`, what `by` names, `score`, `answers`, `n`, `share` (of the cell's n).

        Parameters
        ----------
        suppress : bool
            Leave out the cells that `to_frame` hides.
        """
        rows = []
        for sheet in self._sheets:
            secret = self._secret(sheet) if suppress else set()
            for cell, group in enumerate(sheet.groups):
                if cell not in secret:
                    scores, counts = sheet.scores[cell]
                    n = counts.sum()
                    rows += [
                        (sheet.scale.instrument, *group, score, answers, n, answers / n)
                        for score, answers in zip(scores, counts, strict=True)
                    ]
        return pd.DataFrame(
            rows, columns=["instrument", *self._analysis.by, "score", "answers", "n", "share"]
        )

    def compare(self, *, suppress: bool = True) -> pd.DataFrame:
        """Do phases (or whatever `by` names) differ? Every pair, within each instrument.

        Columns: `instrument`, what `by` names and the same as `other_…`, `n`, `other_n`, `score`,
        `other_score`, `difference` (the first minus the other), `low`, `high`, `p_value`, `q_value` (adjusted
        after Benjamini and Hochberg), `tests` (size of the family: all rows with a p-value), `verdict`,
        `cliffs_delta` (how often a score of the first exceeds one of the other, minus how often it falls
        short).

        NPS: Wald interval and z test after adding three pseudo answers to each side. CSAT: Newcombe's hybrid
        score interval and the z test of two shares. Means: t interval and test (Welch). Answers of customers
        who answered in both are not independent: their covariance counts.

        Parameters
        ----------
        suppress : bool
            Leave out the cells that `to_frame` hides.

        Raises
        ------
        InputError
            The result has no groups, or no instrument has answers in two of them.
        """
        by = self._analysis.by
        if not by:
            raise InputError("There are no groups to compare. Ask with by=, for example by='phase'.")
        rows: list[tuple[object, ...]] = []
        for sheet in self._sheets:
            secret = self._secret(sheet) if suppress else set()
            cells = [
                cell
                for cell, group in enumerate(sheet.groups)
                if cell not in secret and sheet.n(cell) and not {UNLINKED, RELATION} & set(group)
            ]
            for one, other in combinations(cells, 2):
                row = (
                    sheet.n(one),
                    sheet.n(other),
                    *comparison(sheet, one, other, self._analysis.rules.confidence),
                )
                rows.append((sheet.scale.instrument, *sheet.groups[one], *sheet.groups[other], *row))
        if not rows:
            few = f" that are shown, of {self._analysis.rules.min_n} answers or more" if suppress else ""
            raise InputError(
                f"There is nothing to compare: no instrument has answers in two groups{few}."
                + (" With suppress=False the hidden ones are compared, too." if suppress else "")
            )
        frame = pd.DataFrame(rows, columns=["instrument", *by, *(f"other_{name}" for name in by), *_COMPARED])
        q_value = statistics.benjamini_hochberg(frame["p_value"].to_numpy(dtype=float))
        direction = np.where(frame["difference"] > 0, "higher", "lower")
        clear = q_value < 1 - self._analysis.rules.confidence
        frame.insert(len(frame.columns) - 1, "q_value", q_value)
        frame.insert(len(frame.columns) - 1, "tests", int(frame["p_value"].notna().sum()))
        frame.insert(len(frame.columns) - 1, "verdict", np.where(clear, direction, "no clear difference"))
        return frame

    def plot(self) -> go.Figure:
        """Scores with their intervals, one panel per instrument; cells with few answers are not drawn."""
        from cjm_analytics.charts.satisfaction import satisfaction_chart

        phases = tuple(dict.fromkeys(self._analysis.phase_of.values()))
        return satisfaction_chart(
            self.to_frame(),
            by=self._analysis.by,
            phases=phases,
            phase_of=self._analysis.phase_of,
            silence=f"Nobody answered.{without_instrument(self._analysis.unnamed)}",
        )

    def _of_no_survey(self) -> str:
        """What to write where no survey of a model says what answers rate."""
        unknown = [sheet.scale.instrument for sheet in self._sheets if not sheet.scale.surveys]
        if not unknown or not self._analysis.by:
            return ""
        first = f"instrument = {unknown[0]!r}".replace("'", '"')
        return (
            f" No survey of a model says what answers to {' and '.join(map(repr, unknown))} rate: add a "
            f"[[survey]] with match = {{ {first} }} and rates = {{ touchpoint = … }}."
        )

    def _card(self) -> Card:
        rules = self._analysis.rules
        answers = sum(sheet.n(cell) for sheet in self._sheets for cell in range(len(sheet.groups)))
        facts = {
            "answers": f"{answers:,}",
            "not linked to what they rate": f"{self.unlinked:,}",
            "without a score": f"{self.missing:,}",
        }
        frame = self.to_frame()
        shown = ["instrument", *self._analysis.by, *_COLUMNS[:6], "measure"]
        note = (
            f"Cells with fewer than {rules.min_n} answers are hidden, those with fewer than {rules.weak_n} "
            "weak. Only customers who came so far and answered are heard."
        )
        note += without_instrument(self._analysis.unnamed) + self._of_no_survey()
        return Card("Satisfaction", facts, frame[shown], note=note, percent=False)


def without_instrument(events: int) -> str:
    """What a reader must know of events with a score that no instrument makes an answer; "" without any."""
    if not events:
        return ""
    some = f"{events:,} events have" if events > 1 else "1 event has"
    return (
        f" {some} a score, but no instrument that says what it measures: name it where the log is read, "
        'for example instrument="=stars".'
    )


_COLUMNS = [
    "n", "score", "low", "high", "response_rate", "reliability", "invites", "customers", "kind", "survey",
    "measure", "scale", "error", "design_effect", "mean", "top_box", "promoters", "passives", "detractors",
    "normalised", "normalised_low", "normalised_high",
]  # fmt: skip
_SECRET = [
    "score", "low", "high", "error", "design_effect", "mean", "top_box", "promoters", "passives",
    "detractors", "normalised", "normalised_low", "normalised_high",
]  # fmt: skip
_COMPARED = [
    "n", "other_n", "score", "other_score", "difference", "low", "high", "p_value", "cliffs_delta",
]  # fmt: skip
