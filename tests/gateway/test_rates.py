from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.gateway.rates import SPAN_MS, Rates


def test_rates_are_those_of_the_last_seconds() -> None:
    rates = Rates()
    assert (rates.per_second(0), rates.per_other(1, 0)) == (0, 0)
    rates.sample((1_000, 5), 0)
    assert rates.per_second(0) == 0, "what was before is not counted"
    rates.sample((1_300, 905), 2_000)
    assert (rates.per_second(0), rates.per_second(1), rates.per_other(1, 0)) == (150, 450, 3)
    for second in range(3, 14):
        rates.sample((1_300, 905), second * 1_000)
    assert (rates.per_second(0), rates.per_other(1, 0)) == (0, 0)


def test_what_is_slow_still_shows() -> None:
    rates = Rates()
    rates.sample((0,), 0)
    rates.sample((1,), 9_000)
    assert rates.per_second(0) == 1


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 50)), min_size=1, max_size=40))
def test_as_if_all_samples_were_kept(steps: list[tuple[int, int]]) -> None:
    rates = Rates()
    now_ms = count = 0
    taken = []
    for passed_ms, more in steps:
        now_ms += passed_ms
        count += more
        taken.append((now_ms, count))
        rates.sample((count,), now_ms)
    begun = [i for i, (at_ms, _) in enumerate(taken) if at_ms <= now_ms - SPAN_MS]
    first = taken[max(begun, default=0)] if len(taken) > 1 else taken[0]
    if len(taken) > 1 and first is taken[-1]:
        first = taken[-2]
    assert rates.grown(0) == count - first[1]
    assert len(rates._samples) <= len(taken)
