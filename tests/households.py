"""How far customers are persons: the sample generator's households, ingested and held to their truth."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd

import cjm_analytics as cjm

GENERATOR = Path(__file__).resolve().parent.parent / "data" / "samples" / "generate.py"


class Agreement(NamedTuple):
    """Of the events of one customer the share of pairs of one person; and the other way round."""

    precision: float
    recall: float


def generator():
    """The module that makes the samples."""
    name = "sample_generator"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, GENERATOR)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def lived(folder: Path, population: str = "usual", *, seed: int = 1, people: int = 3_000) -> Path:
    """A folder with the exports of so many people, and the truth about them."""
    module = generator()
    module.make(seed, people, module.POPULATIONS[population], folder)
    return folder


def events_of(folder: Path, identity: cjm.Identity | None = None) -> pd.DataFrame:
    """Every event of the clickstream and the help desk with its customer and what is true of it.

    Orders and surveys carry the user id in every row: they would only add what cannot be wrong.
    """
    sources = [cjm.loaders.segment(folder / "clickstream.jsonl.gz"), cjm.loaders.zendesk(folder / "crm")]
    events = cjm.ingest(sources, now="2026-07-02", identity=identity)
    names = ["customer_id", "anonymous_id", "user_id", "timestamp"]
    frame = events.to_frame(["event_id", "ticket_id", "source", *names])
    truth = pd.read_csv(folder / "truth" / "whose.csv.gz", dtype={"ticket_id": str})
    clicks = truth[truth["event_id"].notna()].drop(columns="ticket_id")
    tickets = truth[truth["ticket_id"].notna()].drop(columns="event_id")
    clickstream, desk = frame["source"] == "segment", frame["source"] == "zendesk"
    both = [frame[clickstream].merge(clicks, on="event_id"), frame[desk].merge(tickets, on="ticket_id")]
    return pd.concat(both, ignore_index=True)[[*names, "person", "thread", "told"]]


def pairwise(events: pd.DataFrame, customer: str = "customer_id") -> Agreement:
    """Pairwise precision and recall of what a column says of all events."""
    both = pairs(events, [customer, "person"])
    return Agreement(both / pairs(events, customer), both / pairs(events, "person"))


def pairs(events: pd.DataFrame, names: str | list[str]) -> int:
    """How many pairs of events agree in these columns."""
    sizes = events.groupby(names).size()
    return int((sizes * (sizes - 1) // 2).sum())


def told(events: pd.DataFrame) -> pd.DataFrame:
    """The events of which the logs hold enough to tell whose they are."""
    return events[events["told"] == 1]


def per_event(events: pd.DataFrame) -> Agreement:
    """The mean over events of the same two shares, each of the events of its customer or person (B-cubed)."""
    own, of_customer, of_person = (
        events.groupby(names)["told"].transform("size")
        for names in (["customer_id", "person"], "customer_id", "person")
    )
    return Agreement((own / of_customer).mean(), (own / of_person).mean())
