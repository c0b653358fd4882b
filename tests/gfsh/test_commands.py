"""What every command asks of the admin API: the table of interfaces.md against the table of routes."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.locator.requests import (
    EntryValue,
    ExportRequest,
    ImportRequest,
    LogLevelChange,
    QueueAlteration,
    RebalanceRequest,
    RegionAlteration,
    SenderAlteration,
    StoreAlteration,
)
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.runtime import RuntimeProperties
from tests.gfsh.support import FakeAdmin, Program

SENDER = "/gateway-senders/ny"
RECEIVERS = "/gateway-receivers"
ON_A_B = "--member=a,b"
EVERY_SENDER_OPTION = (
    "create gateway-sender --id=ny --remote-distributed-system-id=2 --parallel=true --manual-start --batch-size=5"
    " --batch-time-interval=0 --enable-persistence=true --disk-store-name=DEFAULT --maximum-queue-memory=7"
    " --dispatcher-threads=3 --order-policy=PARTITION --enable-batch-conflation=false --alert-threshold=0"
    " --socket-buffer-size=65536 --socket-read-timeout=40000"
)
COMMANDS: list[tuple[str, tuple[Any, ...]]] = [
    (
        "create gateway-conflict-resolver --resolver=shop:Greatest",
        ("POST", "/gateway-conflict-resolver", GatewayConflictResolverAttributes(resolver="shop:Greatest"), {}),
    ),
    ("destroy gateway-conflict-resolver", ("DELETE", "/gateway-conflict-resolver", None, {"if_exists": False})),
    ("list conflicts", ("GET", "/conflicts", None, {"limit": "100"})),
    (
        "list conflicts --region=/r --key=k --limit=3",
        ("GET", "/conflicts", None, {"limit": "3", "region": "r", "key": "k"}),
    ),
    ("list members", ("GET", "/members", None, {})),
    ("list members --group=g", ("GET", "/members", None, {"group": "g"})),
    (
        "rebalance --include-region=a,b --exclude-region=b --simulate=true",
        ("POST", "/rebalance",
         RebalanceRequest(include_region=("a", "b"), exclude_region=("b",), simulate=True), {}),
    ),
    (
        "change loglevel --loglevel=debug --members=s1,s2",
        ("POST", "/log-level", LogLevelChange(log_level="DEBUG"), {"member": "s1,s2"}),
    ),
    (
        "change loglevel --loglevel=FINE --group=g",
        ("POST", "/log-level", LogLevelChange(log_level="FINE"), {"group": "g"}),
    ),
    (
        "alter runtime --log-level=warn --enable-statistics",
        ("PATCH", "/runtime", RuntimeProperties(log_level="warn"), {}),
    ),
    (
        "alter runtime --log-level=warn --member=s1",
        ("PATCH", "/runtime", RuntimeProperties(log_level="warn"), {"member": "s1"}),
    ),
    (
        "describe config --member=s1",
        ("GET", "/members/s1/settings", None, {"hide_defaults": True}),
    ),
    (
        "describe config --member=a/b --hide-defaults=false",
        ("GET", "/members/a%2Fb/settings", None, {"hide_defaults": False}),
    ),
    ("show log --member=s1", ("GET", "/members/s1/log/tail", None, {"lines": "100"})),
    ("show log --member=s1 --lines=5", ("GET", "/members/s1/log/tail", None, {"lines": "5"})),
    ("status cluster-config-service", ("GET", "/cluster-configuration/service", None, {})),
    ("describe member --name=s1", ("GET", "/members/s1", None, {})),
    (
        "create region --name=/customer --type=replicate --gateway-sender-id=a,b",
        ("POST", "/regions",
         RegionAttributes(name="/customer", type="REPLICATE", gateway_sender_ids=("a", "b")), {"if_not_exists": False}),
    ),
    (
        "create region --name=c --redundant-copies=1 --total-num-buckets=8 --if-not-exists",
        ("POST", "/regions",
         RegionAttributes(name="c", redundant_copies=1, total_num_buckets=8), {"if_not_exists": True}),
    ),
    (
        "create region --name=c --colocated-with=p --partition-resolver=string-prefix",
        ("POST", "/regions",
         RegionAttributes(name="c", colocated_with="p", partition_resolver="string-prefix"), {"if_not_exists": False}),
    ),
    (
        "create region --name=c --groups=east,west",
        ("POST", "/regions", RegionAttributes(name="c", groups=("east", "west")), {"if_not_exists": False}),
    ),
    (
        "create region --name=c --disk-store=wan --enable-statistics --off-heap=false --scope=distributed-ack",
        ("POST", "/regions", RegionAttributes(name="c", disk_store="wan"), {"if_not_exists": False}),
    ),
    (
        "create disk-store --name=wan --max-disk=100",
        ("POST", "/disk-stores", DiskStoreAttributes(name="wan", max_disk=100), {}),
    ),
    (
        "alter disk-store --name=DEFAULT --max-disk=0",
        ("PATCH", "/disk-stores/DEFAULT", StoreAlteration(max_disk=0), {}),
    ),
    ("destroy disk-store --name=wan --if-exists", ("DELETE", "/disk-stores/wan", None, {"if_exists": True})),
    ("list disk-stores", ("GET", "/disk-stores", None, {})),
    ("describe disk-store --name=wan", ("GET", "/disk-stores/wan", None, {})),
    (
        "alter region --name=c --gateway-sender-id=a",
        ("PATCH", "/regions/c", RegionAlteration(gateway_sender_ids=("a",)), {}),
    ),
    (
        'alter region --name=c --gateway-sender-id=""',
        ("PATCH", "/regions/c", RegionAlteration(gateway_sender_ids=()), {}),
    ),
    (
        "create region --name=c --entry-time-to-live-expiration=60 --entry-time-to-live-expiration-action=destroy",
        ("POST", "/regions",
         RegionAttributes(
             name="c", entry_time_to_live_expiration=60, entry_time_to_live_expiration_action="destroy"),
         {"if_not_exists": False}),
    ),
    (
        "alter region --name=c --entry-time-to-live-expiration=0 --entry-idle-time-expiration-action=INVALIDATE",
        ("PATCH", "/regions/c",
         RegionAlteration(entry_time_to_live_expiration=0, entry_idle_time_expiration_action="invalidate"), {}),
    ),
    ("destroy region --name=/c --if-exists", ("DELETE", "/regions/c", None, {"if_exists": True})),
    ("list regions", ("GET", "/regions", None, {})),
    ("list regions --group=east", ("GET", "/regions", None, {"group": "east"})),
    ("list regions --members=a,b", ("GET", "/regions", None, {"member": "a,b"})),
    ("describe region --name=c", ("GET", "/regions/c", None, {})),
    ("status redundancy --include-region=/a,b", ("GET", "/redundancy", None, {"include_region": "/a,b"})),
    ("show metrics", ("GET", "/metrics", None, {})),
    (
        "show metrics --member=s1 --region=/c --categories=region,partition",
        ("GET", "/metrics", None, {"member": "s1", "region": "/c", "categories": "region,partition"}),
    ),
    (
        "put --region=/c --key=a/b --value='x y'",
        ("PUT", "/regions/c/entry", EntryValue(value="x y"), {"key": "a/b", "if_not_exists": False}),
    ),
    (
        "put --region=c --key=k --value=\"('name':'Ada','at':('city':'London'),'age':36)\"",
        (
            "PUT",
            "/regions/c/entry",
            EntryValue(value={"name": "Ada", "at": {"city": "London"}, "age": 36}),
            {"key": "k", "if_not_exists": False},
        ),
    ),
    ("get --region=c --key=k", ("GET", "/regions/c/entry", None, {"key": "k"})),
    ("locate entry --region=/c --key=a/b", ("GET", "/regions/c/entry/locations", None, {"key": "a/b"})),
    (
        "locate entry --region=c --key=k --recursive=false --value-class=java.lang.String",
        ("GET", "/regions/c/entry/locations", None, {"key": "k"}),
    ),
    (
        "locate entry --region=c --key=7 --key-class=Long",
        ("GET", "/regions/c/entry/locations", None, {"key": "7", "key_class": "Long"}),
    ),
    (
        "put --region=c --key=7 --key-class=java.lang.Integer --value=1.5 --value-class=Double --skip-if-exists",
        ("PUT", "/regions/c/entry", EntryValue(value=1.5),
         {"key": "7", "key_class": "java.lang.Integer", "if_not_exists": True}),
    ),
    (
        "get --region=c --key=7 --key-class=Integer --load-on-cache-miss=false",
        ("GET", "/regions/c/entry", None, {"key": "7", "key_class": "Integer"}),
    ),
    (
        "remove --region=c --key=7 --key-class=Integer",
        ("DELETE", "/regions/c/entry", None, {"key": "7", "key_class": "Integer"}),
    ),
    (
        "query --query='SELECT * FROM /c' --interactive=false",
        ("GET", "/regions/c/query", None, {"q": "SELECT * FROM /c", "limit": "100"}),
    ),
    (
        """set variable --name=APP_FETCH_SIZE --value=7; query --query="select a from /c where b = 'x' limit 3\"""",
        ("GET", "/regions/c/query", None, {"q": "select a from /c where b = 'x' limit 3", "limit": "7"}),
    ),
    ("remove --region=c --key=k", ("DELETE", "/regions/c/entry", None, {"key": "k"})),
    (
        "export data --region=/c --member=s1 --file=x/y.gfd",
        ("POST", "/regions/c/exports", ExportRequest(member="s1", file="x/y.gfd"), {}),
    ),
    (
        "export data --region=c --member=s1 --dir=d --parallel",
        ("POST", "/regions/c/exports", ExportRequest(member="s1", dir="d", parallel=True), {}),
    ),
    (
        "import data --region=c --member=s1 --file=x.gfd",
        ("POST", "/regions/c/imports", ImportRequest(member="s1", file="x.gfd"), {}),
    ),
    (
        "import data --region=c --member=s1 --dir=d --parallel=true --invoke-callbacks",
        ("POST", "/regions/c/imports", ImportRequest(member="s1", dir="d", parallel=True, invoke_callbacks=True), {}),
    ),
    ("remove --region=/c --all", ("DELETE", "/regions/c/entries", None, {})),
    (
        EVERY_SENDER_OPTION,
        ("POST", "/gateway-senders", GatewaySenderAttributes(
            id="ny", remote_distributed_system_id=2, parallel=True, manual_start=True, batch_size=5,
            batch_time_interval=0, enable_persistence=True, maximum_queue_memory=7, dispatcher_threads=3,
            order_policy="partition", disk_store_name="DEFAULT", socket_buffer_size=65536,
            socket_read_timeout=40000), {}),
    ),
    (
        "create gateway-sender --id=ny --remote-distributed-system-id=2 --dispatcher-threads=2 --order-policy=THREAD",
        ("POST", "/gateway-senders", GatewaySenderAttributes(
            id="ny", remote_distributed_system_id=2, dispatcher_threads=2, order_policy="thread"), {}),
    ),
    (
        ("""create gateway-sender --id=ny --remote-distributed-system-id=2"""
        """ --gateway-event-filter='a:b,c:d{"x": [1, 2]}' --gateway-event-substitution-filter=e:f"""),
        ("POST", "/gateway-senders", GatewaySenderAttributes(
            id="ny", remote_distributed_system_id=2, gateway_event_filters=("a:b", 'c:d{"x": [1, 2]}'),
            gateway_event_substitution_filter="e:f"), {}),
    ),
    (
        "alter gateway-sender --id=ny --gateway-event-filter=CLEAR",
        ("PATCH", SENDER, SenderAlteration(gateway_event_filters=("CLEAR",)), {}),
    ),
    (
        (
            "create async-event-queue --id=q --listener=a:b --listener-param=x#1 --listener-param=y#2,z#3"
            " --parallel=true --persistent --batch-size=7 --batch-time-interval=9 --max-queue-memory=3"
            " --dispatcher-threads=2 --order-policy=PARTITION --gateway-event-filter=c:d,e:f"
            " --pause-event-processing=true"
        ),
        (
            "POST",
            "/async-event-queues",
            AsyncEventQueueAttributes(
                id="q",
                listener='a:b{"x": "1", "y": "2", "z": "3"}',
                parallel=True,
                persistent=True,
                batch_size=7,
                batch_time_interval=9,
                max_queue_memory=3,
                dispatcher_threads=2,
                order_policy="partition",
                gateway_event_filters=("c:d", "e:f"),
                pause_event_processing=True,
            ),
            {},
        ),
    ),
    (
        "alter async-event-queue --id=q --max-queue-memory=5 --if-exists",
        ("PATCH", "/async-event-queues/q", QueueAlteration(max_queue_memory=5), {"if_exists": True}),
    ),
    ("destroy async-event-queue --id=q", ("DELETE", "/async-event-queues/q", None, {"if_exists": False})),
    ("list async-event-queues", ("GET", "/async-event-queues", None, {})),
    ("status async-event-queue --id=q --member=s1", ("GET", "/async-event-queues/q", None, {"member": "s1"})),
    (
        "pause async-event-queue-dispatcher --id=q",
        ("POST", "/async-event-queues/q/actions/pause", None, {}),
    ),
    (
        "resume async-event-queue-dispatcher --id=q --group=g",
        ("POST", "/async-event-queues/q/actions/resume", None, {"group": "g"}),
    ),
    (
        "create region --name=c --async-event-queue-id=a,b",
        ("POST", "/regions", RegionAttributes(name="c", async_event_queue_ids=("a", "b")), {"if_not_exists": False}),
    ),
    (
        'alter region --name=c --async-event-queue-id=""',
        ("PATCH", "/regions/c", RegionAlteration(async_event_queue_ids=()), {}),
    ),
    ("alter gateway-sender --id=ny --batch-size=9", ("PATCH", SENDER, SenderAlteration(batch_size=9), {})),
    ("destroy gateway-sender --id=ny", ("DELETE", SENDER, None, {"if_exists": False})),
    (
        f"start gateway-sender --id=ny {ON_A_B}",
        ("POST", f"{SENDER}/actions/start", None, {"member": "a,b", "clean_queues": False}),
    ),
    (
        "start gateway-sender --id=ny --clean-queues",
        ("POST", f"{SENDER}/actions/start", None, {"clean_queues": True}),
    ),
    ("status gateway-sender --id=ny", ("GET", SENDER, None, {})),
    ("list parked-events", ("GET", "/parked-events", None, {})),
    ("list parked-events --id=ny", ("GET", f"{SENDER}/parked-events", None, {})),
    (
        "redrive parked-events --id=ny --event=1a,2b",
        ("POST", f"{SENDER}/parked-events/redrive", None, {"event": "1a,2b"}),
    ),
    ("redrive parked-events --id=ny --all", ("POST", f"{SENDER}/parked-events/redrive", None, {"all": True})),
    ("drop parked-events --id=ny --all=true", ("DELETE", f"{SENDER}/parked-events", None, {"all": True})),
    ("drop parked-events --id=ny --events=1a", ("DELETE", f"{SENDER}/parked-events", None, {"event": "1a"})),
    *[
        (f"{action} gateway-sender --id=ny {ON_A_B}", ("POST", f"{SENDER}/actions/{action}", None, {"member": "a,b"}))
        for action in ("stop", "pause", "resume", "load-balance")
    ],
    (
        "create gateway-receiver --start-port=1530 --end-port=1551 --hostname-for-senders=gw --bind-address=10.0.0.1",
        ("POST", RECEIVERS,
         GatewayReceiverAttributes(
             start_port=1530, end_port=1551, hostname_for_senders="gw", bind_address="10.0.0.1"),
         {"if_not_exists": False}),
    ),
    ("destroy gateway-receiver --if-exists", ("DELETE", RECEIVERS, None, {"if_exists": True})),
    ("status gateway-receiver --group=g", ("GET", RECEIVERS, None, {"group": "g"})),
    ("start gateway-receiver", ("POST", f"{RECEIVERS}/actions/start", None, {})),
    ("stop gateway-receiver", ("POST", f"{RECEIVERS}/actions/stop", None, {})),
    ("list gateways", ("GET", "/gateways", None, {"senders_only": False, "receivers_only": False})),
    (
        "list gateways --receivers-only --members=a",
        ("GET", "/gateways", None, {"senders_only": False, "receivers_only": True, "member": "a"}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("line", "asked"), COMMANDS, ids=[line for line, _ in COMMANDS])
def test_a_command_asks_one_thing_of_the_admin_api(
    program: Program, admin: FakeAdmin, line: str, asked: tuple[Any, ...]
) -> None:
    ran = program("-e", "connect --url=http://site", "-e", line)
    assert (ran.status, ran.err) == (0, "")
    assert admin.calls[1:] == [asked]
    assert admin.closed == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("create region --name=c --type=local", "region type 'LOCAL' is not offered"),
        ("create region --name=c --type=REPLICATE --redundant-copies=1", "redundant-copies is for PARTITION"),
        ("create region --type=REPLICATE", "Missing option '--name'"),
        ("change loglevel --loglevel=info", "either --members or --groups"),
        ("change loglevel --loglevel=info --members=a --groups=b", "either --members or --groups"),
        ("change loglevel --loglevel=loud --members=a", "'loud' is not one of 'NONE'"),
        ("change loglevel --members=a", "Missing option '--loglevel'"),
        ("describe config", "Missing option '--member'"),
        ("alter runtime", "needs an option to change: --log-level"),
        ("alter runtime --log-level=info --log-file-size-limit=5", "--log-file-size-limit is not offered"),
        ("alter runtime --enable-statistics=false", "only true"),
        ("create region --name=c --disk-store=a/b", "can't name a disk store"),
        ("create disk-store --name=wan --dir=/data", "--dir is not offered: a disk store is in the site's engine"),
        ("create disk-store --name=wan --max-disk=-1", "max-disk -1: use 1 to 2147483647 MB, or 0 for no limit"),
        ("alter disk-store --name=wan", "Missing option '--max-disk'"),
        (
            "create gateway-sender --id=ny --remote-distributed-system-id=2 --disk-synchronous=false",
            "start the locator with disk-synchronous=true",
        ),
        (
            "create gateway-sender --id=ny --remote-distributed-system-id=2 --dispatcher-threads=3",
            "serial gateway sender needs --order-policy, too",
        ),
        (
            "create gateway-sender --id=ny --remote-distributed-system-id=2 --parallel=true --order-policy=THREAD",
            "is parallel and can't be created with order-policy thread",
        ),
        ("create region --name=c --entry-idle-time-expiration-action=local-destroy", "copies of the region differ"),
        ("create region --name=c --region-idle-time-expiration=9", "is not offered: entries expire one by one"),
        ("create region --name=c --eviction-action=local-destroy", "is not offered: nothing is evicted"),
        (
            "create region --name=c --enable-statistics=false",
            "is not offered (only true): entries expire without it; leave it out",
        ),
        ("alter region --name=c --region-time-to-live-expiration-action=destroy", "entries expire one by one"),
        ("alter region --name=c", "alter region needs an option to change"),
        ("remove --region=c", "remove needs either --key or --all"),
        ("remove --region=c --key=k --all", "remove needs either --key or --all"),
        ("create gateway-receiver --socket-buffer-size=-1", "socket-buffer-size -1: use 1 to 1073741824 bytes"),
        (
            "create gateway-sender --id=ny --remote-distributed-system-id=2 --socket-buffer-size=-1",
            "or 0 to leave it to the system",
        ),
        ("create gateway-receiver --start-port=6000", "start-port 6000 is above end-port 5500"),
        ("create gateway-sender --id=ny", "Missing option '--remote-distributed-system-id'"),
        (
            "create gateway-sender --id=ny --remote-distributed-system-id=2 --parallel --group=g",
            "parallel, so every server ships",
        ),
        ("alter async-event-queue --id=q", "needs batch-size, batch-time-interval, max-queue-memory or pause"),
        ("create async-event-queue --id=q --listener=a:b --listener-param=x", "write name#value"),
        ("query", "Missing option '--query'"),
        ("query --query", "--query is empty"),
        ("query --query='SELECT * FROM /c' --interactive", "is not offered (only false): all rows are shown at once"),
        ("query --query='SELECT * FROM /c' --member=s1", "--member is not offered: every server answers"),
        ("locate entry --region=c --key=k --recursive", "is not offered (only false): regions have no sub-regions"),
        ("get --region=c --key=1 --value-class=x.Y", "a value is shown as what it is; leave it out"),
        ("locate entry --region=c --key=1 --value-class=x.Y", "--value-class is not offered"),
        ("create async-event-queue --id=q --listener=a:b --forward-expiration-destroy=true", "is not offered"),
        ("alter gateway-sender --id=ny", "needs batch-size, batch-time-interval, alert-threshold"),
        ("alter gateway-sender --id=ny --batch-size=1 --group-transaction-events", "there are no transactions"),
        (
            "alter gateway-sender --id=ny --batch-size=1 --member=s1",
            "--member is not offered: a definition is that of all",
        ),
        ("put --region=../x --key=k --value=v", "can't name a region"),
        ("status gateway-sender --id=a/b", "can't name a gateway sender"),
        ("drop parked-events --id=ny", "say which parked events are meant"),
        ("redrive parked-events --id=ny --event=1a --all", "say which parked events are meant"),
        ("start gateway", "No such command 'gateway'"),
        ("connect --locator=a[1] --url=http://b", "Already connected"),
    ],
)
def test_what_is_wrong_is_said_before_the_site_is_asked(
    program: Program, admin: FakeAdmin, line: str, message: str
) -> None:
    ran = program("-e", "connect --url=http://site", "-e", line)
    assert message in ran.out + ran.err
    assert ran.status == (0 if "Already" in message else 1)
    assert {call[:2] for call in admin.calls} == {("GET", "/version")}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("--value=\"('name':Ada)\"", "should be a JSON object, ('field':'value'), and is none"),
        ("--value=x --value-class=java.lang.Integer", "the value x is no whole number"),
        ("--value=x --value-class=com.shop.Order", "value-class com.shop.Order: use one of java.lang.String"),
    ],
)
def test_a_value_that_is_none_of_its_class_is_an_answer(
    program: Program, admin: FakeAdmin, value: str, message: str
) -> None:
    ran = program("-e", "connect --url=http://site", "-e", f"put --region=c --key=k {value}")
    assert (ran.status, "Result  : false" in ran.out, message in ran.out) == (0, True, True)
    assert len(admin.calls) == 1
