"""The site's conflict resolver at this member, and what this member remembers of the conflicts that it judged.

Where the resolver can't be loaded, or raises, the rule of versions decides: that is counted, and the member says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from heliograph.bucket.conflicts import WORDS, Conflict, ConflictLog, Resolution, ms_of, site_of
from heliograph.bucket.judging import Judge
from heliograph.errors import UsageError
from heliograph.gateway.conflict_resolver import resolution_of
from heliograph.link.messages import ConflictQuery, Conflicts, ToldConflict
from heliograph.member.gateway_plugins import PluginFailures
from heliograph.model.attributes import GatewayConflictResolverAttributes
from heliograph.model.keys import shown_key
from heliograph.model.plugins import load_plugin, read_plugin

OPTION = "gateway-conflict-resolver"

_log = logging.getLogger(__name__)


class ConflictJudges:
    """What the primaries of every region here judge by. clock_skew_ms: as of `Judge`."""

    def __init__(self, clock_skew_ms: int) -> None:
        self.problem = ""
        """Why the resolver could not be loaded."""
        self._clock_skew_ms = clock_skew_ms
        self._log = ConflictLog()
        self._judges: dict[str, Judge] = {}
        self._attributes: GatewayConflictResolverAttributes | None = None
        self._ask: Callable[[str, Conflict], Resolution] | None = None
        self._failures = PluginFailures("conflicts")

    def judge(self, region: str) -> Judge:
        """Return what the primaries of a region judge by, from now on and whatever resolver there will be."""
        judge = self._judges.get(region)
        if judge is None:
            judge = self._judges[region] = Judge(region, self._log, self._clock_skew_ms)
            self._set(judge)
        return judge

    def arrange(self, wanted: GatewayConflictResolverAttributes | None) -> None:
        """Take up the site's resolver, or none."""
        if wanted == self._attributes:
            return
        self._attributes, self.problem, self._ask = wanted, "", None
        if wanted is not None:
            try:
                resolver = load_plugin(OPTION, wanted.resolver, ("on_event",))
            except UsageError as exc:
                self.problem = str(exc)
                self._ask = lambda _region, _conflict: None
                _log.error("not taken up %s reason=%s", OPTION, exc)
            else:
                self._ask = partial(self._resolve, read_plugin(OPTION, wanted.resolver).target, resolver)
        for judge in self._judges.values():
            self._set(judge)

    def answer(self, query: ConflictQuery) -> Conflicts:
        """Tell what is remembered, the newest first."""
        told = [
            ToldConflict(
                each.region, shown_key(each.key), WORDS[each.outcome],
                ms_of(each.old_version), site_of(each.old_version),
                ms_of(each.new_version), site_of(each.new_version), each.at_ms,
            )
            for each in self._log.newest(query.region, query.key, query.limit)
        ]  # fmt: skip
        counts = {
            region: {WORDS[outcome]: count for outcome, count in sorted(counted.items())}
            for region, counted in self._log.counts.items()
            if query.region in ("", region)
        }
        return Conflicts(counts, told, self.problem)

    def _set(self, judge: Judge) -> None:
        judge.resolve = None if self._ask is None else partial(self._ask, judge.region)

    def _resolve(self, name: str, resolver: Any, region: str, conflict: Conflict) -> Resolution:
        try:
            return resolution_of(resolver, region, conflict)
        except Exception as exc:  # of users' own code: whatever it raises, the rule decides
            self._failures.on_failure(name, "on_event", exc)
        return None
