"""What the registry makes of an engine of several nodes; the conformance suite has what every engine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.nats.server import PrivateEngine
from heliograph.errors import UnavailableError
from tests.engine.nats.test_server import with_engine


def test_a_replica_that_knows_less_than_was_seen_is_not_believed(tmp_path: Path) -> None:
    """One whose disk was wiped lists nothing while no primary answers: a site would be told to have no regions."""

    async def scenario(engine: PrivateEngine) -> None:
        client = await connect_engine(engine.url)
        try:
            registry = await client.open_registry("site")
            await registry.put("config.region.customer", b"v")
            stream_info = registry._context.stream_info

            async def wiped(name: str, subjects_filter: str | None = None) -> Any:
                info = await stream_info(name, subjects_filter)
                info.state.last_seq, info.state.subjects = 0, None
                return info

            registry._context.stream_info = wiped  # type: ignore[method-assign]
            with pytest.raises(UnavailableError, match="a replica of KV_site lags: it has not 1 yet"):
                await registry.items("config")
            anew = await client.open_registry("site")
            assert await anew.get("config.region.customer") is not None
            anew._context.stream_info = wiped  # type: ignore[method-assign]
            with pytest.raises(UnavailableError, match="lags"):
                await anew.items("config")
            registry._context.stream_info = stream_info  # type: ignore[method-assign]
            assert list(await registry.items("config")) == ["config.region.customer"]
        finally:
            await client.close()

    with_engine(tmp_path, scenario)
