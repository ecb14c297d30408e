"""Attribution: which touches before a conversion deserve the credit, by several rules side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.named import Named
from cjm_analytics.analysis.sequences import (
    aligned,
    amounts,
    check_by,
    check_currency,
    check_goal,
    currencies,
    different_currencies,
    frozen,
    goal_markers,
    has_goal,
    mixed_currencies,
    report_rules,
)
from cjm_analytics.durations import microseconds
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError, check_count
from cjm_analytics.journeys import NEVER, NONE
from cjm_analytics.lots import Lots
from cjm_analytics.removal import Chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.durations import Duration
    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Journeys, Partition

__all__ = ["Attribution", "AttributionAnalysis", "AttributionPartial", "attribution"]

_SIMPLE: Final = ("first", "last", "last_non_direct", "linear", "position", "time_decay", "shapley")
"""In the order of the kernel's numbers."""

MODELS: Final = (*_SIMPLE[:-1], "markov", "shapley")
_TRANSFORMS: Final = ("none", "exposure", "unique")
_UNIT: Final = 2.0**32
_VALUE_UNIT: Final = 2.0**8
_MONEY: Final = 10_000
"""Values are whole numbers of 1/10,000 inside."""


def attribution(  # noqa: PLR0913 - all but the first are named
    journeys: Journeys,
    *,
    by: str = "channel",
    model: str | Sequence[str] = "markov",
    goal: str | None = None,
    value: str | None = None,
    currency: str | None = "currency",
    conversions: str = "first",
    lookback: Duration | None = None,
    lookback_steps: int | None = None,
    transform: str = "exposure",
    direct: str = "direct",
    remove_direct: bool = False,
    position: tuple[float, float, float] = (0.4, 0.2, 0.4),
    half_life: Duration = "7 days",
    order: int = 1,
    cost: Mapping[str, float] | pd.DataFrame | None = None,
    bootstrap: int = 200,
    seed: int = 0,
    confidence: float | None = None,
    engine: Engine | None = None,
) -> Attribution:
    """How the credit for conversions is divided among channels, campaigns or touchpoints.

    A **way** is the sequence of a journey's touches up to its goal; a journey that reaches none has a way
    that leads to nothing, open journeys included. A touch is an event that has a value in the column `by`;
    the event that is the goal is none. Of the touches stay, in this turn: those at most `lookback` before the
    end of the way; without `direct`, if `remove_direct` and any other is left; after `transform`, which takes
    direct repeats as one ("exposure"), only the first of each name ("unique"), or all ("none"); the last
    `lookback_steps`. A conversion on a way without touches is given to "(none)".

    The **models** give each conversion, and its value, to the touches of its way:

    - `first`, `last`: to the first, the last touch. `last_non_direct`: to the last that is not `direct`, if
      there is one.
    - `linear`: the same to each touch.
    - `position`: 40 % to the first, 40 % to the last, 20 % to those between in equal parts (`position=`); of
      two touches half to each.
    - `time_decay`: a touch that came `half_life` earlier than another gets half as much.
    - `shapley`: the Shapley value of the game in which a set of names earns the conversions on ways that lead
      over these names only. That is an equal share to each different name of a way, exact for any number of
      names (Zhao, Mahboobi and Bagheri 2018).
    - `markov`: ways as a Markov chain over the last `order` touches, with steps to the goal and to nothing,
      probabilities as counted, journeys without conversion included. A name's removal effect is the part of
      the probability to reach the goal that is lost if every step to the name leads to nothing instead;
      credits are in proportion to the effects. Solved as linear equations (of many states by sweeps, at
      most 1e-12 off, in the draws of the bootstrap 1e-6), without simulation (Anderl, Becker, von Wangenheim
      and Schumann 2016). Early in a way the state is the touches so far. Every way ends, so that there is
      always one solution; a name from which no way leads to the goal has the effect 0. Values are divided by
      what a name's removal costs in value, when a conversion is worth what those behind the same last touches
      were worth on average.

    Within each model the shares sum to 1, conversions to all conversions, values to the total value. A model
    that looks at what converted only (all but `markov`) cannot tell a touch that helps from one that is
    always there: credit is a rule for dividing, not a proof of effect.

    Parameters
    ----------
    journeys : Journeys
    by : str
        What gets the credit: `channel`, `touchpoint`, `stage`, `phase`, or any column of the events
        (`utm_campaign`).
    model : str or sequence of str
        One of the models, several, or `"all"`.
    goal : str, optional
        A marker or touchpoint; default: the model's goal.
    value : str, optional
        A column of numbers: what a conversion is worth, at the event of the goal; an empty cell: 0. Default:
        the events' own column `value`, where they have one and it is in one currency.
    currency : str, optional
        The column that says what the amounts are in, if the events have it. Amounts in several currencies are
        never added: an error if `value` is named, else values are missing, and `currencies` says why. An
        amount without a currency is taken to be in that of the others. None: all amounts are in one unit,
        whatever the events say.
    conversions : {"first", "all"}
        The journey's first goal only; or each of its goals, and every way begins behind the goal before.
    lookback : str or Timedelta, optional
    lookback_steps : int, optional
    transform : {"exposure", "unique", "none"}
    direct : str
        The name that stands for no channel.
    remove_direct : bool
    position : tuple of three floats
        What the first, the middle and the last touch get; they sum to 1. Adobe's J is `(0.2, 0.2, 0.6)`, its
        inverse J `(0.6, 0.2, 0.2)`.
    half_life : str or Timedelta
    order : int
        1 to 4.
    cost : mapping or DataFrame, optional
        What was spent, by name; of a DataFrame, the columns that `by` names and `cost`.
    bootstrap : int
        Resamples for the intervals; 0: none. Customers that have a way are drawn, with all their ways; of
        more than 512, lots of customers, by a hash of their ids. Percentile intervals of the shares, of the
        draws in which anybody converts; missing where one customer (or lot) has all the conversions.
        Each draw solves the Markov chain again: with `order=4` and some thirty names, 200 draws can take
        some seconds; fewer are quicker.
    seed : int
        Of the draws.
    confidence : float, optional
        Coverage of the intervals; default: the model's, 0.95 without one.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Attribution
        Columns: what `by` names, `conversions, share, value, model, low, high` (of the share), for markov
        `removal_effect`, and with `cost`: `cost, cost_per_conversion, return_on_spend` (value by cost).
        `value` is missing where conversions have none.

    Raises
    ------
    UnknownNameError
        No such column, model, goal or transform.
    InputError
        No goal; a number out of its range; `value` is no column of numbers, or in several currencies.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": list("aaabbcc"), "what": ["ad", "mail", "buy", "ad", "buy", "ad", "mail"],
    ...        "when": [f"2026-01-0{day}" for day in (1, 2, 3, 1, 2, 1, 2)]}
    >>> journeys = cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC")))
    >>> found = cjm.attribution(journeys, by="touchpoint", goal="buy", bootstrap=0,
    ...                         model=["last", "linear", "markov"])
    >>> found.wide()
    model       last  linear    markov
    touchpoint
    ad           0.5    0.75  0.666667
    mail         0.5    0.25  0.333333
    """
    analysis = AttributionAnalysis.plan(
        journeys,
        by=by,
        model=model,
        goal=goal,
        value=value,
        currency=currency,
        conversions=conversions,
        lookback=lookback,
        lookback_steps=lookback_steps,
        transform=transform,
        direct=direct,
        remove_direct=remove_direct,
        position=position,
        half_life=half_life,
        order=order,
        cost=cost,
        bootstrap=bootstrap,
        seed=seed,
        confidence=confidence,
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True, eq=False)
class AttributionAnalysis:
    """The question that `attribution` asks each partition."""

    by: str
    models: tuple[str, ...]
    goal: Named | None
    goal_markers: int
    value: str | None
    value_asked: bool
    currency: str | None
    every_goal: bool
    lookback: int
    steps: int
    transform: int
    direct: str
    remove_direct: bool
    position: tuple[float, float, float]
    half_life: int
    order: int
    cost: Mapping[str, float] | None
    bootstrap: int
    seed: int
    confidence: float

    @classmethod
    def plan(  # noqa: PLR0913 - all but the first are named
        cls,
        journeys: Journeys,
        *,
        by: str = "channel",
        model: str | Sequence[str] = "markov",
        goal: str | None = None,
        value: str | None = None,
        currency: str | None = "currency",
        conversions: str = "first",
        lookback: Duration | None = None,
        lookback_steps: int | None = None,
        transform: str = "exposure",
        direct: str = "direct",
        remove_direct: bool = False,
        position: tuple[float, float, float] = (0.4, 0.2, 0.4),
        half_life: Duration = "7 days",
        order: int = 1,
        cost: Mapping[str, float] | pd.DataFrame | None = None,
        bootstrap: int = 200,
        seed: int = 0,
        confidence: float | None = None,
    ) -> AttributionAnalysis:
        """Check what was asked."""
        check_by(journeys, by)
        check_by(journeys, value)
        value_asked = value is not None
        if value is None and "value" in journeys.partitions[0].rows.names:
            value = "value"
        check_goal(journeys.codebook, goal)
        if not has_goal(journeys, goal):
            raise InputError("There is no goal to give credit for: give goal='purchase', for example.")
        asked = MODELS if model == "all" else (model,) if isinstance(model, str) else tuple(model)
        if not asked:
            raise InputError(f"model= is empty: name at least one of {', '.join(MODELS)}.")
        for one in asked:
            if one not in MODELS:
                raise UnknownNameError("model", one, [*MODELS, "all"])
        if conversions not in {"first", "all"}:
            raise UnknownNameError("kind of conversions", conversions, ["first", "all"])
        if transform not in _TRANSFORMS:
            raise UnknownNameError("transform", transform, _TRANSFORMS)
        check_count("lookback_steps", lookback_steps, none="for all")
        check_count("order", order, none=None)
        check_count("bootstrap", bootstrap, least=0, none=None)
        if order > 4:  # noqa: PLR2004 - the highest order
            raise InputError(f"order={order}: chains of order 1 to 4 are fitted.")
        sure = report_rules(journeys).confidence if confidence is None else confidence
        _check_numbers(position, sure)
        return cls(
            by,
            tuple(dict.fromkeys(asked)),
            Named.read(journeys.codebook, goal, what="goal") if goal is not None else None,
            goal_markers(journeys),
            value,
            value_asked,
            check_currency(journeys, currency) if value is not None else None,
            conversions == "all",
            NEVER if lookback is None else microseconds(lookback, name="lookback"),
            lookback_steps or 0,
            _TRANSFORMS.index(transform),
            direct,
            remove_direct,
            (float(position[0]), float(position[1]), float(position[2])),
            microseconds(half_life, name="half_life"),
            int(order),
            _costs(cost, by),
            int(bootstrap),
            int(seed),
            sure,
        )

    def map(self, partition: Partition) -> AttributionPartial:
        """The ways of the partition, and what each model gives."""
        from cjm_analytics.kernels import attribution as kernels
        from cjm_analytics.kernels import rows

        labels = partition.labels(self.by)
        names = labels.names
        goal = self._goals(partition)
        direct = names.index(self.direct) if self.direct in names else -1
        symbols, times, bounds, journey, row = kernels.ways(
            partition.offsets,
            frozen(labels.codes),
            frozen(partition.event("time")),
            goal,
            self.every_goal,
            self.lookback,
            self.steps,
            direct if self.remove_direct else -1,
            self.transform,
        )
        converts = row >= 0
        customers, owner = np.unique(partition.journey("customer")[journey], return_inverse=True)
        lots, lot_of_customer = Lots.of(partition.customer_ids.take(pa.array(customers)))
        lot = lot_of_customer[owner.ravel()]
        chosen = np.flatnonzero(converts)
        chosen = chosen[np.argsort(lot[chosen], kind="stable")]
        worth = self._values(partition, row[chosen])
        simple = [_SIMPLE.index(name) for name in self.models if name != "markov"]
        n = len(names)
        credited, credit = kernels.given(
            symbols, times, bounds, chosen, worth, lot[chosen], np.array(simple, np.int64), n,
            direct, self.position, float(self.half_life), _UNIT, _VALUE_UNIT,
        )  # fmt: skip
        by_symbol = rows.in_order(credited)
        touches = np.bincount(symbols, minlength=n + 1)
        touches[n] = np.sum(bounds[chosen] == bounds[chosen + 1])
        sums = np.zeros((len(lots), 4), np.int64)
        sums[:, 0] = np.bincount(lot[chosen], minlength=len(lots))
        np.add.at(sums[:, 1], lot[chosen], worth)
        sums[:, 2] = np.bincount(lot[~converts], minlength=len(lots))
        if self.value is not None:
            known = partition.table([self.value]).column(0).is_valid().to_numpy()
            sums[:, 3] = np.bincount(lot[chosen], known[row[chosen]], len(lots))
        steps, counts = np.zeros((0, self.order + 2), np.int32), np.zeros((0, 1), np.int64)
        ends, paid = np.zeros((0, self.order), np.int32), np.zeros(0, np.int64)
        if "markov" in self.models:
            every = kernels.steps_of_ways(symbols, bounds, converts, lot, self.order, n)
            first, taken = rows.tally(every, np.zeros(len(every), np.int32), np.zeros(1, np.bool_))
            by_step = rows.in_order(every[first])
            steps, counts = every[first][by_step], taken[by_step, :1]
            if self.value is not None:
                # Each way has one step more than touches: its last one leads to its end.
                last = every[bounds[chosen + 1] + chosen, : self.order]
                in_turn = rows.in_order(last)
                ends, paid = rows.summed(last[in_turn], worth[in_turn])
        found: list[tuple[int, str]] = []
        if self.currency is not None:
            at = row[chosen][worth != 0]
            found = currencies(partition, self.currency, at, np.zeros(len(at), np.int64))
        return AttributionPartial(
            names, lots, credited[by_symbol], credit[by_symbol], touches, sums, steps, counts[:, 0], ends,
            paid, tuple(name for _, name in found),
        )  # fmt: skip

    def _goals(self, partition: Partition) -> NDArray[np.bool_]:
        """Which events are a goal."""
        if self.goal is not None:
            return self.goal.fits(partition)
        bits = np.uint32(self.goal_markers)
        return frozen((partition.event("marker") & bits) != 0)

    def _values(self, partition: Partition, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the conversions at some rows are worth, in 1/10,000."""
        if self.value is None or not len(rows):
            return np.zeros(len(rows), np.int64)
        return amounts(partition, self.value)[rows]

    def finalize(self, partial: AttributionPartial) -> Attribution:
        """Shares of every model, their intervals, and what they cost."""
        used = self._used(partial)
        weights = partial.lots.weights(self.bootstrap, self.seed)
        names = [*(partial.names[code] for code in used[used < len(partial.names)]),
                 *([NONE] if len(partial.names) in used else [])]  # fmt: skip
        conversions = weights @ partial.totals[:, 0]
        paid_in = different_currencies(partial.currencies)
        several = len(paid_in) > 1
        if several and self.value_asked:
            raise mixed_currencies(str(self.value), str(self.currency), paid_in)
        has_value = not several and bool(partial.totals[:, 3].any())
        total_value = float(partial.totals[:, 1].sum()) / _MONEY if has_value else float("nan")
        frames = []
        simple = [name for name in self.models if name != "markov"]
        for model in self.models:
            effect = np.full(len(used), np.nan)
            if model == "markov":
                shares, worth, effect = self._markov(partial, used, weights)
                values = worth * total_value
            else:
                given, worth = partial.given(simple.index(model), weights)
                shares = _shares(given[:, used])
                values = _shares(worth[None, used])[0] * total_value
            low, high = self._interval(shares, partial.totals[:, 0])
            frames.append(
                pd.DataFrame(
                    {
                        self.by: np.array(names, object),
                        "conversions": shares[0] * conversions[0],
                        "share": shares[0],
                        "value": values,
                        "model": model,
                        "low": low,
                        "high": high,
                        "removal_effect": effect,
                    }
                )
            )
        frame = pd.concat(frames, ignore_index=True)
        if "markov" not in self.models:
            frame = frame.drop(columns="removal_effect")
        if self.cost is not None:
            frame = self._priced(frame)
        return Attribution(
            by=self.by,
            models=self.models,
            conversions=int(partial.totals[:, 0].sum()),
            value=total_value,
            without=int(partial.totals[:, 2].sum()),
            order=self.order,
            bootstrap=self.bootstrap,
            currencies=paid_in,
            _frame=frame,
        )

    def _used(self, partial: AttributionPartial) -> NDArray[np.int64]:
        """The symbols that occur in ways, "(none)" where a way to the goal has no touch; by name."""
        return np.flatnonzero(partial.touches)

    def _markov(
        self, partial: AttributionPartial, used: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Shares by removal effect, for every row of weights; shares of the value; and the effects."""
        n = len(partial.names)
        chain = Chain.of(partial.steps, partial.counts, n_symbols=n, order=self.order)
        touched = used[used < n]
        effects = chain.removal_effects(touched, weights)
        blank = np.array([chain.straight(row) for row in weights])
        conversions = weights @ partial.totals[:, 0]
        rest = np.divide(blank, conversions, out=np.zeros(len(weights)), where=conversions > 0)
        shares = _shares(effects) * (1 - rest)[:, None]
        worth = self._worth(partial, chain, touched, shares=shares[0])
        if n in used:
            shares = np.column_stack([shares, rest])
            worth = np.append(worth, 1 - worth.sum())
            effects = np.column_stack([effects, np.full(len(weights), np.nan)])
        return shares, worth, effects[0]

    def _worth(
        self,
        partial: AttributionPartial,
        chain: Chain,
        touched: NDArray[np.int64],
        *,
        shares: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Shares of the value: by what is lost of it without each name."""
        by_touches = (partial.ends >= 0).any(axis=1)
        total, after = float(partial.paid.sum()), float(partial.paid[by_touches].sum())
        if total <= 0 or after <= 0:
            return shares
        once = np.ones((1, len(partial.lots)))
        lost = chain.removal_effects(touched, once, paid=(partial.ends[by_touches], partial.paid[by_touches]))
        worth: NDArray[np.float64] = _shares(lost)[0] * (after / total)
        return worth

    def _interval(self, shares: NDArray[np.float64], conversions: NDArray[np.int64]) -> tuple[Any, Any]:
        """From the draws in which anybody converts: the others say nothing about how credit is divided."""
        draws = shares[1:][shares[1:].sum(axis=1) > 0]
        if len(draws) < 2 or np.count_nonzero(conversions) < 2:  # noqa: PLR2004 - one is no distribution
            return np.nan, np.nan
        outside = (1 - self.confidence) / 2
        low, high = np.quantile(draws, [outside, 1 - outside], axis=0)
        return low, high

    def _priced(self, frame: pd.DataFrame) -> pd.DataFrame:
        spent = frame[self.by].map(dict(self.cost or {})).astype(float)
        frame = frame.assign(
            cost=spent, cost_per_conversion=spent / frame["conversions"].where(frame["conversions"] > 0)
        )
        if frame["value"].notna().any():
            frame["return_on_spend"] = frame["value"] / spent.where(spent > 0)
        return frame


def _check_numbers(position: tuple[float, float, float], confidence: float) -> None:
    fits = len(position) == 3 and all(share >= 0 for share in position)  # noqa: PLR2004 - first, middle, last
    if not fits or abs(sum(position) - 1) > 1e-9 or position[0] + position[2] <= 0:  # noqa: PLR2004
        raise InputError(
            f"position={position!r} must be three shares that sum to 1, as (0.4, 0.2, 0.4): of the first, of "
            "those between, of the last."
        )
    if not 0 < confidence < 1:
        raise InputError(f"confidence={confidence!r} must lie between 0 and 1.")


def _costs(cost: Mapping[str, float] | pd.DataFrame | None, by: str) -> Mapping[str, float] | None:
    if cost is None or isinstance(cost, Mapping):
        return cost
    for name in (by, "cost"):
        if name not in cost:
            raise UnknownNameError("column of cost=", name, [str(one) for one in cost])
    spent = cost.groupby(by)["cost"].sum()
    return {str(name): float(one) for name, one in spent.items()}


def _shares(given: NDArray[Any]) -> NDArray[np.float64]:
    """Rows that sum to 1; of a row without anything, zeros."""
    total = given.sum(axis=1, keepdims=True).astype(float)
    shares: NDArray[np.float64] = np.divide(given, total, out=np.zeros(given.shape), where=total > 0)
    return shares


@dataclass(frozen=True, eq=False)
class AttributionPartial:
    """What the models give on the ways of some customers.

    Attributes
    ----------
    names : tuple of str
        Sorted; symbol i is names[i].
    lots : Lots
        What the bootstrap draws: of the customers that have a way.
    credited : int32, m × 2
        Symbol (names: no touch) and lot, sorted.
    credit : int64, m × 2 · models
        Conversions and value that each model but `markov` gives the symbol in the lot.
    touches : int64, names + 1
        Touches on ways by symbol; last, conversions without any.
    totals : int64, lots × 4
        Conversions, their value in 1/10,000, ways to nothing, conversions whose value is known.
    steps : int32, n × (order + 2)
        Last symbols (−1: none), next symbol (names: the goal, names + 1: nothing), lot; sorted.
    counts : int64, n
        How often each step was taken.
    ends : int32, m × order
        The last symbols before conversions, if values are asked for; sorted.
    paid : int64, m
        The value of the conversions behind each, in 1/10,000.
    currencies : tuple of str
        Of the conversions' values, sorted.
    """

    names: tuple[str, ...]
    lots: Lots
    credited: NDArray[np.int32]
    credit: NDArray[np.int64]
    touches: NDArray[np.int64]
    totals: NDArray[np.int64]
    steps: NDArray[np.int32]
    counts: NDArray[np.int64]
    ends: NDArray[np.int32]
    paid: NDArray[np.int64]
    currencies: tuple[str, ...]

    def given(
        self, model: int, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Conversions that a model gives each symbol, for every row of weights of the lots; and value."""
        from cjm_analytics.kernels.chains import weighed

        symbol, lot = self.credited.T.astype(np.int64)
        begin = np.searchsorted(symbol, np.arange(len(self.touches) + 1)).astype(np.int64)
        conversions, value = (self.credit[:, 2 * model + one].copy() for one in (0, 1))
        given = np.array([weighed(begin[:-1], begin[1:], conversions, lot, row) for row in weights])
        return given, weighed(begin[:-1], begin[1:], value, lot, weights[0])

    def __add__(self, other: AttributionPartial) -> AttributionPartial:
        from cjm_analytics.kernels import rows

        names, here, there = aligned(self.names, other.names)
        lots, lots_here, lots_there = self.lots.together(other.lots)
        touches, totals = np.zeros(len(names) + 1, np.int64), np.zeros((len(lots), 4), np.int64)
        parts = []
        for part, place, lot in ((self, here, lots_here), (other, there, lots_there)):
            touches[np.append(place, len(names))] += part.touches
            np.add.at(totals, lot, part.totals)
            # −1 stays what it is; the two ends stand behind the names: rows keep their order.
            code = np.concatenate([place, [len(names), len(names) + 1, -1]]).astype(np.int32)
            steps, credited = (
                np.column_stack([code[one[:, :-1]], lot.astype(np.int32)[one[:, -1:]]])
                for one in (part.steps, part.credited)
            )
            parts.append(
                (
                    rows.summed(steps, part.counts[:, None]),
                    rows.summed(credited, part.credit),
                    (code[part.ends], part.paid[:, None]),
                )
            )
        taken, given, paid = (rows.merged(*one, *too) for one, too in zip(*parts, strict=True))
        found = tuple(sorted({*self.currencies, *other.currencies}))
        return AttributionPartial(
            names, lots, *given, touches, totals, taken[0], taken[1][:, 0].copy(), paid[0],
            paid[1][:, 0].copy(), found,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Shown):
    """How credit is divided: made by `cjm.attribution`.

    Attributes
    ----------
    by, models, order, bootstrap
        As asked.
    conversions : int
    value : float
        Of all conversions; NaN where they have none.
    without : int
        Ways that led to no goal.
    currencies : tuple of str
        What values are in; of several, values are missing.
    """

    by: str
    models: tuple[str, ...]
    conversions: int
    value: float
    without: int
    order: int
    bootstrap: int
    currencies: tuple[str, ...]
    _frame: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row per model and name; the columns are those of `attribution`."""
        return self._frame.copy()

    def wide(self, measure: str = "share") -> pd.DataFrame:
        """One row per name, a column per model, the largest on average first.

        Parameters
        ----------
        measure : str
            A column of `to_frame()`: `share`, `conversions`, `value`, `return_on_spend`, …

        Raises
        ------
        UnknownNameError
            There is no such column.
        """
        measures = [str(name) for name in self._frame if name not in {"model", self.by}]
        if measure not in measures:
            raise UnknownNameError("measure", measure, measures)
        table = self._frame.pivot_table(measure, self.by, "model", sort=False, dropna=False)
        table = table[[model for model in self.models if model in table]]
        mean = table.mean(axis=1)
        return table.loc[sorted(table.index, key=lambda name: (-mean[name], name))]

    def plot(self) -> go.Figure:
        """The share of each name by every model, side by side."""
        from cjm_analytics.charts.attribution import attribution_chart

        return attribution_chart(
            self._frame,
            by=self.by,
            models=self.models,
            conversions=self.conversions,
            without=self.without,
            order=self.order,
        )

    def _card(self) -> Card:
        facts = {"conversions": f"{self.conversions:,}", "ways to no goal": f"{self.without:,}"}
        if self.value > 0:
            facts["value"] = " ".join([f"{self.value:,.2f}", *self.currencies])
        note = f"Values in {', '.join(self.currencies)} are not added." if len(self.currencies) > 1 else ""
        return Card(f"Attribution by {self.by}", facts, self.wide().reset_index(), note=note)
