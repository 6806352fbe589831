"""The page: Markdown from the contract and the transcript."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tools.api.contract import Argument, Interface, Member
from tools.api.examples import BUS_NAME, ROOT, Example, examples
from tools.api.record import Transcript

_TOP = f"""\
<!-- Written by `make api` from dbus/*.xml and tools/api: change these. -->

# The D-Bus API

`{BUS_NAME}` on the session bus. Every interface but two is on the object `{ROOT}`: `Bus` is on one
object for each passthrough bus below it, which `Buses.GetBus` and the object manager tell, and `org.freedesktop.LogControl1`
is on `/org/freedesktop/LogControl1`. Errors bear the name `{BUS_NAME}.Error.` and a word, or one of
`org.freedesktop.DBus.Error`. `options` are an `a{{sv}}`; a key that the method does not know is `InvalidArgs`.
What may grow, and how: new members, options, words and keys of dictionaries may come in any version, none goes and none
changes its type; test `Manager.Features` for what this build can do.

The lines below were run one after the other on a real daemon, with

```sh
N={BUS_NAME} R={ROOT}
```
"""
_ACCESS = {"read": "read only", "readwrite": "can be set", "write": "can only be set"}
_EMITS = {
    "true": "",
    "invalidates": "a change is announced without the value",
    "false": "changes are not announced",
    "const": "never changes",
}


class Incomplete(Exception):
    """A method that no line shows."""


def page(contract: list[Interface], transcript: Transcript) -> str:
    """Give the whole page."""
    shown: dict[tuple[str, str], list[Example]] = {}
    for example in examples(contract):
        shown.setdefault((example.interface, example.member), []).append(example)
    parts = [_TOP, "".join(f"- [{each.title}](#{each.title.lower()}): {_text(each.short)}\n" for each in contract)]
    for interface in contract:
        parts += _interface(interface, shown, transcript)
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _interface(interface: Interface, shown: Mapping[tuple[str, str], Sequence[Example]], transcript: Transcript) -> Iterator[str]:
    yield f"## {interface.title}"
    yield f"`{interface.name}`: {_text(interface.short)}."
    yield from map(_text, interface.text)
    if not any(each.line in transcript for (title, _), those in shown.items() if title == interface.title for each in those):
        yield "*This build does not have the interface; its lines were not run.*"
    properties, methods, signals = map(interface.of_kind, ("property", "method", "signal"))
    if properties:
        yield f"### Properties of {interface.title}"
        yield _console(shown[interface.title, ""], transcript)
        for member in properties:
            yield from _member(member, _of_property(member), shown.get((interface.title, member.name), ()), transcript)
    if methods:
        yield f"### Methods of {interface.title}"
        for member in methods:
            those = shown.get((interface.title, member.name), ())
            if not those:
                raise Incomplete(f"{interface.title}.{member.name} has no line in tools/api/examples.py")
            yield from _member(member, _of_method(member), those, transcript)
    if signals:
        yield f"### Signals of {interface.title}"
        match = f"type='signal',interface='{interface.name.replace(BUS_NAME, '$N')}'"
        yield f'```console\n$ busctl --user monitor --match="{match}"\n```'
        for member in signals:
            yield from _member(member, f"({_arguments(member.inputs)})", (), transcript)


def _member(member: Member, signature: str, lines: Sequence[Example], transcript: Transcript) -> Iterator[str]:
    yield f"#### {member.name}"
    yield f"`{member.name}{signature}`" if member.kind != "property" else signature
    yield from map(_text, member.text)
    if lines:
        yield _console(lines, transcript)


def _of_property(member: Member) -> str:
    notes = ", ".join(filter(None, (_ACCESS[member.access], _EMITS[member.emits])))
    return f"`{member.name} {member.type}`, {notes}"


def _of_method(member: Member) -> str:
    outputs = f" → ({_arguments(member.outputs)})" if member.outputs else ""
    return f"({_arguments(member.inputs)}){outputs}"


def _arguments(arguments: Iterable[Argument]) -> str:
    return ", ".join(f"{argument.name} {argument.type}" for argument in arguments)


def _console(lines: Sequence[Example], transcript: Transcript) -> str:
    """Give lines with what they said; one that was not run, because this build has no such interface, stands alone."""
    told = "".join(f"$ {one.line}\n" + (f"{said}\n" if (said := transcript.get(one.line)) else "") for one in lines)
    return f"```console\n{told}```"


_SPECIAL = re.compile(r"[\\*_<>\[\]|]")
_ENDS_A_LINE = re.compile(r"(?<=[.:;])\n")
_WORD = re.compile(r"(`[^`]*`)")


def _text(block: str) -> str:
    """Give a paragraph: a line that ends with a sentence ends here, too; characters of Markdown are themselves."""
    pieces = _WORD.split(block)
    escaped = "".join(piece if piece.startswith("`") else _SPECIAL.sub(r"\\\g<0>", piece) for piece in pieces)
    return _ENDS_A_LINE.sub("\\\\\n", escaped)
