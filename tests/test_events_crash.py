"""The event store when things go wrong: killed writers, a full disk, files that cannot be read, two at once.

`CJM_CRASHES` says at how many instants each kind of write is killed; `make crash-test` takes hundreds.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import StoreError
from cjm_analytics.events.folder import Folder
from cjm_analytics.events.ingest import ingest
from cjm_analytics.events.scatter import _Morsel
from eventlogs import NOW, Rows, click

INSTANTS = int(os.environ.get("CJM_CRASHES", "4"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and forked processes")

FORKS = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
FORKS.set_forkserver_preload(
    ["cjm_analytics.events.ingest", "cjm_analytics.kernels.ordering", "pandas", "eventlogs"]
)


def log(day: int) -> Rows:
    """One day: some customers are new, some devices of former days are claimed now."""
    rows = []
    for one in range(1_500):
        more = {"anonymous_id": f"d{one % 41}"} if one % 5 == 0 else {}
        user = None if one % 10 == 0 else f"u{(one * (day + 1)) % 97}"
        rows.append(click(user, day * 1440 + one % 1400, str(one), **more))
    return Rows(rows, size=500)


def write_first(store):
    return ingest(log(0), to=store, now=NOW, n_partitions=8)


def append(store):
    return ingest(log(1), to=store, now=NOW)


def append_another(store):
    return ingest(Rows([click(f"u{one}", 5_000) for one in range(97)]), to=store, now=NOW)


def write_carts(store):
    return ingest(revised("cart", "2026-03-08"), to=store, now=NOW, n_partitions=8)


def revise(store):
    return ingest(revised("order", "2026-03-09"), to=store, now=NOW)


def revised(event, received_at):
    """Copies of the same events, of which the latest counts."""
    rows = [
        click(f"u{one % 97}", one, event, event_id=str(one), received_at=received_at) for one in range(970)
    ]
    return Rows(rows, dedupe=("event_id",), copies="latest", size=100)


def compact(store):
    return cjm.open_events(store).compact(n_partitions=8)


def in_another_process(connection, work, store):
    ingest(Rows([click("a", 0)]), now=NOW)  # kernels are loaded: the time is that of the work
    connection.send("begun")
    work(store)


def killed(work, store: Path, after: float | None) -> float:
    """Do the work in another process, which is killed so many seconds after it began; how long it took."""
    here, there = FORKS.Pipe()
    process = FORKS.Process(target=in_another_process, args=(there, work, store))
    process.start()
    assert here.recv() == "begun"
    started = time.monotonic()
    process.join(after)
    if process.exitcode is None:
        process.kill()
    process.join()
    taken = time.monotonic() - started
    assert process.exitcode in {0, -signal.SIGKILL}
    return taken


def content(store: Path) -> tuple[pd.DataFrame, int] | None:
    """The rows of a store and the number of its files; None where there is none."""
    try:
        events = cjm.open_events(store)
    except StoreError as error:
        assert "no event store" in str(error)  # noqa: PT017 - any other message is a failure
        return None
    return events.to_frame(), len(Folder(store).manifest().events)


def same(one, other) -> bool:
    if one is None or other is None:
        return one is other
    return one[1] == other[1] and one[0].equals(other[0])


@pytest.mark.parametrize(
    ("before", "work"),
    [
        ((), write_first),
        ((write_first,), append),
        ((write_carts,), revise),
        ((write_first, append_another), compact),
    ],
    ids=["ingest", "append", "revise", "compact"],
)
def test_a_write_that_is_killed_leaves_the_old_store_or_the_new_one(before, work, tmp_path):
    pristine, store, finished = tmp_path / "pristine", tmp_path / "store", tmp_path / "finished"
    for step in before:
        step(pristine)

    def anew(path):
        shutil.rmtree(path, ignore_errors=True)
        if before:
            shutil.copytree(pristine, path)
        return path

    work(anew(finished))
    old, new = content(pristine), content(finished)
    assert not same(old, new)
    whole = killed(work, anew(store), None)
    assert same(content(store), new)
    anew(store)
    rng = np.random.default_rng(7)
    seen_old = 0
    for number in range(INSTANTS):
        instant = whole * (number + rng.random()) / INSTANTS
        killed(work, store, instant)
        found = content(store)
        if same(found, old):
            seen_old += 1  # the next writer finds the leavings of this one
        else:
            assert same(found, new), f"killed after {instant:.4f} s: neither the old store nor the new one"
            anew(store)
    assert seen_old
    listed_before = {file.path for file in Folder(store).manifest().files} if before else set()
    work(store)
    assert same(content(store), new)
    listed = {file.path for file in Folder(store).manifest().files}
    there = {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}
    assert there - {"manifest.json", ".lock"} <= listed | listed_before


@pytest.fixture
def small_disk():
    """A disk with room for a few megabytes."""
    place = Path(tempfile.mkdtemp())
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not done or done.returncode:
        place.rmdir()
        pytest.skip("no small disk: mounting a tmpfs is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)  # noqa: S607 - where mount is, umount is
    place.rmdir()


class TestFullDisk:
    def test_a_disk_that_fills_up_leaves_the_store_whole_and_usable(self, small_disk):
        store = small_disk / "store"
        before = ingest(Rows([click(f"u{one}", one) for one in range(500)]), to=store, now=NOW).to_frame()
        rng = np.random.default_rng(3)
        big = [click(f"u{one}", one, url=rng.bytes(400).hex()) for one in range(9_000)]
        with pytest.raises(StoreError, match="no room left"):
            ingest(Rows(big), to=store, now=NOW)
        pd.testing.assert_frame_equal(cjm.open_events(store).to_frame(), before)
        assert len(ingest(Rows(big[:500]), to=store, now=NOW)) == 1_000

    def test_a_first_ingest_that_does_not_fit_leaves_nothing(self, small_disk):
        rng = np.random.default_rng(3)
        big = [click(f"u{one}", one, url=rng.bytes(400).hex()) for one in range(9_000)]
        with pytest.raises(StoreError, match="no room left"):
            ingest(Rows(big), to=small_disk / "store", now=NOW)
        assert not (small_disk / "store").exists()

    def test_rows_that_wait_on_a_disk_that_fills_up_are_told_of_too(self, small_disk, monkeypatch):
        store = small_disk / "store"
        before = ingest(Rows([click("a", 0)]), to=store, now=NOW).to_frame()
        monkeypatch.setattr("cjm_analytics.events.gather._IN_MEMORY", 1_000)
        for name in ("_MORSEL", "_SPILLED"):
            monkeypatch.setattr(f"cjm_analytics.events.scatter.{name}", 500)
        written = []
        really = _Morsel.written
        monkeypatch.setattr(_Morsel, "written", lambda self, path: written.append(path) or really(self, path))
        rng = np.random.default_rng(3)
        big = [click(f"u{one}", one, url=rng.bytes(400).hex()) for one in range(9_000)]
        with pytest.raises(StoreError, match="no room left"):
            ingest(Rows(big), to=store, now=NOW)
        assert written
        pd.testing.assert_frame_equal(cjm.open_events(store).to_frame(), before)
        assert not list((store / "spill").glob("*"))


class TestUnreadable:
    @pytest.fixture
    def store(self):
        """A store in a place that everybody may enter; whoever may read everything becomes nobody."""
        with tempfile.TemporaryDirectory() as place:
            Path(place).chmod(0o755)
            store = Path(place) / "store"
            ingest(Rows([click("a", 0)]), to=store, now=NOW)
            cjm.set_memory_budget(0)
            root = os.geteuid() == 0
            if root:
                os.seteuid(65_534)
            try:
                yield store
            finally:
                if root:
                    os.seteuid(0)
                cjm.set_memory_budget("512 MB")

    def forbid(self, path):
        mine = os.geteuid()
        os.seteuid(path.stat().st_uid)
        path.chmod(0)
        os.seteuid(mine)

    def test_a_file_that_may_not_be_read_is_named(self, store):
        path = next(store.glob("events/*/*.parquet"))
        events = cjm.open_events(store)
        self.forbid(path)
        with pytest.raises(StoreError, match=rf"{path.name} cannot be read"):
            events.to_frame()

    def test_a_manifest_that_may_not_be_read_is_named(self, store):
        self.forbid(store / "manifest.json")
        with pytest.raises(StoreError, match=r"manifest\.json cannot be read"):
            cjm.open_events(store)


def append_own_rows(store, number):
    for part in range(2):
        while True:
            try:
                ingest(Rows([click(f"u{number}", part)]), to=store, now=NOW)
                break
            except StoreError as error:
                assert "in use" in str(error)  # noqa: PT017 - any other error ends the process
                time.sleep(0.005 * (number + 1))


class TestTogether:
    def test_writers_that_try_again_lose_nothing(self, tmp_path):
        writers = [FORKS.Process(target=append_own_rows, args=(tmp_path / "store", one)) for one in range(3)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(120)
        assert [writer.exitcode for writer in writers] == [0, 0, 0]
        frame = cjm.open_events(tmp_path / "store").to_frame()
        assert frame["customer_id"].tolist() == ["u0"] * 2 + ["u1"] * 2 + ["u2"] * 2

    def test_readers_see_whole_commits_only_while_somebody_writes(self, tmp_path):
        store = tmp_path / "store"
        ingest(Rows([click(f"u{one}", -1) for one in range(20)]), to=store, now=NOW, n_partitions=4)
        writer = FORKS.Process(target=append_days, args=(store, 6))
        writer.start()
        seen = set()
        while writer.exitcode is None:
            events = cjm.open_events(store)
            frame = events.to_frame(["customer_id"])
            assert len(frame) % 20 == 0
            assert len(frame) == len(events)
            seen.add(len(frame))
            writer.join(0.01)
        assert writer.exitcode == 0
        assert len(seen) > 1
        assert len(cjm.open_events(store)) == 140


def append_days(store, n_days):
    for day in range(n_days):
        events = ingest(Rows([click(f"u{one}", day) for one in range(20)]), to=store, now=NOW)
        if day == n_days // 2:
            events.compact()
        time.sleep(0.05)
