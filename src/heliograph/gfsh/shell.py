"""The interactive shell: prompt, completion, history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from heliograph.errors import HeliographError
from heliograph.gfsh.dispatch import run_line
from heliograph.gfsh.grammar import Boolean
from heliograph.gfsh.history import RedactedHistory, SessionHistory, WholeLines, history_file
from heliograph.gfsh.known import Known
from heliograph.gfsh.session import Session
from heliograph.gfsh.tokens import PROMPT, script_lines
from heliograph.gfsh.topics import TOPICS
from heliograph.gfsh.tree import Tree, commands, walk
from heliograph.model.results import Result, failed

CONTINUED = "     >"


class CommandCompleter(Completer):
    """Completes command words and options from the tree of commands, and values from it and the connected site."""

    def __init__(self, known: Known, history: WholeLines) -> None:
        self._known = known
        self._history = history

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """Yield what may stand at the cursor."""
        for text, help_text in candidates(self._history.begun + document.text_before_cursor, self._known):
            word = document.text_before_cursor.rpartition(" ")[2]
            yield Completion(text, start_position=-len(word), display_meta=help_text)


def candidates(line: str, known: Known | None = None) -> Iterator[tuple[str, str]]:
    """Yield the words, with a help text, that may replace the last word of a line (which may be empty).

    known: values of options that the connected site has.
    """
    *words, last = line.rpartition(";")[2].lstrip().split(" ")
    words = [word for word in words if word]
    if words[:1] == ["help"]:
        del words[0]
    elif words == ["hint"]:
        yield from ((topic, "") for topic in TOPICS if topic.lower().startswith(last.lower()))
        return
    place: click.Command | None = commands()
    while words and isinstance(place, Tree):
        place = place.commands.get(words.pop(0))
    if isinstance(place, Tree):
        for name, command in sorted(place.commands.items()):
            shown = any(walk(command)) if isinstance(command, Tree) else not command.hidden
            if shown and name.startswith(last):
                yield name, "" if isinstance(command, Tree) else command.get_short_help_str()
    elif place is not None:
        yield from _options(place, words, last, known)


def _options(command: click.Command, words: list[str], last: str, known: Known | None) -> Iterator[tuple[str, str]]:
    name, equals, typed = last.partition("=")
    asked = next((option for option in command.params if words and words[-1] in option.opts), None)
    if isinstance(asked, click.Option) and not last.startswith("--"):
        for text, _ in _listed(words[-1], last, _values_of(command, asked, words[-1], last, known)):
            yield text.partition("=")[2], ""
        if not isinstance(asked.type, Boolean):
            return
    used = {word.partition("=")[0] for word in words}
    for option in command.params:
        if not isinstance(option, click.Option) or option.hidden or used.intersection(option.opts):
            continue
        if equals:
            if name in option.opts:
                yield from _listed(name, typed, _values_of(command, option, name, typed, known))
        elif option.opts[0].startswith(last):
            yield f"{option.opts[0]}=", option.help or ""


def _listed(name: str, typed: str, values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what may stand after `name=`; of a list only what follows the last comma is completed."""
    begun, comma, last = typed.rpartition(",")
    taken = begun.split(",")
    yield from (
        (f"{name}={begun}{comma}{value}", "") for value in values if value.startswith(last) and value not in taken
    )


def _values_of(
    command: click.Command, option: click.Option, name: str, typed: str, known: Known | None
) -> Sequence[str]:
    """Return what the value of an option may be; of a list any part of it."""
    if isinstance(option.type, click.Choice):
        return tuple(map(str, option.type.choices))
    if isinstance(option.type, Boolean):
        return ("true", "false")
    return known.values(command.name or "", name, typed.rpartition(",")[2]) if known else ()


def run_shell(session: Session) -> None:
    """Read and run commands until `exit`, `quit` or the end of input."""
    history = _history(session)
    prompt: PromptSession[str] = PromptSession(
        history=history, completer=CommandCompleter(Known(session), history), complete_while_typing=False
    )
    while not session.leaving:
        history.begun = ""
        try:
            text = prompt.prompt(PROMPT)
            while text.endswith("\\"):
                text += "\n" + prompt.prompt(CONTINUED)
        except KeyboardInterrupt:
            continue  # the line typed so far is given up
        except EOFError:
            return
        run_text(session, text)


def _history(session: Session) -> WholeLines:
    """Return the history kept in a file; where none can be, one for this session alone."""
    path = history_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as exc:
        session.printer.show(Result(info=[f"the history of this session is not kept: {exc}"]))
        return SessionHistory()
    history = RedactedHistory(str(path))
    session.lines[:] = reversed([*history.load_history_strings()])

    def clear() -> None:
        session.lines.clear()
        history.clear()

    session.clear_history = clear
    return history


def run_text(session: Session, text: str) -> None:
    """Run what was typed."""
    try:
        lines = list(script_lines(text))
    except HeliographError as exc:
        session.printer.show(failed(str(exc)))
        return
    for line in lines:
        if not run_line(session, line) or session.leaving:
            return
