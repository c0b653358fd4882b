"""Every route of the admin API over a site in memory: methods, bodies, query parameters, status codes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html import escape
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from heliograph import admin
from heliograph.admin.app import make_app
from heliograph.errors import DiskStoreFullError
from heliograph.link.messages import Apply, Export, Import, Rebalance, TransferQuery, WanCopy
from heliograph.locator.cluster import Cluster
from heliograph.locator.site import SiteAdmin
from heliograph.model.results import Result
from tests.locator.fakes import FakeRegistry, FakeServers, join, member, unreachable

SENDER = {"id": "s2", "remote_distributed_system_id": 2}
REGION = {"name": "customer", "type": "PARTITION", "gateway_sender_ids": ["s2"]}


class Http:
    """Calls routes and decodes the `Result` that each one answers."""

    def __init__(self, client: TestClient[Litestar], servers: FakeServers) -> None:
        self.client = client
        self.servers = servers

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Result]:
        response = self.client.request(method, admin.BASE + path, json=body, params=query)
        assert response.headers["content-type"] == "application/json"
        return response.status_code, msgspec.json.decode(response.content, type=Result)

    def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Result:
        status, result = self(method, path, body, **query)
        assert (status, result.status) == (200, "OK"), result
        return result

    def refused(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, str]:
        status, result = self(method, path, body, **query)
        assert result.status == "ERROR"
        return status, "\n".join(result.info)


@pytest.fixture
def http() -> Iterator[Http]:
    registry, servers = FakeRegistry(), FakeServers()
    asyncio.run(join(registry, member("locator", kind="locator"), member("s1", joined_ms=2)))
    with TestClient(make_app(SiteAdmin(Cluster(registry, servers, 1)))) as client:
        yield Http(client, servers)


def test_regions(http: Http) -> None:
    http.ok("POST", "/gateway-senders", SENDER)
    http.ok("POST", "/regions", REGION)
    assert "Skipping" in http.ok("POST", "/regions", REGION, if_not_exists="true").info[0]
    assert http.refused("POST", "/regions", REGION)[0] == 400
    assert http.ok("GET", "/regions").tables[0].rows == [("customer",)]
    assert http.ok("GET", "/regions/customer").data["Name"] == "customer"
    http.ok("PATCH", "/regions/customer", {"gateway_sender_ids": []})
    http.ok("DELETE", "/regions/customer")
    http.ok("DELETE", "/regions/customer", if_exists="true")
    assert http.refused("DELETE", "/regions/customer")[0] == 404
    assert http.refused("GET", "/regions/customer")[0] == 404


def test_rebalance(http: Http) -> None:
    shown = http.ok("POST", "/rebalance", {"include_region": ["customer"], "simulate": True}).tables[0]
    assert shown.title == "Would be rebalanced: customer"
    assert [row[1] for row in shown.rows] == ["10", "1", "20", "2", "3", "4"]
    assert http.ok("POST", "/rebalance", {}).tables[0].title == "Rebalanced: customer"
    assert http.ok("GET", "/rebalance").data == {"Remaining": "0"}
    http.ok("DELETE", "/rebalance")
    asked = [request for _, request in http.servers.requests(Rebalance)]
    assert asked == [Rebalance("simulate", ("customer",)), Rebalance("start"), Rebalance("cancel")]
    assert http.refused("POST", "/rebalance", {"regions": ["customer"]})[0] == 400


def test_metrics_and_redundancy(http: Http) -> None:
    http.ok("POST", "/regions", {"name": "plain"})
    shown = http.ok("GET", "/metrics", categories="cluster,diskstore").tables[0]
    assert list(dict.fromkeys(row[0] for row in shown.rows)) == ["cluster", "diskstore"]
    assert http.ok("GET", "/metrics", region="/plain", member="s1").tables[0].rows[0] == (
        "region",
        "regionEntryCount",
        "0",
    )
    assert http.refused("GET", "/metrics", region="none")[0] == 404
    assert http.refused("GET", "/metrics", categories="jvm")[0] == 400
    assert http.refused("GET", "/metrics", port="1")[0] == 400
    assert http.ok("GET", "/redundancy", include_region="/plain").tables[0].rows[0][:2] == (
        "plain",
        "NO_REDUNDANT_COPIES",
    )
    assert http.refused("GET", "/redundancy", exclude_region="none")[0] == 400


def test_wan_copies(http: Http) -> None:
    http.ok("POST", "/gateway-senders", SENDER)
    http.ok("POST", "/regions", REGION)
    pair = {"region": "/customer", "sender_id": "s2"}
    begun = http.ok("POST", "/wan-copies", {**pair, "max_rate": 5}).data
    assert (begun["Members"], begun["Running"], begun["Copied"], begun["Entries"]) == ("s1", "0", "7", "8")
    [(_, asked)] = http.servers.requests(WanCopy)
    assert asked == WanCopy(begun["Run"], "customer", "s2", [], 5, 1000)
    looked = http.ok("GET", f"/wan-copies/{begun['Run']}", member="s1")
    assert looked.tables[0].rows == [("s1", "OK", "Entries copied: 7")]
    _, gone = http("GET", f"/wan-copies/{begun['Run']}", member="s1,s9")
    assert (gone.status, gone.tables[0].rows[1][:2]) == ("ERROR", ("s9", "ERROR"))
    assert http.refused("GET", "/wan-copies/1")[0] == 400
    http.ok("DELETE", "/wan-copies", **pair)
    http.ok("DELETE", "/wan-copies", region="*", sender_id="*")
    assert http("DELETE", "/wan-copies", region="idle", sender_id="s2")[1].status == "ERROR"
    assert http.refused("DELETE", "/wan-copies", region="*", sender_id="s2")[0] == 400
    for wrong in ({"max_rate": -1}, {"batch_size": 0}, {"rate": 1}):
        assert http.refused("POST", "/wan-copies", {**pair, **wrong})[0] == 400


def test_exports(http: Http) -> None:
    http.ok("POST", "/regions", {"name": "plain", "total_num_buckets": 2})
    begun = http.ok("POST", "/regions/plain/exports", {"member": "S1", "file": "x.gfd"}).data
    assert (begun["Members"], begun["Running"], begun["Exported"], begun["Entries"]) == ("s1", "0", "7", "8")
    [(_, asked)] = http.servers.requests(Export)
    assert asked == Export("export" + begun["Run"], "plain", "x.gfd", [0, 1])
    run = f"/regions/plain/exports/{begun['Run']}"
    assert http.ok("GET", run, member="s1").tables[0].rows == [("s1", "OK", "Entries exported: 7")]
    assert http("GET", run, member="s9")[1].tables[0].rows[0][:2] == ("s9", "ERROR")
    assert http.refused("GET", run)[0] == 400
    http.ok("DELETE", run, member="s1")
    assert http("DELETE", "/regions/idle/exports/1", member="s1")[1].status == "ERROR"
    http.ok("POST", "/regions/plain/exports", {"member": "s1", "dir": "there"})
    [_, (_, asked)] = http.servers.requests(Export)
    assert isinstance(asked, Export)
    assert asked.path == "there/plain.gfd"
    assert http.refused("POST", "/regions/none/exports", {"member": "s1", "dir": "there"})[0] == 404
    assert http.refused("POST", "/regions/plain/exports", {"member": "s9", "dir": "there"})[0] == 400


def test_imports(http: Http) -> None:
    http.ok("POST", "/regions", {"name": "plain"})
    begun = http.ok("POST", "/regions/plain/imports", {"member": "s1", "dir": "d", "invoke_callbacks": True}).data
    assert (begun["Members"], begun["Running"], begun["Imported"], begun["Entries"]) == ("s1", "0", "7", "8")
    [(_, asked)] = http.servers.requests(Import)
    assert asked == Import("import" + begun["Run"], "plain", ["d/plain.gfd"], True)
    run = f"/regions/plain/imports/{begun['Run']}"
    http.ok("GET", run, member="s1")
    http.ok("DELETE", run, member="s1")
    assert [each for _, each in http.servers.requests(TransferQuery)] == [TransferQuery(asked.run, "plain")]
    http.ok("POST", "/regions/plain/imports", {"member": "s1", "dir": "d", "parallel": True})
    [_, (_, asked)] = http.servers.requests(Import)
    assert isinstance(asked, Import)
    assert (asked.paths, asked.callbacks) == (["d/plain-s1.gfd"], False)
    http.servers.broken["s1"] = unreachable("s1")
    status, message = http.refused("POST", "/regions/plain/imports", {"member": "s1", "dir": "d", "parallel": True})
    assert (status, "s1 does not say which files it has" in message) == (503, True)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "one of file and dir"),
        ({"file": "x.gfd", "dir": "d"}, "one of file and dir"),
        ({"file": "x.txt"}, "has to end with .gfd"),
        ({"file": "x.gfd", "parallel": True}, "parallel needs dir"),
        ({"dir": "d" * 2_000}, "too long"),
        ({"dir": "a\nb"}, "can't be shown"),
        ({"file": "~/x.gfd"}, "write the directory out"),
    ],
)
def test_where_data_is_has_to_be_told_right(http: Http, body: dict[str, Any], error: str) -> None:
    http.ok("POST", "/regions", {"name": "plain"})
    for kind in ("exports", "imports"):
        status, message = http.refused("POST", f"/regions/plain/{kind}", {"member": "s1", **body})
        assert status == 400
        assert error in message


@pytest.mark.parametrize("key", ["42", "a/b", "a b", "ü?&#%2F", "..", "/"])
def test_entries_under_any_key(http: Http, key: str) -> None:
    http.ok("POST", "/regions", {"name": "plain"})
    http.ok("PUT", "/regions/plain/entry", {"value": "v"}, key=key)
    found = http.ok("GET", "/regions/plain/entry", key=key).data
    assert (found["Result"], found["Key"], found["Value"]) == ("true", key, "v")
    assert http.ok("PUT", "/regions/plain/entry", {"value": "w"}, key=key, if_not_exists=True).data["Value"] == "v"
    assert http.ok("GET", "/regions/plain/entry/locations", key=key).data["Locations Found"] == "1"
    assert http.ok("DELETE", "/regions/plain/entry", key=key).data["Result"] == "true"
    assert http.ok("GET", "/regions/plain/entry", key=key).data["Result"] == "false"


def test_queries(http: Http) -> None:
    http.ok("POST", "/regions", {"name": "plain", "total_num_buckets": 16})
    bad = http.ok("GET", "/regions/plain/query", q="SELECT * FROM /plain WHERE", limit=5)
    assert bad.data == {
        "Result": "false",
        "Message": "query, column 27: expected a path, a constant, NOT, '(', IS_DEFINED or IS_UNDEFINED, not the end",
    }
    assert http.ok("GET", "/regions/plain/query", q="SELECT * FROM /other").data["Result"] == "false"
    assert http.refused("GET", "/regions/plain/query", q="SELECT * FROM /plain", query="x")[0] == 400
    assert http.refused("GET", "/regions/plain/query", q="SELECT * FROM /plain", limit="x")[0] == 400
    assert http.refused("GET", "/regions/plain/query")[0] == 400


def test_missing_region_of_an_entry(http: Http) -> None:
    assert http.ok("GET", "/regions/none/entry", key="k").data["Result"] == "false"
    assert http.refused("DELETE", "/regions/none/entry", key="k")[0] == 404


def test_gateways(http: Http) -> None:
    http.ok("POST", "/gateway-senders", SENDER)
    http.ok("PATCH", "/gateway-senders/s2", {"batch_size": 10})
    for action in ("start", "stop", "pause", "resume", "load-balance"):
        assert http.ok("POST", f"/gateway-senders/s2/actions/{action}", member="s1").tables[0].rows[0][1] == "OK"
    assert http.ok("GET", "/gateway-senders/s2").tables
    http.ok("DELETE", "/gateway-senders/s2")
    http.ok("DELETE", "/gateway-senders/s2", if_exists="true")
    http.ok("POST", "/gateway-receivers", {"start_port": 1530, "end_port": 1551})
    http.ok("POST", "/gateway-receivers", {"start_port": 1530, "end_port": 1551}, if_not_exists="true", member="s1")
    for action in ("start", "stop"):
        http.ok("POST", f"/gateway-receivers/actions/{action}", member="s1")
    assert http.ok("GET", "/gateway-receivers").tables
    assert http.ok("GET", "/gateways", senders_only="true", member="s1").info
    assert http("DELETE", "/gateway-receivers", member="s1")[0] == 502
    http.ok("DELETE", "/gateway-receivers", if_exists="true")


@pytest.mark.parametrize(
    ("path", "parameter"),
    [("/members/s1/log", "offset"), ("/members/s1/log", "end_ms"), ("/members/s1/log/tail", "lines"),
     ("/conflicts", "limit"), ("/regions/customer/query", "limit")],
)  # fmt: skip
def test_whole_numbers_that_no_message_can_carry_are_refused(http: Http, path: str, parameter: str) -> None:
    for number in (2**63, -(2**63) - 1):
        status, told = http.refused("GET", path, **{parameter: number, **({"q": "x"} if "query" in path else {})})
        assert status == 400
        assert told.startswith(f"{parameter}: ")


def test_parked_events(http: Http) -> None:
    http.ok("POST", "/gateway-senders", SENDER)
    for path in ("/parked-events", "/gateway-senders/s2/parked-events"):
        assert http.ok("GET", path).info == ["No events are parked."]
    assert http.ok("POST", "/gateway-senders/s2/parked-events/redrive", all="true").info == ["No events are parked."]
    assert http.ok("DELETE", "/gateway-senders/s2/parked-events", all="true").info == [
        "0 parked events of s2 were dropped."
    ]
    for method, path in (("POST", "/redrive"), ("DELETE", "")):
        path = f"/gateway-senders/s2/parked-events{path}"
        assert "say which parked events" in http.refused(method, path)[1]
        assert "has no parked event 1a, 2b" in http.refused(method, path, event="1a, 2b")[1]
    assert http.refused("GET", "/gateway-senders/none/parked-events") == (400, "gateway sender 'none' does not exist")


def test_log_levels(http: Http) -> None:
    assert http.ok("POST", "/log-level", {"log_level": "fine"}, member="s1,locator").tables[0].rows == [
        ("locator", "true", "done"),
        ("s1", "true", "done"),
    ]
    assert http.ok("PATCH", "/runtime", {"log_level": "warn"}).tables[0].rows == [("s1", "OK", "done")]
    assert http.ok("PATCH", "/runtime", {"log_level": "warn"}, member="s1").info[0].startswith("Not kept")
    assert http.refused("POST", "/log-level", {"log_level": "fine"})[0] == 400
    assert http.refused("PATCH", "/runtime", {"log_level": "loud"})[0] == 400
    assert http.refused("PATCH", "/runtime", {"log_level": "info"}, member="locator")[0] == 400


def test_logs(http: Http) -> None:
    told = http.ok(
        "GET", "/members/s1/log", offset=3, level="warn", only_level=True, start_ms=1, end_ms=2, wanted=False
    )
    assert told.data == {"Text": "3 30 True 1 2 False", "Offset": "9", "Size": "9", "Wanted": "true"}
    assert http.ok("GET", "/members/locator/log/tail", lines=2).info == ["a", "b"]
    assert http.refused("GET", "/members/s1/log", level="loud")[0] == 400
    assert http.refused("GET", "/members/none/log")[0] == 400


def test_shutdown(http: Http) -> None:
    assert http.ok("GET", "/shutdown", include_locators=True).tables[0].rows == [
        ("s1", "server"),
        ("locator", "locator"),
    ]
    assert http.ok("GET", "/shutdown").tables[0].rows == [("s1", "server")]
    assert http.ok("POST", "/members/s1/shutdown", time_out=10).info == ["s1 was stopped"]
    assert http.refused("POST", "/members/none/shutdown")[0] == 400


def test_settings(http: Http) -> None:
    shown = http.ok("GET", "/members/s1/settings").tables
    assert [(table.title, table.rows) for table in shown] == [("Options", [("name", "s1")])]
    assert len(http.ok("GET", "/members/locator/settings", hide_defaults=False).tables) == 2
    assert http.refused("GET", "/members/none/settings") == (400, "member 'none' does not exist at this site")


def test_members(http: Http) -> None:
    assert http.ok("GET", "/ping").info == ["pong"]
    assert "heliograph" in http.ok("GET", "/version").data
    assert http.ok("GET", "/members").info == ["Member Count : 2"]
    assert http.ok("GET", "/members", group="none").info == ["No Members Found"]
    assert http.ok("GET", "/members/s1").data["Name"] == "s1"
    assert http.refused("GET", "/members/none")[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "reason"),
    [
        ("POST", "/regions", {"name": "r", "typ": "PARTITION"}, {}, "typ"),
        ("POST", "/regions", {"name": "r", "type": "LOCAL"}, {}, "region type 'LOCAL' is not offered"),
        ("POST", "/regions", {"name": "r", "total_num_buckets": "many"}, {}, "total_num_buckets"),
        ("POST", "/regions", {"name": "a b"}, {}, "can't name a region"),
        ("POST", "/regions", {}, {}, "name"),
        ("POST", "/regions", {"name": "r"}, {"if_exists": "true"}, "if_exists is not known"),
        ("POST", "/regions", {"name": "r"}, {"if_not_exists": "perhaps"}, "if_not_exists"),
        ("PATCH", "/regions/r", {"type": "REPLICATE"}, {}, "type"),
        ("PATCH", "/gateway-senders/s2", {}, {}, "needs batch-size"),
        ("PATCH", "/gateway-senders/s2", {"maximum_queue_memory": 5}, {}, "maximum_queue_memory"),
        ("POST", "/gateway-senders", {**SENDER, "remote_distributed_system_id": 1}, {}, "own distributed-system-id"),
        ("POST", "/gateway-senders/s2/actions/fly", None, {}, "fly"),
        ("POST", "/gateway-senders/s2/actions/stop", None, {"member": "s1", "group": "g"}, "exclude each other"),
        ("GET", "/regions/r/entry", None, {}, "key"),
        ("GET", "/ping", None, {"site": "x"}, "site is not known"),
    ],
)
def test_bad_requests_say_what_is_wrong(
    http: Http, method: str, path: str, body: Any, query: dict[str, str], reason: str
) -> None:
    status, message = http.refused(method, path, body, **query)
    assert status == 400
    assert reason in message


def test_no_json_is_refused(http: Http) -> None:
    response = http.client.post(admin.BASE + "/regions", content=b"{", headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert msgspec.json.decode(response.content, type=Result).status == "ERROR"


def test_unknown_route_and_method_are_results_too(http: Http) -> None:
    assert http.refused("GET", "/nothing")[0] == 404
    assert http.refused("PUT", "/regions", {})[0] == 405


def test_when_every_member_fails(http: Http) -> None:
    http.servers.broken["s1"] = unreachable("s1")
    status, result = http("POST", "/regions", {"name": "plain"})
    assert (status, result.status) == (502, "ERROR")
    assert result.tables[0].rows == [("s1", "ERROR", "s1 can't be reached")]
    assert http.refused("DELETE", "/regions/plain")[0] == 404


def test_a_bug_is_an_answer_and_a_log_line(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    http.servers.broken["s1"] = ZeroDivisionError("oops")  # type: ignore[assignment]
    assert http.refused("POST", "/regions", {"name": "plain"}) == (500, "internal error: ZeroDivisionError: oops")
    assert "admin request failed" in caplog.text
    assert http.servers.requests(Apply)


def test_the_openapi_page_and_the_table_of_routes_agree(http: Http) -> None:
    schema = http.client.get("/schema/openapi.json").json()
    served = {
        (method.upper(), path.removeprefix(admin.BASE))
        for path, methods in schema["paths"].items()
        for method in methods
    }
    written = set(re.findall(r"^\| ([A-Z]+) \| (/\S*) \|", admin.__doc__ or "", re.MULTILINE))
    assert served == written


def test_the_openapi_page_shows_every_route_and_loads_nothing(http: Http) -> None:
    response = http.client.get("/schema")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page, schema = response.text, http.client.get("/schema/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert f"<h3>{method.upper()} {path}</h3><p>{escape(operation['description'])}</p>" in page
    for name in schema["components"]["schemas"]:
        assert f'<h3 id="{name}">' in page
    assert re.findall(r"(?:src|href)=[^>]*|<script|<link|@import|url\(|//", page) == ['href="/schema/openapi.json"']
    assert "<td>total_num_buckets</td><td>integer</td><td>default 16</td>" in page
    for renderer in ("redoc", "swagger", "elements", "rapidoc"):
        assert http.client.get(f"/schema/{renderer}").status_code == 404


def test_the_schema_is_served_as_yaml_too(http: Http) -> None:
    response = http.client.get("/schema/openapi.yaml")
    assert response.status_code == 200
    assert "title: heliograph admin API" in response.text


def test_disk_stores(http: Http) -> None:
    http.ok("POST", "/disk-stores", {"name": "wan", "max_disk": 4})
    http.ok("POST", "/regions", {"name": "customer", "disk_store": "wan"})
    http.ok("PATCH", "/disk-stores/DEFAULT", {"max_disk": 9})
    assert http.ok("GET", "/disk-stores").tables[0].rows == [("DEFAULT", "9", "4.0", "0"), ("wan", "4", "4.0", "1")]
    assert http.ok("GET", "/disk-stores/wan").data["Writes"] == "refused"
    assert http.refused("POST", "/disk-stores", {"name": "x", "dir": "/data"})[0] == 400
    assert http.refused("DELETE", "/disk-stores/wan")[0] == 400
    http.ok("DELETE", "/regions/customer")
    http.ok("DELETE", "/disk-stores/wan")
    assert http.refused("GET", "/disk-stores/wan") == (400, "disk store 'wan' does not exist")
    http.ok("DELETE", "/disk-stores/wan", if_exists=True)


def test_a_put_into_a_full_disk_store_is_told_as_what_it_is(http: Http) -> None:
    http.ok("POST", "/regions", {"name": "plain"})
    http.servers.broken["s1"] = DiskStoreFullError("disk store DEFAULT is full")
    refused = http.refused("PUT", "/regions/plain/entry", {"value": "v"}, key="k")
    assert refused == (503, "disk store DEFAULT is full")


def test_the_cluster_configuration(http: Http) -> None:
    want = {"gateway_senders": [SENDER], "regions": [REGION]}
    shown = http.ok("POST", "/cluster-configuration", want, plan=True).tables[0].rows
    assert shown == [("create gateway-sender s2", "planned", ""), ("create region customer", "planned", "")]
    http.ok("POST", "/cluster-configuration", want)
    exported = msgspec.json.decode(http.ok("GET", "/cluster-configuration").data["Configuration"])
    assert [region["name"] for region in exported["regions"]] == ["customer"]
    http.ok("POST", "/cluster-configuration", {}, prune=True)
    assert http.refused("POST", "/cluster-configuration", {"region": []})[0] == 400
    assert http.refused("POST", "/cluster-configuration", {"regions": [REGION]})[0] == 400


def test_the_cluster_configuration_service(http: Http) -> None:
    assert http.ok("GET", "/cluster-configuration/service").tables[0].rows == [("locator", "RUNNING")]
    http.servers.broken["locator"] = unreachable("locator")
    assert http("GET", "/cluster-configuration/service")[1].tables[0].rows == [("locator", "UNDETERMINED")]


def test_conflicts(http: Http) -> None:
    http.ok("POST", "/gateway-conflict-resolver", {"resolver": "shop:Greatest"})
    assert http.refused("POST", "/gateway-conflict-resolver", {"resolver": "shop"})[0] == 400
    http.ok("DELETE", "/gateway-conflict-resolver")
    http.ok("DELETE", "/gateway-conflict-resolver", if_exists=True)
    assert http.ok("GET", "/conflicts", region="r", key="k", limit=3).info == ["No Conflicts Found"]
    assert http.refused("GET", "/conflicts", limit=0)[0] == 400
