"""What a member refuses to do for those who reach its port."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.errors import HeliographError, NotPrimaryError, RegionNotFoundError, UsageError
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.link.messages import ApplyParts, Change, Clear, GetAll, Keys, PutAll, Size
from heliograph.model.ids import Address
from heliograph.model.keys import ARGUMENT_BYTES_MAX, KEY_BYTES_MAX, NO_VALUE, VALUE_BYTES_MAX, bucket_of
from heliograph.model.requests import RequestId
from heliograph.model.routing import UNROUTED, Routing
from heliograph.net.link import call_once
from tests.member.copies import REGION, SITE
from tests.member.test_operations import BUCKETS, OneSite, Server, play

CLIENT = Hello("client", "app")
MEMBER = Hello("member", "c", SITE)
KEY = next(key for key in map(str, range(100)) if bucket_of(key, BUCKETS) == 0)
OTHERS_KEY = next(key for key in map(str, range(100)) if bucket_of(key, BUCKETS) == 1)
LARGE = bytes(VALUE_BYTES_MAX)


def put(keys: list[Any], values: list[bytes], region: str = REGION, bucket: int = 0) -> PutAll:
    return PutAll(region, bucket, keys, values)


async def ask(site: OneSite, member: str, request: messages.Request, hello: Hello = CLIENT) -> messages.Reply:
    """The first member is primary of bucket 0 and holds no other."""
    info = site.state.members[member]
    return await call_once(
        site.network.host("app"), Address(info.address.host, info.address.port), hello, request, timeout_s=5
    )


BAD: list[tuple[messages.Request, type[HeliographError], str]] = [
    (put([KEY], [b"v"], bucket=1), NotPrimaryError, "region r has 4 buckets: look at the site anew"),
    (put([KEY, OTHERS_KEY], [b"v", b"v"]), NotPrimaryError, "has 4 buckets"),
    (put([KEY], [b"v"], bucket=BUCKETS), NotPrimaryError, "has 4 buckets"),
    (put([KEY], [b"v"], bucket=-2), NotPrimaryError, "has 4 buckets"),
    (PutAll(REGION, 1, [OTHERS_KEY], [b"v"], forwarded=True), NotPrimaryError, "a is not the primary of bucket 1"),
    (
        put([KEY], [b"v"], region="nowhere"),
        RegionNotFoundError,
        r"'nowhere' does not exist at this site \(regions: r\)",
    ),
    (put([KEY], []), UsageError, "1 keys came with 0 values"),
    (put([KEY], [b""]), UsageError, "a value of 0 bytes is refused"),
    (put([KEY], [LARGE + b"x"]), UsageError, f"1 to {VALUE_BYTES_MAX} bytes are allowed"),
    (put([1.5], [b"v"]), UsageError, "key"),
    (put([None], [b"v"]), UsageError, "key"),
    (put(["k" * (KEY_BYTES_MAX + 1)], [b"v"]), UsageError, f"a key may have {KEY_BYTES_MAX} bytes"),
    (Change(REGION, 1, "remove", KEY), NotPrimaryError, "has 4 buckets"),
    (PutAll(REGION, 0, [KEY], [b"v"], argument=bytes(ARGUMENT_BYTES_MAX + 1)), UsageError, "argument of 32769 bytes"),
    (Change(REGION, 0, "remove", KEY, argument=bytes(ARGUMENT_BYTES_MAX + 1)), UsageError, "argument of 32769 bytes"),
    (Change(REGION, 0, "replace", KEY), UsageError, "a value of 0 bytes is refused"),
    (Change(REGION, 0, "remove", KEY, b"v"), UsageError, "remove takes no value"),
    (Change(REGION, 0, "put_if_absent", [], b"v"), UsageError, "key"),
    (Change(REGION, 0, "invalidate", KEY, b"v"), UsageError, "invalidate takes no value"),
    (Change(REGION, 0, "invalidate", KEY, argument=b"a"), UsageError, "invalidate takes no callback argument"),
    (Change(REGION, 0, "replace", KEY, NO_VALUE), UsageError, "None can't be a value: invalidate the entry"),
    (put([KEY], [NO_VALUE]), UsageError, "None can't be a value: invalidate the entry"),
    (Clear(REGION, BUCKETS, BUCKETS), NotPrimaryError, "has 4 buckets"),
    (Clear(REGION, 0, BUCKETS + 1), NotPrimaryError, "has 4 buckets"),
    (Clear(REGION, 1, BUCKETS, forwarded=True), NotPrimaryError, "a is not the primary of bucket 1"),
    (Clear("nowhere", 0, BUCKETS), RegionNotFoundError, "'nowhere' does not exist"),
    (GetAll(REGION, [KEY, 1.5]), UsageError, "key"),
    (GetAll("nowhere", [KEY]), RegionNotFoundError, "'nowhere' does not exist"),
    (Keys(REGION, [0], BUCKETS + 1), NotPrimaryError, "has 4 buckets"),
    (Size(REGION, [0, 1], BUCKETS), NotPrimaryError, "a does not hold bucket 1 of r"),
    (Size(REGION, [BUCKETS], BUCKETS), NotPrimaryError, "does not hold bucket 4"),
    (messages.WereRead(REGION, 0, [KEY]), UsageError, "WereRead is answered to members, not to client app"),
    (messages.ShutDown(), UsageError, "ShutDown is answered to locators, not to client app"),
    (messages.LogTail(1), UsageError, "LogTail is answered to locators, not to client app"),
    (messages.SiteQuery(), UsageError, "a member does not answer SiteQuery: ask a locator"),
    (messages.PutSilently(REGION, 0, [KEY], [b"v"]), UsageError, "PutSilently is answered to members, not to client"),
    (ApplyParts(REGION, 0, ()), UsageError, "ApplyParts is answered to members, not to client app"),
]


def test_what_is_wrong_with_a_request_is_named_and_harms_nobody() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "b", "b")
        for request, kind, message in BAD:
            with pytest.raises(kind, match=message) as raised:
                await ask(site, "a", request)
            assert type(raised.value) is kind, request
        assert await ask(site, "a", put([KEY], [b"v"])) == messages.Done(BUCKETS + 1)
        assert await ask(site, "a", GetAll(REGION, [KEY])) == messages.Values([b"v"])

    play(scenario)


def test_who_cannot_tell_the_bucket_leaves_it_to_the_member() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "b", "b")
        assert await ask(site, "a", put([KEY, OTHERS_KEY], [b"v", b"w"], bucket=UNROUTED)) == messages.Done(0)
        assert await ask(site, "b", GetAll(REGION, [KEY, OTHERS_KEY])) == messages.Values([b"v", b"w"])
        changed = await ask(site, "a", Change(REGION, UNROUTED, "replace", OTHERS_KEY, b"x"))
        assert isinstance(changed, messages.Changed)
        assert (changed.done, changed.old, changed.primary) == (True, b"w", "")
        with pytest.raises(NotPrimaryError, match="a is not the primary"):
            await ask(site, "a", PutAll(REGION, UNROUTED, [KEY], [b"v"], forwarded=True))

    play(scenario)


def without_place(answer: Any) -> messages.Reply:
    """An answer without what depends on who was asked."""
    reply: messages.Reply = msgspec.structs.replace(answer, primary="", seq=0)
    return reply


@pytest.mark.parametrize("bucket", [1, UNROUTED])
def test_a_request_under_one_id_is_done_once_whoever_is_asked(bucket: int) -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "b", "b")
        keys = [OTHERS_KEY] if bucket != UNROUTED else [OTHERS_KEY, KEY]
        mine = put(keys, [b"v"] * len(keys), bucket=bucket)
        change = Change(REGION, bucket, "replace", OTHERS_KEY, b"x")
        for number, request in enumerate((mine, change, Clear(REGION, 1, BUCKETS)), start=1):
            name = RequestId(7, number, 1, one.host.clock.now_ms(), 0)
            first: Any = msgspec.structs.replace(request, id=name)
            again: Any = msgspec.structs.replace(request, id=msgspec.structs.replace(name, repeated=True))
            answer = await ask(site, "a", first)
            await other.operations.put_all(REGION, [OTHERS_KEY, KEY], [b"by another"] * 2)
            for member in ("a", "b"):
                told = await ask(site, member, again)
                assert without_place(told) == without_place(answer)
            assert await ask(site, "b", GetAll(REGION, [OTHERS_KEY])) == messages.Values([b"by another"])
        anew = msgspec.structs.replace(mine, id=RequestId(7, 9, 1, 0, 5))
        with pytest.raises(NotPrimaryError, match="region r was created anew"):
            await ask(site, "a", anew)

    play(scenario)


def test_a_partition_resolver_that_is_another_one_at_the_client_is_refused_by_its_name() -> None:
    """To look at the site anew would change nothing, and go on until the client's time is over."""

    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "b", "b")
        one.region.routing = Routing(BUCKETS, "shop:by_customer", lambda key: key)
        name = RequestId(7, 1, 1, one.host.clock.now_ms(), 0)
        mine = msgspec.structs.replace(put([OTHERS_KEY], [b"v"]), id=name)
        with pytest.raises(UsageError, match="the partition resolver shop:by_customer gives other buckets at a"):
            await ask(site, "a", mine)
        anew = msgspec.structs.replace(mine, id=msgspec.structs.replace(name, generation=5))
        with pytest.raises(NotPrimaryError, match="look at the site anew"):
            await ask(site, "a", anew)

    play(scenario)


def test_a_member_that_leaves_sends_everybody_elsewhere() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa")
        one.service.turn_away()
        for request in (put([KEY], [b"v"]), GetAll(REGION, [KEY]), Keys(REGION, [0], BUCKETS)):
            with pytest.raises(NotPrimaryError, match="a stops: ask another member"):
                await ask(site, "a", request)

    play(scenario)


def test_values_that_fit_into_no_frame_are_refused_before_they_are_encoded() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa")
        await ask(site, "a", put([KEY], [LARGE]))
        with pytest.raises(UsageError, match=r"the values have 20971520 bytes, .*: ask for fewer keys"):
            await ask(site, "a", GetAll(REGION, [KEY] * 5))
        assert await ask(site, "a", GetAll(REGION, [KEY] * 3)) == messages.Values([LARGE] * 3)

    play(scenario)


@pytest.mark.parametrize("member", ["a", "b"])
def test_a_put_that_fits_into_no_record_is_refused_by_whoever_is_asked(member: str) -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa")
        keys = [key for key in map(str, range(20)) if bucket_of(key, BUCKETS) == 0][:3]
        with pytest.raises(UsageError, match=r"a request of \d+ bytes is refused: put at most \d+ bytes at once"):
            await ask(site, member, put(keys, [LARGE] * len(keys)))

    play(scenario)


@pytest.mark.parametrize("role", ["client", "operator", "locator"])
def test_parts_of_another_site_are_taken_from_members_only(role: str) -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa")
        with pytest.raises(UsageError, match=f"ApplyParts is answered to members, not to {role}"):
            await ask(site, "a", ApplyParts(REGION, 0, ()), Hello(role, "x"))
        with pytest.raises(NotPrimaryError, match="b is not the primary of bucket 0"):
            await ask(site, "b", ApplyParts(REGION, 0, ()), MEMBER)
        with pytest.raises(NotPrimaryError, match="has 4 buckets"):
            await ask(site, "a", ApplyParts(REGION, BUCKETS, ()), MEMBER)
        assert isinstance(await ask(site, "a", ApplyParts(REGION, 0, ()), MEMBER), messages.Done)

    play(scenario)
