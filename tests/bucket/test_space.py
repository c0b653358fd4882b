from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.bucket.space import APPEND_OVERHEAD_BYTES, Space

LIMIT = 10_000
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, LIMIT)),
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.just("cut"), st.integers(0, LIMIT)),
        st.tuples(st.just("limit"), st.integers(0, 2 * LIMIT)),
    )
)


def test_without_a_limit_nothing_is_reckoned_or_refused() -> None:
    space = Space()
    space.append(1 << 40)
    assert (space.used_bytes, space.full, space.pressed) == (0, False, False)


def test_a_store_is_pressed_then_full_and_has_room_again_when_it_was_cut() -> None:
    space = Space(LIMIT)
    space.append(LIMIT * 3 // 4 - APPEND_OVERHEAD_BYTES - 1)
    assert (space.pressed, space.full) == (False, False)
    space.append(0)
    assert (space.pressed, space.full) == (True, False)
    space.append(LIMIT // 4)
    assert (space.pressed, space.full) == (True, True)
    space.measured(LIMIT // 2, space.appended_bytes)
    assert (space.pressed, space.full) == (False, False)


def test_what_is_appended_while_the_engine_is_asked_is_not_forgotten() -> None:
    space = Space(LIMIT)
    asked_at = space.appended_bytes
    space.append(LIMIT)
    space.measured(0, asked_at)
    assert space.full


def test_a_limit_takes_hold_and_ends_at_once() -> None:
    space = Space(LIMIT)
    space.measured(LIMIT - 1, 0)
    space.limit(LIMIT // 2)
    assert space.full
    space.limit(0)
    assert not space.full


@given(STEPS)
def test_what_one_member_appends_is_never_reckoned_too_low(steps: list[tuple[str, int]]) -> None:
    """A single writer whose answers come at once: it never takes a write at or above the limit."""
    space, stored = Space(LIMIT), 0
    for step, number in steps:
        if step == "append" and not space.full:
            assert not space.limit_bytes or stored < space.limit_bytes
            stored += number + APPEND_OVERHEAD_BYTES
            space.append(number)
        elif step == "ask":
            space.measured(stored, space.appended_bytes)
            assert space.used_bytes == stored
        elif step == "cut":
            stored = max(0, stored - number)
        elif step == "limit":
            space.limit(number)
            space.measured(stored, space.appended_bytes)
        if space.limit_bytes:
            assert space.used_bytes >= stored
        assert space.full == (0 < space.limit_bytes <= space.used_bytes)
        assert not space.full or space.pressed
