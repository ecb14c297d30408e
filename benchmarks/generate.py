"""A raw event log of any size: `python benchmarks/generate.py 20M log/` writes Parquet in order of time.

Customers have about twelve events, in sessions with silences of days between them, over 180 days; thirty
kinds of event with Zipf-like frequencies; five channels. The same seed gives the same rows. Memory stays
bounded: rows are scattered into slices of time first, then every slice is sorted and written by itself.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EVENTS = (
    "page_view", "product_view", "search", "product_list", "ad_click", "add_to_cart", "newsletter_open",
    "category_view", "login", "checkout", "wishlist_add", "purchase", "remove_from_cart", "review_read",
    "store_locator", "shipping_details", "payment_details", "faq_view", "chat_started", "video_watched",
    "coupon_applied", "account_created", "order_tracking", "support_ticket", "survey_answer",
    "review_written", "return_requested", "refund", "subscription_started", "account_closed",
)  # fmt: skip
CHANNELS = ("web", "app", "email", "store", "phone")
SPAN = 180 * 86_400_000_000
START = np.datetime64("2026-01-01", "us").astype(np.int64)
PER_CUSTOMER = 12
CUSTOMERS_AT_ONCE = 100_000
SLICE = 2_000_000
SCHEMA = pa.schema(
    [
        ("customer", pa.string()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("event", pa.string()),
        ("channel", pa.string()),
    ]
)


def cohort(seed: int, number: int) -> dict[str, np.ndarray]:
    """The events of one hundred thousand customers: customer number, time, and codes of event and channel."""
    rng = np.random.default_rng([seed, number])
    lengths = rng.geometric(1 / PER_CUSTOMER, CUSTOMERS_AT_ONCE)
    n = int(lengths.sum())
    customer = np.repeat(np.arange(CUSTOMERS_AT_ONCE), lengths)
    within = rng.exponential(90e6, n)
    silence = rng.lognormal(np.log(2 * 86_400e6), 1.2, n)
    gaps = np.where(rng.random(n) < 0.25, silence, within).astype(np.int64)
    first = np.cumsum(lengths) - lengths
    gaps[first] = 0
    since = np.cumsum(gaps)
    since -= np.repeat(since[first], lengths)
    longest = np.maximum.reduceat(since, first)
    squeeze = np.minimum(1.0, 0.9 * SPAN / np.maximum(longest, 1))
    since = (since * np.repeat(squeeze, lengths)).astype(np.int64)
    start = (rng.random(CUSTOMERS_AT_ONCE) * (SPAN - longest * squeeze)).astype(np.int64)
    weights = 1 / np.arange(1, len(EVENTS) + 1) ** 0.9
    return {
        "customer": customer + number * CUSTOMERS_AT_ONCE,
        "time": START + np.repeat(start, lengths) + since,
        "event": np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(n)).astype(np.int8),
        "channel": rng.choice(len(CHANNELS), n, p=[0.5, 0.25, 0.12, 0.08, 0.05]).astype(np.int8),
    }


def scatter(n_events: int, seed: int, folder: Path, n_slices: int) -> None:
    """Write the codes of all events into one raw file per slice of time."""
    files = [(folder / f"{number:05d}.raw").open("wb") for number in range(n_slices)]
    written, number = 0, 0
    while written < n_events:
        rows = cohort(seed, number)
        keep = min(n_events - written, len(rows["time"]))
        packed = np.empty(keep, dtype=ROW)
        for name, values in rows.items():
            packed[name] = values[:keep]
        place = ((packed["time"] - START) * n_slices // SPAN).clip(0, n_slices - 1)
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], np.arange(n_slices + 1))
        packed = packed[order]
        for one, file in enumerate(files):
            file.write(packed[bounds[one] : bounds[one + 1]].tobytes())
        written += keep
        number += 1
    for file in files:
        file.close()


ROW = np.dtype([("customer", "<i8"), ("time", "<i8"), ("event", "i1"), ("channel", "i1")])


def written_out(packed: np.ndarray) -> pa.Table:
    """Codes as the table that a user would have."""
    packed = packed[np.argsort(packed["time"], kind="stable")]
    digits = np.char.mod("u%09d", packed["customer"])
    return pa.table(
        {
            "customer": pa.array(digits, pa.string()),
            "timestamp": pa.array(packed["time"]).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
            "event": pa.array(EVENTS).take(pa.array(packed["event"])),
            "channel": pa.array(CHANNELS).take(pa.array(packed["channel"])),
        },
        schema=SCHEMA,
    )


def generate(n_events: int, folder: Path, seed: int = 1) -> None:
    """Write `n_events` events into Parquet files `part-00000.parquet`, …, which follow each other in time."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "raw"
    raw.mkdir()
    n_slices = max(1, -(-n_events // SLICE))
    scatter(n_events, seed, raw, n_slices)
    for number in range(n_slices):
        path = raw / f"{number:05d}.raw"
        packed = np.fromfile(path, dtype=ROW)
        path.unlink()
        pq.write_table(written_out(packed), folder / f"part-{number:05d}.parquet", compression="zstd")
    shutil.rmtree(raw)


def amount(text: str) -> int:
    """`20M` as a number."""
    sizes = {"K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
    unit = text[-1].upper()
    return int(float(text[:-1]) * sizes[unit]) if unit in sizes else int(text)


@click.command(help=__doc__)
@click.argument("events")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", default=1, show_default=True)
def main(events: str, folder: Path, seed: int) -> None:
    generate(amount(events), folder, seed)


if __name__ == "__main__":
    main()
