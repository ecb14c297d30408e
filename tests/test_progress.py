"""Progress bars: where somebody is looking, with the time left; silence elsewhere."""

import gzip
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from types import SimpleNamespace

import nbformat
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient

import cjm_analytics as cjm
from cjm_analytics.progress import expect, progress_bar

N = 100_000
SLOW = """
    import sys, tempfile, time
    import pyarrow as pa
    import cjm_analytics as cjm
    from cjm_analytics.schema import Batch

    class Slow:
        name, dedupe, keep = "slow", (), ()
        n_read = 0

        def batches(self):
            who = [f"u{row}" for row in range(1_000)]
            for day in range(1, 5):
                self.n_read = day
                time.sleep(0.15)
                when = pa.array([day * 86_400 * 10**6] * 1_000, pa.timestamp("us", "UTC"))
                yield Batch(pa.table({"user_id": who, "timestamp": when, "event": ["visit"] * 1_000}), 1_000)

        def bytes_read(self):
            return self.n_read, 4

    with tempfile.TemporaryDirectory() as folder:
        events = cjm.ingest(Slow(), to=folder + "/events", min_date="1970-01-01", **OPTIONS)
    print(len(events), "events")
"""


def script(**options):
    return textwrap.dedent(SLOW).replace("OPTIONS", repr(options))


def in_terminal(code):
    """What a terminal of 100 columns shows of a program."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    program = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 65_536):
            shown += block
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert program.wait() == 0, shown.decode()
    return shown.decode()


@pytest.fixture(scope="module")
def log():
    return pyarrow.table(
        {"who": [f"u{row % 977}" for row in range(N)], "when": ["2026-01-05"] * N, "what": ["visit"] * N}
    )


def test_a_terminal_shows_rows_a_second_and_the_time_left():
    shown = in_terminal(script())
    assert re.search(r"Reading:  50%.* 2\.00k/4\.00k \[00:0\d<00:0\d, .*rows/s\]", shown), shown
    assert "Sorting: " in shown
    assert shown.endswith("4000 events\r\n"), "bars are wiped out when they are done"


def test_a_terminal_shows_nothing_if_told_so():
    assert in_terminal(script(progress=False)) == "4000 events\r\n"


def test_what_is_redirected_holds_no_bar():
    done = subprocess.run([sys.executable, "-c", script()], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("4000 events\n", "")


def test_what_is_redirected_holds_a_bar_if_told_so():
    done = subprocess.run(
        [sys.executable, "-c", script(progress=True)], capture_output=True, text=True, check=True
    )
    assert "Reading:  50%" in done.stderr


class Watched(NotebookClient):
    """A notebook whose reader sees every text as it comes: what is overwritten later, too."""

    def process_message(self, message, cell, cell_index):
        if message["msg_type"] == "stream":
            name, text = message["content"]["name"], message["content"]["text"]
            self.resources["seen"][name] = self.resources["seen"].get(name, "") + text
        return super().process_message(message, cell, cell_index)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's messaging library
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("options", [{}, {"progress": False}])
def test_a_notebook_shows_a_bar_unless_told_otherwise(options):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(script(**options))])
    client = Watched(notebook, timeout=120, kernel_name="python3", resources={"seen": {}})
    client.execute()
    seen = client.resources["seen"]
    assert seen["stdout"] == "4000 events\n"
    assert ("Reading:  50%" in seen.get("stderr", "")) == (options == {}), seen


def test_a_widget_is_told_how_far_it_has_to_go():
    drawn = SimpleNamespace(max=1, bar_style="info")
    with progress_bar("Reading", unit="rows", show=False) as bar:
        bar.container = SimpleNamespace(children=(None, drawn, None))
        expect(bar, 4)
        assert (bar.total, drawn.max, drawn.bar_style) == (4, 4, "")
        expect(bar, None)
        assert (bar.total, drawn.max) == (None, 4)


def write(kind, table, folder):
    path = folder / f"log.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
        return path
    if kind == "jsonl":
        path.write_text("".join(f"{row}\n".replace("'", '"') for row in table.to_pylist()))
        return path
    plain = folder / "log.csv"
    pyarrow.csv.write_csv(table, plain)
    if kind == "csv.gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(plain, "log.csv")
        plain.unlink()
    return path


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "jsonl"])
def test_a_source_knows_how_much_of_its_files_was_read(tmp_path, log, kind):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        size = write(kind, log, folder).stat().st_size
    source = cjm.loaders.table(str(tmp_path), customer="who", timestamp="when", event="what", tz="UTC")
    batches = source.batches()
    assert source.bytes_read() == (0, 2 * size), "what was read to learn the columns does not count"
    next(batches)
    assert 0 < source.bytes_read()[0] < 2 * size
    list(batches)
    assert source.bytes_read() == (2 * size, 2 * size)


def test_nobody_knows_how_much_of_an_archive_was_read(tmp_path, log):
    path = write("zip", log, tmp_path)
    source = cjm.loaders.table(str(path), customer="who", timestamp="when", event="what", tz="UTC")
    assert sum(batch.n_read for batch in source.batches()) == N
    assert source.bytes_read() == (0, 0)
