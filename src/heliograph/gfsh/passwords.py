"""Asking for a password."""

from __future__ import annotations

import sys

import click


def ask_password(*, confirm: bool = False, prompt: str = "password") -> str:
    """Ask for a password without showing it; without a terminal the first line of standard input is it."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return answer
