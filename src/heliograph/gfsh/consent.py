"""Questions before something is changed."""

from __future__ import annotations

import sys

import click

from heliograph.gfsh.session import Session


def agreed(question: str) -> bool:
    """Ask on a terminal; elsewhere, and of `-e`, the answer is yes, as of gfsh's own questions (gfsh.md §1.2)."""
    context = click.get_current_context(silent=True)
    session = context.find_object(Session) if context is not None else None
    if not sys.stdin.isatty() or (session is not None and session.headless):
        return True
    return click.confirm(question, default=True)
