"""Questions before something is changed."""

from __future__ import annotations

import sys

import click


def agreed(question: str) -> bool:
    """Ask on a terminal; elsewhere the answer is yes, as of gfsh's own questions (gfsh.md §1.2)."""
    return not sys.stdin.isatty() or click.confirm(question, default=True)
