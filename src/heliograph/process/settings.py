"""What a process was started with, as an operator is shown it: by where it was said, and never a secret.

A config struct (`LocatorConfig`, `MemberConfig`) has `tls`, `security` and `sources` besides its settings; the last one
is field -> where it was said, of those that no option said. A setting that is as its default is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from heliograph.model.tls import TlsProperties, TlsStores
from heliograph.security.properties import SecurityProperties
from heliograph.security.users import PASSWORD, TOKEN, USERNAME

HIDDEN = "********"
OPTIONS, FILES, DEFAULTS = "Options", "Properties files", "Defaults"
_APART = frozenset({"tls", "security", "sources"})
_NAMES = {"member_timeout_ms": "member-timeout", "write_timeout_ms": "write-timeout", "directory": "dir"}
_USER_OF_URL = re.compile(r"//[^/,]*@")

Section = tuple[str, dict[str, str]]


def started_with(config: msgspec.Struct) -> list[Section]:
    """Return the settings by where they were said, the defaults last."""
    sources: Mapping[str, str] = getattr(config, "sources", {})
    sections: dict[str, dict[str, str]] = {OPTIONS: {}, FILES: {}}
    for field in msgspec.structs.fields(config):
        if field.name in _APART:
            continue
        value = getattr(config, field.name)
        default = not field.required and value == field.default
        where = DEFAULTS if default else sources.get(field.name, OPTIONS)
        sections.setdefault(where, {})[_NAMES.get(field.name, field.name.replace("_", "-"))] = _shown(value)
    sections[FILES] |= _of_tls(getattr(config, "tls", TlsProperties()))
    sections[FILES] |= _of_security(getattr(config, "security", SecurityProperties()))
    defaults = sections.pop(DEFAULTS, {})
    return [(title, values) for title, values in (*sections.items(), (DEFAULTS, defaults)) if values]


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))
    return _USER_OF_URL.sub(f"//{HIDDEN}@", str(value))


def _of_tls(tls: TlsProperties) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in _given(tls):
        value = getattr(tls, field)
        if field == "stores":
            found |= _of_stores("ssl", value)
        elif field == "overrides":
            for component, stores in value.items():
                found |= _of_stores(f"ssl-{component}", stores)
        else:
            found[f"ssl-{field.replace('_', '-')}"] = _shown(value)
    return found


def _of_stores(prefix: str, stores: TlsStores) -> dict[str, str]:
    return {
        f"{prefix}-{field.replace('_', '-')}": HIDDEN if "password" in field else getattr(stores, field)
        for field in _given(stores)
    }


def _of_security(security: SecurityProperties) -> dict[str, str]:
    """Return the `security-*` properties; what only a plug-in understands may be a secret."""
    found = {
        "security-manager": security.manager.partition("{")[0],
        "security-users-file": security.users_file,
        USERNAME: security.username,
        PASSWORD: security.password and HIDDEN,
        TOKEN: security.token and HIDDEN,
        "security-client-auth-init": security.client_auth_init.partition("{")[0],
        "security-peer-auth-init": security.peer_auth_init.partition("{")[0],
        **dict.fromkeys(security.others, HIDDEN),
    }
    return {name: value for name, value in found.items() if value}


def _given(struct: msgspec.Struct) -> Iterable[str]:
    """Return the fields that are not as their defaults."""
    return [each.name for each in msgspec.structs.fields(struct) if getattr(struct, each.name) != _default(each)]


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
