"""How much of what happened the rules of a model name, and rules for the rest."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from cjm_analytics._card import Card, Shown
from cjm_analytics.columns import concatenated
from cjm_analytics.errors import ModelWarning
from cjm_analytics.matching import COMBINATORS, OPERATORS, compile_match, with_codes
from cjm_analytics.schema import INVITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cjm_analytics.events.store import Events
    from cjm_analytics.model import JourneyModel

__all__ = ["Coverage"]

_TOP = 20
_TOLERATED = 0.05
"""From this share of unmatched events on, the map does not cover what happened."""


@dataclass(frozen=True, repr=False)
class Coverage(Shown):
    """What a model's rules name, per source, and suggestions for what they do not.

    Attributes
    ----------
    share : float
        Matched events of all that are not excluded; NaN where there are none.
    suggestions : DataFrame
        The most frequent unmatched names, at most 20: columns `event, path, events, share, like, touchpoint,
        stage, rule`. `share` is of the events that are not excluded; `like` is the known name that is most
        similar, `stage` the stage of its touchpoint (missing where nothing is similar), `rule` lines to paste
        into the model.
    """

    share: float
    suggestions: pd.DataFrame
    sources: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Columns `source, events, excluded, invites, matched, unmatched, share`.

        `share` = matched / (matched + unmatched).
        """
        return self.sources.copy()

    def _card(self) -> Card:
        facts = {"matched": "–" if np.isnan(self.share) else f"{100 * self.share:.1f} %"}
        return Card("Coverage of the model", facts, self.sources)

    def _unmatched(self) -> Card:
        return Card("The most frequent unmatched names", {}, self.suggestions.drop(columns="rule").head(_TOP))

    def _repr_html_(self) -> str:
        return self._card().html() + (self._unmatched().html() if len(self.suggestions) else "")

    def __repr__(self) -> str:
        cards = [self._card(), *([self._unmatched()] if len(self.suggestions) else [])]
        return "\n\n".join(card.text() for card in cards)


class _Counts(NamedTuple):
    """Events per source and state, and unmatched ones per name and path."""

    states: Counter[tuple[str | None, str]]
    unmatched: Counter[tuple[str, str | None]]


def coverage(model: JourneyModel, events: Events) -> Coverage:
    """See `JourneyModel.coverage`."""
    states: Counter[tuple[str | None, str]] = Counter()
    unmatched: Counter[tuple[str, str | None]] = Counter()
    for partition in events.partitions:
        counted = _count(model, with_codes(partition.columns.read(_columns(model))))
        states.update(counted.states)
        unmatched.update(counted.unmatched)
    sources = _sources(states)
    matched, missed = sources["matched"].sum(), sources["unmatched"].sum()
    share = float(matched / (matched + missed)) if matched + missed else float("nan")
    suggestions = _suggestions(model, unmatched, int(matched + missed))
    if missed and 1 - share >= _TOLERATED:
        names = ", ".join(repr(name) for name in suggestions["event"].head(3))
        warnings.warn(
            f"The rules of the model {model.name!r} do not name {100 * (1 - share):.1f} % of the events "
            f"({missed:,} of {matched + missed:,}), most often {names}. See .suggestions.",
            ModelWarning,
            stacklevel=3,
        )
    return Coverage(share, suggestions, sources)


def _columns(model: JourneyModel) -> list[str]:
    matches = [*(one.match for one in model.touchpoints), *(one.match for one in model.markers)]
    if model.exclude is not None:
        matches.append(model.exclude)
    return sorted({"event", "source", "path", *(column for match in matches for column in match.columns)})


def _count(model: JourneyModel, rows: pa.Table) -> _Counts:
    markers = {one.id: one.match.mask(rows) for one in model.markers}
    excluded = np.zeros(rows.num_rows, dtype=bool)
    if model.exclude is not None:
        excluded = model.exclude.mask(rows, markers)
    invite = _equal(rows, "event", INVITE) & ~excluded
    matched = np.zeros(rows.num_rows, dtype=bool)
    for one in model.touchpoints:
        matched |= one.match.mask(rows, markers)
    state = np.select([excluded, invite, matched], [0, 1, 2], 3)
    names = ("excluded", "invites", "matched", "unmatched")
    states = Counter(
        {(source, names[code]): count for source, code, count in _grouped(rows, ["source"], state)}
    )
    left = rows.filter(pa.array(state == 3)).select(["event", "path"])  # noqa: PLR2004 - unmatched
    found: Counter[tuple[str, str | None]] = Counter()
    for event, path, _, count in _grouped(left, ["event", "path"], np.zeros(left.num_rows, dtype=np.int64)):
        found[event or "", _beginning(path) if _PAGE.search(event or "") else None] += count
    return _Counts(states, found)


_PAGE = re.compile(r"page|screen", re.IGNORECASE)


def _beginning(path: str | None) -> str | None:
    """The first part of a path, which names the kind of page.

    Examples
    --------
    >>> _beginning("/product/lamp-1?x=2"), _beginning("/?utm_source=mail"), _beginning(None)
    ('/product', '/', None)
    """
    return None if path is None else "/" + re.split(r"[/?#]", path.removeprefix("/"), maxsplit=1)[0]


def _grouped(rows: pa.Table, names: list[str], code: NDArray[np.int64]) -> Iterator[tuple]:  # type: ignore[type-arg]
    grouped = (
        concatenated([rows.select(names)]).append_column("code", pa.array(code))
        .group_by([*names, "code"]).aggregate([([], "count_all")])
    )  # fmt: skip
    columns = [grouped.column(name).to_pylist() for name in [*names, "code", "count_all"]]
    return zip(*columns, strict=True)


def _equal(rows: pa.Table, column: str, text: str) -> NDArray[np.bool_]:
    return compile_match({column: {"eq": text}}).mask(rows)


def _sources(states: Counter[tuple[str | None, str]]) -> pd.DataFrame:
    kinds = ["excluded", "invites", "matched", "unmatched"]
    names = sorted({source for source, _ in states}, key=lambda name: (name is None, name or ""))
    frame = pd.DataFrame(
        [[name or "(none)", *(states[name, kind] for kind in kinds)] for name in names],
        columns=["source", *kinds],
    ).astype(dict.fromkeys(kinds, "int64"))
    frame.insert(1, "events", frame[kinds].sum(axis=1))
    known = frame["matched"] + frame["unmatched"]
    return frame.assign(share=frame["matched"] / known.where(known > 0))


# ── suggestions ──────────────────────────────────────────────────────────────────────────────────────────


class _Known(NamedTuple):
    """A name that a rule looks for, in which column (`id`: the rule's own), and what it stands for."""

    name: str
    column: str
    touchpoint: str
    stage: str
    words: frozenset[str]


def _suggestions(model: JourneyModel, unmatched: Counter[tuple[str, str | None]], total: int) -> pd.DataFrame:
    known = list(_known_names(model))
    taken = {one.id for one in model.touchpoints}
    rows = []
    order = sorted(unmatched.items(), key=lambda item: (-item[1], item[0][0], item[0][1] or ""))
    for (event, path), count in order[:_TOP]:
        column, text = ("event", event) if path is None else ("path", path.strip("/"))
        like = _most_similar(text, [one for one in known if one.column in {"id", column}])
        touchpoint = _new_id((path or "").strip("/") or event, taken)
        stage = like.stage if like else None
        rule = _rule(touchpoint, event, path, like)
        name = like.name if like else None
        rows.append((event, path, count, count / max(total, 1), name, touchpoint, stage, rule))
    columns = ["event", "path", "events", "share", "like", "touchpoint", "stage", "rule"]
    return pd.DataFrame(rows, columns=columns)


def _known_names(model: JourneyModel) -> Iterator[_Known]:
    """Names of the model's rules first, then those of the standard model in stages that both have."""
    for one in (model, type(model).standard()):
        markers = {marker.id: marker.match for marker in one.markers}
        for touchpoint in one.touchpoints:
            stage = touchpoint.branches[-1].stage
            if stage not in model.stages:
                continue
            names = {(touchpoint.id, "id"), *_texts(touchpoint.match.spec)}
            for marker in touchpoint.match.markers & set(markers):
                names |= set(_texts(markers[marker].spec))
            for name, column in sorted(names):
                words = frozenset(_words(name))
                if words:
                    yield _Known(name, column, touchpoint.id, stage, words)


def _texts(spec: object, column: str = "") -> Iterator[tuple[str, str]]:
    """All texts on `event` and `path` in a match."""
    if isinstance(spec, str):
        if column in {"event", "path"}:
            yield spec, column
    elif isinstance(spec, Mapping):
        for name, inner in spec.items():
            if name not in {"not", "re", "ne"}:
                keeps_column = name in OPERATORS or name in COMBINATORS
                yield from _texts(inner, column if keeps_column else name)
    elif isinstance(spec, list | tuple):
        for inner in spec:
            yield from _texts(inner, column)


def _words(name: str) -> Iterable[str]:
    """Words of a name, in lower case, without endings that only say when.

    Examples
    --------
    >>> sorted(_words("Product Viewed")), sorted(_words("viewProducts"))
    (['product', 'view'], ['product', 'view'])
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    for word in re.findall(r"[^\W_\d]+", spaced.casefold()):
        yield re.sub(r"(?<=\w{3})(ed|ing|s)$", "", word)


_SIMILAR = 0.36


def _most_similar(name: str, known: list[_Known]) -> _Known | None:
    words = frozenset(_words(name))
    best, best_score = None, _SIMILAR
    for one in known:
        shared = len(words & one.words)
        if not shared and len(name) < 4:  # noqa: PLR2004 - short words are similar by chance
            continue
        overlap = shared / max(len(words | one.words), 1)
        alike = SequenceMatcher(None, name.casefold(), one.name.casefold()).ratio()
        score = 0.7 * overlap + 0.3 * alike if shared else 0.6 * alike
        if score > best_score:
            best, best_score = one, score
    return best


def _new_id(name: str, taken: set[str]) -> str:
    slug = (
        "_".join(re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold())) or "touchpoint"
    )
    number, found = 2, slug
    while found in taken:
        found, number = f"{slug}_{number}", number + 1
    taken.add(found)
    return found


def _rule(touchpoint: str, event: str, path: str | None, like: _Known | None) -> str:
    import tomli_w

    match = {"event": _literal(event)}
    if path is not None:
        match["path"] = "/" if path == "/" else f"{_literal(path)}*"
    said = tomli_w.dumps({"match": match}).split("\n")
    condition = ", ".join(line for line in said[1:] if line)
    reason = (
        f"# like {like.name!r} ({like.touchpoint})"
        if like
        else "# nothing similar is known: choose its stage"
    )
    stage_line = f'stage = "{like.stage}"' if like else '# stage = "…"'
    return f'{reason}\n[[touchpoint]]\nid = "{touchpoint}"\n{stage_line}\nmatch = {{ {condition} }}\n'


def _literal(text: str) -> str:
    """Text as a glob that fits only itself."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", text)
