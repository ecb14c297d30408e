"""The Markov chain of journeys: by hand, against simulation-free loops, and what-if by solving anew."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.markov import markov
from cjm_analytics.errors import InputError, UnknownNameError
from logs import journeys_of, random_rows


def chain_of(*ways, **options):
    rows = [(f"c{n}", float(t), name) for n, way in enumerate(ways) for t, name in enumerate(way.split())]
    journeys = journeys_of(rows, goal="buy", observed_until=10_000)
    return markov(journeys, **{"bootstrap": 0, **options})


def row(chain, name):
    return chain.to_frame().set_index("name").loc[name]


def test_a_chain_by_hand():
    chain = chain_of("ad mail buy", "ad buy", "ad mail", "seo buy")
    # start -> ad 3/4, seo 1/4; ad -> mail 2/3, goal 1/3; mail -> goal 1/2, end 1/2; seo -> goal 1
    assert row(chain, "mail")["to_goal"] == pytest.approx(0.5)
    assert row(chain, "ad")["to_goal"] == pytest.approx(2 / 3)
    assert row(chain, "(start)")["to_goal"] == pytest.approx(0.75)
    assert row(chain, "mail")["visits"] == pytest.approx(0.5)
    assert row(chain, "ad")["steps_to_goal"] == pytest.approx(1.5)
    assert chain.to_frame()["steady_state"].sum() == pytest.approx(1)
    assert chain.journeys == 4


def test_what_comes_next():
    found = chain_of("ad mail buy", "ad buy", "ad mail").next("ad")
    assert found[["target", "count"]].to_numpy().tolist() == [["mail", 2], ["(goal)", 1]]
    assert found["probability"].sum() == pytest.approx(1)


def test_what_follows_the_goal_is_left_aside_and_repeats_can_count():
    chain = chain_of("ad ad buy ad mail")
    assert set(chain.next()["target"]) == {"ad", "(goal)"}
    kept = chain_of("ad ad buy", collapse=False)
    assert kept.next("ad")["count"].tolist() == [1, 1]
    assert row(kept, "ad")["visits"] == pytest.approx(2)


def test_what_if_raises_one_step_and_shrinks_the_others():
    chain = chain_of("ad mail buy", "ad buy", "ad mail", "seo buy")
    found = chain.what_if({("mail", "(goal)"): 0.25}).iloc[0]
    assert found["to_goal"] == pytest.approx(0.75)
    assert found["then"] == pytest.approx(0.25 + 0.75 * (1 / 3 + 2 / 3 * 0.75))
    assert found["conversions"] == pytest.approx(4 * found["gain"])
    both = chain.what_if({("mail", "(goal)"): 0.25, ("(start)", "seo"): 0.25}).iloc[0]
    assert both["then"] == pytest.approx(0.5 + 0.5 * (1 / 3 + 2 / 3 * 0.75))


@pytest.mark.parametrize("seed", range(15))
def test_probabilities_agree_with_counting_and_sweeping(seed):
    rng = np.random.default_rng(seed)
    journeys = journeys_of(random_rows(rng, n_customers=9, n_events=90, alphabet="ABCG"), goal="G")
    chain = markov(journeys, bootstrap=0)
    steps = {}
    for _, mine in journeys.to_frame().groupby(["customer_id", "journey"], sort=False):
        way = ["(start)"]
        for name in mine["touchpoint"]:
            if name == "G":
                way.append("(goal)")
                break
            if way[-1] != name:
                way.append(name)
        else:
            way.append("(end)")
        for one, other in pairwise(way):
            steps.setdefault(one, {}).setdefault(other, 0)
            steps[one][other] += 1
    reached = dict.fromkeys(steps, 0.0) | {"(goal)": 1.0, "(end)": 0.0}
    for _ in range(3_000):
        for name, counts in steps.items():
            reached[name] = sum(n * reached[other] for other, n in counts.items()) / sum(counts.values())
    frame = chain.to_frame().set_index("name")
    assert set(frame.index) == set(steps) - {"(goal)"}
    for name in frame.index:
        assert frame.loc[name, "to_goal"] == pytest.approx(reached[name], abs=1e-9)
    found = {(one["source"], one["target"]): one["count"] for one in chain.next().to_dict("records")}
    assert found == {(one, other): n for one, counts in steps.items() for other, n in counts.items()}


def test_a_process_without_memory_has_none_and_one_with_memory_does():
    rng = np.random.default_rng(0)
    without = [" ".join([*rng.choice(["x", "y", "z"], rng.geometric(0.2)), "buy"]) for _ in range(300)]
    assert chain_of(*without, collapse=False).memory()["p_value"].iloc[0] > 0.001
    strict = ["a m x buy", "b m y buy"] * 50
    found = chain_of(*strict).memory().iloc[0]
    assert found["p_value"] < 1e-6
    assert found["bic_difference"] < 0


def test_intervals_enclose_the_estimate():
    ways = ["ad mail buy", "ad", "seo buy", "seo mail"] * 40
    chain = chain_of(*ways, bootstrap=100)
    frame = chain.to_frame()
    assert (frame["low"] <= frame["to_goal"]).all()
    assert (frame["to_goal"] <= frame["high"]).all()
    gain = chain.what_if({("ad", "mail"): 0.1}).iloc[0]
    assert gain["low"] <= gain["gain"] <= gain["high"]


def test_what_is_asked_is_checked():
    chain = chain_of("ad mail buy", "ad buy")
    with pytest.raises(UnknownNameError, match="Did you mean 'mail'"):
        chain.next("male")
    with pytest.raises(UnknownNameError, match="Did you mean 'ad'"):
        chain.what_if({("add", "mail"): 0.1})
    with pytest.raises(InputError, match="cannot change by"):
        chain.what_if({("ad", "mail"): 0.9})
    with pytest.raises(InputError, match="changes nothing"):
        chain.what_if({})
    with pytest.raises(InputError, match="Nobody was at mail"):
        chain_of("ad buy mail", "ad").what_if({("mail", "ad"): 0.1})
    with pytest.raises(InputError, match="no goal"):
        markov(journeys_of([("a", 0, "x")]))


def test_the_chart_shows_every_name():
    chain = chain_of("ad mail buy", "ad buy", "ad mail", "seo buy", bootstrap=10)
    assert sorted(chain.plot().data[0].x) == sorted(chain.to_frame()["to_goal"])
    assert "reach the goal" in chain._repr_html_()
    assert isinstance(chain.memory(), pd.DataFrame)
