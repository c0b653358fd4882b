from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.gateway.alarms import LONG_QUEUE_EVENTS, WARNING_INTERVAL_MS, AgeAlarm, Late, LengthAlarm
from heliograph.model.batch import UPDATE, Columns, Part, encode_columns
from heliograph.model.clock import stamp_of_ms
from heliograph.model.keys import encode_value
from tests.gateway.builders import HERE, columns_of


def born_ms(*times_ms: int) -> Part:
    """A part whose events were born at these times, all different."""
    keys = [f"k{number}" for number in range(len(times_ms))]
    stamps = [stamp_of_ms(each) + number for number, each in enumerate(times_ms)]
    columns = Columns(bytes([UPDATE]) * len(keys), list(keys), [encode_value("v")] * len(keys), list(stamps))
    return Part(HERE, (), 0, 0, len(keys), encode_columns(columns))


# --- age


def test_an_event_as_old_as_the_threshold_is_not_late_and_an_older_one_is() -> None:
    alarm = AgeAlarm(500)
    assert alarm.on_acknowledged([born_ms(1_000)], 1_500) is None
    assert alarm.exceeding == 0
    assert alarm.on_acknowledged([born_ms(1_000)], 1_501) == Late(1, 501)
    assert alarm.exceeding == 1


def test_events_that_share_a_stamp_are_late_together() -> None:
    alarm = AgeAlarm(1)
    part = Part(HERE, (), 0, 0, 3, columns_of("a", "b", "c", now_ms=1_000))
    assert alarm.on_acknowledged([part], 9_000) == Late(3, 8_000)


def test_without_a_threshold_nothing_is_late_and_nothing_is_decoded() -> None:
    alarm = AgeAlarm(0)
    assert alarm.on_acknowledged([Part(HERE, (), 0, 0, 1, b"no columns")], 10**12) is None
    assert alarm.exceeding == 0


def test_a_warning_tells_of_all_that_were_late_since_the_last_one() -> None:
    alarm = AgeAlarm(10)
    assert alarm.on_acknowledged([born_ms(0)], 100) == Late(1, 100)
    assert alarm.on_acknowledged([born_ms(0, 50)], 200) is None
    assert alarm.on_acknowledged([born_ms(300)], 400) is None
    assert alarm.exceeding == 4
    due_ms = 100 + WARNING_INTERVAL_MS
    assert alarm.on_acknowledged([born_ms(due_ms)], due_ms) == Late(3, 200)
    assert alarm.on_acknowledged([born_ms(due_ms)], due_ms + WARNING_INTERVAL_MS + 1) == Late(
        1, WARNING_INTERVAL_MS + 1
    )


def test_a_clock_that_was_set_back_does_not_keep_warnings_away() -> None:
    alarm = AgeAlarm(10)
    assert alarm.on_acknowledged([born_ms(0)], 1_000_000) == Late(1, 1_000_000)
    assert alarm.on_acknowledged([born_ms(0)], 1_000) == Late(1, 1_000)


@given(
    st.integers(1, 1_000),
    st.lists(st.tuples(st.lists(st.integers(0, 60_000), min_size=1), st.integers(0, 60_000)), max_size=20),
)
def test_all_late_events_are_counted_and_told_once(threshold_ms: int, acks: list[tuple[list[int], int]]) -> None:
    alarm = AgeAlarm(threshold_ms)
    told = late = 0
    for times_ms, now_ms in acks:
        warning = alarm.on_acknowledged([born_ms(*times_ms)], now_ms)
        late += sum(now_ms - each > threshold_ms for each in times_ms)
        told += warning.events if warning is not None else 0
        assert alarm.exceeding == late
        assert told <= late
    end_ms = 60_000 + WARNING_INTERVAL_MS
    warning = alarm.on_acknowledged([born_ms(end_ms)], end_ms)
    assert told + (warning.events if warning is not None else 0) == late


# --- length


def test_a_queue_is_told_of_once_when_it_gets_long_and_once_when_it_is_no_more() -> None:
    alarm = LengthAlarm()
    limit = LONG_QUEUE_EVENTS
    looks = [0, limit - 1, limit, limit, limit + 1, 10**9, limit, limit - 1, 0, limit + 9]
    changes = [(queued, alarm.long) for queued in looks if alarm.look(queued)]
    assert changes == [(limit, True), (limit - 1, False), (limit + 9, True)]
