"""How far customers are persons: `python benchmarks/persons.py` prints precision and recall of the rules.

The people are the households of the sample generator, whose shares were fixed before anything was measured
(`data/samples/generate.py`, `Households` and `POPULATIONS`); the measures are those of `tests/households.py`.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import click
import pandas as pd

import cjm_analytics as cjm

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "data" / "samples" / "journey.toml"
SEEDS = (1, 2, 3)
PEOPLE = 3_000
COMPARED = ("usual", "families", "cookies kept")
CLAIMED = ("usual", "families", "never sign out")
CLAIMS = (
    "Visits without a login on devices where several sign in, by the rule and by others: all events, and the "
    "share of those visits' events that the right person gets:"
)
NO_LIMIT = dict.fromkeys(["user", "email", "zendesk"], 10_000)
COLUMNS = (
    "people",
    "all events",
    "least to most",
    "recall within reach",
    "where the logs tell",
    "share of events where they do",
    "all events, per event",
)
OPTIONS = {
    "as it is": cjm.Identity(),
    'claim_back="7 days"': cjm.Identity(claim_back="7 days"),
    'back_fill="near"': cjm.Identity(back_fill="near"),
    'back_fill="near", claim_back="7 days"': cjm.Identity(back_fill="near", claim_back="7 days"),
    'back_fill="session"': cjm.Identity(back_fill="session"),
    'back_fill="none"': cjm.Identity(back_fill="none"),
    "stitch=False": cjm.Identity(stitch=False),
    "no limits, no hubs, placeholders taken at their word": cjm.Identity(
        limits=NO_LIMIT, max_partners=10_000, placeholders=False, largest=None
    ),
}


def shown(values: list) -> str:
    """Mean precision and recall."""
    precision, recall = pd.DataFrame(values).mean()
    return f"{precision:.3f} / {recall:.3f}"


def by_population(folders: dict[str, list[Path]]) -> list[str]:
    import households as truth

    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for name, places in folders.items():
        events = [truth.events_of(place) for place in places]
        plain = pd.DataFrame([truth.pairwise(one) for one in events])
        reach = sum(truth.pairwise(one, "thread").recall for one in events) / len(events)
        known = sum(one["told"].mean() for one in events) / len(events)
        span = " / ".join(f"{plain[one].min():.3f} to {plain[one].max():.3f}" for one in plain)
        lines.append(
            f"| {name} | {shown([truth.pairwise(one) for one in events])} | {span} | {reach:.3f} "
            f"| {shown([truth.pairwise(truth.told(one)) for one in events])} | {known:.2f} "
            f"| {shown([truth.per_event(one) for one in events])} |"
        )
        print(lines[-1], flush=True)
    return lines


def by_option(folders: dict[str, list[Path]]) -> list[str]:
    import households as truth

    lines = [f"| {' | '.join(['', *COMPARED])} |", f"|---|{'---|' * len(COMPARED)}"]
    for name, identity in OPTIONS.items():
        cells = []
        for population in COMPARED:
            found = [truth.pairwise(truth.events_of(place, identity)) for place in folders[population]]
            cells.append(shown(found))
        lines.append(f"| {name if ' ' in name and '=' not in name else f'`{name}`'} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def by_claim(folders: dict[str, list[Path]]) -> list[str]:
    """Other rules for visits without a login on devices where several people sign in, which are not offered.

    With how many of those events each gives to the right person.
    """
    import households as truth

    names = (
        "as it is",
        "who signs in during the visit",
        "the same, or where both neighbours agree",
        "the nearer login",
        "a judge who knows",
    )
    found: dict[tuple[str, str], list] = {}
    for population in CLAIMED:
        for place in folders[population]:
            events = claims(truth.events_of(place))
            free = events["free"]
            for name in names:
                told = events.assign(customer_id=events[name].where(free, events["customer_id"]))
                right = (told["customer_id"] == told["person"])[free].mean()
                found.setdefault((name, population), []).append((*truth.pairwise(told), right))
    lines = [f"| {' | '.join(['', *CLAIMED])} |", f"|---|{'---|' * len(CLAIMED)}"]
    for name in names:
        means = [pd.DataFrame(found[name, population]).mean() for population in CLAIMED]
        cells = [f"{one[0]:.4f} / {one[1]:.4f}, {one[2]:.2f} right" for one in means]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def claims(events: pd.DataFrame) -> pd.DataFrame:
    """Events with what each rule makes of them, and whether they are among those in question (`free`)."""
    events = events.sort_values("timestamp", ignore_index=True)
    device, time, user = (events[name] for name in ("anonymous_id", "timestamp", "user_id"))
    on_device = events[device.notna()].sort_values(["anonymous_id", "timestamp"], kind="stable")
    begins = on_device["anonymous_id"].ne(on_device["anonymous_id"].shift())
    begins |= on_device["timestamp"].diff() > pd.Timedelta("30 minutes")
    visit = begins.cumsum()
    signed = user.groupby(visit).first()
    logins = events.loc[user.notna() & device.notna(), ["anonymous_id", "timestamp", "user_id"]]
    logins = logins.rename(columns={"user_id": "who"}).assign(at=logins["timestamp"])
    after, before = (
        pd.merge_asof(events, logins, on="timestamp", by="anonymous_id", direction=direction)
        for direction in ("forward", "backward")
    )
    during = visit.map(signed).reindex(events.index)
    nobody = "anonymous:" + device.fillna("")
    agree = after["who"].where(after["who"] == before["who"])
    is_next = (after["at"] - time).fillna(pd.Timedelta.max) <= (time - before["at"]).fillna(pd.Timedelta.max)
    several = device.map(logins.groupby("anonymous_id")["who"].nunique()) > 1
    return events.assign(
        **{
            "free": several & user.isna(),
            "as it is": events["customer_id"],
            "who signs in during the visit": during.fillna(nobody),
            "the same, or where both neighbours agree": during.fillna(agree).fillna(nobody),
            "the nearer login": after["who"].where(is_next, before["who"]),
            "a judge who knows": events["person"],
        }
    )


def by_phase(folders: dict[str, list[Path]]) -> list[str]:
    """Drop-off of all people and of known ones beside the true one, for the first seed."""
    lines = ["| drop-off | all | known | true |", "|---|---:|---:|---:|"]
    for name in ("usual", "cookies kept"):
        folder = folders[name][0]
        orders = cjm.loaders.table(
            folder / "orders.csv", customer="customer_id", kind="order", melt={"ordered_at": "order_placed"}
        )
        sources = [cjm.loaders.segment(folder / "clickstream.jsonl.gz"), cjm.loaders.zendesk(folder / "crm")]
        journeys = cjm.sessionize(cjm.ingest([*sources, orders]), cjm.JourneyModel.read(MODEL))
        known = journeys.select(where={"person": "known"})
        tables = [cjm.drop_off(one).to_frame().set_index("phase")["drop_off"] for one in (journeys, known)]
        truth = pd.read_csv(folder / "truth" / "drop_off.csv").query("of == 'phase'").set_index("name")
        for phase, true in truth["drop_off"].items():
            cells = [f"{one:.2f}" for one in (*(table[phase] for table in tables), true)]
            lines.append(f"| {name}, {phase} the purchase | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


@click.command()
@click.option("--to", type=click.Path(path_type=Path), help="Write the tables into this file too.")
def main(to: Path | None) -> None:
    """Measure the default in every population, and the options in some."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    import households as truth

    with tempfile.TemporaryDirectory(prefix="cjm-persons-") as folder:
        folders = {}
        for name in truth.generator().POPULATIONS:
            with contextlib.redirect_stdout(io.StringIO()):
                folders[name] = [
                    truth.lived(Path(folder) / name / str(seed), name, seed=seed, people=PEOPLE)
                    for seed in SEEDS
                ]
        populations, options, phases = by_population(folders), by_option(folders), by_phase(folders)
        claimed = by_claim(folders)
    seeds = ", ".join(map(str, SEEDS))
    head = (
        f"Customers held to the true persons: pairwise precision / recall, {PEOPLE:,} people, seeds {seeds}"
    )
    parts = [
        head,
        "",
        *populations,
        "",
        "All events, with other rules:",
        "",
        *options,
        "",
        CLAIMS,
        "",
        *claimed,
        "",
        *phases,
        "",
    ]
    text = "\n".join(parts)
    if to:
        to.write_text(text)


if __name__ == "__main__":
    main()
