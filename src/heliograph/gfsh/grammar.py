"""The grammar of commands, on click: option rules of gfsh, value types, and options made from attribute structs.

click knows `--name=value`; gfsh also knows `--name value` where the value may begin with a minus, a bare `--flag`, and
forbids to give one option twice. `join_options` translates the second into the first before click parses
(gfsh.md §1.3).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
import msgspec

from heliograph.errors import UsageError
from heliograph.model.ids import Address, parse_addresses
from heliograph.model.plugins import split_plugins
from heliograph.model.refusals import Refusal, check_refused

F = TypeVar("F", bound=Callable[..., Any])


class Boolean(click.ParamType[bool]):
    """`true` or `false`."""

    name = "true|false"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Read a boolean."""
        if isinstance(value, bool):
            return value
        try:
            return {"true": True, "false": False}[str(value).lower()]
        except KeyError:
            self.fail(f"{value!r} is neither true nor false", param, ctx)


class TextList(click.ParamType[tuple[str, ...]]):
    """Texts separated by commas; an empty text is an empty list. A comma within braces (JSON) does not separate."""

    name = "text,text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Read a list."""
        if isinstance(value, tuple):
            return value
        try:
            return split_plugins(str(value))
        except UsageError as exc:
            self.fail(str(exc), param, ctx)


class Several(click.ParamType[tuple[Any, ...]]):
    """Values of another type separated by commas, one at least."""

    def __init__(self, each: click.ParamType[Any]) -> None:
        self.name = f"{each.name},{each.name}"
        self._each = each

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Read every value."""
        if isinstance(value, tuple):
            return value
        return tuple(self._each.convert(text.strip(), param, ctx) for text in str(value).split(","))


class AddressType(click.ParamType[Address]):
    """An address, `host[port]`."""

    name = "host[port]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """Read an address."""
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(str(value))
        except UsageError as exc:
            self.fail(str(exc), param, ctx)


class AddressList(click.ParamType[tuple[Address, ...]]):
    """Addresses separated by commas."""

    name = "host[port],host[port]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Address, ...]:
        """Read a list of addresses."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_addresses(str(value))
        except UsageError as exc:
            self.fail(str(exc), param, ctx)


class OneOf(click.Choice[str]):
    """A word that is written in upper case, and accepted in any; the choices are those to show and to complete."""

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__([word.upper() for word in words])

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the word as it is shown and compared."""
        return str(choice).upper()


class OneOfSome(OneOf):
    """Such a word of which others are passed on, in upper case: whoever takes them knows why not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the word in upper case."""
        return self.normalize_choice(value, ctx)


class Literally(OneOf):
    """Such a word of a `Literal`, which has it in lower case."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word in lower case."""
        return super().convert(value, param, ctx).lower()


_REFUSED = "heliograph.refused"
"""In a context: why options were refused."""
BOOLEAN, TEXT_LIST, ADDRESS, ADDRESSES = Boolean(), TextList(), AddressType(), AddressList()
PORT = click.IntRange(0, 65535)


class HelpAsked(Exception):  # noqa: N818  (no error)
    """`--help` was given: the text that it asks for is the command's result."""


class Helping(click.Command):
    """A command or group whose `--help` is shown as every other result is. Raises HelpAsked."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option, made once."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _ask_help
        return option


def _ask_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value and not ctx.resilient_parsing:
        raise HelpAsked(ctx.get_help())


class Command(Helping):
    """A command whose options are written as in gfsh."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after the command's name. Raises UsageError for all that is `refused` of them."""
        try:
            rest = super().parse_args(ctx, join_options(args, self.get_params(ctx), ctx))
        except click.MissingParameter:
            _check_none_refused(ctx)
            raise
        _check_none_refused(ctx)
        return rest


def note_refused(ctx: click.Context, reason: str) -> None:
    """Have the command that is being parsed end with this reason, among others: as `refused` does."""
    ctx.meta.setdefault(_REFUSED, []).append(reason)


def _check_none_refused(ctx: click.Context) -> None:
    """Raise UsageError that names every option that was refused, so that a pasted command is mended at one go."""
    reasons = ctx.meta.get(_REFUSED)
    if reasons:
        raise UsageError("\n".join(reasons))


def join_options(
    words: Sequence[str], params: Iterable[click.Parameter], ctx: click.Context | None = None
) -> list[str]:
    """Rewrite `--name value` and a bare `--name` as `--name=value`.

    A bare boolean is true, a bare text or list is empty, a bare option of another type is not given. The word after an
    option is its value unless it begins with `--`. Options not among `params` are left for click to refuse. Raises
    click.UsageError for an option that is given twice, under whatever names.
    """
    known = {name: param for param in params if isinstance(param, click.Option) for name in param.opts}
    joined: list[str] = []
    seen: dict[str | None, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        option = known.get(name)
        if option is None or option.is_flag:
            joined.append(word)
            continue
        if option.name in seen and not option.multiple:
            other = seen[option.name]
            raise click.UsageError(
                f"{name} is given twice" if other == name else f"{other} and {name} are one option", ctx
            )
        seen[option.name] = name
        if equals:
            joined.append(word)
        elif rest and not rest[0].startswith("--"):
            joined.append(f"{name}={rest.pop(0)}")
        elif isinstance(option.type, Boolean):
            joined.append(f"{name}=true")
        elif isinstance(option.type, (click.types.StringParamType, TextList)):
            joined.append(f"{name}=")
    return joined


def command(path: str, *, epilog: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function the command that is called `path` ("create region"); its docstring is the help."""
    return click.command(path, cls=Command, epilog=epilog, context_settings={"max_content_width": 110})


def attributes(
    struct: type[msgspec.Struct],
    helps: Mapping[str, str],
    *,
    spelled: Mapping[str, tuple[str, ...]] | None = None,
    choices: Mapping[str, Iterable[str]] | None = None,
    optional: Container[str] = (),
    without: Container[str] = (),
) -> Callable[[F], F]:
    """Give a command one option for every field of an attribute struct: names, types, defaults and what is mandatory.

    helps: field -> help text. spelled: field -> its option's names, where it is not the field's name with dashes.
    choices: field -> words in upper case, of a field that is a plain text; the struct refuses others.
    optional: mandatory fields that the command fills in. without: fields that are no options.
    The command gets None for what was not given; `given` leaves it out, so that the struct's default holds.
    """
    spelled, choices = spelled or {}, choices or {}

    def decorate(function: F) -> F:
        for field in reversed(msgspec.structs.fields(struct)):
            if field.name in without:
                continue
            kind = OneOfSome(choices[field.name]) if field.name in choices else _kind(field.type)
            names = [f"--{name}" for name in spelled.get(field.name, (field.name.replace("_", "-"),))]
            required = field.required and field.name not in optional
            option = click.option(
                *names, field.name, type=kind, required=required, help=helps[field.name] + _default(field)
            )
            function = option(function)
        return function

    return decorate


def refused(options: Mapping[str, Refusal]) -> Callable[[F], F]:
    """Have a command refuse options that GemFire's has, and that mean nothing here (`model.refusals`), by name.

    A bare one means true if it is a boolean, and else is not given (gfsh.md §1.3); so does an empty text.
    """

    def refuse(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        refusal = options[param.opts[0].removeprefix("--")]
        if value == "" and refusal.is_boolean:
            value = "true"
        if not value:
            return
        try:
            check_refused(param.opts[0], refusal, value)
        except UsageError as exc:
            note_refused(ctx, str(exc))

    def decorate(function: F) -> F:
        for name in options:
            function = click.option(f"--{name}", hidden=True, expose_value=False, callback=refuse)(function)
        return function

    return decorate


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required or field.default in (None, "", ".", ()):
        return ""
    shown = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f" [default: {shown}]"


def _kind(annotation: Any) -> click.ParamType[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (kind for kind in get_args(annotation) if kind is not type(None))
    if get_origin(annotation) is Literal:
        return Literally(get_args(annotation))
    if get_origin(annotation) is tuple:
        return ADDRESSES if get_args(annotation)[0] is Address else TEXT_LIST
    kinds: dict[Any, click.ParamType[Any]] = {bool: BOOLEAN, int: click.INT, str: click.STRING, Address: ADDRESS}
    return kinds[annotation]
