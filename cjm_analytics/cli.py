"""`cjm`: raw logs to reports from the command line."""

from __future__ import annotations

import json
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cjm_analytics.errors import CJMError, InputError, UnknownNameError, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    import plotly.graph_objects as go

    from cjm_analytics.events.store import Events
    from cjm_analytics.journeys import Journeys
    from cjm_analytics.model import JourneyModel
    from cjm_analytics.schema import EventSource

__all__ = ["main"]

_MISUSE = 2
_FAULTS = 20
"""At most so many faults of one input are printed."""

_CELL = 72
"""Letters of the widest cell of a printed table."""

_SAMPLES = "data/samples"


class _Commands(click.Group):
    """Commands whose errors say in plain lines what is wrong, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            with _notes():
                return super().invoke(ctx)
        except CJMError as fault:
            click.echo(f"Error: {fault}", err=True)
            # Most messages tell all faults themselves.
            if fault.failures is not None and "\n" not in str(fault):
                click.echo(_text(fault.failures.head(_FAULTS)), err=True)
            ctx.exit(_MISUSE)


@contextmanager
def _notes() -> Iterator[None]:
    """Warnings become plain lines."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        click.echo(f"Note: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="cjm_analytics", prog_name="cjm")
def main() -> None:
    """From raw touchpoint logs to the customer journey map that they really describe.

    \b
    Begin with:
      cjm demo                                       the sample shop, from raw logs to report
      cjm ingest logs/*.csv --to events --map customer=user_id --map timestamp=ts --map event=action
      cjm check journey.toml events                  does the model cover the events?
      cjm report events --model journey.toml --to report.html
    """  # noqa: D301 - \b keeps click from filling the lines


_model = click.option(
    "--model", "-m", type=click.Path(path_type=Path), help="The journey model, TOML or JSON. Default: none."
)
_store = click.argument("store", type=click.Path(path_type=Path))


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the event store; one that exists is appended to.",
)
@click.option(
    "--loader", default="table", show_default=True, help="What the sources are: table, segment, zendesk, …"
)
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Which column is what, for example customer=user_id (repeatable); event==purchase is a constant.",
)
@click.option(
    "--keep", multiple=True, metavar="COLUMN", help="Promote a property to a column of its own (repeatable)."
)
@click.option("--tz", help="Time zone of times without one, for example Europe/Berlin.")
@click.option("--unit", help="Unit of epoch numbers: s, ms, us or ns.")
@click.option("--name", help="Name of the source. Default: that of the file or the format.")
@click.option(
    "--max-reject-share",
    type=float,
    default=0.1,
    show_default=True,
    help="Fail, and write nothing, if more of a source's rows cannot be used.",
)
def ingest(
    *,
    sources: tuple[str, ...], to: Path, loader: str, mapping: tuple[str, ...], keep: tuple[str, ...],
    tz: str | None, unit: str | None, name: str | None, max_reject_share: float,
) -> None:  # fmt: skip
    """Bring raw logs into an event store.

    Sorted, without duplicates, each row accounted for.
    """
    import cjm_analytics as cjm

    known = sorted(cjm.loaders.__all__)
    if loader not in known:
        raise UnknownNameError("loader", loader, known)
    given = {"keep": keep or None, "tz": tz, "unit": unit, "name": name}
    options = _pairs(mapping) | {option: value for option, value in given.items() if value is not None}
    load = getattr(cjm.loaders, loader)
    try:
        loaded = load(list(sources) if len(sources) > 1 else sources[0], **options)
    except TypeError as fault:
        raise InputError(
            f"The loader {loader!r} does not take all of {', '.join(options)}: {fault}."
        ) from fault
    events = cjm.ingest(loaded, to=to, max_reject_share=max_reject_share)
    _say_what_came_of_it(events)
    click.echo(f"Event store: {to}")


def _pairs(mapping: Sequence[str]) -> dict[str, Any]:
    pairs = dict(one.split("=", 1) for one in mapping if "=" in one)
    if len(pairs) < len(mapping):
        wrong = next(one for one in mapping if "=" not in one)
        raise InputError(f"--map {wrong!r} is no NAME=COLUMN. Write for example --map customer=user_id.")
    return pairs


def _say_what_came_of_it(events: Events) -> None:
    account = events.report()
    click.echo(_text(account.to_frame()[["source", "read", "kept", "duplicates", "rejected", "excluded"]]))
    reasons = account.reasons()
    if len(reasons):
        click.echo("Rejected rows, by reason:")
        click.echo(_text(reasons.head(_FAULTS)))


@main.command()
@_store
@_model
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The HTML file.",
)
@click.option("--title", help="Title of the page. Default: the model's name.")
def report(*, store: Path, model: Path | None, to: Path, title: str | None) -> None:
    """Write the map and its numbers into one HTML file.

    The file holds all that it needs: no network, no other file.
    """
    import cjm_analytics as cjm

    written = cjm.report(_journeys(store, model), to=to, title=title)
    click.echo(f"Report: {written}")


@main.command()
@_store
@click.argument("steps", nargs=-1, required=True, metavar="STEP...")
@_model
@click.option(
    "--within", default="30 days", show_default=True, help="From the first step to the last, at most."
)
@click.option("--order", default="ordered", show_default=True, help="ordered, strict or any.")
@click.option("--unit", default="journey", show_default=True, help="journey, customer or session.")
@click.option("--by", help="A column to break the funnel down by.")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="A file for the chart (.html, .png, .svg, .pdf) or the table (.csv).",
)
def funnel(
    *,
    store: Path, steps: tuple[str, ...], model: Path | None, within: str, order: str, unit: str,
    by: str | None, to: Path | None,
) -> None:  # fmt: skip
    """How many get through the steps, and where the rest is lost.

    A STEP is a touchpoint; "a|b" is any of several.
    """
    import cjm_analytics as cjm

    _check_ending(to)
    wanted = [step.split("|") if "|" in step else step for step in steps]
    found = cjm.funnel(_journeys(store, model), wanted, within=within, order=order, unit=unit, by=by)
    click.echo(_text(found.to_frame()))
    if to is not None:
        _save(found.plot(), found.to_frame(), to, title="Funnel")
        click.echo(f"Written: {to}")


@main.command()
@_store
@_model
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="How many paths.")
@click.option("--of", default="touchpoint", show_default=True, help="touchpoint, stage, phase or channel.")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="A file for the chart (.html, .png, .svg, .pdf) or the table (.csv).",
)
def paths(*, store: Path, model: Path | None, top: int, of: str, to: Path | None) -> None:
    """The most frequent paths."""
    import cjm_analytics as cjm

    _check_ending(to)
    found = cjm.paths(_journeys(store, model), of=of, top=top)
    click.echo(_text(found.to_frame()))
    if to is not None:
        _save(found.plot(), found.to_frame(), to, title="Paths")
        click.echo(f"Written: {to}")


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("store", type=click.Path(path_type=Path), required=False)
def check(model: Path, store: Path | None) -> None:
    """Check a journey model, and what it covers.

    With a STORE: how many of its events the rules name, and rules for the rest.
    """
    import cjm_analytics as cjm

    read = cjm.JourneyModel.read(model)
    stages = sum(len(phase.stages) for phase in read.phases)
    click.echo(
        f"{model}: {read.name!r}, version {read.hash}: {counted(len(read.phases), 'phase')}, "
        f"{counted(stages, 'stage')}, {counted(len(read.touchpoints), 'touchpoint')}, "
        f"{counted(len(read.markers), 'marker')}, {counted(len(read.surveys), 'survey')}."
    )
    if store is None:
        return
    found = read.coverage(cjm.open_events(store))
    click.echo(_text(found.to_frame()))
    if len(found.suggestions):
        click.echo("Most frequent events without a rule:")
        click.echo(_text(found.suggestions.drop(columns="rule")))
        rules = "\n\n".join(rule.strip() for rule in found.suggestions["rule"] if isinstance(rule, str))
        if rules:
            click.echo(f"Rules to begin with:\n\n{rules}")


@main.command()
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for all that the demo writes.",
)
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    default=Path(_SAMPLES),
    show_default=True,
    help="Folder of the sample data (they come with the project's source).",
)
def demo(to: Path, samples: Path) -> None:
    """The sample shop, from raw logs to the report."""
    import cjm_analytics as cjm

    model_file = samples / "journey.toml"
    if not model_file.is_file():
        raise InputError(
            f"There are no sample data in {str(samples)!r}. They come with the project's source, not with "
            f"the installed package: run `cjm demo` in its folder, or say --samples <folder>/{_SAMPLES}."
        )
    began = time.perf_counter()
    to.mkdir(parents=True, exist_ok=True)
    click.echo(f"Reading {samples} …")
    events = cjm.ingest(_sample_sources(samples), to=to / "events", progress=True)
    _say_what_came_of_it(events)
    journeys = cjm.sessionize(events, cjm.JourneyModel.read(model_file), progress=True)
    click.echo(
        f"\n{counted(len(journeys), 'journey')} of {counted(journeys.n_customers, 'customer')}, "
        f"{counted(journeys.n_events, 'event')}."
    )
    found = cjm.funnel(journeys, ["product_view", "add_to_cart", "checkout", "purchase"], within="14 days")
    click.echo("\nWho gets from a product page to a purchase within 14 days?")
    click.echo(
        _text(found.to_frame()[["step", "reached", "dropped", "open", "step_conversion", "conversion"]])
    )
    lost = cjm.drop_off(journeys).to_frame()
    click.echo("\nWhere do journeys end, phase by phase?")
    click.echo(_text(lost[["phase", "entered", "continued", "dropped", "open", "drop_off", "low", "high"]]))

    written = [cjm.report(journeys, to=to / "report.html"), to / "funnel.html"]
    _save(found.plot(), found.to_frame(), to / "funnel.html", title="From a product page to a purchase")
    try:
        _save(found.plot(), found.to_frame(), to / "funnel.png", title="")
        written.append(to / "funnel.png")
    except InputError as fault:
        click.echo(f"\nNo funnel.png: {fault}", err=True)
    click.echo(f"\nDone in {time.perf_counter() - began:.0f} s. Look at:")
    for path in written:
        click.echo(f"  {path}")


def _sample_sources(samples: Path) -> list[EventSource]:
    import cjm_analytics as cjm

    milestones = {
        "ordered_at": "order_placed", "cancelled_at": "order_cancelled", "refunded_at": "order_refunded",
    }  # fmt: skip
    return [
        cjm.loaders.segment(samples / "clickstream.jsonl.gz"),
        cjm.loaders.zendesk(samples / "crm"),
        cjm.loaders.table(samples / "orders.csv", customer="customer_id", kind="order", melt=milestones),
        cjm.loaders.table(
            samples / "surveys.csv", customer="customer_id", timestamp="answered_at", tz="Europe/Berlin",
            event="survey", score="answer", kind="survey",
        ),
        cjm.loaders.table(
            samples / "survey_invites.csv", customer="customer_id", timestamp="sent_at", tz="Europe/Berlin",
            event="=survey_invite", actor="=company", kind="survey",
        ),
    ]  # fmt: skip


def _journeys(store: Path, model: Path | None) -> Journeys:
    """Journeys of an event store; or those that `Journeys.write` stored, as they are."""
    import cjm_analytics as cjm

    if _holds_journeys(store):
        if model is not None:
            raise InputError(f"{store} holds journeys, which were made with their model: leave --model away.")
        return cjm.open_journeys(store)
    events = cjm.open_events(store)
    read: JourneyModel | None = cjm.JourneyModel.read(model) if model is not None else None
    return cjm.sessionize(events, read)


def _holds_journeys(store: Path) -> bool:
    from cjm_analytics.journey_store import FORMAT, MANIFEST

    try:
        manifest = json.loads((store / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # whatever it is, opening it as events says what is wrong
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


_PICTURES = (".png", ".svg", ".pdf", ".webp", ".jpg")


def _save(figure: go.Figure, frame: pd.DataFrame, to: Path, *, title: str) -> None:
    """Write a chart or its table; the ending of the file says which."""
    from cjm_analytics._page import Exhibit, Section, page, write

    _check_ending(to)
    ending = to.suffix.casefold()
    if ending == ".csv":
        frame.to_csv(to, index=False)
    elif ending in _PICTURES:
        try:
            figure.write_image(to, width=figure.layout.width or 1200, scale=2)
        except (ImportError, ValueError, RuntimeError, OSError) as fault:
            raise InputError(
                "A picture needs the extra `images` (pip install 'cjm_analytics[images]') and a Chrome or "
                f"Chromium on this machine ({type(fault).__name__})."
            ) from fault
    else:
        chart = Exhibit(
            "chart", f"{title}: the table below holds the same numbers.", figure, [("The numbers", frame)]
        )
        write(to, page(title, "", [], [Section("result", title, "", [chart])]))


def _check_ending(to: Path | None) -> None:
    """Refuse a file that cannot be written before anything is computed for it."""
    if to is None:
        return
    if to.suffix.casefold() not in {".csv", ".html", ".htm", *_PICTURES}:
        raise InputError(f"{to.name!r} ends in {to.suffix!r}. Write .html, .csv, or {', '.join(_PICTURES)}.")
    if not to.parent.is_dir():
        raise InputError(f"There is no folder {str(to.parent)!r} to write {to.name!r} to. Create it first.")


def _text(frame: pd.DataFrame) -> str:
    """A frame as plain text: numbers to the right, shares as percentages."""
    from cjm_analytics._page import cells, numeric

    lines = [""] * (len(frame) + 1)
    for name, number, values in zip(frame.columns, numeric(frame), cells(frame), strict=True):
        column = [_clipped(cell) for cell in (str(name).replace("_", " "), *values)]
        width = max(map(len, column))
        lines = [
            f"{line}{cell.rjust(width) if number else cell.ljust(width)}  "
            for line, cell in zip(lines, column, strict=True)
        ]
    return "\n".join(line.rstrip() for line in lines)


def _clipped(cell: str) -> str:
    """A cell of a table in a terminal: on one line, and not endless."""
    line = " ".join(cell.split())
    return line if len(line) <= _CELL else line[: _CELL - 1] + "…"
