"""A locator's part in forming the site's engine cluster: it asks the other locators, answers them, and keeps the plan.

What it keeps stands in `engine/cluster.json` (mode 0600: it holds the password), and was stored before anybody is told.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from heliograph.engine.nats.lifetime import hold_port, read_state, write_private
from heliograph.errors import HeliographError, UnavailableError, UsageError
from heliograph.link.messages import ClusterPlan, EngineNode, EngineQuery, EngineView
from heliograph.locator.config import LocatorConfig
from heliograph.locator.forming import agreed, with_nodes
from heliograph.locator.patience import Patience
from heliograph.model.decoding import MALFORMED
from heliograph.model.ids import EVERY_INTERFACE, LOOPBACK, Address

ASK_S = 2.0
RETRY_S = 0.5
ALONE_TOLD_S = 3.0
"""How long a locator waits for too few others before whoever starts it is told so."""
ENOUGH_TOLD_S = 45.0
"""The same where enough others answer: then it is only a matter of time."""
EVERY_IPV4 = "0.0.0.0"  # noqa: S104  (members on other machines must reach the engine)

_log = logging.getLogger(__name__)

T = TypeVar("T")
Ask = Callable[[Address, EngineQuery], Awaitable[EngineView]]


class Kept(msgspec.Struct, frozen=True):
    """What a locator keeps of its cluster."""

    node: EngineNode
    plan: ClusterPlan | None


class Assembly:
    """What one locator knows of the cluster. ask: how another locator is asked.

    waiting: what this locator waits for before it is of use; empty when it waits for nothing.
    on_waiting: called once, when that takes longer than whoever starts this locator should wait.
    """

    def __init__(self, config: LocatorConfig, ask: Ask) -> None:
        self._config = config
        self._ask = ask
        self._file = config.engine_directory / "cluster.json"
        self._kept: Kept | None = None
        self._ports: list[Callable[[], None]] = []
        self.waiting = ""
        self.on_waiting: Callable[[], None] = lambda: None
        self._waits_since: float | None = None
        self._told = False
        self._heard_count = 0
        self._patience = Patience()

    @property
    def directory(self) -> Path:
        """Where the engine of the cluster keeps its files."""
        return self._config.engine_directory / "cluster"

    @property
    def alone_directory(self) -> Path:
        """Where the engine keeps its files while this locator is the site's only one."""
        return self._config.engine_directory

    @property
    def alone(self) -> bool:
        """Say whether there are data of a site that had this locator only."""
        return (self.alone_directory / "jetstream").is_dir()

    @property
    def node(self) -> EngineNode:
        """The engine of this locator. Only after `agree` has begun."""
        return self._keeping.node

    @property
    def plan(self) -> ClusterPlan:
        """The plan of the cluster. Only after `agree`."""
        plan = self._keeping.plan
        if plan is None:
            raise UnavailableError(f"locator {self._config.name} has no cluster yet")
        return plan

    @property
    def _keeping(self) -> Kept:
        if self._kept is None:
            raise UnavailableError(f"locator {self._config.name} has only begun to start")
        return self._kept

    # --- asking and answering

    def answer(self, query: EngineQuery) -> EngineView:
        """Tell another locator how the engine here stands. Raises UsageError when the two are of no common cluster."""
        if not self._config.forms_cluster:
            raise UsageError(
                f"locator {self._config.name} was started as its site's only one: start it again with the --locators "
                "that the others have"
            )
        kept = self._keeping
        if kept.plan is not None and query.view.dsid == self._config.site:
            plan = with_nodes(kept.plan, [query.view.node])
            if plan != kept.plan:
                self._keep(msgspec.structs.replace(kept, plan=plan))
        return self._view()

    async def agree(self) -> ClusterPlan:
        """Return the plan of the cluster once there is one, however long that takes.

        Raises UsageError when the locators that answer at first can't form a cluster with this one; later on such a
        thing is what is waited for.
        """
        self._begin()
        while True:
            try:
                plan, silent = await self._consult()
            except UsageError as exc:
                if not self._told:
                    raise
                self.wait_for(str(exc))
            else:
                if plan is not None:
                    self.waiting = ""
                    return plan
                reasons = "; ".join(f"{address}: {error}" for address, error in silent.items())
                self.wait_for(f"the other locators of the site ({reasons or 'they agree on a plan'})")
            await asyncio.sleep(RETRY_S)

    async def until(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it is no longer unavailable, however long that takes; `what` says what is waited for.

        Meanwhile the other locators are asked for news about where their engines are.
        """
        while True:
            try:
                result = await attempt()
            except UnavailableError as exc:
                self.wait_for(f"{what} ({exc})")
            else:
                self.waiting = ""
                return result
            try:
                await self._consult()
            except UsageError as exc:
                _log.warning("locators disagree name=%s error=%s", self._config.name, exc)
            await asyncio.sleep(RETRY_S)

    def wait_for(self, what: str) -> None:
        """Show what is waited for, and log it now and then."""
        now = asyncio.get_running_loop().time()
        self.waiting = what
        if self._waits_since is None:
            self._waits_since = now
        if self._patience.failed(now):
            _log.warning("locator waits name=%s for=%s", self._config.name, what)
        told_s = ENOUGH_TOLD_S if self._heard_count >= self._needed_count else ALONE_TOLD_S
        if not self._told and now - self._waits_since >= told_s:
            self._told = True
            self.on_waiting()

    @property
    def _needed_count(self) -> int:
        """Other locators without which nothing goes on: all for a new plan, a majority for one that there is."""
        planned = self._kept is not None and self._kept.plan is not None
        return len(self._config.locators) // 2 if planned else len(self._config.locators) - 1

    def release_ports(self) -> None:
        """Let the engine have the ports that were kept for it."""
        for release in self._ports:
            release()
        self._ports.clear()

    def grown(self) -> None:
        """Note that the data of the time with one locator are in the cluster."""
        kept = self._keeping
        self._keep(msgspec.structs.replace(kept, plan=msgspec.structs.replace(self.plan, grow_from="")))

    async def _consult(self) -> tuple[ClusterPlan | None, dict[Address, HeliographError]]:
        """Ask every other locator; return the plan, if there is one now, and why who did not answer did not.

        Raises UsageError when they can't form a cluster.
        """
        peers = self._config.peers
        query = EngineQuery(self._view())

        async def one(address: Address) -> EngineView | HeliographError:
            try:
                return await self._ask(address, query)
            except HeliographError as exc:
                return exc

        answers = dict(zip(peers, await asyncio.gather(*map(one, peers)), strict=True))
        heard = {address: answer for address, answer in answers.items() if isinstance(answer, EngineView)}
        self._heard_count = len(heard)
        plan = agreed(self._view(), heard, peers)
        if plan is not None:
            plan = self._take(plan)
        return plan, {address: why for address, why in answers.items() if isinstance(why, HeliographError)}

    # --- keeping

    def _begin(self) -> None:
        """Read what is kept, and settle where the own engine is found."""
        self.alone_directory.mkdir(parents=True, exist_ok=True)
        before = read_kept(self._file)
        alone = read_state(self.alone_directory / "engine.json") if self.alone else None
        host = engine_host(self._config)
        client_port, cluster_port = (before.node.client_port, before.node.cluster_port) if before else (0, 0)
        if alone is not None and not client_port:
            client_port = alone.port  # members that are there find the cluster where they had the engine
        ports = []
        for wanted in (client_port, cluster_port):
            port, release = hold_port(host, wanted)
            ports.append(port)
            self._ports.append(release)
        node = EngineNode(self._config.name, self._config.advertised_host, ports[0], ports[1])
        if before is not None and before.node.name != node.name:
            raise UsageError(
                f"{self._file.parent} belongs to locator {before.node.name}: start it under that name, or this one in "
                "another directory"
            )
        self._keep(Kept(node, before.plan if before else None))

    def _take(self, plan: ClusterPlan) -> ClusterPlan:
        if not plan.id:
            alone = read_state(self.alone_directory / "engine.json") if self.alone else None
            password = alone.password if alone else secrets.token_urlsafe(24)
            plan = msgspec.structs.replace(plan, id=f"heliograph-{secrets.token_hex(4)}", password=password)
            _log.info("cluster founded id=%s nodes=%s", plan.id, ",".join(node.name for node in plan.nodes))
        self._keep(Kept(self.node, plan))
        return plan

    def _keep(self, kept: Kept) -> None:
        if kept != self._kept:
            write_private(self._file, msgspec.json.encode(kept))
            self._kept = kept

    def _view(self) -> EngineView:
        kept = self._keeping
        return EngineView(self._config.site, kept.node, self.alone and kept.plan is None, kept.plan)


def read_kept(path: Path) -> Kept | None:
    """Return what a locator keeps of its cluster. Raises UsageError when the file is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return None
    except MALFORMED as exc:
        raise UsageError(
            f"{path} is damaged ({exc}): empty the directory, and the other locators tell it anew"
        ) from exc


def engine_host(config: LocatorConfig) -> str:
    """Return where the private engine listens: the bind address; without one, loopback, when that is what is told, or
    every interface when another host is.
    """
    if config.bind_address not in EVERY_INTERFACE:
        return config.bind_address
    if config.advertised_host == LOOPBACK and not config.hostname_for_clients:
        return LOOPBACK
    return config.bind_address or EVERY_IPV4
