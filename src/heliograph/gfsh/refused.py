"""Commands that GemFire's gfsh has and that mean nothing here, each with the reason and what to do instead.

They are known to the program, so that whoever types one is told more than that it does not exist. Neither completion
nor `hint` nor the list of commands shows them; `help <command>` says the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from heliograph.errors import UsageError
from heliograph.gfsh.grammar import Helping

_ENGINE_HAS_DATA = (
    "data are in the site's engine, not in files of each member: `list members` and `status cluster-config-service` "
    "show which locators, and so which copies of the data, are away"
)
_NO_OPLOGS = "a disk store is a log in the site's engine, which is cut below what is still needed all by itself"
_OFFLINE = (
    "a disk store is a log in the site's engine, which checks it whenever it starts, and says so in engine/ of its "
    "locator's directory: start the locator, and look with `describe disk-store`"
)
_BACKUP = (
    "stop the site and copy the engine/ directory of each locator, or use `export data` while it runs; three locators "
    "keep three copies anyway"
)
_PLUGINS = (
    "plug-ins are modules that every server can import (docs/plugins.md): install them where the servers run, and name "
    "them, module:object, in the command that uses them"
)
_NO_JMX = "there is no JMX: operators use this program, or the admin API of a locator (its page is /schema)"
_NO_JAVA_TOOL = f"it is a tool for Java, and no process here is one; {_NO_JMX}"
_NO_ARCHIVES = "there are no statistics archives: `show metrics`, `status` and `describe` commands show counters"
_NO_PDX = "values are what msgpack carries, and have no types that the site would have to know"
_NO_INDEX = "queries have no indexes: they look at every entry of the region"
_NO_FUNCTIONS = (
    "no code of yours runs in a server's writes and reads: use a program with a member inside (heliograph.Cache), "
    "listeners, or an async event queue"
)
_NO_SQL = "there are no data sources: write to a database from an async event queue, whose listener may do anything"
_NO_LUCENE = "there is no full-text search: feed a search engine from an async event queue"
_NO_CQ = "there are no continuous queries: programs listen to a region (docs/python.md)"
_NO_CLIENTS = "a client holds nothing at a server but a link; the server's log tells of links at --log-level=fine"
_STACKS = "ask the process from outside: py-spy dump --pid=<pid>, with the pid that `describe member` shows"

_REASONS: dict[str, tuple[str, ...]] = {
    _ENGINE_HAS_DATA: ("show missing-disk-stores", "revoke missing-disk-store"),
    _NO_OPLOGS: ("compact disk-store", "compact offline-disk-store"),
    _BACKUP: ("backup disk-store",),
    _OFFLINE: ("validate offline-disk-store", "describe offline-disk-store"),
    "start the site, and use `export data` while it runs": ("export offline-disk-store",),
    "the engine sees to its own files, and a site has no others": ("upgrade offline-disk-store",),
    _PLUGINS: ("deploy", "undeploy", "list deployed"),
    "every locator serves the admin API as soon as it is started": ("start manager", "stop manager"),
    _NO_JAVA_TOOL: ("start jconsole", "stop jconsole", "start jvisualvm", "stop jvisualvm"),
    _NO_ARCHIVES: ("start vsd", "stop vsd"),
    _NO_JMX: ("start pulse", "stop pulse"),
    _NO_PDX: ("configure pdx", "pdx rename", "pdx delete-field"),
    "memory is freed as soon as nothing needs it; `stop server` and `start server` begin anew": ("gc",),
    "ask the machine (ss -tnp); `status gateway-sender` and `list gateways` show the links between sites": ("netstat",),
    "there are no locks between members: a bucket has one writer at a time": ("show dead-locks",),
    _STACKS: ("export stack-traces",),
    _NO_INDEX: ("create index", "define index", "create defined indexes", "clear defined indexes",
                "destroy index", "list indexes"),
    _NO_FUNCTIONS: ("execute function", "destroy function", "list functions"),
    _NO_SQL: ("create jndi-binding", "describe jndi-binding", "destroy jndi-binding", "list jndi-binding",
              "create data-source", "describe data-source", "destroy data-source", "list data-source",
              "create jdbc-mapping", "describe jdbc-mapping", "destroy jdbc-mapping", "list jdbc-mappings",
              "register driver", "deregister driver", "list drivers"),
    _NO_LUCENE: ("create lucene index", "describe lucene index", "destroy lucene index", "list lucene indexes",
                 "search lucene"),
    _NO_CQ: ("list durable-cqs", "close durable-cq", "close durable-client", "show subscription-queue-size"),
    _NO_CLIENTS: ("list clients", "describe client"),
    "a query runs no methods of values: nothing has to be allowed": ("alter query-service", "describe query-service"),
    "`describe config` shows what a member was started with, `export cluster-configuration` what the site defines": (
        "export config",
    ),
    "`hash password` makes what a users' file holds (docs/security.md)": ("encrypt password",),
}  # fmt: skip
REFUSED: dict[str, str] = {name: reason for reason, names in _REASONS.items() for name in names}
"""Command -> why it is not offered, and what to do instead."""


class Refused(Helping):
    """A command that is known, and not offered, whatever its options are."""

    def __init__(self, path: str, reason: str) -> None:
        self._words = f"{path} is not offered: {reason}"
        super().__init__(path, hidden=True, callback=self._refuse, help=self._words)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take any options; `--help` is answered."""
        return super().parse_args(ctx, ["--help"] if {"--help", "-h"}.intersection(args) else [])

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002
        """Say why there is no more to say."""
        return self._words

    def _refuse(self, **_: Any) -> None:
        raise UsageError(self._words)


def refused_commands() -> Iterator[Refused]:
    """Make the commands."""
    yield from (Refused(path, reason) for path, reason in REFUSED.items())
