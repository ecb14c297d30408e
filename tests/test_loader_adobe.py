"""Adobe's data feed as it is delivered: archives, manifests, lookup files, lists, hits that do not count."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import zipfile
from functools import partial

import pytest

from cjm_analytics import InputError, UnknownNameError, ingest
from cjm_analytics.loaders import adobe_analytics
from cjm_analytics.loaders.csv_files import _Escaped
from test_loader_matrix import read, seen

AT = 1740823200
LOOKUPS = {
    "event.tsv": "1\tPurchase\n2\tProduct View\n12\tCart Addition\n200\tTrial started\n",
    "browser.tsv": "77\tFirefox 126\n",
    "country.tsv": "49\tGermany\n",
}


def hit(number=1, **cells):
    return {
        "hitid_high": "7", "hitid_low": str(number), "post_visid_high": "27", "post_visid_low": "99",
        "hit_time_gmt": str(AT + number), "post_page_event": "0", **cells,
    }  # fmt: skip


def table(hits):
    names = list(dict.fromkeys(name for one in hits for name in one))
    return names, "".join("\t".join(one.get(name, "") for name in names) + "\n" for one in hits)


def tar(files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in files.items():
            content = text.encode("iso-8859-1")
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return made.getvalue()


def feed(folder, *hits, **lookups):
    """A feed of one day, everything unpacked."""
    names, text = table(hits)
    (folder / "column_headers.tsv").write_text("\t".join(names) + "\n")
    for name, content in lookups.items():
        (folder / f"{name}.tsv").write_text(content, encoding="iso-8859-1")
    (folder / "01-suite_2025-03-01.tsv").write_text(text, encoding="iso-8859-1")
    return folder


def deliver(folder, day, hits, lookups=LOOKUPS):
    """A day as Adobe delivers it: packed hits, packed lookup files, then the manifest."""
    names, text = table(hits)
    packed = {
        f"01-suite_{day}.tsv.gz": gzip.compress(text.encode("iso-8859-1")),
        f"suite_{day}-lookup_data.tar.gz": tar({**lookups, "column_headers.tsv": "\t".join(names) + "\n"}),
    }
    said = ["Datafeed-Manifest-Version: 1.0\nLookup-Files: 1\nData-Files: 1\n"]
    for name, content in packed.items():
        (folder / name).write_bytes(content)
        kind = "Lookup-File" if "lookup" in name else "Data-File"
        rows = f"Record-Count: {len(hits)}\n" if kind == "Data-File" else ""
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        said.append(f"{kind}: {name}\nMD5-Digest: {digest}\nFile-Size: {len(content)}\n{rows}")
    (folder / f"suite_{day}.txt").write_text("\n".join(said))


def one(stream):
    (row,) = read(stream).events.to_pylist()
    return row


class TestDelivery:
    def test_each_day_has_the_columns_of_its_own_lookup_files(self, tmp_path):
        deliver(tmp_path, "2025-03-01", [hit(1, post_evar5="gold")])
        deliver(tmp_path, "2025-03-02", [hit(86_400, post_prop1="x", post_evar5="free", post_prop2="y")])
        rows = read(adobe_analytics(tmp_path, names={"post_evar5": "plan"}, keep=["plan"])).events.to_pylist()
        assert [(row["plan"], json.loads(row["properties"])) for row in rows] == [
            ("gold", {"plan": "gold"}),
            ("free", {"plan": "free", "post_prop1": "x", "post_prop2": "y"}),
        ]

    def test_names_of_events_are_those_of_the_last_day(self, tmp_path):
        for day, name in (("2025-03-01", "Trial started"), ("2025-03-02", "Trial begun")):
            hits = [hit(int(day[-1]), post_event_list="200")]
            deliver(tmp_path, day, hits, {"event.tsv": f"200\t{name}\n"})
        assert set(read(adobe_analytics(tmp_path)).events["events"].to_pylist()) == {"Trial begun"}

    @pytest.mark.parametrize("kind", ["zip", "tar.gz"])
    def test_one_archive_a_day_holds_hits_and_lookup_files(self, kind, tmp_path):
        for day, plan in (("2025-03-01", "post_evar5"), ("2025-03-02", "post_evar6")):
            names, text = table([hit(int(day[-1]), **{plan: "gold"}, post_event_list="200")])
            files = {**LOOKUPS, "column_headers.tsv": "\t".join(names) + "\n", "hit_data.tsv": text}
            path = tmp_path / f"suite_{day}.{kind}"
            if kind == "zip":
                with zipfile.ZipFile(path, "w") as archive:
                    for name, content in files.items():
                        archive.writestr(name, content)
            else:
                path.write_bytes(tar(files))
        rows = read(adobe_analytics(tmp_path)).events.to_pylist()
        assert [row["events"] for row in rows] == ["Trial started"] * 2
        assert [list(json.loads(row["properties"])) for row in rows] == [
            ["post_evar5", "post_event_list"],
            ["post_evar6", "post_event_list"],
        ]
        assert rows[0]["src_file"].endswith(f"suite_2025-03-01.{kind}/hit_data.tsv")

    def test_a_pattern_of_hit_files_finds_what_lies_beside(self, tmp_path):
        deliver(tmp_path, "2025-03-01", [hit(1, post_event_list="200")])
        assert one(adobe_analytics(str(tmp_path / "*.tsv.gz")))["events"] == "Trial started"
        assert one(adobe_analytics([tmp_path / "01-suite_2025-03-01.tsv.gz"]))["event"] == "page_view"

    def test_without_names_of_columns_nothing_can_be_read(self, tmp_path):
        (tmp_path / "01-suite_2025-03-01.tsv").write_text("1\t2\n")
        with pytest.raises(InputError, match=r"no column_headers.tsv"):
            adobe_analytics(tmp_path)

    def test_an_hour_later_with_other_names_is_not_taken_for_read(self, tmp_path):
        deliver(tmp_path / "", "2025-03-01", [hit(1, post_event_list="200")])
        store = tmp_path / "store"
        ingest(adobe_analytics(tmp_path), to=store, now="2026-01-01", progress=False)
        before = adobe_analytics(tmp_path).fingerprints()
        deliver(tmp_path, "2025-03-01", [hit(1, post_event_list="200")], {"event.tsv": "200\tOther\n"})
        after = adobe_analytics(tmp_path).fingerprints()
        assert before.keys() == after.keys()
        assert all(before[name] != after[name] for name in before)


class TestManifest:
    def test_a_file_that_changed_on_its_way_is_refused(self, tmp_path):
        deliver(tmp_path, "2025-03-01", [hit(1)])
        assert read(adobe_analytics(tmp_path)).events.num_rows == 1
        (tmp_path / "01-suite_2025-03-01.tsv.gz").write_bytes(gzip.compress(b"cut off"))
        with pytest.raises(InputError, match=r"01-suite_2025-03-01.tsv.gz is not what the manifest .* lists"):
            adobe_analytics(tmp_path)

    def test_a_file_that_did_not_come_is_said(self, tmp_path):
        deliver(tmp_path, "2025-03-01", [hit(1)])
        deliver(tmp_path, "2025-03-02", [hit(2)])
        (tmp_path / "01-suite_2025-03-02.tsv.gz").unlink()
        with pytest.raises(InputError, match=r"lists 01-suite_2025-03-02.tsv.gz, which is not there"):
            adobe_analytics(tmp_path)

    def test_an_unpacked_file_must_have_as_many_rows(self, tmp_path):
        deliver(tmp_path, "2025-03-01", [hit(1, post_prop1="a\\\nb"), hit(2)])
        packed = tmp_path / "01-suite_2025-03-01.tsv.gz"
        text = gzip.decompress(packed.read_bytes())
        packed.unlink()
        plain = tmp_path / "01-suite_2025-03-01.tsv"
        plain.write_bytes(text)
        assert read(adobe_analytics(tmp_path)).events.num_rows == 2
        plain.write_bytes(text[: text.rindex(b"\n", 0, -1) + 1])
        with pytest.raises(InputError, match=r"has 1 row, and the manifest .* lists 2"):
            adobe_analytics(tmp_path)


class TestHits:
    @pytest.mark.parametrize(
        "cells",
        [
            {"exclude_hit": "1"},
            {"hit_source": "5"},
            {"hit_source": "7"},
            {"hit_source": "8"},
            {"hit_source": "9"},
            {"customer_perspective": "1"},
        ],
    )
    def test_what_adobe_does_not_count_is_excluded(self, cells, tmp_path):
        plain = dict.fromkeys(("exclude_hit", "hit_source", "customer_perspective"), "0")
        batch = read(adobe_analytics(feed(tmp_path, hit(1, **plain), hit(2, **{**plain, **cells}))))
        assert (batch.events.num_rows, batch.n_excluded) == (1, 1)

    @pytest.mark.parametrize(
        ("cells", "event"),
        [
            ({}, "page_view"),
            ({"post_event_list": "2,12"}, "Cart Addition"),
            ({"post_event_list": "1,12,200=12.5"}, "Purchase"),
            ({"post_event_list": "1", "duplicate_purchase": "1"}, "page_view"),
            ({"post_event_list": "200"}, "page_view"),
            ({"post_page_event": "100", "post_page_event_var2": "menu: open"}, "menu: open"),
            ({"post_page_event": "100"}, "custom_link"),
            ({"post_page_event": "101"}, "download"),
            ({"post_page_event": "102"}, "exit_link"),
            ({"post_page_event": "80"}, "survey"),
            ({"post_page_event": "50"}, "page_event_50"),
        ],
    )
    def test_what_a_hit_is_called(self, cells, event, tmp_path):
        row = one(adobe_analytics(feed(tmp_path, hit(1, **cells), event=LOOKUPS["event.tsv"])))
        assert row["event"] == event

    def test_lists_of_events_and_products(self, tmp_path):
        products = "Home;Lamp^, tall;2;99.80;200=1|201=3;eVar3=a,;Gift^;card;1;10,Home;free;1;"
        cells = {
            "post_event_list": "1,200=12.5", "post_product_list": products, "post_purchaseid": "1001",
            "post_currency": "EUR",
        }  # fmt: skip
        row = one(adobe_analytics(feed(tmp_path, hit(1, **cells), event=LOOKUPS["event.tsv"])))
        assert (row["events"], row["products"]) == ("Purchase, Trial started", "Lamp, tall, Gift;card, free")
        assert (row["order_id"], float(row["value"]), row["currency"]) == ("1001", 109.8, "EUR")
        assert json.loads(row["properties"])["post_event_list"] == "1,200=12.5"  # with what was counted

    def test_prices_of_what_is_only_looked_at_are_no_value(self, tmp_path):
        cells = {"post_event_list": "2", "post_product_list": ";Lamp;1;49.90"}
        row = one(adobe_analytics(feed(tmp_path, hit(1, **cells))))
        assert row.get("value") is None
        assert row["products"] == "Lamp"

    def test_a_purchase_that_came_twice_has_no_order(self, tmp_path):
        cells = {
            "post_event_list": "1", "post_product_list": ";Lamp;1;49.90", "post_purchaseid": "1001",
        }  # fmt: skip
        rows = [hit(1, **cells, duplicate_purchase="0"), hit(2, **cells, duplicate_purchase="1")]
        found = seen(read(adobe_analytics(feed(tmp_path, *rows))), "event", "order_id", "value")
        assert found == [
            {"event": "Purchase", "order_id": "1001", "value": "49.9000"},
            {"event": "page_view", "order_id": None, "value": None},
        ]

    def test_who_it_was(self, tmp_path):
        rows = [
            hit(1, mcvisid="123"),
            hit(2, mcvisid="123", post_visid_high="0", post_visid_low="0"),
            hit(3, mcvisid="123", post_visid_high="", post_visid_low=""),
            hit(4, post_visid_high="0", post_visid_low="7"),
            hit(5, post_visid_high="0", post_visid_low="0"),
        ]
        batch = read(adobe_analytics(feed(tmp_path, *rows)))
        assert batch.events["anonymous_id"].to_pylist() == ["27:99", "123", "123", "0:7"]
        assert batch.n_nameless == 1
        assert batch.links.select(["alias", "user_id", "kind"]).to_pylist() == [
            {"alias": "27:99", "user_id": "123", "kind": "alias"}
        ]

    def test_both_ids_of_a_device_are_one_customers(self, tmp_path):
        rows = [
            hit(1, mcvisid="123"),
            hit(2, mcvisid="123", post_visid_high="0", post_visid_low="0", post_cust_visid="ann"),
            hit(3, post_visid_high="5", post_visid_low="6"),
        ]
        events = ingest(adobe_analytics(feed(tmp_path, *rows)), now="2026-01-01", progress=False)
        frame = events.to_frame(["anonymous_id", "customer_id"])
        assert dict(frame.to_numpy().tolist()) == {"27:99": "ann", "123": "ann", "5:6": "anonymous:5:6"}

    def test_time_user_and_session(self, tmp_path):
        about = {
            "visit_num": "3", "visit_start_time_gmt": str(AT), "visit_page_num": "2", "ref_type": "7",
            "post_campaign": "spring", "post_cust_visid": "u1", "post_evar9": "u2",
        }  # fmt: skip
        path = feed(
            tmp_path,
            hit(1, **about, post_cust_hit_time_gmt="0"),
            hit(2, **about, post_cust_hit_time_gmt=str(AT + 60)),
        )
        columns = ("timestamp", "user_id", "session_id", "utm_medium", "utm_campaign", "seq")
        rows = seen(read(adobe_analytics(path)), *columns)
        assert [row["timestamp"] for row in rows] == ["2025-03-01T10:00:01", "2025-03-01T10:01:00"]
        assert {tuple(row.values())[1:] for row in rows} == {("u1", f"27:99:3:{AT}", "email", "spring", "2")}
        other = read(adobe_analytics(path, user_id="post_evar9", names={"post_evar9": "login"}))
        assert set(other.events["user_id"].to_pylist()) == {"u2"}
        assert {one["user_id"] for one in seen(read(adobe_analytics(path, user_id=None)), "user_id")} == {
            None
        }

    def test_a_feed_without_post_columns(self, tmp_path):
        row = {
            "hitid_high": "7", "hitid_low": "1", "visid_high": "27", "visid_low": "99", "page_event": "0",
            "hit_time_gmt": str(AT), "event_list": "1", "product_list": ";Lamp;1;5", "purchaseid": "9",
            "page_url": "https://shop.example/thanks", "campaign": "spring", "cust_visid": "u1",
        }  # fmt: skip
        found = one(adobe_analytics(feed(tmp_path, row), user_id="cust_visid"))
        names = ("anonymous_id", "user_id", "event", "order_id", "path", "utm_campaign")
        assert [found[name] for name in names] == ["27:99", "u1", "Purchase", "9", "/thanks", "spring"]
        assert float(found["value"]) == 5

    def test_numbers_of_browsers_and_countries_are_named(self, tmp_path):
        path = feed(tmp_path, hit(1, browser="77", country="49"), hit(2, browser="78", country=""),
                    browser=LOOKUPS["browser.tsv"], country=LOOKUPS["country.tsv"])  # fmt: skip
        rows = read(adobe_analytics(path, keep=["browser"])).events.to_pylist()
        assert [row["browser"] for row in rows] == ["Firefox 126", "78"]
        assert json.loads(rows[0]["properties"]) == {"browser": "Firefox 126", "country": "Germany"}

    def test_texts_are_latin_1_with_signs_behind_a_backslash(self, tmp_path):
        path = feed(tmp_path, hit(1, post_prop1="a\\\tb\\\nc\\\\d", post_prop2="süß"), hit(2, post_prop1="x"),
                    event="200\tAngebot\x85gesehen\n")  # fmt: skip
        rows = read(adobe_analytics(path)).events.to_pylist()
        assert json.loads(rows[0]["properties"]) == {"post_prop1": "a\tb\nc\\d", "post_prop2": "süß"}
        assert json.loads(rows[1]["properties"]) == {"post_prop1": "x"}

    def test_a_feed_in_utf_8_is_said_to_be(self, tmp_path):
        names, text = table([hit(1, post_prop1="süß")])
        (tmp_path / "column_headers.tsv").write_text("\t".join(names))
        (tmp_path / "01-suite_2025-03-01.tsv").write_text(text, encoding="utf-8")
        row = one(adobe_analytics(tmp_path, encoding="utf-8"))
        assert json.loads(row["properties"])["post_prop1"] == "süß"

    def test_a_column_that_is_not_there_is_said(self, tmp_path):
        path = feed(tmp_path, hit(1, post_evar5="gold"))
        with pytest.raises(UnknownNameError, match="Did you mean 'post_evar5'"):
            adobe_analytics(path, names={"post_evar55": "plan"})
        with pytest.raises(UnknownNameError, match="Did you mean 'post_evar5'"):
            adobe_analytics(path, user_id="post_evar6")


class TestEscapes:
    @pytest.mark.parametrize("seed", range(30))
    def test_wherever_the_stream_is_cut_the_text_is_the_same(self, seed):
        rng = random.Random(seed)
        text = "".join(rng.choices("\\\t\n\rnta", k=60)).encode()
        cut = {}
        for size in (1, 2, 3, 7, 100):
            stream = _Escaped(io.BytesIO(text))
            cut[size] = b"".join(iter(partial(stream.read, size), b""))
        assert set(cut.values()) == {cut[100]}
