"""The engine's url as others are told it."""

from __future__ import annotations

import pytest

from heliograph.locator.engine import url_at


@pytest.mark.parametrize(
    ("host", "url"),
    [("example.org", "nats://user:secret@example.org:4222"), ("::1", "nats://user:secret@[::1]:4222")],
)
def test_the_engine_is_told_by_the_advertised_host(host: str, url: str) -> None:
    assert url_at("nats://user:secret@0.0.0.0:4222", host) == url
