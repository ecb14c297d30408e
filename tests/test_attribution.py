"""Attribution: literal tables, plain loops, an independent solution of the chain, Shapley by definition."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.attribution import MODELS, attribution
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.removal import Chain
from logs import journeys_of, random_rows

MINUTE = 60
NOTHING = "(none)"


def log_of(*ways, goal="buy"):
    """One customer per way, such as "ad mail buy"; a minute between events."""
    rows = [
        (f"c{number}", float(time), name)
        for number, way in enumerate(ways)
        for time, name in enumerate(way.split())
    ]
    return journeys_of(rows, goal=goal, observed_until=10_000)


def shares(result, model):
    frame = result.to_frame()
    mine = frame[frame["model"] == model]
    return dict(zip(mine[result.by], mine["share"], strict=True))


def asked(journeys, **options):
    return attribution(journeys, **{"by": "touchpoint", "model": "all", "bootstrap": 0, **options})


WAYS = ("ad mail buy", "ad buy", "ad mail", "seo mail ad buy", "seo seo ad", "buy")


def test_simple_models_give_what_their_rules_say():
    result = asked(log_of("ad mail seo buy", "direct ad direct buy"), half_life="1 minute")
    assert shares(result, "first") == {"ad": 0.5, "direct": 0.5, "mail": 0, "seo": 0}
    assert shares(result, "last") == {"ad": 0, "direct": 0.5, "mail": 0, "seo": 0.5}
    assert shares(result, "last_non_direct") == {"ad": 0.5, "direct": 0, "mail": 0, "seo": 0.5}
    assert shares(result, "linear") == pytest.approx(
        {"ad": 1 / 3, "direct": 1 / 3, "mail": 1 / 6, "seo": 1 / 6}
    )
    assert shares(result, "position") == pytest.approx({"ad": 0.3, "direct": 0.4, "mail": 0.1, "seo": 0.2})
    weights = np.array([1, 2, 4]) / 7
    assert shares(result, "time_decay") == pytest.approx(
        {"ad": (weights[0] + weights[1]) / 2, "direct": (weights[0] + weights[2]) / 2,
         "mail": weights[1] / 2, "seo": weights[2] / 2}, abs=1e-9
    )  # fmt: skip
    assert shares(result, "shapley") == pytest.approx(
        {"ad": 5 / 12, "direct": 0.25, "mail": 1 / 6, "seo": 1 / 6}
    )


def test_two_touches_share_in_proportion_to_the_ends():
    assert shares(asked(log_of("ad mail buy")), "position") == pytest.approx({"ad": 0.5, "mail": 0.5})
    result = asked(log_of("ad mail buy"), position=(0.6, 0.2, 0.2))
    assert shares(result, "position") == pytest.approx({"ad": 0.75, "mail": 0.25})


@pytest.mark.parametrize(
    ("position", "two", "three", "five"),
    [
        ((0.4, 0.2, 0.4), [1 / 2, 1 / 2], [0.4, 0.2, 0.4], [0.4, 0.2 / 3, 0.2 / 3, 0.2 / 3, 0.4]),
        ((0.2, 0.2, 0.6), [0.25, 0.75], [0.2, 0.2, 0.6], [0.2, 0.2 / 3, 0.2 / 3, 0.2 / 3, 0.6]),
        ((0.6, 0.2, 0.2), [0.75, 0.25], [0.6, 0.2, 0.2], [0.6, 0.2 / 3, 0.2 / 3, 0.2 / 3, 0.2]),
    ],
)
def test_the_u_the_j_and_the_inverse_j_of_adobe_are_positions(position, two, three, five):
    for expected in (two, three, five):
        names = list("abcde"[: len(expected)])
        found = shares(asked(log_of(" ".join([*names, "buy"])), position=position), "position")
        assert found == pytest.approx(dict(zip(names, expected, strict=True)))


def test_removal_effects_by_hand():
    frame = asked(log_of("ad mail buy", "ad buy", "ad mail"), model="markov").to_frame()
    assert frame["removal_effect"].tolist() == pytest.approx([1, 0.5])
    assert frame["share"].tolist() == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize(
    ("ways", "effects", "credit"),
    [
        (["c1 c2 c3 buy", "c1", "c2 c3"], [0.5, 1, 1], [0.2, 0.4, 0.4]),
        (["ads buy", "ads buy", "mail buy", "ads mail buy", "ads"], [0.75, 0.5], [0.6, 0.4]),
    ],
)
def test_worked_examples_of_removal_effects_that_were_published(ways, effects, credit):
    """Of Bryl (analyzecore.com, 2016), and of four paths of ads and mailings."""
    frame = asked(log_of(*ways), model="markov").to_frame()
    assert frame["removal_effect"].tolist() == pytest.approx(effects, abs=1e-12)
    assert frame["share"].tolist() == pytest.approx(credit, abs=1e-12)


def test_names_that_no_way_to_the_goal_passes_get_nothing_and_disturb_nothing():
    """Two parts of the chain that never meet: one leads to the goal, the other goes round and ends."""
    together = asked(log_of("ad mail buy", "ad", "loop seo loop seo loop"), transform="none")
    apart = asked(log_of("ad mail buy", "ad"), transform="none")
    for model in MODELS:
        found = shares(together, model)
        assert (found.pop("loop"), found.pop("seo")) == (0, 0)
        assert found == pytest.approx(shares(apart, model))


def test_a_conversion_without_a_touch_is_given_to_nobody():
    result = asked(log_of("buy", "ad buy"))
    for model in MODELS:
        assert shares(result, model) == pytest.approx({"ad": 0.5, NOTHING: 0.5})
    assert (result.conversions, result.without) == (2, 0)


# Plain loops


def slow_ways(journeys, *, every=False, lookback=None, steps=None, transform="exposure", direct=None):
    """[(touches, times, converts, value)] of all journeys, straight from the definition."""
    found = []
    for _, mine in journeys.to_frame().groupby(["customer_id", "journey"], sort=False):
        way = []
        done = False
        for row in mine.to_dict("records"):
            if row["touchpoint"] == "G":
                found.append((list(way), True, row["timestamp"]))
                way, done = [], True
                if not every:
                    break
            else:
                way.append((row["touchpoint"], row["timestamp"]))
        if way and (every or not done):
            found.append((list(way), False, way[-1][1]))
    cut = []
    for whole, converts, until in found:
        way = whole
        if lookback is not None:
            way = [one for one in way if until - one[1] <= lookback]
        if direct is not None and any(name != direct for name, _ in way):
            way = [one for one in way if one[0] != direct]
        kept = []
        for name, time in way:
            if transform == "exposure" and kept and kept[-1][0] == name:
                continue
            if transform == "unique" and name in [one for one, _ in kept]:
                continue
            kept.append((name, time))
        if steps:
            kept = kept[-steps:]
        if converts or kept:
            cut.append((kept, converts))
    return cut


def slow_credit(model, way, half_life):  # noqa: PLR0911 - one per model
    n = len(way)
    names = [name for name, _ in way]
    if model == "first":
        return [1.0] + [0.0] * (n - 1)
    if model == "last":
        return [0.0] * (n - 1) + [1.0]
    if model == "last_non_direct":
        at = next((at for at in range(n - 1, -1, -1) if names[at] != "D"), n - 1)
        return [float(place == at) for place in range(n)]
    if model == "linear":
        return [1 / n] * n
    if model == "position":
        if n <= 2:
            return [1 / n] * n
        return [0.4, *[0.2 / (n - 2)] * (n - 2), 0.4]
    if model == "time_decay":
        weights = [2.0 ** (-((way[-1][1] - time) / half_life)) for _, time in way]
        return [weight / sum(weights) for weight in weights]
    different = len(set(names))
    return [0.0 if name in names[:at] else 1 / different for at, name in enumerate(names)]


def slow_shares(model, ways):
    half_life = pd.Timedelta("1 hour")
    credit, total = {}, 0
    for way, converts in ways:
        if converts:
            total += 1
            parts = slow_credit(model, way, half_life) if way else [1.0]
            for (name, _), part in zip(way or [(NOTHING, None)], parts, strict=True):
                credit[name] = credit.get(name, 0) + part
    return {name: part / total for name, part in credit.items()}


def reach(ways, order, without=None):
    """Probability to reach the goal from the start: counted steps, and sweeps until nothing moves."""
    steps = {}
    for way, converts in ways:
        names = tuple(name for name, _ in way)
        if not names:
            continue
        for at in range(len(names) + 1):
            state = names[max(0, at - order) : at]
            following = (
                names[max(0, at + 1 - order) : at + 1] if at < len(names) else ("!" if converts else "?")
            )
            counts = steps.setdefault(state, {})
            counts[following] = counts.get(following, 0) + 1
    reached = dict.fromkeys(steps, 0.0)
    for _ in range(5_000):
        moved = 0.0
        for state, counts in steps.items():
            total = sum(counts.values())
            new = 0.0
            for following, n in counts.items():
                if following == "!":
                    new += n / total
                elif following != "?" and (without is None or without not in following):
                    new += n / total * reached[following]
            moved = max(moved, abs(new - reached[state]))
            reached[state] = new
        if moved < 1e-15:
            break
    return reached.get((), 0.0)


OPTIONS = [
    {},
    {"transform": "unique"},
    {"transform": "none"},
    {"conversions": "all"},
    {"lookback": "1 hour"},
    {"lookback_steps": 2},
    {"remove_direct": True},
    {"conversions": "all", "transform": "none", "remove_direct": True, "lookback": "90 minutes"},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", range(8))
def test_fast_attribution_equals_slow_attribution(options, seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=10, n_events=90, alphabet="ABCDG", span=400)
    journeys = journeys_of(rows, goal="G", observed_until=1_000)
    order = 1 + seed % 4
    result = asked(journeys, direct="D", half_life="1 hour", order=order, **options)
    slow = slow_ways(
        journeys,
        every=options.get("conversions") == "all",
        lookback=pd.Timedelta(options["lookback"]) if "lookback" in options else None,
        steps=options.get("lookback_steps"),
        transform=options.get("transform", "exposure"),
        direct="D" if options.get("remove_direct") else None,
    )
    converting = [way for way, converts in slow if converts]
    assert (result.conversions, result.without) == (len(converting), len(slow) - len(converting))
    for model in MODELS:
        if model != "markov":
            expected = slow_shares(model, slow)
            fast = {name: share for name, share in shares(result, model).items() if share > 1e-12}
            assert fast == pytest.approx({k: v for k, v in expected.items() if v > 1e-12}, abs=1e-8)
    whole = reach(slow, order)
    if whole:
        frame = result.to_frame().query("model == 'markov'").set_index("touchpoint")
        names = [name for name in frame.index if name != NOTHING]
        effects = [1 - reach(slow, order, without=name) / whole for name in names]
        assert frame.loc[names, "removal_effect"].tolist() == pytest.approx(effects, abs=1e-9)
        blank = sum(not way for way in converting) / len(converting)
        total = sum(effects)
        if total:
            expected = [(1 - blank) * effect / total for effect in effects]
            assert frame.loc[names, "share"].tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_shares_sum_to_one_and_values_to_the_total(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=10, n_events=90, alphabet="ABCG")
    rows["worth"] = np.round(rng.random(len(rows)) * 100, 2)
    result = asked(journeys_of(rows, goal="G"), value="worth")
    for _, mine in result.to_frame().groupby("model"):
        assert mine["share"].sum() == pytest.approx(1)
        assert mine["conversions"].sum() == pytest.approx(result.conversions)
        assert mine["value"].sum() == pytest.approx(result.value)
    assert result.value > 0


def test_shapley_by_its_definition_is_an_equal_share_of_each_way():
    ways = [({"a", "b"}, 3), ({"a"}, 2), ({"b", "c", "d"}, 6), ({"d"}, 1)]
    players = ["a", "b", "c", "d"]

    def worth(some):
        return sum(n for names, n in ways if names <= set(some))

    value = dict.fromkeys(players, 0.0)
    for order in permutations(players):
        for at, player in enumerate(order):
            value[player] += (worth(order[: at + 1]) - worth(order[:at])) / factorial(len(players))
    journeys = log_of(*(" ".join([*sorted(names), "buy"]) for names, n in ways for _ in range(n)))
    fast = shares(asked(journeys, model="shapley"), "shapley")
    assert fast == pytest.approx({name: one / 12 for name, one in value.items()})


def test_a_column_of_the_events_can_be_credited_and_empty_cells_are_no_touch():
    rows = pd.DataFrame({
        "customer": ["a", "a", "a", "b", "b"], "time": [0, 1, 2, 0, 1],
        "touchpoint": ["x", "x", "buy", "x", "buy"], "utm_campaign": ["spring", None, None, "brand", None],
    })  # fmt: skip
    result = asked(journeys_of(rows, goal="buy"), by="utm_campaign", model="first")
    assert shares(result, "first") == {"brand": 0.5, "spring": 0.5}


def test_cost_gives_return_on_spend():
    rows = [("a", 0, "ad"), ("a", 1, "buy"), ("b", 0, "mail"), ("b", 1, "buy")]
    frame = pd.DataFrame(rows, columns=["customer", "time", "touchpoint"]).assign(worth=[0, 30.0, 0, 10.0])
    result = asked(journeys_of(frame, goal="buy"), value="worth", model="last", cost={"ad": 15, "mail": 20})
    found = result.to_frame().set_index("touchpoint")
    assert found["return_on_spend"].to_dict() == {"ad": 2.0, "mail": 0.5}
    assert found["cost_per_conversion"].to_dict() == {"ad": 15.0, "mail": 20.0}
    spent = pd.DataFrame({"touchpoint": ["ad", "ad", "mail"], "cost": [5, 10, 20]})
    again = asked(journeys_of(frame, goal="buy"), value="worth", model="last", cost=spent)
    pd.testing.assert_frame_equal(again.to_frame(), result.to_frame())


def test_the_first_columns_are_what_by_names_conversions_share_and_value():
    frame = attribution(log_of(*WAYS), by="touchpoint").to_frame()
    assert [*frame][:4] == ["touchpoint", "conversions", "share", "value"]
    assert set(frame["model"]) == {"markov"}


def test_conversions_are_worth_what_their_own_column_says_unless_another_is_named():
    rows = [("a", 0, "ad", 1.0, 5.0), ("a", 1, "buy", 30.0, 7.0), ("b", 0, "mail", 2.0, 5.0)]
    frame = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "value", "worth"])
    journeys = journeys_of(frame, goal="buy")
    assert asked(journeys).value == 30
    assert asked(journeys, value="worth").value == 7
    without = asked(journeys_of(frame.drop(columns="value"), goal="buy"))
    assert np.isnan(without.value)
    assert without.to_frame()["value"].isna().all()


SALES = pd.DataFrame({
    "customer": ["a", "a", "b", "b", "c", "c"], "time": [0, 1] * 3, "touchpoint": ["ad", "buy"] * 3,
    "value": [7.0, 30, None, 10, None, 5], "currency": ["GBP", "EUR", None, "usd", None, None],
})  # fmt: skip


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_amounts_in_several_currencies_are_never_added(n_partitions):
    journeys = journeys_of(SALES, goal="buy", n_partitions=n_partitions)
    with pytest.raises(InputError, match=r"2 currencies \(EUR, usd\).*select\(where={'currency': 'EUR'}"):
        asked(journeys, value="value")
    unasked = asked(journeys)
    assert unasked.currencies == ("EUR", "usd")
    assert np.isnan(unasked.value)
    assert "Values in EUR, usd are not added" in unasked._repr_html_()
    assert asked(journeys, value="value", currency=None).value == 45
    one = asked(journeys.select(where={"currency": "EUR"}), value="value")
    assert (one.value, one.currencies) == (30, ("EUR",))


def test_a_currency_is_the_same_in_small_letters_and_may_be_missing():
    written = SALES.assign(currency=["GBP", "EUR", None, "eur", None, None])
    assert asked(journeys_of(written, goal="buy"), value="value").value == 45
    with pytest.raises(UnknownNameError, match="Did you mean 'currency'"):
        asked(journeys_of(written, goal="buy"), value="value", currency="curency")


def test_intervals_hold_the_truth_most_of_the_time():
    rng = np.random.default_rng(1)
    hits = 0
    for number in range(20):
        ways = ["ad buy" if one < 0.7 else "mail buy" for one in rng.random(400)]
        result = attribution(log_of(*ways), by="touchpoint", model="last", seed=number)
        row = result.to_frame().set_index("touchpoint").loc["ad"]
        assert row["low"] < row["share"] < row["high"]
        hits += row["low"] <= 0.7 <= row["high"]
    assert hits >= 16


def test_intervals_do_not_depend_on_partitions():
    ways = ["ad mail buy", "seo buy", "ad", "seo mail"] * 30
    rows = [(f"c{n}", t, name) for n, way in enumerate(ways) for t, name in enumerate(way.split())]
    one, many = (
        attribution(journeys_of(rows, goal="buy", n_partitions=n), by="touchpoint").to_frame() for n in (1, 5)
    )
    pd.testing.assert_frame_equal(one, many, check_exact=True)


def test_what_is_asked_is_checked():
    journeys = log_of(*WAYS)
    for options, error, said in (
        ({"model": "markow"}, UnknownNameError, "Did you mean 'markov'"),
        ({"by": "chanel"}, UnknownNameError, "Did you mean 'channel'"),
        ({"goal": "bye"}, UnknownNameError, "Did you mean 'buy'"),
        ({"transform": "uniq"}, UnknownNameError, "Did you mean 'unique'"),
        ({"conversions": "any"}, UnknownNameError, "kind of conversions"),
        ({"order": 5}, InputError, "order 1 to 4"),
        ({"position": (0.5, 0.5, 0.5)}, InputError, "sum to 1"),
        ({"model": []}, InputError, "empty"),
        ({"lookback": "3"}, InputError, "lookback"),
        ({"value": "touchpoint"}, InputError, "no column of numbers"),
        ({"cost": pd.DataFrame({"x": [1]})}, UnknownNameError, "column of cost="),
        ({"confidence": 2}, InputError, "between 0 and 1"),
    ):
        with pytest.raises(error, match=said):
            asked(journeys, **options)
    with pytest.raises(InputError, match="no goal"):
        asked(journeys_of([("a", 0, "x")]))
    with pytest.raises(UnknownNameError, match="Did you mean 'share'"):
        asked(journeys).wide("shares")


def test_nobody_converts():
    empty = asked(journeys_of([("a", 0, "x"), ("b", 0, "buy")], goal="buy").select(containing="x"))
    assert empty.conversions == 0
    assert (empty.to_frame()["share"] == 0).all()
    assert empty.plot() is not None


def test_the_chart_shows_every_model():
    result = attribution(log_of(*WAYS * 5), by="touchpoint", model="all", bootstrap=20)
    figure = result.plot()
    assert [trace.name for trace in figure.data] == [name.replace("_", " ") for name in MODELS]
    assert "touchpoint" in result._repr_html_()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sweeps", [20_000, 1])
def test_chains_of_many_states_are_solved_alike(seed, sweeps, monkeypatch):
    rng = np.random.default_rng(seed)
    journeys = journeys_of(random_rows(rng, n_customers=10, n_events=90, alphabet="ABCG"), goal="G")
    full = asked(journeys, model="markov", order=2).to_frame()
    monkeypatch.setattr("cjm_analytics.removal._DENSE", 0)
    monkeypatch.setattr("cjm_analytics.removal._SWEEPS", sweeps)  # after a single one: sparse equations
    np.testing.assert_allclose(
        asked(journeys, model="markov", order=2).to_frame()["share"], full["share"], atol=1e-11
    )


# Chains of many states, by an independent solution


def counted_steps(ways, order, n_symbols):
    """{(last symbols, next, group): times}: -1 for none before, n_symbols for the goal, + 1 for nothing."""
    steps = {}
    for names, converts, group in ways:
        before = (-1,) * order
        for following in [*names, n_symbols if converts else n_symbols + 1]:
            key = (*before, following, group)
            steps[key] = steps.get(key, 0) + 1
            before = (*before[1:], following)
    return dict(sorted(steps.items()))


def lost_by_equations(steps, order, symbol, weights):
    """The part of the probability to reach the goal that is lost: (I - Q) h = r, with and without."""
    n_symbols = max(key[order] for key in steps) - 1
    states = list(dict.fromkeys(key[:order] for key in steps))
    number = {state: at for at, state in enumerate(states)}
    moves = np.zeros((len(states), len(states) + 2))
    for (*before, following, group), times in steps.items():
        here = number[tuple(before)]
        after = (
            len(states) + following - n_symbols
            if following >= n_symbols
            else number[(*before[1:], following)]
        )
        moves[here, after] += times * weights[group]
    totals = moves.sum(axis=1, keepdims=True)
    shares = np.divide(moves, totals, out=np.zeros_like(moves), where=totals > 0)
    within, to_goal = shares[:, :-2], shares[:, -2]
    kept = np.array([symbol not in state for state in states])
    start = number[(-1,) * order]
    whole = np.linalg.solve(np.eye(len(states)) - within, to_goal)[start]
    left = np.linalg.solve(np.eye(kept.sum()) - within[kept][:, kept], to_goal[kept])
    return 1 - left[kept[:start].sum()] / whole


@pytest.mark.parametrize(
    ("order", "length", "n_ways"),
    [(1, 5, 120), (2, 60, 120), (3, 5, 120), (4, 5, 120), (3, 70, 12), (4, 150, 6), (4, 40, 30)],
)
@pytest.mark.parametrize("dense", [0, 4_000])
def test_removal_effects_of_draws_equal_an_independent_linear_solution(
    order, length, n_ways, dense, monkeypatch
):
    """Few long ways have stretches of many states that one step only leaves."""
    monkeypatch.setattr("cjm_analytics.removal._DENSE", dense)
    monkeypatch.setattr("cjm_analytics.removal._WIDTH", 3)  # several blocks of symbols
    monkeypatch.setattr("cjm_analytics.removal._CELLS", 1)  # a round for each
    rng = np.random.default_rng(order)
    n, n_groups = 8, 5
    liked = rng.dirichlet(np.full(n, 0.5), n)
    ways = []
    for _ in range(n_ways):
        names = [int(rng.integers(n))]
        while rng.random() > 1 / length:
            names.append(int(rng.choice(n, p=liked[names[-1]])))
        ways.append((names, rng.random() < 0.4, int(rng.integers(n_groups))))
    steps = counted_steps(ways, order, n)
    rows = np.array(list(steps), np.int32)
    chain = Chain.of(rows, np.array(list(steps.values())), n_symbols=n, order=order)
    weights = np.vstack([np.ones(n_groups), [2, 0, 1, 1, 1], [0, 0, 3, 0, 2]]).astype(float)
    effects = chain.removal_effects(np.arange(n), weights)
    for row, found in zip(weights, effects, strict=True):
        expected = [lost_by_equations(steps, order, symbol, row) for symbol in range(n)]
        np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=1e-6)
    expected = [lost_by_equations(steps, order, symbol, weights[0]) for symbol in range(n)]
    np.testing.assert_allclose(effects[0], expected, atol=1e-11)


@pytest.mark.parametrize(("order", "dense"), [(1, 4_000), (2, 4_000), (2, 0), (3, 0)])
def test_values_are_divided_by_what_is_lost_of_them(order, dense, monkeypatch):
    """By equations with the mean value of the conversions behind the same last touches as the way out."""
    monkeypatch.setattr("cjm_analytics.removal._DENSE", dense)
    rng = np.random.default_rng(order)
    ways = [
        ([str(name) for name in rng.choice(list("abcd"), rng.integers(1, 8))], rng.random() < 0.5)
        for _ in range(200)
    ]
    worth = [int(rng.integers(1, 100)) for _ in ways]
    rows = [
        (f"c{number:03}", time, name, value)
        for number, ((names, converts), value) in enumerate(zip(ways, worth, strict=True))
        for time, name in enumerate([*names, "buy"] if converts else names)
    ]
    log = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "value"])
    log["value"] = log["value"].where(log["touchpoint"] == "buy")
    frame = asked(
        journeys_of(log, goal="buy"), model="markov", order=order, transform="none", bootstrap=0
    ).to_frame()

    def reached(without):
        moves, paid = {}, {}
        for (names, converts), value in zip(ways, worth, strict=True):
            for at in range(len(names) + 1):
                state = tuple(names[max(0, at - order) : at])
                after = tuple(names[max(0, at + 1 - order) : at + 1]) if at < len(names) else None
                moves.setdefault(state, []).append(after)
                if after is None and converts:
                    paid[state] = paid.get(state, 0) + value
        states = [state for state in moves if without not in state]
        number = {state: place for place, state in enumerate(states)}
        matrix, gain = np.eye(len(states)), np.zeros(len(states))
        for state in states:
            gain[number[state]] = paid.get(state, 0) / len(moves[state])
            for after in moves[state]:
                if after in number:
                    matrix[number[state], number[after]] -= 1 / len(moves[state])
        return np.linalg.solve(matrix, gain)[number[()]]

    whole = reached(None)
    total = sum(value for (_, converts), value in zip(ways, worth, strict=True) if converts)
    assert whole * len(ways) == pytest.approx(total)
    lost = np.array([1 - reached(name) / whole for name in frame["touchpoint"]])
    np.testing.assert_allclose(frame["value"], lost / lost.sum() * total, rtol=1e-9)


def test_ways_that_go_round_for_long_are_solved_in_few_sweeps(monkeypatch):
    """Two names in turn, hundreds of times, and rarely a third: what is lost without it is a tiny part."""
    monkeypatch.setattr("cjm_analytics.removal._DENSE", 0)
    monkeypatch.setattr("cjm_analytics.removal._SWEEPS", 400)
    monkeypatch.setattr("cjm_analytics.removal._Steps._solved", None)  # no other way out
    ways = [([0, 1] * 400, True, 0), ([0, 1] * 300 + [2], True, 1), ([0, 1, 2], False, 2)]
    steps = counted_steps(ways, 2, 3)
    chain = Chain.of(np.array(list(steps), np.int32), np.array(list(steps.values())), n_symbols=3, order=2)
    found = chain.removal_effects(np.array([2]), np.ones((1, 3)))[0, 0]
    assert found == pytest.approx(lost_by_equations(steps, 2, 2, np.ones(3)), abs=1e-11)
