"""What an operator changes of running processes, and the site keeps for those that come later."""

from __future__ import annotations

import msgspec

from heliograph.model.log_levels import check_log_level


class RuntimeProperties(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Properties of every server of a site (`alter runtime`, gfsh.md §3.4). Raises UsageError.

    log_level: a name of `model.log_levels`, in lower case.
    """

    log_level: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "log_level", check_log_level(self.log_level))
