"""The configuration in force as TOML text: what all files say together, with every default written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from jackd_router.core.config import Action, BusConfig, ChannelMap, Config, Origin, Profile, Rule, When
from jackd_router.core.language.parse_buses import MADE, bus_table
from jackd_router.core.language.parse_selectors import offered
from jackd_router.core.language.writing import printable, quoted
from jackd_router.core.names import shown
from jackd_router.core.selecting.patterns import Form, Pattern, references
from jackd_router.core.selecting.selectors import BusSelector, PortSelector, Selector, Selectors

NO_GROUPS = frozenset[str]()


def effective_toml(config: Config) -> str:
    """Give a text that, read as a configuration, means the same."""
    tables = (*map(_rule, config.rules), *map(_bus, config.buses), *map(_profile, config.profiles))
    return "\n".join("".join(f"{line}\n" for line in section) for section in (_settings(config), *tables))


def _settings(config: Config) -> Iterator[str]:
    yield "[server]"
    if config.server_name is None:
        yield "# name: JACK's own default, $JACK_DEFAULT_SERVER or default"
    else:
        yield f"name = {quoted(config.server_name)}"
    yield f"library = {quoted(config.library)}"
    if config.system is not None:
        yield f"system = {quoted(_pattern(config.system, NO_GROUPS))}"
    yield ""
    yield "[client]"
    yield f"name = {quoted(config.client_name)}"
    yield ""
    yield "[daemon]"
    yield f"watch = {_flag(config.watch)}"
    yield ""
    yield "[policy]"
    yield f"unmatched = {quoted(config.unmatched)}"
    yield f"manual = {quoted(config.manual)}"
    yield f"feedback = {quoted(config.feedback)}"


def _rule(rule: Rule) -> Iterator[str]:
    groups = offered(rule.sources, *rule.from_fallback)
    yield _header("[[rule]]", rule.origin)
    yield f"name = {quoted(rule.name)}"
    yield f"action = {quoted(rule.action)}"
    yield f"{'follow' if rule.follows else 'from'} = {_selectors(rule.sources)}"
    yield f"to = {_selectors(rule.destinations, groups)}"
    if rule.when != When():
        yield f"when = {_when(rule.when)}"
    if rule.profiles is not None:
        yield f"profiles = {_list(map(quoted, sorted(rule.profiles)))}"
    yield f"priority = {rule.priority}"
    yield f"enabled = {_flag(rule.enabled)}"
    if rule.action is Action.CONNECT:
        yield from _connecting(rule, groups)


def _connecting(rule: Rule, groups: frozenset[str]) -> Iterator[str]:
    """Give what only a rule that connects says."""
    yield f"pair = {quoted(rule.pair) if isinstance(rule.pair, str) else _channel_map(rule.pair)}"
    yield f"complete = {_flag(rule.complete)}"
    if rule.exclusive is not None:
        yield f"exclusive = {quoted(rule.exclusive)}"
    if rule.fallback:
        yield f"fallback = {_each(rule.fallback, groups)}"
    if rule.from_fallback:
        yield f"from_fallback = {_each(rule.from_fallback)}"
    if rule.via:
        yield f"via = {_each(rule.via, groups)}"
    if rule.manual is not None:
        yield f"manual = {quoted(rule.manual)}"
    yield f"allow_feedback = {_flag(rule.allow_feedback)}"
    yield f"same_client = {_flag(rule.same_client)}"


def _channel_map(channels: ChannelMap) -> str:
    return _inline(f"{quoted(source)} = {_list(map(quoted, endings))}" for source, endings in channels)


def _when(when: When) -> str:
    parts = {"present": when.present, "absent": when.absent}
    return _inline(f"{key} = {_each(entries)}" for key, entries in parts.items() if entries)


def _bus(bus: BusConfig) -> Iterator[str]:
    yield f"[[bus]]  # {MADE}" if bus.origin is None else _header("[[bus]]", bus.origin)
    for key, value in bus_table(bus).items():
        yield f"{key} = {_value(value)}"


def _profile(profile: Profile) -> Iterator[str]:
    yield _header("[[profile]]", profile.origin)
    yield f"name = {quoted(profile.name)}"
    if profile.description:
        yield f"description = {quoted(profile.description)}"
    for name, bus in profile.buses.items():
        yield f"[profile.bus.{quoted(name)}]"
        if bus.gain_db is not None:
            yield f"gain = {bus.gain_db!r}"
        if bus.mute is not None:
            yield f"mute = {_flag(bus.mute)}"


def _header(header: str, origin: Origin | None) -> str:
    # A path may hold a line break.
    return header if origin is None else f"{header}  # {printable(shown(str(origin)))}"


def _each(entries: Iterable[Selectors], groups: frozenset[str] = NO_GROUPS) -> str:
    """Give a list in which each entry stands with its alternatives."""
    return _list(_selectors(entry, groups) for entry in entries)


def _selectors(selectors: Selectors, groups: frozenset[str] = NO_GROUPS) -> str:
    """Give alternatives, in which references to these groups are no plain text."""
    written = [_selector(selector, groups) for selector in selectors]
    return written[0] if len(written) == 1 else _list(written)


def _selector(selector: Selector, groups: frozenset[str]) -> str:
    match selector:
        case BusSelector():
            channel = [f"channel = {quoted(selector.channel)}"] if selector.channel is not None else []
            return _inline([f"bus = {quoted(selector.bus)}", *channel])
        case PortSelector():
            return _plain(selector, groups) or _table(selector, groups)
        case _:
            assert_never(selector)


def _plain(selector: PortSelector, groups: frozenset[str]) -> str | None:
    """Give the selector as one string, where it can be one."""
    name, client, port = selector.name, selector.client, selector.port
    if name is not None and selector == PortSelector(name=name) and name.form is Form.REGEX:
        return quoted(f"/{name.text}/")
    if client is None or selector != PortSelector(client=client, port=port) or client.form is not Form.GLOB:
        return None
    # The first `:` would end the client.
    text = _literal(client, groups).replace(":", r"\x3a")
    if port is not None:
        if port.form is not Form.GLOB:
            return None
        text = f"{text}:{_literal(port, groups)}"
    return quoted(_no_regex(text))


def _table(selector: PortSelector, groups: frozenset[str]) -> str:
    items = [f"exact = {quoted(_literal(selector.name, groups))}"] if selector.name is not None else []
    patterns = {
        "client": selector.client,
        "port": selector.port,
        "alias": selector.alias,
        "pretty_name": selector.pretty_name,
    }
    items += [f"{key} = {quoted(_pattern(pattern, groups))}" for key, pattern in patterns.items() if pattern is not None]
    if selector.type is not None:
        items.append(f"type = {quoted(selector.type)}")
    flags = {"physical": selector.physical, "terminal": selector.terminal}
    items += [f"{key} = {_flag(value)}" for key, value in flags.items() if value is not None]
    if selector.nth is not None:
        items.append(f"nth = {_list(map(str, sorted(selector.nth)))}")
    return _inline(items)


def _pattern(pattern: Pattern, groups: frozenset[str]) -> str:
    return f"/{pattern.text}/" if pattern.form is Form.REGEX else _no_regex(_literal(pattern, groups))


def _literal(pattern: Pattern, groups: frozenset[str]) -> str:
    r"""Give the text of a glob or of a name; what was written `\xNN` lest it mean something still means nothing."""
    text = printable(shown(pattern.text))
    for group in references(text) & (groups - pattern.references):
        text = text.replace(f"{{{group}}}", rf"\x7b{group}}}")
    return text


def _no_regex(text: str) -> str:
    """Give a text that is no regular expression though it stands between slashes."""
    return rf"\x2f{text[1:]}" if len(text) > 1 and text.startswith("/") and text.endswith("/") else text


def _inline(items: Iterable[str]) -> str:
    return f"{{ {', '.join(items)} }}"


def _value(value: object) -> str:
    match value:
        case bool():
            return _flag(value)
        case str():
            return quoted(value)
        case list():
            return _list(map(_value, value))
        case _:
            return repr(value)


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _flag(value: bool) -> str:
    return "true" if value else "false"
