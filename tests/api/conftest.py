from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import heliograph
from heliograph.api.cache_config import CacheOptions
from heliograph.api.loop import LoopThread
from heliograph.model.attributes import RegionAttributes
from tests.api.site import FakeSite, MemoryBackend


@contextmanager
def over_memory() -> Iterator[heliograph.Region]:
    backend = MemoryBackend(RegionAttributes(name="customer"))
    loop = LoopThread("test")
    try:
        yield heliograph.Region("customer", backend, loop)
    finally:
        loop.close(_nothing)


@contextmanager
def over_links() -> Iterator[heliograph.Region]:
    loop = LoopThread("fake site")
    site = loop.run(FakeSite().start())
    try:
        with heliograph.connect(site.address) as client:
            yield client.region("customer")
    finally:
        loop.close(site.close)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[heliograph.Cache]:
    """A real member with its own locator and engine."""
    with start_cache(tmp_path_factory.mktemp("cache") / "app1") as cache:
        yield cache


@contextmanager
def start_cache(directory: Path, name: str = "app1", *, distributed_system_id: int = 1) -> Iterator[heliograph.Cache]:
    options: CacheOptions = {
        "start_locator": "127.0.0.1[0]",
        "bind_address": "127.0.0.1",
        "http_service_port": 0,
        "member_timeout_ms": 1000,
        "directory": str(directory),
        "distributed_system_id": distributed_system_id,
    }
    with heliograph.Cache(name, **options) as cache:
        yield cache


@pytest.fixture(params=["memory", "links", "member", "client of member"])
def region(request: pytest.FixtureRequest) -> Iterator[heliograph.Region]:
    """A region, empty, over everything that a region can stand on."""
    with ExitStack() as stack:
        if request.param == "memory":
            yield stack.enter_context(over_memory())
        elif request.param == "links":
            yield stack.enter_context(over_links())
        else:
            cache: heliograph.Cache = request.getfixturevalue("cache")
            region = cache.create_region("customer")
            for key in region:
                region.remove(key)
            if request.param != "member":
                client = stack.enter_context(heliograph.connect(str(cache.locators[0])))
                region = client.region("customer")
            yield region


async def _nothing() -> None:
    pass
