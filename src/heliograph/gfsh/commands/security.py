"""hash password: what a users' file holds of a password."""

from __future__ import annotations

import os

import click

from heliograph.errors import UsageError
from heliograph.gfsh.grammar import command
from heliograph.gfsh.passwords import ask_password
from heliograph.gfsh.session import Session
from heliograph.model.results import Result


@command("hash password")
@click.pass_obj
def hash_password(_session: Session) -> Result:
    """Show what a users' file holds of a password, which is asked for (or the first line of standard input)."""
    from heliograph.security import passwords

    password = ask_password(confirm=True)
    if not password:
        raise UsageError("the password is empty")
    return Result(info=[passwords.hash_password(password, os.urandom(passwords.SALT_BYTES)).text()])


COMMANDS = (hash_password,)
