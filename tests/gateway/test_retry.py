from heliograph.gateway.retry import JITTER, Backoff


def test_waits_double_up_to_the_limit_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(100, 1_000)
    assert [backoff.next_ms(0.0) for _ in range(6)] == [100, 200, 400, 800, 1_000, 1_000]
    backoff.reset()
    assert backoff.next_ms(0.0) == 100


def test_jitter_shortens_a_wait_but_never_to_nothing() -> None:
    assert Backoff(100, 1_000).next_ms(1.0) == 100 * (1 - JITTER)
    assert Backoff(1, 1).next_ms(0.999) == 1
