"""What heliograph's processes and clients say to each other, inside request and reply frames (architecture §6).

Frozen tagged structs; fields are only ever appended, with defaults, so that a peer of another version can skip what it
does not know. Values are msgpack encodings (`model.keys.encode_values`). A request that fails is answered by `Failure`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from heliograph.model.attributes import GatewayReceiverAttributes, GatewaySenderAttributes, RegionAttributes
from heliograph.model.batch import Part, Removal
from heliograph.model.engine_tls import EngineTls
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo, ReceiverInfo, RegionPlacement
from heliograph.model.requests import RequestId
from heliograph.query.selection import Row

WireKey = Any
"""A str, int or bytes key: a union that msgspec has no type for; the receiving member checks it."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of everything inside a request or reply frame."""


# --- region operations: client or member to member ---------------------------------------------------------------


class PutAll(Message, frozen=True):
    """Put entries; all keys of one request belong to one bucket, or to any (`model.routing.UNROUTED`). Answer: `Done`.

    argument: the encoded callback argument, empty without one.
    id: however often the request comes under one id, it is done once. timeout_ms: how much longer its caller waits from
    now on; 0: as long as the member does by itself.
    """

    region: str
    bucket: int
    keys: list[WireKey]
    values: list[bytes]
    forwarded: bool = False
    argument: bytes = b""
    id: RequestId | None = None
    timeout_ms: int = 0


class PutSilently(PutAll, frozen=True):
    """As `PutAll`, of entries that only this site ever hears of: import without callbacks. Answer: `Done`."""


Condition = Literal["remove", "remove_if", "put_if_absent", "replace", "replace_if", "invalidate"]


class Change(Message, frozen=True):
    """One operation whose result depends on the entry (semantics as in `bucket.primary`). Answer: `Changed`.

    expected: encoding of the value that `remove_if` and `replace_if` ask for. argument, id, timeout_ms: as of `PutAll`.
    """

    region: str
    bucket: int
    op: Condition
    key: WireKey
    value: bytes = b""
    expected: bytes = b""
    forwarded: bool = False
    argument: bytes = b""
    id: RequestId | None = None
    timeout_ms: int = 0


class Clear(Message, frozen=True):
    """Take away every entry of a bucket, at this site only. Answer: `Done`.

    total_num_buckets: as of `Keys`. id, timeout_ms: as of `PutAll`.
    """

    region: str
    bucket: int
    total_num_buckets: int
    forwarded: bool = False
    id: RequestId | None = None
    timeout_ms: int = 0


class ApplyParts(Message, frozen=True):
    """Parts that came from another site, for the primary of their bucket to judge and append. Answer: `Done`."""

    region: str
    bucket: int
    parts: tuple[Part, ...]
    forwarded: bool = False


class WereRead(Message, frozen=True):
    """Entries of a bucket were read at another copy than the primary's: their idle time begins anew. Answer: `Done`."""

    region: str
    bucket: int
    keys: list[WireKey]


class GetAll(Message, frozen=True):
    """Read entries. Keys may belong to any buckets. Answer: `Values`. timeout_ms: as of `PutAll`."""

    region: str
    keys: list[WireKey]
    timeout_ms: int = 0


class Keys(Message, frozen=True):
    """List the keys of some buckets of a region that the member holds. Answer: `KeyList`.

    total_num_buckets: what the asking end reckons with; where the region has another number it was created anew.
    part, parts: only the keys of this part (`model.keys.keys_of_part`), where all do not fit into a frame.
    """

    region: str
    buckets: list[int]
    total_num_buckets: int = 0
    part: int = 0
    parts: int = 1


class Size(Message, frozen=True):
    """Count the entries of some buckets of a region that the member holds. Answer: `Count`. Fields as of `Keys`."""

    region: str
    buckets: list[int]
    total_num_buckets: int = 0


class Done(Message, frozen=True):
    """Appended, with this sequence; `primary` names the bucket's primary when another member was asked."""

    seq: int
    primary: str = ""


class Changed(Message, frozen=True):
    """The outcome of a `Change`: whether it was done, and the entry's value before it (empty: there was none)."""

    done: bool
    old: bytes
    seq: int
    primary: str = ""


class Values(Message, frozen=True):
    """Values in the order of the keys asked for; empty where there is no entry."""

    values: list[bytes]


class KeyList(Message, frozen=True):
    """Keys of the buckets asked for."""

    keys: list[WireKey]


class Count(Message, frozen=True):
    """Number of entries in the buckets asked for."""

    count: int


# --- listeners: client or member to member ------------------------------------------------------------------------


FROM_NOW = -1
"""A cursor that is not known yet: events from the moment on at which it is asked for."""


class Listen(Message, frozen=True):
    """Ask for the events of some buckets that the member holds a copy of, after a cursor in each. Answer: `Heard`.

    generation: of the region, to tell it from others of its name; `FROM_NOW` when it is not known yet.
    after: for each bucket, the sequence up to which all is known; `FROM_NOW` to be told the newest one, at once.
    wait_ms: how long to wait for an event when there is none yet.
    """

    region: str
    generation: int
    buckets: list[int]
    after: list[int]
    wait_ms: int


class Told(msgspec.Struct, frozen=True, array_like=True):
    """A record, as listeners are told of it.

    replaced: for each removal and then each part, the value before each of its keys or events; empty for no entry, None
    where it is not known.
    """

    bucket: int
    seq: int
    removals: tuple[Removal, ...]
    parts: tuple[Part, ...]
    replaced: list[list[bytes | None]]


class Heard(Message, frozen=True):
    """Records in the order of their buckets' logs.

    generation: of the region; where it is another one than was asked for, nothing is told. dsid: of this site.
    reached: the new cursors, in the order of the buckets that were asked for.
    """

    generation: int
    dsid: int
    reached: list[int]
    records: list[Told]


# --- anyone to a locator ------------------------------------------------------------------------------------------


class SiteQuery(Message, frozen=True):
    """Ask a locator about its site. Answer: `SiteView`."""


class SiteView(Message, frozen=True):
    """A site as its locator sees it now; clients learn members and primaries from it.

    generations: of the regions, in their order. now_ms: the locator's clock.
    """

    dsid: int
    members: list[MemberInfo]
    regions: list[RegionAttributes]
    placements: list[RegionPlacement]
    http_url: str
    generations: list[int]
    now_ms: int


class JoinQuery(Message, frozen=True):
    """A starting member asks how to reach the site's engine. Answer: `JoinView`."""

    name: str


class JoinView(Message, frozen=True):
    """The site's identity and its private engine; given to members only.

    engine_url: of every engine of the site, separated by commas, with the credentials. engine_tls: for TLS towards it.
    max_clock_skew_ms: how far ahead the clock of another site may be.
    """

    dsid: int
    engine_url: str
    replicas: int
    member_timeout_ms: int
    engine_tls: EngineTls | None = None
    max_clock_skew_ms: int = 60_000

    def __repr__(self) -> str:
        return f"JoinView(dsid={self.dsid}, replicas={self.replicas}, member_timeout_ms={self.member_timeout_ms})"


class ReceiversQuery(Message, frozen=True):
    """A gateway sender asks its own site's locator for the receivers of a remote site. Answer: `Receivers`."""

    dsid: int


class Receivers(Message, frozen=True):
    """The receivers of a site as known here; `known` says whether any locator of that site ever answered."""

    dsid: int
    known: bool
    receivers: list[ReceiverInfo]


class LocatorInfo(msgspec.Struct, frozen=True, array_like=True):
    """A locator of some site: where others reach it, and when (ms) it said so; the newest word on a name wins."""

    name: str
    dsid: int
    address: Address
    said_ms: int


class SiteReceivers(msgspec.Struct, frozen=True, array_like=True):
    """All receivers of one site as one of its locators said at `said_ms`; the newest word wins as a whole."""

    dsid: int
    said_ms: int
    receivers: tuple[ReceiverInfo, ...]


class SiteRound(msgspec.Struct, frozen=True, array_like=True):
    """How far a site is with the rounds of `gateway.rounds`; of one site the greatest number counts.

    completed: the number of the newest round that it has completed. times: what its clock showed (ms) when it began the
    newest rounds, that one last; 0 and what is missing are not known.
    """

    dsid: int
    completed: int
    times: tuple[int, ...]


class EngineNode(msgspec.Struct, frozen=True, array_like=True):
    """The engine of one locator of a site that has several.

    name: of the locator. host: where others reach the engine; client_port: for members; cluster_port: for engines.
    """

    name: str
    host: str
    client_port: int
    cluster_port: int


class ClusterPlan(msgspec.Struct, frozen=True, array_like=True):
    """What the engines of one site's locators have to agree on to form a cluster.

    id: names the cluster, unlike any other. password: of members and engines; keep it out of logs.
    nodes: every engine, sorted by name. grow_from: the locator whose engine stood alone and holds the site's data, as
    long as these have not been brought into the cluster; "" when there is nothing to bring.
    """

    id: str
    password: str
    nodes: tuple[EngineNode, ...]
    grow_from: str = ""

    def __repr__(self) -> str:
        return f"ClusterPlan(id={self.id!r}, nodes={self.nodes!r}, grow_from={self.grow_from!r})"


class EngineQuery(Message, frozen=True):
    """Locator to locator of one site: how its engine stands; says how the own one does. Answer: `EngineView`."""

    view: EngineView


class EngineView(Message, frozen=True):
    """How a locator's engine stands.

    dsid: of the site. alone: it holds the data of a site that had this locator only. plan: None until it has one.
    """

    dsid: int
    node: EngineNode
    alone: bool
    plan: ClusterPlan | None


class Exchange(Message, frozen=True):
    """Locator to locator: everything the asking one knows about locators and receivers. Answer: `Exchange` too."""

    sender: LocatorInfo
    locators: list[LocatorInfo]
    receivers: list[SiteReceivers]
    rounds: list[SiteRound] = []


# --- a locator, or an operator's command, to one member -----------------------------------------------------------


class StatusQuery(Message, frozen=True):
    """Ask any process for its state block. Answer: `Status`."""


class Status(Message, frozen=True):
    """A process's state block (gfsh.md §3.5), and what it takes of its machine.

    cpu_ms, resident_bytes: as of `process.usage`. links: that it answers now, by the role of the other end.
    """

    kind: str
    name: str
    address: Address
    pid: int
    uptime_ms: int
    version: str
    directory: str
    log_file: str
    details: dict[str, str]
    cpu_ms: int = 0
    resident_bytes: int = 0
    links: dict[str, int] = {}


class LogLevelCommand(Message, frozen=True):
    """Ask any process to log from a level on, a name of `model.log_levels`. Answer: `Outcome`."""

    level: str


class SettingsQuery(Message, frozen=True):
    """Ask any process what it was started with, and what of that was changed since. Answer: `ProcessSettings`."""


class ProcessSettings(Message, frozen=True):
    """Settings of a process, each with a title that says where they come from. No secret is among them."""

    sections: list[tuple[str, dict[str, str]]]


class ShutDown(Message, frozen=True):
    """Ask any process to end in order. Answer: `Outcome`, before it does."""


class LogQuery(Message, frozen=True):
    """Ask any process for a part of its log, from a byte on. Answer: `LogPart`.

    level, only, start_ms, end_ms: see `process.log_lines.Choice`. wanted: of the part before, true at the beginning.
    """

    offset: int
    level: int = 0
    only: bool = False
    start_ms: int = 0
    end_ms: int = 0
    wanted: bool = True


class LogTail(Message, frozen=True):
    """Ask any process for the last lines of its log. Answer: `LogPart`."""

    lines: int


class LogPart(Message, frozen=True):
    """Lines of a log. offset: where the next part begins. size: bytes that the log has now. wanted: see `LogQuery`."""

    text: bytes
    offset: int
    size: int
    wanted: bool


class Apply(Message, frozen=True):
    """Ask a member to take up the cluster configuration at `revision` or later, and say how it went. Answer: `Outcome`.

    subject: what was created, altered or destroyed ("region customer"), to which the outcome refers.
    change: what was done to it.
    """

    subject: str
    revision: int
    change: Literal["created", "changed", "destroyed"] = "created"


SenderAction = Literal["start", "stop", "pause", "resume", "load-balance"]
ReceiverAction = Literal["start", "stop"]


class SenderCommand(Message, frozen=True):
    """Ask a member to act on its instance of a gateway sender. Answer: `Outcome`."""

    id: str
    action: SenderAction


class Redrive(Message, frozen=True):
    """Ask a member to send parked events of a gateway sender again, all when none is named. Answer: `Redriven`."""

    id: str
    events: tuple[str, ...] = ()


class Redriven(Message, frozen=True):
    """So many events are at the remote site now; `left` are those that are not, with the reason."""

    delivered: int
    left: list[tuple[str, str]]


class WanCopy(Message, frozen=True):
    """Ask a member to copy entries of a region to a gateway sender's remote site. Answer: `CopyState`.

    run: names the copy. buckets: those to be copied from there; of a serial sender its primary copies all.
    max_rate: entries a second, 0 for no limit. batch_size: entries of a batch.
    """

    run: str
    region: str
    sender: str
    buckets: list[int]
    max_rate: int
    batch_size: int


class WanCopyQuery(Message, frozen=True):
    """Ask a member how far a copy is. Answer: `CopyState`."""

    run: str


class WanCopyCancel(Message, frozen=True):
    """Ask a member to cancel the copy of a region by a gateway sender, all copies when both are `*`.

    Answer: `Outcome`.
    """

    region: str
    sender: str


class Export(Message, frozen=True):
    """Ask a member to write entries of a region to a file of its machine. Answer: `CopyState`.

    run: names the export, with the region. path: of the file, from the member's directory on unless it is absolute.
    buckets: those that are written. part, parts: as of `model.region_file.FileHead`.
    """

    run: str
    region: str
    path: str
    buckets: list[int]
    part: int = 0
    parts: int = 1


class Import(Message, frozen=True):
    """Ask a member to put what stands in files of its machine into a region, one after the other. Answer: `CopyState`.

    run, paths: as of `Export`. callbacks: tell other sites, async event queues and listeners, as of any put.
    """

    run: str
    region: str
    paths: list[str]
    callbacks: bool


class FilesQuery(Message, frozen=True):
    """Ask a member which files of a region, exported in parallel, a directory of its machine has. Answer: `Files`."""

    region: str
    directory: str


class ExportedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of a region. The fields after its path are those of `model.region_file.FileHead`."""

    path: str
    run: str
    part: int
    parts: int


class Files(Message, frozen=True):
    """Files of a region, by name; their heads only were looked at."""

    files: list[ExportedFile]


class TransferQuery(Message, frozen=True):
    """Ask a member how far an export or import of a region is. Answer: `CopyState`."""

    run: str
    region: str


class TransferCancel(Message, frozen=True):
    """Ask a member to cancel an export or import of a region. Answer: `Outcome`."""

    run: str
    region: str


CopyStatus = Literal["running", "done", "failed", "secondary"]
"""Of a copy, export or import at one member; secondary: another member ships for the serial sender, and copies."""


class CopyState(Message, frozen=True):
    """How a copy, export or import is at one member. copied: entries done. total: how many there are, about."""

    status: CopyStatus
    message: str
    copied: int = 0
    total: int = 0


class ReceiverCommand(Message, frozen=True):
    """Ask a member to act on its gateway receiver. Answer: `Outcome`.

    destroy: of this member alone, until it starts again or the receiver is defined anew.
    """

    action: ReceiverAction | Literal["destroy"]


class Outcome(Message, frozen=True):
    """How one member fared with a command: a row of a member-status or action table."""

    ok: bool
    message: str


class CopiesQuery(Message, frozen=True):
    """Ask a member about its copies of some regions' buckets. Answer: `Copies`. sizes: they are counted, too."""

    regions: tuple[str, ...]
    sizes: bool = False


class RegionCopies(msgspec.Struct, frozen=True, array_like=True):
    """A member's copies of one region: the buckets that are loaded, those that take writes here, and, where asked for,
    the bytes of keys and values of each loaded one, and its entries.

    gets, puts, destroys: as of `member.traffic`.
    """

    loaded: tuple[int, ...]
    accepting: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    entries: tuple[int, ...] = ()
    gets: int = 0
    puts: int = 0
    destroys: int = 0


class Copies(Message, frozen=True):
    """A member's copies, region by region; a region that it has not taken up is missing."""

    regions: dict[str, RegionCopies]


class Locate(Message, frozen=True):
    """Ask a member whether its own copy has an entry. Answer: `Located`."""

    region: str
    key: WireKey


class Located(Message, frozen=True):
    """The key's bucket, and whether the member's copy of it can be read and has the key.

    epoch: of the bucket's primary when the member is that, else 0.
    """

    bucket: int
    exists: bool
    epoch: int = 0


class Select(Message, frozen=True):
    """Ask a member what a query selects in some buckets, those of them whose primary it is. Answer: `Selected`.

    generation: of the region. query: as a text, over that region. limit: where the query has none.
    timeout_ms: how long the member may take.
    """

    region: str
    generation: int
    query: str
    limit: int
    buckets: list[int]
    timeout_ms: int


class Selected(Message, frozen=True):
    """What a query selects. buckets: those that were gone through; some are left out where the limit is reached before.

    rows: the first ones. count: of a COUNT(*).
    """

    buckets: list[int]
    rows: list[Row]
    count: int


class Rebalance(Message, frozen=True):
    """Ask the oldest server to give every server its share of the buckets, or what that would move. Answer:
    `Rebalanced`.

    include, exclude: regions; none included means all.
    action: `simulate` changes nothing; `cancel` leaves buckets where they are by now.
    """

    action: Literal["start", "simulate", "cancel"]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Moves(msgspec.Struct, frozen=True, array_like=True):
    """What is to be moved in a region and those colocated with it: copies that are missing, copies that are elsewhere,
    primaries among them or besides; bytes are those of keys and values.
    """

    region: str
    created: int
    created_bytes: int
    moved: int
    moved_bytes: int
    primaries: int


class Rebalanced(Message, frozen=True):
    """What a rebalance moves or would move, region by region. servers: how many take part."""

    regions: list[Moves]
    servers: int


class LogEndsQuery(Message, frozen=True):
    """Ask a member how far the logs of a region's buckets reach. Answer: `LogEnds`."""

    region: str


class LogEnds(Message, frozen=True):
    """The last sequence of every bucket's log, by number; 0 of an empty one."""

    seqs: list[int]


class ConflictQuery(Message, frozen=True):
    """Ask a member for the conflicts that it judged. region: "" for all; key: as it is shown. Answer: `Conflicts`."""

    region: str
    key: str | None
    limit: int


class ToldConflict(msgspec.Struct, frozen=True, array_like=True):
    """One conflict. old_..., new_...: of the entry and of the event. at_ms: when it was judged, by its site's clock."""

    region: str
    key: str
    outcome: str
    old_ms: int
    old_site: int
    new_ms: int
    new_site: int
    at_ms: int


class Conflicts(Message, frozen=True):
    """The conflicts that a member judged.

    counts: region -> outcome -> how many, since the member started. newest: those that it remembers, the newest first.
    problem: why the resolver could not be loaded there, "" when it was.
    """

    counts: dict[str, dict[str, int]]
    newest: list[ToldConflict]
    problem: str = ""


class GatewayQuery(Message, frozen=True):
    """Ask a member for the state of its gateway senders and receiver. Answer: `Gateways`."""


class SenderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway sender's state at one member; the field values are those of gfsh.md §6.5 and §6.9.

    Of an async event queue the status is Running, as it has nothing to connect to, and the id is without its prefix.

    queued: events accepted and not yet acknowledged by the remote site, as this member counts them; a stopped sender
    keeps its queue and counts nothing.
    uncounted_buckets: buckets of which the member does not know yet whether something is queued.
    error: why nothing moves now, empty when all is well.
    """

    id: str
    member: str
    remote_dsid: int
    type: Literal["Serial", "Parallel"]
    policy: Literal["Primary", "Secondary", ""]
    status: Literal["Not Running", "Paused", "Running", "Running and Connected", "Running, not Connected"]
    queued: int
    receiver: str
    error: str = ""
    counters: dict[str, int] = {}
    uncounted_buckets: int = 0

    @property
    def drained(self) -> bool:
        """Say whether all that is known of the queue is acknowledged, and all of it is known."""
        return not self.queued and not self.uncounted_buckets


class ReceiverStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway receiver's state at one member. refusing: whose batches it refuses now, and why."""

    member: str
    port: int
    status: Literal["Running", "Not Running"]
    senders: tuple[str, ...]
    counters: dict[str, int] = {}
    refusing: tuple[str, ...] = ()


class Gateways(Message, frozen=True):
    """All gateways of one member; its async event queues are gateway senders of their own kind."""

    senders: list[SenderStatus]
    receiver: ReceiverStatus | None
    queues: list[SenderStatus] = []


class DiskStoreQuery(Message, frozen=True):
    """Ask a member how large disk stores are. Answer: `DiskStores`."""

    names: list[str]


class DiskStores(Message, frozen=True):
    """Bytes of the logs, and of the snapshots, of the disk stores asked for."""

    logs: list[int]
    snapshots: list[int]


class Failure(Message, frozen=True):
    """A request failed. `error` is the name of an error class of `heliograph.errors`."""

    error: str
    message: str


# --- gateway sender to gateway receiver: the body of a batch frame --------------------------------------------------


class WanBatch(msgspec.Struct, frozen=True, array_like=True):
    """Event batches of one region, in the order of their buckets' logs, for the remote site to append.

    buckets, resolver: total-num-buckets and partition resolver at the sending site; where those of the remote site are
    the same, a part keeps its bucket.
    items: (bucket, part) with birth and recipients filled in.
    ordered: UNORDERED, or the items are in the order of the whole log and are to be applied in that order, after those
    of the ordered batch before it on the link: IN_ORDER. The first one after a refusal says IN_ORDER_ANEW, and begins
    at the oldest record that is not acknowledged; until then all others are refused.
    """

    region: str
    buckets: int
    items: list[tuple[int, Part]]
    resolver: str = ""
    ordered: int = 0


UNORDERED, IN_ORDER, IN_ORDER_ANEW = 0, 1, 2
"""See `WanBatch.ordered`."""


class Rejected(msgspec.Struct, frozen=True, array_like=True):
    """Events of a batch that the remote site can never take, for this reason; the others are in its log.

    item: the place in `WanBatch.items`. positions: of the events in its columns, none for all of them.
    """

    item: int
    positions: tuple[int, ...]
    error: str


Request = (
    PutAll | Change | Clear | ApplyParts | GetAll | Keys | Size | Listen | SiteQuery | JoinQuery | ReceiversQuery
    | EngineQuery | Exchange | StatusQuery | Apply | CopiesQuery | Rebalance | SenderCommand | ReceiverCommand
    | LogLevelCommand | SettingsQuery | ShutDown | LogQuery | LogTail
    | GatewayQuery | DiskStoreQuery | LogEndsQuery | WereRead | Redrive | WanCopy
    | WanCopyQuery | WanCopyCancel | ConflictQuery | Locate | Select
    | Export | Import | FilesQuery | TransferQuery | TransferCancel | PutSilently
)  # fmt: skip
Reply = (
    Done | Changed | Values | KeyList | Count | Heard | SiteView | JoinView | Receivers | EngineView | Exchange | Status
    | ProcessSettings | LogPart
    | Outcome | Copies | Rebalanced | Gateways | DiskStores | LogEnds | Failure | Redriven
    | CopyState | Conflicts | Located | Selected | Files
)  # fmt: skip
Configuration = RegionAttributes | GatewaySenderAttributes | GatewayReceiverAttributes

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
decode_wan_batch = msgspec.msgpack.Decoder(WanBatch).decode
decode_rejected = msgspec.msgpack.Decoder(tuple[Rejected, ...]).decode
