"""The `security-*` properties of a process as one value."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from heliograph.errors import UsageError
from heliograph.model.plugins import read_plugin
from heliograph.security.users import PASSWORD, TOKEN, USERNAME

FILE = "file"
"""The security manager that comes with heliograph: it knows the users of a file."""
PREFIX = "security-"
FILES = frozenset({"security-users-file"})
_OWN = {
    "security-manager": "manager",
    "security-users-file": "users_file",
    USERNAME: "username",
    PASSWORD: "password",
    TOKEN: "token",
    "security-client-auth-init": "client_auth_init",
    "security-peer-auth-init": "peer_auth_init",
}
_OF_SERVERS = frozenset({"security-manager", "security-users-file", "security-peer-auth-init"})
_ELSEWHERE = {
    "security-post-processor": "values are not changed on their way to a client: use a permission for each key",
    "security-client-authenticator": "use security-manager",
    "security-peer-authenticator": "use security-manager",
    "security-client-accessor": "use security-manager",
    "security-client-accessor-pp": "use security-manager",
    "security-log-file": "what concerns security is in the log of the process",
    "security-log-level": "what concerns security is in the log of the process",
    "security-udp-dhalgo": "nothing goes by UDP: encrypt links by TLS",
    "security-peer-verifymember-timeout": "who opens a link is judged within two seconds",
    "security-auth-token-enabled-components": "the admin API takes tokens whenever the security manager does",
}


class SecurityProperties(msgspec.Struct, frozen=True, kw_only=True):
    """What a process needs to know who others are, and to say who it is itself. Raises UsageError.

    manager: `file`, or `module:object` of a class with `authenticate` and `authorize`; "": everyone may do everything.
    users_file: of the manager `file`.
    username, password, or a token: who this process is for others.
    client_auth_init, peer_auth_init: `module:object` of a class that gives credentials instead, to locators and gateway
    receivers of other sites and to members and locators of the own one.
    others: further `security-...` properties, for these classes.
    """

    manager: str = ""
    users_file: str = ""
    username: str = ""
    password: str = ""
    token: str = ""
    client_auth_init: str = ""
    peer_auth_init: str = ""
    others: dict[str, str] = {}

    def __post_init__(self) -> None:
        for option in ("client_auth_init", "peer_auth_init"):
            if text := getattr(self, option):
                read_plugin(f"{PREFIX}{option.replace('_', '-')}", text)
        if self.manager not in ("", FILE):
            read_plugin("security-manager", self.manager)
        if bool(self.users_file) != (self.manager == FILE):
            raise UsageError("security-users-file goes with security-manager=file: give both or neither")
        if self.password and not self.username:
            raise UsageError("security-password is given without security-username")
        if self.token and self.username:
            raise UsageError("security-token and security-username exclude each other: give one of them")

    def __repr__(self) -> str:
        return f"<security by {self.manager or 'nobody'}>"

    @property
    def given(self) -> Mapping[str, str]:
        """What credential providers are told: who this process is, and the properties that only they know."""
        own = {USERNAME: self.username, PASSWORD: self.password, TOKEN: self.token}
        return {**self.others, **{name: value for name, value in own.items() if value}}


NO_SECURITY_PROPERTIES = SecurityProperties()


def read_security(properties: Mapping[str, str], *, client: bool = False) -> SecurityProperties:
    """Take the `security-*` ones of a process's properties. Raises UsageError naming what does not fit.

    client: of one that others do not open links to.
    """
    given = {name: value for name, value in properties.items() if name.startswith(PREFIX)}
    for name in given.keys() & _ELSEWHERE.keys():
        raise UsageError(f"{name}: {_ELSEWHERE[name]}")
    idle = sorted(given.keys() & _OF_SERVERS) if client else ()
    if idle:
        raise UsageError(f"{', '.join(idle)}: for locators and servers, and this is a client")
    fields = {_OWN[name]: given.pop(name) for name in list(given) if name in _OWN}
    read = SecurityProperties(**fields, others=given)
    if given and not (read.client_auth_init or read.peer_auth_init):
        raise UsageError(
            f"{', '.join(sorted(given))}: no effect without security-client-auth-init or security-peer-auth-init"
        )
    return read
