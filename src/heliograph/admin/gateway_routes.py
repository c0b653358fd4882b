"""The routes of the admin API about gateway senders and receivers, async event queues, and what comes of them."""

from __future__ import annotations

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from heliograph.admin.answers import OK, Answer, Flag, Names, Site, Whole, answer, names, targets
from heliograph.link.messages import ReceiverAction, SenderAction
from heliograph.locator.requests import ParkedChoice, QueueAction, QueueAlteration, SenderAlteration, WanCopyRequest
from heliograph.model.attributes import (
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
)
from heliograph.model.queues import AsyncEventQueueAttributes


class SenderRoutes(Controller):
    """Gateway senders."""

    path = "/gateway-senders"
    tags = ("gateways",)

    @post("/", status_code=OK)
    async def create_sender(self, site: Site, data: JSONBody[GatewaySenderAttributes]) -> Answer:
        """Create a gateway sender on every server."""
        return answer(await site.senders.create(data))

    @get("/{sender:str}", status_code=OK)
    async def sender_status(self, site: Site, sender: FromPath[str], member: Names = "", group: Names = "") -> Answer:
        """Show the state of a gateway sender's instances."""
        return answer(await site.senders.status(sender, targets(member, group)))

    @patch("/{sender:str}", status_code=OK)
    async def alter_sender(self, site: Site, sender: FromPath[str], data: JSONBody[SenderAlteration]) -> Answer:
        """Change how a gateway sender makes batches."""
        return answer(await site.senders.alter(sender, data))

    @delete("/{sender:str}", status_code=OK)
    async def destroy_sender(
        self, site: Site, sender: FromPath[str], if_exists: Flag = False, member: Names = "", group: Names = ""
    ) -> Answer:
        """Destroy a gateway sender with its queue, or instances of a serial one."""
        return answer(await site.senders.destroy(sender, targets(member, group), if_exists=if_exists))

    @post("/{sender:str}/actions/{action:str}", status_code=OK)
    async def act_on_sender(
        self,
        site: Site,
        sender: FromPath[str],
        action: FromPath[SenderAction],
        member: Names = "",
        group: Names = "",
        clean_queues: Flag = False,
    ) -> Answer:
        """Start, stop, pause, resume or load-balance a gateway sender's instances."""
        return answer(await site.senders.act(sender, action, targets(member, group), clean_queues=clean_queues))


class QueueRoutes(Controller):
    """Async event queues."""

    path = "/async-event-queues"
    tags = ("async event queues",)

    @get("/", status_code=OK)
    async def list_queues(self, site: Site) -> Answer:
        """List every instance of async event queues."""
        return answer(await site.queues.list())

    @post("/", status_code=OK)
    async def create_queue(self, site: Site, data: JSONBody[AsyncEventQueueAttributes]) -> Answer:
        """Create an async event queue on every server."""
        return answer(await site.queues.create(data))

    @get("/{queue:str}", status_code=OK)
    async def queue_status(self, site: Site, queue: FromPath[str], member: Names = "", group: Names = "") -> Answer:
        """Show the state of an async event queue's instances."""
        return answer(await site.queues.status(queue, targets(member, group)))

    @patch("/{queue:str}", status_code=OK)
    async def alter_queue(
        self, site: Site, queue: FromPath[str], data: JSONBody[QueueAlteration], if_exists: Flag = False
    ) -> Answer:
        """Change how an async event queue makes batches."""
        return answer(await site.queues.alter(queue, data, if_exists=if_exists))

    @delete("/{queue:str}", status_code=OK)
    async def destroy_queue(self, site: Site, queue: FromPath[str], if_exists: Flag = False) -> Answer:
        """Destroy an async event queue with what it holds."""
        return answer(await site.queues.destroy(queue, if_exists=if_exists))

    @post("/{queue:str}/actions/{action:str}", status_code=OK)
    async def act_on_queue(
        self, site: Site, queue: FromPath[str], action: FromPath[QueueAction], member: Names = "", group: Names = ""
    ) -> Answer:
        """Pause or resume an async event queue's instances."""
        return answer(await site.queues.act(queue, action, targets(member, group)))


class ParkedRoutes(Controller):
    """Events that gateway senders keep because their remote site can never take them."""

    tags = ("gateways",)

    @get("/parked-events", status_code=OK)
    async def list_all_parked(self, site: Site) -> Answer:
        """List the parked events of every gateway sender."""
        return answer(await site.parked.list())

    @get("/gateway-senders/{sender:str}/parked-events", status_code=OK)
    async def list_parked(self, site: Site, sender: FromPath[str]) -> Answer:
        """List the parked events of a gateway sender."""
        return answer(await site.parked.list(sender))

    @post("/gateway-senders/{sender:str}/parked-events/redrive", status_code=OK)
    async def redrive_parked(self, site: Site, sender: FromPath[str], event: Names = "", all: Flag = False) -> Answer:  # noqa: A002
        """Send parked events again."""
        return answer(await site.parked.redrive(sender, ParkedChoice(event=names(event), all=all)))

    @delete("/gateway-senders/{sender:str}/parked-events", status_code=OK)
    async def drop_parked(self, site: Site, sender: FromPath[str], event: Names = "", all: Flag = False) -> Answer:  # noqa: A002
        """Forget parked events."""
        return answer(await site.parked.drop(sender, ParkedChoice(event=names(event), all=all)))


class ReceiverRoutes(Controller):
    """Gateway receivers, and the list of all gateways."""

    tags = ("gateways",)

    @post("/gateway-receivers", status_code=OK)
    async def create_receiver(
        self,
        site: Site,
        data: JSONBody[GatewayReceiverAttributes],
        if_not_exists: Flag = False,
        member: Names = "",
        group: Names = "",
    ) -> Answer:
        """Create a gateway receiver on every server, or some."""
        return answer(await site.receivers.create(data, targets(member, group), if_not_exists=if_not_exists))

    @get("/gateway-receivers", status_code=OK)
    async def receiver_status(self, site: Site, member: Names = "", group: Names = "") -> Answer:
        """Show the state of every gateway receiver."""
        return answer(await site.receivers.status(targets(member, group)))

    @delete("/gateway-receivers", status_code=OK)
    async def destroy_receiver(
        self, site: Site, if_exists: Flag = False, member: Names = "", group: Names = ""
    ) -> Answer:
        """Destroy every gateway receiver, or those of some servers."""
        return answer(await site.receivers.destroy(targets(member, group), if_exists=if_exists))

    @post("/gateway-receivers/actions/{action:str}", status_code=OK)
    async def act_on_receiver(
        self, site: Site, action: FromPath[ReceiverAction], member: Names = "", group: Names = ""
    ) -> Answer:
        """Start or stop gateway receivers."""
        return answer(await site.receivers.act(action, targets(member, group)))

    @get("/gateways", status_code=OK)
    async def list_gateways(
        self,
        site: Site,
        senders_only: Flag = False,
        receivers_only: Flag = False,
        member: Names = "",
        group: Names = "",
    ) -> Answer:
        """List every instance of gateway senders and receivers."""
        return answer(
            await site.receivers.list_gateways(
                targets(member, group), senders_only=senders_only, receivers_only=receivers_only
            )
        )


class WanCopyRoutes(Controller):
    """Copying what a region holds to another site."""

    path = "/wan-copies"
    tags = ("gateways",)

    @post("/", status_code=OK)
    async def copy(self, site: Site, data: JSONBody[WanCopyRequest]) -> Answer:
        """Begin to copy a region."""
        return answer(await site.wan_copies.start(data))

    @get("/{run:str}", status_code=OK)
    async def look_at_copy(self, site: Site, run: FromPath[str], member: Names = "") -> Answer:
        """Show how far a copy is."""
        return answer(await site.wan_copies.look(run, names(member)))

    @delete("/", status_code=OK)
    async def cancel_copy(self, site: Site, region: FromQuery[str], sender_id: FromQuery[str]) -> Answer:
        """Cancel the copy of a region, or all copies."""
        return answer(await site.wan_copies.cancel(region, sender_id))


class ConflictRoutes(Controller):
    """Conflicts between sites."""

    tags = ("gateways",)

    @post("/gateway-conflict-resolver", status_code=OK)
    async def create_resolver(self, site: Site, data: JSONBody[GatewayConflictResolverAttributes]) -> Answer:
        """Have a resolver decide on conflicts."""
        return answer(await site.conflicts.create(data))

    @delete("/gateway-conflict-resolver", status_code=OK)
    async def destroy_resolver(self, site: Site, if_exists: Flag = False) -> Answer:
        """Have the newer version win again."""
        return answer(await site.conflicts.destroy(if_exists=if_exists))

    @get("/conflicts", status_code=OK)
    async def list_conflicts(
        self, site: Site, region: Names = "", key: FromQuery[str | None] = None, limit: Whole = 100
    ) -> Answer:
        """Show how conflicts ended, and the newest ones."""
        return answer(await site.conflicts.list(region, key, limit))
