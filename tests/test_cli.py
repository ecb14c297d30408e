"""`cjm` on the command line."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

import cjm_analytics as cjm
from cjm_analytics.cli import main


def run(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A log as CSV, an event store of it, and a model."""
    folder = tmp_path_factory.mktemp("shop")
    rows = []
    for number in range(30):
        steps = ["product_view", "add_to_cart", "checkout", "purchase"][: 1 + number % 4]
        rows += [(f"c{number}", f"2026-01-{1 + place:02}", what) for place, what in enumerate(steps)]
    rows += [("c0", "2026-03-01", "cookie_banner")]
    pd.DataFrame(rows, columns=["user", "ts", "action"]).to_csv(folder / "log.csv", index=False)
    result = run(
        "ingest", folder / "log.csv", "--to", folder / "events", "--tz", "UTC",
        "--map", "customer=user", "--map", "timestamp=ts", "--map", "event=action",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    cjm.JourneyModel.standard().write(folder / "journey.toml")
    return folder


def test_help_names_every_command():
    result = run("--help")
    assert result.exit_code == 0
    for command in ("ingest", "report", "funnel", "paths", "check", "demo"):
        assert f"\n  {command} " in result.output
        assert run(command, "--help").exit_code == 0


def test_the_module_runs_as_the_command_does():
    result = subprocess.run(
        [sys.executable, "-m", "cjm_analytics", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == f"cjm, version {cjm.__version__}"


def test_ingest_writes_a_store_and_accounts_for_every_row(folder):
    assert len(cjm.open_events(folder / "events")) == 74
    again = run(
        "ingest", folder / "log.csv", "--to", folder / "twice", "--tz", "UTC",
        "--map", "customer=user", "--map", "timestamp=ts", "--map", "event=action",
    )  # fmt: skip
    assert "kept" in again.output
    assert "74" in again.output
    assert str(folder / "twice") in again.output


def test_more_rejects_than_allowed_write_nothing_unless_more_are_allowed(tmp_path):
    (tmp_path / "log.csv").write_text("user,ts,action\na,2026-01-01T00:00:00Z,buy\nb,never,buy\n")
    mapping = ["--map", "customer=user", "--map", "timestamp=ts", "--map", "event=action"]
    strict = run("ingest", tmp_path / "log.csv", "--to", tmp_path / "events", *mapping)
    assert strict.exit_code == 2
    assert "Nothing was written" in strict.output
    lenient = run(
        "ingest", tmp_path / "log.csv", "--to", tmp_path / "events", *mapping, "--max-reject-share", 0.5
    )
    assert lenient.exit_code == 0
    assert len(cjm.open_events(tmp_path / "events").rejects()) == 1


def test_ingest_without_a_needed_column_is_one_clear_line(folder, tmp_path):
    result = run("ingest", folder / "log.csv", "--to", tmp_path / "e", "--map", "customer=usr")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "usr" in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_loader_gets_a_hint(folder, tmp_path):
    result = run("ingest", folder / "log.csv", "--to", tmp_path / "e", "--loader", "segmnet")
    assert result.exit_code == 2
    assert "Did you mean 'segment'?" in result.stderr


def test_a_mapping_without_a_column_is_an_error(folder, tmp_path):
    result = run("ingest", folder / "log.csv", "--to", tmp_path / "e", "--map", "customer")
    assert result.exit_code == 2
    assert "NAME=COLUMN" in result.stderr


def test_an_option_that_the_loader_does_not_take_is_an_error(folder, tmp_path):
    result = run("ingest", folder / "log.csv", "--to", tmp_path / "e", "--loader", "segment", "--map", "x=y")
    assert result.exit_code == 2
    assert "segment" in result.stderr
    assert "Traceback" not in result.output


def test_funnel_prints_its_table_and_writes_what_the_ending_says(folder, tmp_path):
    steps = ("product_view", "add_to_cart|checkout", "purchase")
    for name in ("f.html", "f.csv"):
        to = tmp_path / name
        result = run("funnel", folder / "events", *steps, "-m", folder / "journey.toml", "--to", to)
        assert result.exit_code == 0, result.output
        assert "product_view" in result.output
        assert f"Written: {to}" in result.output
    assert pd.read_csv(tmp_path / "f.csv")["reached"].tolist() == [30, 22, 7]
    assert "Plotly" in (tmp_path / "f.html").read_text(encoding="utf-8")


def test_a_funnel_needs_no_model(folder):
    result = run("funnel", folder / "events", "product_view", "purchase", "--unit", "customer")
    assert result.exit_code == 0
    assert "23.3 %" in result.output


def test_a_misspelt_step_gets_a_hint_and_no_traceback(folder):
    result = run("funnel", folder / "events", "product_view", "purchse")
    assert result.exit_code == 2
    assert "Did you mean 'purchase'?" in result.stderr
    assert result.stdout == ""


def test_a_window_without_a_unit_is_an_error(folder):
    result = run("funnel", folder / "events", "product_view", "purchase", "--within", "14")
    assert result.exit_code == 2
    assert "'14 days'" in result.stderr


def test_an_ending_that_means_nothing_is_an_error(folder, tmp_path):
    result = run("funnel", folder / "events", "product_view", "purchase", "--to", tmp_path / "f.docx")
    assert result.exit_code == 2
    assert ".docx" in result.stderr


def test_paths_prints_as_many_as_asked_for(folder):
    result = run("paths", folder / "events", "--top", 2)
    assert result.exit_code == 0
    assert len(result.output.strip().splitlines()) == 3
    assert "product_view → add_to_cart" in result.output


def test_report_writes_one_file(folder, tmp_path):
    to = tmp_path / "r.html"
    result = run(
        "report", folder / "events", "--model", folder / "journey.toml", "--to", to, "--title", "Ours"
    )
    assert result.exit_code == 0, result.output
    assert f"Report: {to}" in result.output
    assert "<h1>Ours</h1>" in to.read_text(encoding="utf-8")


def test_stored_journeys_are_taken_as_they_are(folder, tmp_path):
    journeys = cjm.sessionize(cjm.open_events(folder / "events"), cjm.JourneyModel.standard())
    journeys.write(tmp_path / "journeys")
    assert run("paths", tmp_path / "journeys").exit_code == 0
    result = run("paths", tmp_path / "journeys", "--model", folder / "journey.toml")
    assert result.exit_code == 2
    assert "leave --model away" in result.stderr


def test_a_folder_without_a_store_is_an_error(tmp_path):
    result = run("paths", tmp_path)
    assert result.exit_code == 2
    assert "no event store" in result.stderr


def test_check_says_what_a_model_holds_and_covers(folder):
    result = run("check", folder / "journey.toml")
    assert result.exit_code == 0
    assert "3 phases, 9 stages" in result.output
    covered = run("check", folder / "journey.toml", folder / "events")
    assert covered.exit_code == 0
    assert "cookie_banner" in covered.output


def test_check_prints_every_fault_of_a_model_with_its_line(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('schema = "cjm/1"\nname = "x"\ntimezon = "UTC"\n\n[[phase]]\nid = "a"\nstagse = ["b"]\n')
    result = run("check", path)
    assert result.exit_code == 2
    assert "timezon" in result.stderr
    assert "stagse" in result.stderr
    assert "Traceback" not in result.output


def test_the_demo_without_samples_says_where_they_are(tmp_path):
    result = run("demo", "--to", tmp_path / "demo", "--samples", tmp_path / "none")
    assert result.exit_code == 2
    assert "come with the project's source" in result.stderr
    assert not (tmp_path / "demo").exists()


def test_the_demo_goes_from_raw_logs_to_the_report(root, tmp_path):
    result = run("demo", "--to", tmp_path / "demo", "--samples", root / "data" / "samples")
    assert result.exit_code == 0, result.output
    for name in ("report.html", "funnel.html"):
        assert (tmp_path / "demo" / name).is_file()
        assert str(tmp_path / "demo" / name) in result.output
    assert "purchase" in result.output
