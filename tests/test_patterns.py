"""Path patterns: errors with a place, literal matches, regular expressions and a slow matcher as oracles."""

from __future__ import annotations

import re
import time as clock

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.analysis.matches import MatchesAnalysis, matches
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.patterns import PatternError, compile_pattern
from logs import journeys_of, random_rows

MINUTE = 60_000_000
NAMES = ("A", "B", "C", "D")


def found(pattern, letters, minutes=None, *, every=False):
    """(number of matches, first and last position of the first) in one journey."""
    codes = np.array([NAMES.index(letter) for letter in letters], np.int16)
    time = np.arange(len(letters)) if minutes is None else np.array(minutes)
    automaton = compile_pattern(pattern, NAMES)
    once = (np.array([0]), np.array([len(letters)]), codes)
    result = automaton.matches(*once, time=time * MINUTE, missing=-1, every=every)
    assert automaton.fitting(*once, time=time * MINUTE, missing=-1)[0] == (result.n_matches[0] > 0)
    places = list(zip(result.begin.tolist(), result.end.tolist(), strict=True))
    return int(result.n_matches[0]), places


@pytest.mark.parametrize(
    ("pattern", "letters", "places"),
    [
        ("A", "BA", [(1, 1)]),
        ("A -> B", "CAB", [(1, 2)]),
        ("A -> B", "ACB", []),
        ("A .. B", "ACB", [(0, 2)]),
        ("A .. B", "AAB", [(1, 2)]),
        ("A -> . -> B", "ACB", [(0, 2)]),
        ("A -> [^B]* -> (end)", "ACC", [(0, 2)]),
        ("A -> [^B]* -> (end)", "ACB", []),
        ("(start) -> A", "BA", []),
        ("(start) -> A", "AB", [(0, 0)]),
        ("[A|(end)]", "BB", [(1, 1)]),
        ("(A|B){2,3} -> C", "AABC", [(1, 3)]),
        ("A{3}", "AAB", []),
        ("A -> .{12} -> B", "BAACCCCCCCCCCCDB", [(2, 15)]),  # more states than are written out
        ("A? -> B", "CB", [(1, 1)]),
        ("A+ -> B", "AAB", [(1, 2)]),
        ("A -> B* -> C", "AC", [(0, 1)]),
        ("(A*)* -> B", "AAAB", [(3, 3)]),
        ("\"A\" -> 'B'", "AB", [(0, 1)]),
        ("A -> B | C -> D", "CD", [(0, 1)]),
        ("(start) -> [^A]* -> (end)", "BCD", [(0, 2)]),
        ("(start) .. D .. (end)", "ADA", [(0, 2)]),
    ],
)
def test_a_pattern_fits_where_it_should(pattern, letters, places):
    assert found(pattern, letters) == (len(places), places)


@pytest.mark.parametrize(
    ("pattern", "letters", "minutes", "fits"),
    [
        ("A ->{<2m} B", "AB", [0, 1], True),
        ("A ->{<2m} B", "AB", [0, 2], False),
        ("A ->{<=2m} B", "AB", [0, 2], True),
        ("A ..{<=5 minutes} B", "ACB", [0, 1, 5], True),
        ("A ..{<=5 minutes} B", "ACB", [0, 1, 6], False),
        ("A ..{<=5m} B", "AAB", [0, 3, 6], True),  # from the later A
        ("A ->{<1h} B* -> C", "AC", [0, 70], False),  # the next event taken after the link
        ("A ->{<1h} B* -> C", "ABC", [0, 30, 90], True),
        ("A ..{<10m} B ..{<10m} C", "ABBC", [0, 1, 8, 15], True),
    ],
)
def test_time_limits_hold_between_the_events_that_are_taken(pattern, letters, minutes, fits):
    assert (found(pattern, letters, minutes)[0] > 0) == fits


def test_matches_do_not_overlap_and_each_ends_as_soon_as_it_can():
    assert found("A .. B", "AABBAB", every=True) == (2, [(1, 2), (4, 5)])


def test_names_may_have_spaces_dashes_and_anything_in_quotes():
    names = ["Order Completed", "add-to-cart", "a.b (c)"]
    automaton = compile_pattern('add-to-cart -> Order Completed .. "a.b (c)"', names)
    assert automaton.fits.argmax(axis=1).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("pattern", "position", "said"),
    [
        ("", 0, "empty"),
        ("A -> ", 5, "An event is missing"),
        ("A -> -> B", 5, "not '->'"),
        ("A -> x", 5, "No touchpoint named 'x'"),
        ("[A", 2, "set is not closed"),
        ("[]", 1, "A name is missing"),
        ("(A -> B", 7, "group is not closed"),
        ("A)", 1, "not expected here"),
        ("A*", 0, "every journey"),
        ("A{3,1}", 1, "allows nothing"),
        ("A{999}", 1, "At most"),
        ("(A{100}){100}", 0, "places"),
        (f"{' -> '.join(['A?'] * 250)} -> B", 0, "20,000 links"),
        ("(" * 2_000 + "A", 0, "nested too deeply"),
        ("A ->{<5} B", 4, "no duration"),
        ("A {z}", 2, "In braces"),
        ("'A", 0, "quote"),
    ],
)
def test_a_wrong_pattern_is_told_where(pattern, position, said):
    with pytest.raises(PatternError, match=re.escape(said)) as caught:
        compile_pattern(pattern, NAMES)
    assert caught.value.position == position
    assert str(caught.value).splitlines()[-1] == "    " + " " * position + "^"


@pytest.mark.parametrize("pattern", ["(A?){500} -> B", ".{0,500} -> B", "((A?){20}){20} -> B", "(A|B){300}"])
def test_a_repeat_has_about_as_many_links_as_places(pattern):
    automaton = compile_pattern(pattern, NAMES)
    assert len(automaton.source) <= 4 * len(automaton.first)


def test_a_misspelt_name_has_a_hint():
    with pytest.raises(PatternError, match="Did you mean 'checkout'"):
        compile_pattern("cart -> chekout", ["cart", "checkout"])


def test_no_pattern_is_slow():
    letters = np.zeros(100_000, np.int16)
    automaton = compile_pattern("(A*)* -> (A|A)* -> (A?){20} -> B", NAMES)
    once = (np.array([0]), np.array([len(letters)]), letters)
    start = clock.perf_counter()
    assert automaton.matches(*once, time=np.arange(len(letters)), missing=-1).n_matches[0] == 0
    assert clock.perf_counter() - start < 30


# Random patterns, written twice: for us, and as a regular expression over letters between < and >.


def random_pattern(rng, depth=3):
    kind = rng.integers(0, 4 if depth else 2)
    if kind == 0:
        letter = str(rng.choice(list("ABC")))
        return letter, letter
    if kind == 1:
        some = sorted(set(rng.choice(list("ABC"), 2)))
        return rng.choice([("[" + "|".join(some) + "]", "[" + "".join(some) + "]"),
                           ("[^" + "|".join(some) + "]", "[^" + "".join(some) + "<>]"),
                           (".", "[A-D]")])  # fmt: skip
    if kind == 2:
        pieces = [random_pattern(rng, depth - 1) for _ in range(rng.integers(2, 4))]
        ours, theirs = pieces[0]
        for piece in pieces[1:]:
            later = rng.random() < 0.3
            ours += (" .. " if later else " -> ") + piece[0]
            theirs += ("[A-D]*?" if later else "") + piece[1]
        return f"({ours})", f"(?:{theirs})"
    inside = random_pattern(rng, depth - 1)
    if rng.random() < 0.4:
        other = random_pattern(rng, depth - 1)
        return f"({inside[0]} | {other[0]})", f"(?:{inside[1]}|{other[1]})"
    sign = str(rng.choice(["*", "+", "?", "{2}", "{1,2}", "{2,}", "{0,3}"]))
    return f"({inside[0]}){sign}", f"(?:{inside[1]}){sign}"


def earliest_end(theirs, text, since):
    """The end of the match that ends first in text[since:], or None."""
    whole = re.compile(f"(?:{theirs})$")
    for end in range(since + 1, len(text) + 1):
        if whole.search(text[:end], since):
            return end
    return None


@pytest.mark.parametrize("seed", range(300))
def test_patterns_agree_with_regular_expressions(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = random_pattern(rng)
    if rng.random() < 0.2:
        ours, theirs = f"(start) -> {ours}", f"<{theirs}"
    if rng.random() < 0.2:
        ours, theirs = f"{ours} -> (end)", f"{theirs}>"
    if re.fullmatch(theirs, "") or re.fullmatch(f"(?:{theirs})", ""):
        with pytest.raises(PatternError, match="every journey"):
            compile_pattern(ours, NAMES)
        return
    for _ in range(8):
        letters = "".join(rng.choice(list("ABCD"), rng.integers(1, 9)))
        text, ends, at = f"<{letters}>", [], 0
        while (end := earliest_end(theirs, text, at)) is not None:
            ends.append(min(max(end - 2, 0), len(letters) - 1))
            at = end
        count, places = found(ours, letters, every=True)
        assert (count, [end for _, end in places]) == (len(ends), ends), (ours, theirs, letters)


def slow_chain(steps, letters, minutes):
    """Whether letters can be taken one after the other: (letter, later, limit in minutes or None)."""

    def go(step, last):
        if step == len(steps):
            return True
        letter, later, limit = steps[step]
        places = range(len(letters)) if last is None else range(last + 1, len(letters))
        for place in places:
            if last is not None and not later and place > last + 1:
                break
            if letters[place] == letter:
                near = last is None or limit is None or minutes[place] - minutes[last] < limit
                if near and go(step + 1, place):
                    return True
        return False

    return go(0, None)


@pytest.mark.parametrize("seed", range(200))
def test_chains_with_time_limits_agree_with_a_slow_matcher(seed):
    rng = np.random.default_rng(seed)
    steps = [
        (
            str(rng.choice(list("AB"))),
            bool(rng.random() < 0.6),
            int(rng.integers(2, 30)) if rng.random() < 0.7 else None,
        )
        for _ in range(rng.integers(2, 5))
    ]
    text = steps[0][0]
    for letter, later, limit in steps[1:]:
        text += f" {'..' if later else '->'}{'' if limit is None else f'{{<{limit}m}}'} {letter}"
    for _ in range(8):
        letters = "".join(rng.choice(list("ABC"), rng.integers(1, 12)))
        minutes = np.sort(rng.integers(0, 60, len(letters)))
        assert (found(text, letters, minutes)[0] > 0) == slow_chain(steps, letters, minutes.tolist()), text


# Matches, and journeys selected by a pattern


def shop():
    rows = [(f"c{number}", time, name) for number, path in enumerate(["ADC", "AD", "ABC", "B", "AAC"] * 20)
            for time, name in enumerate(path)]  # fmt: skip
    return journeys_of(rows, goal="C", observed_until=100)


def test_matches_count_units_and_their_conversion():
    frame = matches(shop(), {"by D": "A -> D", "gone": "A .. (end)"}).to_frame()
    assert frame["pattern"].tolist() == ["by D", "gone"]
    assert frame[["matched", "units", "matches"]].to_numpy().tolist() == [[40, 100, 40], [80, 100, 80]]
    assert frame["share"].tolist() == [0.4, 0.8]
    assert frame["conversion_with"].tolist() == [0.5, 0.75]
    assert frame["conversion_without"].tolist() == [40 / 60, 0.0]
    assert frame["difference"].iloc[0] == pytest.approx(0.5 - 40 / 60)
    assert frame["median_until"].iloc[0] == pd.Timedelta(minutes=1)
    assert frame["reliability"].tolist() == ["ok", "weak"]


def test_without_a_goal_nothing_is_said_of_conversion():
    rows = [("a", 0, "A"), ("b", 0, "B")]
    frame = matches(journeys_of(rows), "A").to_frame()
    assert frame["conversion_with"].isna().all()
    assert matches(journeys_of(rows), "A").plot() is not None


@pytest.mark.parametrize("seed", range(20))
def test_fast_matches_equal_slow_matches_on_random_logs(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=8, n_events=60)
    pattern, regex = [("A .. C", "A.*?C"), ("[A|B] -> [^C]* -> D", "[AB][^C]*?D"), ("E{2}", "EE")][seed % 3]
    frame = matches(journeys_of(rows), pattern, by="channel").to_frame().set_index("channel")
    slow = {}
    for (_, _), mine in rows.groupby(["customer", "journey"], sort=False):
        units, matched, n = slow.get(mine["channel"].iloc[0], (0, 0, 0))
        hits = len(re.findall(regex, "".join(mine["touchpoint"])))
        slow[mine["channel"].iloc[0]] = (units + 1, matched + (hits > 0), n + hits)
    for channel, (units, matched, n) in slow.items():
        assert frame.loc[channel, ["units", "matched", "matches"]].tolist() == [units, matched, n]


def test_selected_journeys_are_those_that_match():
    journeys = shop()
    chosen = journeys.select(matching="A -> D -> (end)")
    assert len(chosen) == 20
    assert set(chosen.to_frame()["touchpoint"]) == {"A", "D"}
    others = journeys.select(matching="(start) -> [^D]* -> (end) | D -> .")
    assert len(others) == len(journeys) - len(chosen)


@pytest.mark.parametrize(
    "pattern",
    [
        "(start) -> .{5,10} -> (end)",
        "(start) -> . -> (end)",
        "(start) -> .* -> (end)",
        "(start) -> (. -> . -> .)+ -> (end)",
        "(start) -> . -> . -> (. -> .)* -> (end)",
        ".{4}",
        "[A|B|C]{2,} .. .",
        "(end)",
    ],
)
def test_where_the_number_of_events_decides_none_of_them_is_looked_at(pattern):
    automaton = compile_pattern(pattern, ("A", "B", "C"))
    lengths = np.arange(25)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    codes = np.random.default_rng(1).integers(0, 3, offsets[-1]).astype(np.int16)
    every = (offsets[:-1], offsets[1:], codes)
    looked_at = automaton.matches(*every, time=np.arange(len(codes)), missing=-1).n_matches > 0
    assert automaton.fitting_lengths(lengths).tolist() == looked_at.tolist()


@pytest.mark.parametrize("pattern", ["(start) -> A{5,10} -> (end)", ".{2} -> [^B]", ". ->{<1h} ."])
def test_where_names_or_times_decide_the_number_of_events_is_not_enough(pattern):
    assert compile_pattern(pattern, ("A", "B", "C")).fitting_lengths(np.arange(3)) is None


def test_groups_are_compared():
    rows = [(f"c{n}", t, name, "web" if n % 2 else "app") for n in range(80)
            for t, name in enumerate("AB" if n % 2 and n % 8 else "AC")]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "channel"])
    found_ = matches(journeys_of(frame), "A -> B", by="channel").compare()
    assert found_["verdict"].tolist() == ["lower"]
    with pytest.raises(InputError, match="no groups"):
        matches(shop(), "A").compare()


def test_what_is_asked_is_checked():
    with pytest.raises(InputError, match="empty"):
        matches(shop(), [])
    with pytest.raises(InputError, match="same"):
        matches(shop(), ["A", "A"])
    with pytest.raises(UnknownNameError, match="Did you mean 'touchpoint'"):
        matches(shop(), "A", of="touchpoints")
    with pytest.raises(PatternError, match="No touchpoint named 'X'"):
        shop().select(matching="X")
    with pytest.raises(InputError, match="A pattern is text"):
        MatchesAnalysis.plan(shop(), [3])


def test_the_chart_shows_what_the_frame_says():
    result = matches(shop(), ["A -> D", "A .. C", "B"])
    figure = result.plot()
    assert list(figure.data[0].x) == result.to_frame()["share"].tolist()
    assert "pattern" in result._repr_html_()
    assert cjm.matches is matches


def test_the_page_about_patterns_is_true(root):
    page = (root / "docs" / "patterns.md").read_text()
    names = ["search", "blog", "product_view", "purchase", "newsletter", "Order Completed", "a.b (c)"]
    language = page.split("## The language")[1].split("## What")[0]
    written = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", language, re.MULTILINE)
    assert len(written) > 12
    for cell in written:
        for pattern in re.findall("`([^`]+)`", cell):
            text = pattern.replace("\\|", "|")
            if text.endswith(("*", "?")):
                text += " -> blog"  # a pattern of nothing but what may be missing means nothing
            compile_pattern(text, names)
    examples = page.split("## Examples")[1]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| (yes|no) \|", examples, re.MULTILINE)
    assert len(rows) == 10
    for pattern, journey, fits in rows:
        path = journey.strip().split(", ")
        codes = np.array([names.index(name) for name in path], np.int16)
        found_ = compile_pattern(pattern.replace("\\|", "|"), names).matches(
            np.array([0]), np.array([len(path)]), codes, time=np.arange(len(path)), missing=-1
        )
        assert (found_.n_matches[0] > 0) == (fits == "yes"), (pattern, journey)
    with pytest.raises(PatternError) as caught:
        compile_pattern("search -> chekout", ["checkout", "search"])
    assert str(caught.value) in page
