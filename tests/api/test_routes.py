from __future__ import annotations

import pytest

from heliograph.api.routes import Routes
from heliograph.errors import RegionNotFoundError, UnavailableError
from heliograph.link.messages import SiteView
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.members import BucketPlacement, MemberInfo, MemberKind, RegionPlacement


def member(name: str, kind: MemberKind = "server", joined_ms: int = 1) -> MemberInfo:
    return MemberInfo(name=name, kind=kind, incarnation="1", joined_ms=joined_ms, address=Address(name, 1), pid=1)


def routes(*buckets: BucketPlacement, members: str = "a b c") -> Routes:
    infos = [member("locator", "locator"), *map(member, members.split())]
    placement = RegionPlacement("customer", buckets)
    return Routes(SiteView(1, infos, [RegionAttributes(name="customer")], [placement], "", [0], 0))


def asked(site: Routes, bucket: int = 0, **failed: int) -> str:
    return site.member_for("customer", bucket, failed).name


def test_the_primary_comes_first_and_then_the_other_holders_in_turn() -> None:
    site = routes(BucketPlacement("b", ("c",)))
    assert asked(site) == "b"
    assert asked(site, b=1) == "c"
    assert asked(site, b=1, c=2) == "b"
    assert asked(site, b=3, c=2) == "c"


def test_a_learned_primary_comes_before_the_placement() -> None:
    site = routes(BucketPlacement("b", ("c",)), BucketPlacement("b"))
    site.learn("customer", 0, "a")
    assert asked(site) == "a"
    assert asked(site, a=1) == "b"
    assert asked(site, bucket=1) == "b"


def test_holders_that_are_gone_are_not_asked() -> None:
    site = routes(BucketPlacement("gone", ("c",)))
    site.learn("customer", 0, "gone too")
    assert asked(site) == "c"


def test_anybody_is_asked_when_no_holder_is_known_and_the_load_is_spread() -> None:
    site = routes()
    assert [asked(site, bucket) for bucket in range(4)] == ["a", "b", "c", "a"]
    assert asked(site, 1, b=1) == "c"
    assert asked(routes(BucketPlacement("")), 0) == "a"


def test_a_locator_is_no_server() -> None:
    with pytest.raises(UnavailableError, match="the site has no server"):
        asked(routes(members=""))


def test_regions() -> None:
    site = routes()
    assert site.regions == ["customer"]
    assert site.attributes("customer").total_num_buckets == 16
    with pytest.raises(RegionNotFoundError, match=r"region 'x' does not exist at this site \(regions: customer\)"):
        site.attributes("x")
