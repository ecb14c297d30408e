"""The event store on a real S3 server on loopback, and on file systems of fsspec."""

from __future__ import annotations

import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import InputError, StoreError
from cjm_analytics.events.far import folder_at
from cjm_analytics.events.ingest import ingest
from cjm_analytics.far_path import FarPath
from eventlogs import NOW, Rows, click


@pytest.fixture(scope="module")
def server():
    """Where an S3 server listens."""
    moto = pytest.importorskip("moto.server", reason="no S3 server: moto[server] is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield f"127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """An empty bucket on the server, as URLs know it."""
    boto3 = pytest.importorskip("boto3")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{server}",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="logs")
    yield "s3://logs"
    for one in client.list_objects_v2(Bucket="logs").get("Contents", []):
        client.delete_object(Bucket="logs", Key=one["Key"])
    client.delete_bucket(Bucket="logs")


def days(n_days):
    return [
        [click(f"u{one % 17}", day * 1440 + one, str(one % 5)) for one in range(90)] for day in range(n_days)
    ]


def test_a_far_store_is_the_store_on_disk(bucket, tmp_path):
    for day in days(3):
        far = ingest(Rows(day), to=f"{bucket}/store", now=NOW, n_partitions=2)
        near = ingest(Rows(day), to=tmp_path, now=NOW, n_partitions=2)
    assert str(far.path) == "s3://logs/store"
    for events in (far, cjm.open_events(f"{bucket}/store"), far.compact(n_partitions=2)):
        pd.testing.assert_frame_equal(events.to_frame(), near.to_frame())
        pd.testing.assert_frame_equal(events.report().to_frame(), near.report().to_frame())


def test_loaders_read_far_files(bucket, tmp_path):
    place = folder_at(f"{bucket}/raw").path
    for day in (1, 2):
        with place.system.open_output_stream(f"{place.inside}/day{day}.csv") as file:
            file.write(f"who,when,what\na,2026-03-0{day} 10:00,view\n".encode())
    log = cjm.loaders.table(f"{bucket}/raw/*.csv", customer="who", timestamp="when", event="what", tz="UTC")
    frame = ingest(log, to=tmp_path, now=NOW).to_frame(["customer_id", "src_file"])
    assert frame.to_numpy().tolist() == [["a", f"s3://logs/raw/day{day}.csv"] for day in (1, 2)]


def test_a_far_store_in_use_says_by_whom_and_how_to_go_on(bucket):
    class Slow(Rows):
        def batches(self):
            with pytest.raises(StoreError, match=r"in use: process .* delete s3://logs/store/\.lock"):
                ingest(Rows([click("b", 0)]), to=f"{bucket}/store", now=NOW)
            return super().batches()

    events = ingest(Slow([click("a", 0)]), to=f"{bucket}/store", now=NOW)
    assert events.to_frame()["customer_id"].tolist() == ["a"]
    assert len(ingest(Rows([click("b", 0)]), to=f"{bucket}/store", now=NOW)) == 2


def test_a_commit_that_another_one_overtook_is_refused(bucket):
    ingest(Rows([click("a", 0)]), to=f"{bucket}/store", now=NOW)

    class Overtaken(Rows):
        def batches(self):
            lock = folder_at(f"{bucket}/store/.lock").path
            lock.system.delete_file(lock.inside)
            ingest(Rows([click("b", 0)]), to=f"{bucket}/store", now=NOW)
            return super().batches()

    with pytest.raises(StoreError, match="at the same time"):
        ingest(Overtaken([click("c", 0)]), to=f"{bucket}/store", now=NOW)
    assert cjm.open_events(f"{bucket}/store").to_frame()["customer_id"].tolist() == ["a", "b"]


def test_a_far_place_with_something_else_is_refused(bucket):
    place = folder_at(f"{bucket}/thesis.txt").path
    with place.system.open_output_stream(place.inside) as file:
        file.write(b"irreplaceable")
    with pytest.raises(StoreError, match=r"holds something else \('thesis.txt'\)"):
        ingest(Rows([click("a", 0)]), to=bucket, now=NOW)


def test_a_missing_far_file_is_named(bucket):
    events = ingest(Rows([click("a", 0)]), to=f"{bucket}/store", now=NOW)
    path = events.partitions[0].columns.held.path
    assert isinstance(path, FarPath)
    path.system.delete_file(path.inside)
    with pytest.raises(StoreError, match=rf"{path.name} is missing"):
        cjm.open_events(f"{bucket}/store")


def test_file_systems_of_fsspec_hold_a_store():
    pytest.importorskip("fsspec")
    ingest(Rows([click("a", 0)]), to="memory://there/store", now=NOW)
    events = ingest(Rows([click("b", 0)]), to="memory://there/store", now=NOW)
    assert events.compact().to_frame()["customer_id"].tolist() == ["a", "b"]


def test_a_url_of_the_local_disk_is_a_folder(tmp_path):
    ingest(Rows([click("a", 0)]), to=f"file://{tmp_path}/store", now=NOW)
    assert len(cjm.open_events(tmp_path / "store")) == 1


def test_a_url_that_nobody_knows_is_refused():
    with pytest.raises(InputError, match="No file system for nowhere://"):
        cjm.open_events("nowhere://store")
