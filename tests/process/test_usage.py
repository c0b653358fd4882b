"""What this process takes of its machine."""

from heliograph.process.usage import usage


def test_time_only_grows_and_memory_is_there() -> None:
    before = usage()
    sum(range(3_000_000))
    after = usage()
    assert after.cpu_ms > before.cpu_ms >= 0
    assert after.resident_bytes > 1 << 20
