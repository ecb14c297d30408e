"""Matomo's visits and the tables of its database: actions, carts and orders, addresses, ids, sites."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cjm_analytics import ingest
from cjm_analytics.errors import InputError
from cjm_analytics.loaders import matomo
from test_loader_matrix import read, seen, text_of

AT = 1743296399
VISITOR = bytes.fromhex("a1b2c3d4e5f60718")


def visit(*actions, **about):
    return {"idSite": 1, "idVisit": 7, "visitorId": VISITOR.hex(), "firstActionTimestamp": AT, **about,
            "actionDetails": list(actions)}  # fmt: skip


def visits(folder, *rows):
    path = folder / "visits.jsonl"
    path.write_text(text_of(list(rows), "visits.jsonl"))
    return path


def database(folder, **tables):
    for name, rows in tables.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return folder


def link(number, **fields):
    return {
        "idlink_va": number, "idsite": 1, "idvisit": 7, "idvisitor": VISITOR,
        "server_time": f"2025-03-30 01:00:{number:02}", "idaction_url": None, "idaction_url_ref": 3,
        "idaction_name": None, **fields,
    }  # fmt: skip


def conversion(goal, second, **fields):
    return {"idvisit": 7, "idsite": 1, "idvisitor": VISITOR, "server_time": f"2025-03-30 01:00:{second:02}",
            "idgoal": goal, "buster": 0, "idorder": None, "revenue": 0.0, **fields}  # fmt: skip


def named(*said):
    return [
        {"idaction": number, "name": name, "type": kind, "url_prefix": prefix}
        for number, name, kind, prefix in said
    ]


VISIT = {"idvisit": 7, "visit_first_action_time": "2025-03-30 00:59:59", "user_id": "u1"}


class TestVisits:
    def test_actions_are_called_by_what_they_are(self, tmp_path):
        kinds = ["action", "search", "download", "outlink", "ecommerceAbandonedCart", "contentImpression"]
        actions = [{"type": kind, "timestamp": AT + at} for at, kind in enumerate(kinds)]
        actions += [
            {"type": "event", "eventAction": "play", "eventValue": 3, "timestamp": AT + 10},
            {"type": "goal", "goalName": "signed up", "revenue": 5, "timestamp": AT + 11},
        ]
        found = seen(read(matomo(visits(tmp_path, visit(*actions)))), "event", "value", "session_id")
        assert [one["event"] for one in found] == [*kinds, "play", "signed up"]
        assert [one["value"] for one in found[-2:]] == ["3.0000", "5.0000"]
        assert {one["session_id"] for one in found} == {"1:7"}

    def test_orders_and_carts_have_their_value_in_the_currency_of_the_site(self, tmp_path):
        items = [{"itemSKU": "l1", "itemName": "Lamp", "quantity": 2}]
        row = visit(
            {"type": "ecommerceAbandonedCart", "revenue": 12, "timestamp": AT, "itemDetails": items},
            {"type": "ecommerceOrder", "orderId": "1001", "revenue": "49.9", "timestamp": AT + 1},
            {"type": "action", "timestamp": AT + 2},
            siteCurrency="EUR",
        )
        batch = read(matomo(visits(tmp_path, row)))
        found = seen(batch, "order_id", "value", "currency")
        assert [tuple(one.values()) for one in found] == [
            (None, "12.0000", "EUR"), ("1001", "49.9000", "EUR"), (None, None, None),
        ]  # fmt: skip
        assert json.loads(batch.events["properties"][0].as_py())["itemDetails"] == items

    def test_an_order_without_a_time_has_that_of_the_action_before(self, tmp_path):
        row = visit({"type": "action", "timestamp": AT + 5}, {"type": "ecommerceOrder", "orderId": "1"})
        found = seen(read(matomo(visits(tmp_path, row))), "event", "timestamp", "time_quality")
        assert [tuple(one.values()) for one in found] == [
            ("action", "2025-03-30T01:00:04", "second"),
            ("ecommerceOrder", "2025-03-30T01:00:04", "inferred"),
        ]

    def test_where_a_visit_came_from_stands_at_its_first_action(self, tmp_path):
        actions = [{"type": "action", "timestamp": AT}, {"type": "action", "timestamp": AT + 1}]
        ways = [
            ({"referrerType": "direct", "referrerName": ""}, (None, None, None, None)),
            ({"referrerType": "search", "referrerName": "Google", "referrerKeyword": "lamp"},
             ("Google", "search", None, "lamp")),
            ({"referrerType": "campaign", "referrerName": "spring"}, (None, "campaign", "spring", None)),
            ({"referrerType": "campaign", "campaignName": "spring", "campaignSource": "news",
              "campaignMedium": "email"}, ("news", "email", "spring", None)),
        ]  # fmt: skip
        marks = ("utm_source", "utm_medium", "utm_campaign", "utm_term")
        for place, (way, wanted) in enumerate(ways):
            (tmp_path / str(place)).mkdir()
            batch = read(matomo(visits(tmp_path / str(place), visit(*actions, **way))))
            first, second = (tuple(one.values()) for one in seen(batch, *marks))
            assert (first, second) == (wanted, (None,) * 4)

    @pytest.mark.parametrize(
        ("kind", "device"),
        [("Smartphone", "mobile"), ("Phablet", "mobile"), ("Desktop", "desktop"), ("Tablet", "tablet")],
    )
    def test_devices_are_called_as_everywhere(self, kind, device, tmp_path):
        row = visit({"type": "action", "timestamp": AT}, deviceType=kind)
        assert read(matomo(visits(tmp_path, row))).events["device"].to_pylist() == [device]

    def test_a_csv_file_in_utf_16_spreads_actions_over_columns(self, tmp_path):
        head = ["idSite", "idVisit", "visitorId", "userId"]
        told = ["1", "7", VISITOR.hex(), "zoë"]
        for place, (kind, url) in enumerate([("action", "https://shop.example/süß"), ("outlink", "")]):
            head += [f"actionDetails_{place}_{name}" for name in ("type", "url", "timestamp")]
            told += [kind, url, str(AT + place)]
        (tmp_path / "Live.csv").write_text(",".join(head) + "\n" + ",".join(told) + "\n", encoding="utf-16")
        found = seen(read(matomo(tmp_path / "Live.csv")), "event", "path", "user_id", "timestamp")
        assert [tuple(one.values()) for one in found] == [
            ("action", "/süß", "zoë", "2025-03-30T00:59:59"),
            ("outlink", None, "zoë", "2025-03-30T01:00:00"),
        ]

    def test_xml_says_the_same_as_json(self, tmp_path):
        def element(name, said):
            if isinstance(said, list):
                inside = "".join(element("row", one) for one in said)
            elif isinstance(said, dict):
                inside = "".join(element(one, value) for one, value in said.items())
            else:
                inside = escape("" if said is None else str(said))
            return f"<{name}>{inside}</{name}>" if inside else f"<{name} />"

        rows = [
            visit(
                {"type": "action", "url": "https://shop.example/süß?a=1&b=2", "timestamp": AT},
                {"type": "ecommerceOrder", "orderId": "1", "revenue": "9.5", "timestamp": AT + 1,
                 "itemDetails": [{"itemSKU": "l1"}, {"itemSKU": "l2"}]},
                userId="zoë", referrerType="campaign", referrerName="spring", deviceType="Smartphone",
            ),
            visit(idVisit=8, userId=None),
            visit({"type": "event", "eventAction": "play", "timestamp": AT + 2}, idVisit=9),
        ]  # fmt: skip
        (tmp_path / "visits.xml").write_text(
            '<?xml version="1.0"?>' + element("result", rows), encoding="utf-8"
        )
        columns = ("event", "path", "user_id", "session_id", "timestamp", "order_id", "value", "utm_campaign",
                   "device", "event_id", "received_at", "src_row")  # fmt: skip
        xml, plain = read(matomo(tmp_path / "visits.xml")), read(matomo(visits(tmp_path, *rows)))
        assert seen(xml, *columns) == seen(plain, *columns)
        assert (xml.n_read, xml.n_excluded) == (plain.n_read, plain.n_excluded)
        assert json.loads(xml.events["properties"][1].as_py())["itemDetails"] == [
            {"itemSKU": "l1"}, {"itemSKU": "l2"},
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("<result><row><idVisit>7</idVi", "damaged or cut off"),
            ('<result><error message="no access" /></result>', "holds no visits but error: no access"),
        ],
    )
    def test_xml_that_is_no_visits_is_told(self, text, said, tmp_path):
        (tmp_path / "visits.xml").write_text(text)
        with pytest.raises(InputError, match=said):
            read(matomo(tmp_path / "visits.xml"))

    def test_one_site_of_several(self, tmp_path):
        rows = [visit({"type": "action", "timestamp": AT}, idSite=site) for site in (1, 2)]
        batch = read(matomo(visits(tmp_path, *rows), site=2))
        assert (seen(batch, "session_id"), batch.n_excluded) == ([{"session_id": "2:7"}], 1)

    def test_an_open_visit_that_is_exported_again_adds_what_is_new(self, tmp_path):
        actions = [{"type": "action", "url": f"https://shop.example/{at}", "timestamp": AT + at}
                   for at in range(3)]  # fmt: skip
        path = visits(tmp_path, visit(*actions[:2]), visit(*actions))
        events = ingest(matomo(path), now="2026-01-01", progress=False)
        assert events.to_frame()["path"].tolist() == ["/0", "/1", "/2"]

    @pytest.mark.parametrize("is_appended", [False, True])
    def test_a_cart_gives_way_to_the_order_that_it_became(self, is_appended, tmp_path):
        def page(at):
            return {"type": "action", "url": f"https://shop.example/{at}", "timestamp": AT + at}

        cart = {"type": "ecommerceAbandonedCart", "revenue": 12, "timestamp": AT + 1}
        order = {"type": "ecommerceOrder", "orderId": "1001", "revenue": 12, "timestamp": AT + 9}
        early = visit(page(0), cart, page(5), lastActionTimestamp=AT + 5)
        late = visit(page(0), page(5), page(8), order, lastActionTimestamp=AT + 9, userId="ann")
        if is_appended:
            for number, one in enumerate((early, late, early)):
                (tmp_path / str(number)).mkdir()
                events = ingest(
                    matomo(visits(tmp_path / str(number), one)),
                    to=tmp_path / "s",
                    now="2026-01-01",
                    progress=False,
                )
        else:
            events = ingest(matomo(visits(tmp_path, late, early)), now="2026-01-01", progress=False)
        frame = events.to_frame(["customer_id", "event", "path", "order_id"]).fillna("")
        assert frame.to_numpy().tolist() == [
            ["ann", "action", "/0", ""], ["ann", "action", "/5", ""], ["ann", "action", "/8", ""],
            ["ann", "ecommerceOrder", "", "1001"],
        ]  # fmt: skip
        assert events.report().to_frame()[["kept", "rejected"]].to_numpy().tolist() == [[4, 0]]


def random_visits(rng, *, as_text):
    """Visits of up to four actions; much of what they may say is missing, empty or nought."""

    def some(**cells):
        return {name: cell for name, cell in cells.items() if rng.random() < 0.6}

    def at(second):
        return str(AT + second) if as_text else AT + second

    made = []
    for number in range(30):
        actions = [
            {"type": str(rng.choice(["action", "event", "goal", "ecommerceOrder", "search", ""])), **some(
                url=f"https://shop.example/{place}?a=ü", timestamp=at(place) if rng.random() < 0.8 else None,
                serverTimestamp=at(place + 50), eventAction=str(rng.choice(["play", ""])),
                goalName="signed up", orderId=f"o{place}", revenue=float(place), icon="x.png",
                itemDetails=[{"itemSKU": "l1", "quantity": 2}, {"itemSKU": "l2"}][: rng.integers(3)],
                pageTitlePretty="!", siteSearchKeyword="", timeSpent=0,
            )}
            for place in range(rng.integers(5))
        ]  # fmt: skip
        about = some(
            idSite=1, userId=str(rng.choice(["ann", "", "zoë"])), firstActionTimestamp=at(-5),
            lastActionTimestamp=at(99), siteCurrency="EUR", referrerName="Google", referrerUrl="https://a.example",
            referrerType=str(rng.choice(["search", "direct", "campaign", ""])), referrerKeyword="lamp",
            campaignName="spring", campaignSource="news", campaignMedium=None, deviceType="Smartphone",
            country="Poland", city="", visitDurationPretty="1 min", visitorTypeIcon=None, actions=3,
            customVariables={"1": {"customVariableName1": "a", "customVariableValue1": None}},
        )  # fmt: skip
        made.append({"idVisit": number, "visitorId": f"{number:016x}", **about, "actionDetails": actions})
    return made


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_visits_read_as_columns_are_those_read_one_by_one(seed, as_text, tmp_path):
    rows = random_visits(np.random.default_rng(seed), as_text=as_text)
    (tmp_path / "visits.json").write_text(json.dumps(rows))
    one_by_one, columns = read(matomo(tmp_path / "visits.json")), read(matomo(visits(tmp_path, *rows)))
    names = [one for one in one_by_one.events.column_names if one not in {"src_file", "properties"}]
    assert set(names) == {*columns.events.column_names} - {"src_file", "properties"}
    assert seen(columns, *names) == seen(one_by_one, *names)
    for mine, theirs in zip(columns.events["properties"], one_by_one.events["properties"], strict=True):
        assert json.loads(mine.as_py() or "{}") == json.loads(theirs.as_py() or "{}")
    assert columns.rejects.select(["src_row", "reason"]) == one_by_one.rejects.select(["src_row", "reason"])
    assert (columns.n_read, columns.n_excluded) == (one_by_one.n_read, one_by_one.n_excluded)
    assert columns.customers.sort_by("user_id") == one_by_one.customers.sort_by("user_id")


class TestDatabase:
    def test_a_cart_gives_way_to_the_order_that_it_became(self, tmp_path):
        def dumped(day, until, *conversions):
            (tmp_path / day).mkdir()
            about = {**VISIT, "visit_last_action_time": f"2025-03-30 01:00:{until:02}"}
            return matomo(database(tmp_path / day, log_conversion=list(conversions), log_visit=[about]))

        first = conversion(0, 5, idorder="1001", buster=77)
        cart, second = conversion(-1, 20), conversion(0, 30, idorder="1002", buster=78)
        days = (
            dumped("1", 3, conversion(-1, 3)),
            dumped("2", 21, cart, first),
            dumped("3", 40, first, second, conversion(-1, 39)),
        )
        found = []
        for day in days:
            events = ingest(day, to=tmp_path / "store", now="2026-01-01", progress=False)
            frame = events.to_frame(["event", "order_id"]).fillna("")
            found.append([tuple(one) for one in frame.to_numpy().tolist()])
        order, abandoned = "ecommerceOrder", ("ecommerceAbandonedCart", "")
        assert found == [
            [abandoned],
            [(order, "1001"), abandoned],
            [(order, "1001"), (order, "1002"), abandoned],
        ]

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_orders_on_both_sides_of_a_cut_through_a_visit_are_two(self, order, tmp_path):
        """Tables that were exported day by day, at midnight, in whatever order they are read."""
        days = []
        for day, one in enumerate((conversion(0, 5, idorder="1001"), conversion(0, 30, idorder="1002"))):
            (tmp_path / str(day)).mkdir()
            until = {**VISIT, "visit_last_action_time": f"2025-03-30 01:00:{10 + 30 * day}"}
            days.append(matomo(database(tmp_path / str(day), log_conversion=[one], log_visit=[until])))
        for day in order:
            events = ingest(days[day], to=tmp_path / "store", now="2026-01-01", progress=False)
        assert events.to_frame()["order_id"].tolist() == ["1001", "1002"]

    def test_a_cart_behind_a_cut_leaves_the_order_before_it_alone(self, tmp_path):
        for day, one in enumerate((conversion(0, 5, idorder="1001"), conversion(-1, 30))):
            (tmp_path / str(day)).mkdir()
            dumped = database(tmp_path / str(day), log_conversion=[one])
            events = ingest(matomo(dumped), to=tmp_path / "store", now="2026-01-01", progress=False)
        assert events.to_frame()["event"].tolist() == ["ecommerceOrder", "ecommerceAbandonedCart"]

    def test_what_databases_write_for_nothing_is_nothing(self, tmp_path):
        """`NULL` and a backslash with N in CSV; whole numbers with a point where a column had gaps."""
        head = "idlink_va,idsite,idvisit,idvisitor,server_time,idaction_url,idaction_url_ref,idaction_name"
        rows = [
            f"1,1,7,{VISITOR.hex()},2025-03-30 01:00:01,3.0,0.0,NULL",
            f"2,1,7,{VISITOR.hex()},2025-03-30 01:00:02,3.0,3.0,\\N",
        ]
        (tmp_path / "log_link_visit_action.csv").write_text("\n".join([head, *rows]))
        (tmp_path / "log_action.csv").write_text(
            "idaction,name,type,url_prefix\n3,shop.example/f.pdf,3.0,2.0\nNULL,NULL,NULL,NULL\n"
        )
        visited = (
            f"idvisit,visit_first_action_time,user_id,referer_type,referer_name\n7,{link(0)['server_time']},"
        )
        (tmp_path / "log_visit.csv").write_text(visited + "NULL,6.0,spring\n")
        found = seen(read(matomo(tmp_path)), "event", "url", "user_id", "utm_campaign", "anonymous_id")
        assert [tuple(one.values()) for one in found] == [
            ("download", "https://shop.example/f.pdf", None, "spring", VISITOR.hex()),
            ("download", "https://shop.example/f.pdf", None, None, VISITOR.hex()),
        ]

    def test_every_kind_of_action(self, tmp_path):
        actions = named(
            (1, "shop.example/lamp", 1, 0), (2, "shop.example", 1, 1), (3, "shop.example/a?b=1", 1, 2),
            (4, "shop.example/x", 1, 3), (5, "other.example", 2, 2), (6, "shop.example/f.pdf", 3, 2),
            (7, "lamp", 8, None), (8, "Lamps", 4, None), (9, "play", 11, None), (10, "video", 10, None),
            (11, "intro", 12, None), (12, "banner", 13, None), (13, "click", 16, None),
            (14, "app://x", 1, None),
        )  # fmt: skip
        links = [
            link(1, idaction_url=1, idaction_name=8),
            link(2, idaction_url=2),
            link(3, idaction_url=3),
            link(4, idaction_url=4),
            link(5, idaction_url=5),
            link(6, idaction_url=6),
            link(7, idaction_name=7),
            link(8, idaction_url=3, idaction_event_action=9, idaction_event_category=10,
                 idaction_event_name=11, custom_float=2.5),
            link(9, idaction_url=3, idaction_content_name=12),
            link(10, idaction_url=3, idaction_content_name=12, idaction_content_interaction=13),
            link(11, idaction_url=14),
        ]  # fmt: skip
        links = [{**dict.fromkeys(links[7]), **dict.fromkeys([*links[8], *links[9]]), **one} for one in links]
        folder = database(tmp_path, log_link_visit_action=links, log_action=actions, log_visit=[VISIT])
        batch = read(matomo(folder))
        columns = ("event", "url", "page_title", "search_keyword", "event_category", "event_name", "value")
        found = [tuple(one.values()) for one in seen(batch, *columns)]
        nothing = (None,) * 5
        assert found == [
            ("action", "http://shop.example/lamp", "Lamps", *nothing[1:]),
            ("action", "http://www.shop.example", *nothing),
            ("action", "https://shop.example/a?b=1", *nothing),
            ("action", "https://www.shop.example/x", *nothing),
            ("outlink", "https://other.example", *nothing),
            ("download", "https://shop.example/f.pdf", *nothing),
            ("search", None, None, "lamp", *nothing[2:]),
            ("play", "https://shop.example/a?b=1", None, None, "video", "intro", "2.5000"),
            ("contentImpression", "https://shop.example/a?b=1", *nothing),
            ("contentInteraction", "https://shop.example/a?b=1", *nothing),
            ("action", "app://x", *nothing),
        ]
        assert set(batch.events["anonymous_id"].to_pylist()) == {VISITOR.hex()}
        assert set(batch.events["user_id"].to_pylist()) == {"u1"}

    @pytest.mark.parametrize("written", [VISITOR, VISITOR.hex(), VISITOR.hex().upper(), f"0x{VISITOR.hex()}"])
    def test_a_visitor_is_the_same_however_the_id_is_written(self, written, tmp_path):
        folder = database(tmp_path, log_link_visit_action=[link(1, idvisitor=written)], log_visit=[VISIT])
        assert read(matomo(folder)).events["anonymous_id"].to_pylist() == [VISITOR.hex()]

    def test_orders_carts_and_goals_of_two_sites(self, tmp_path):
        folder = database(
            tmp_path,
            log_conversion=[
                conversion(0, 1, idorder="1001", revenue=49.9),
                conversion(-1, 2, revenue=12.0),
                conversion(1, 3),
                conversion(1, 4, idsite=2, idvisit=8),
                conversion(2, 5),
            ],
            log_conversion_item=[
                {"idorder": "1001", "idaction_sku": 5, "idvisit": 7, "server_time": "2025-03-30 01:00:01"}
            ],
            goal=[
                {"idsite": 1, "idgoal": 1, "name": "signed up", "match_attribute": "url"},
                {"idsite": 2, "idgoal": 1, "name": "applied", "match_attribute": "url"},
            ],
            site=[{"idsite": 1, "main_url": "https://shop.example", "currency": "EUR"}],
            log_visit=[{**VISIT, "config_device_type": 1}],
        )
        batch = read(matomo(folder))
        found = seen(batch, "event", "order_id", "value", "currency", "device", "session_id")
        assert [tuple(one.values()) for one in found] == [
            ("ecommerceOrder", "1001", "49.9000", "EUR", "mobile", "1:7"),
            ("ecommerceAbandonedCart", None, "12.0000", "EUR", "mobile", "1:7"),
            ("signed up", None, "0.0000", None, "mobile", "1:7"),
            ("applied", None, "0.0000", None, None, "2:8"),
            ("goal", None, "0.0000", None, "mobile", "1:7"),
        ]
        assert len(read(matomo(folder, site=2)).events) == 1

    @pytest.mark.parametrize(
        ("came", "wanted"),
        [
            ({"referer_type": 1}, (None, None, None, None)),
            ({"referer_type": 2, "referer_name": "Google", "referer_keyword": "lamp"},
             ("Google", "search", None, "lamp")),
            ({"referer_type": 3, "referer_name": "blog.example"}, ("blog.example", "website", None, None)),
            ({"referer_type": 6, "referer_name": "spring"}, (None, "campaign", "spring", None)),
            ({"referer_type": 6, "referer_name": "spring", "campaign_name": "Spring",
              "campaign_source": "news", "campaign_medium": "email"}, ("news", "email", "Spring", None)),
            ({"referer_type": 7, "referer_name": "Mastodon"}, ("Mastodon", "social", None, None)),
        ],
    )  # fmt: skip
    def test_where_a_visit_came_from_is_as_the_api_says_it(self, came, wanted, tmp_path):
        links = [link(1, idaction_url_ref=0), link(2)]
        folder = database(tmp_path, log_link_visit_action=links, log_visit=[{**VISIT, **came}])
        marks = ("utm_source", "utm_medium", "utm_campaign", "utm_term")
        first, second = (tuple(one.values()) for one in seen(read(matomo(folder)), *marks))
        assert (first, second) == (wanted, (None,) * 4)
