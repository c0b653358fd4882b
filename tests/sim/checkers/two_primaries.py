"""Two primaries: a bucket's log has records of different writers in one epoch, an epoch that returns, or a fork.

The first record of an epoch names its primary; the others of the epoch are its own.
"""

from __future__ import annotations

from tests.sim.observed import Entry, Observed


def check(observed: Observed) -> list[str]:
    return [
        f"bucket {bucket} of site {dsid}: {problem}"
        for dsid, site in sorted(observed.sites.items())
        for bucket, log in sorted(site.logs.items())
        for problem in _check_log(log)
    ]


def _check_log(log: list[Entry]) -> list[str]:
    found = []
    seq = epoch = 0
    writer = ""
    for entry in log:
        if entry.previous != seq:
            found.append(f"record {entry.seq} was meant to follow {entry.previous}, it follows {seq}")
        if entry.epoch < epoch:
            found.append(f"record {entry.seq} is of epoch {entry.epoch}, after one of {epoch}")
        elif entry.epoch > epoch and not entry.primary:
            found.append(f"record {entry.seq} begins epoch {entry.epoch} and names no primary")
        elif entry.epoch == epoch and entry.primary:
            found.append(f"{entry.primary} became primary of epoch {epoch} with record {entry.seq}, which had one")
        elif entry.epoch == epoch and entry.writer != writer:
            found.append(f"record {entry.seq} of epoch {epoch} is of {entry.writer}, not of its primary {writer}")
        if entry.epoch > epoch:
            writer = entry.writer
        seq, epoch = entry.seq, max(epoch, entry.epoch)
    return found
