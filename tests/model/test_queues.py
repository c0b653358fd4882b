from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.errors import UsageError
from heliograph.gateway.loops import is_for
from heliograph.model.definitions import differences, exists_already, subject_of
from heliograph.model.ids import SITE_ID_MAX
from heliograph.model.queues import NO_SITE, AsyncEventQueueAttributes
from tests.gateway.builders import part_of

OTHER: dict[str, Any] = {
    "parallel": True,
    "batch_size": 7,
    "batch_time_interval": 9,
    "enable_batch_conflation": True,
    "persistent": True,
    "disk_store": "wan",
    "max_queue_memory": 3,
    "dispatcher_threads": 2,
    "order_policy": "partition",
    "gateway_event_filters": ("a:b",),
    "gateway_event_substitution_filter": "c:d",
    "pause_event_processing": True,
    "groups": ("g",),
}


def queue(**options: Any) -> AsyncEventQueueAttributes:
    return AsyncEventQueueAttributes(id="q", listener="m:Listener", **options)


def test_every_option_of_a_queue_is_one_of_the_sender_that_runs_it() -> None:
    assert {*OTHER} == {*AsyncEventQueueAttributes.__struct_fields__} - {"id", "listener"}
    plain = msgspec.structs.asdict(queue().as_sender())
    for option, value in OTHER.items():
        changed = msgspec.structs.asdict(queue(**{option: value}).as_sender())
        assert [name for name in plain if changed[name] != plain[name]], option
        assert len([name for name in plain if changed[name] != plain[name]]) == 1, option


def test_the_sender_that_runs_a_queue_has_its_listener_and_leads_to_no_site() -> None:
    sender = queue().as_sender()
    assert (sender.id, sender.listener, sender.known_as) == ("AsyncEventQueue_q", "m:Listener", "async event queue q")
    origins = range(SITE_ID_MAX + 1)
    assert all(is_for(part_of("k", origin=origin, recipients=tuple(origins)), NO_SITE) for origin in origins)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "a/b"}, "'a/b' can't name an async event queue"),
        ({"listener": "nothing"}, "listener 'nothing': write module:object"),
        ({"batch_size": 0}, "batch-size 0"),
        ({"max_queue_memory": 0}, "max-queue-memory 0: use 1 to 2147483647 MB"),
        ({"dispatcher_threads": 0}, "dispatcher-threads 0"),
        ({"parallel": True, "groups": ("g",)}, "async event queue q is parallel, so every server"),
        ({"parallel": True, "order_policy": "thread"}, "async event queue q is parallel and can't be created with"),
        ({"gateway_event_filters": ("nothing",)}, "gateway-event-filter 'nothing': write module:object"),
    ],
)
def test_what_breaks_a_rule_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        AsyncEventQueueAttributes(**{"id": "q", "listener": "m:Listener", **options})
    assert message in str(refused.value)


def test_how_messages_name_a_queue_and_tell_it_from_another() -> None:
    assert subject_of(queue()) == "async-event-queue q"
    assert differences(queue(batch_size=7), queue()) == "batch-size: 7 there, 100 here"
    assert "alter async-event-queue changes its batches" in str(exists_already(queue(), queue()))
