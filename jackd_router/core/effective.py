"""The configuration in force as TOML text: what all files say together, with every default written out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import assert_never

from jackd_router.core.config import DEFAULT_PROFILE, Action, BusConfig, Config, Profile, ProfileBus, Rule
from jackd_router.core.names import shown
from jackd_router.core.patterns import Form, Pattern
from jackd_router.core.selectors import BusSelector, PortSelector, Selector, Selectors


def effective_toml(config: Config) -> str:
    """Give a text that, read as a configuration, means the same."""
    written = (profile for profile in config.profiles if profile != DEFAULT_PROFILE)
    sections = [_settings(config), *map(_rule, config.rules), *map(_bus, config.buses), *map(_profile, written)]
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def _settings(config: Config) -> Iterator[str]:
    yield "[server]"
    if config.server_name is None:
        yield "# name: JACK's own default, $JACK_DEFAULT_SERVER or default"
    else:
        yield f"name = {_text(config.server_name)}"
    yield f"library = {_text(config.library)}"
    yield ""
    yield "[client]"
    yield f"name = {_text(config.client_name)}"
    yield ""
    yield "[daemon]"
    yield f"watch = {_flag(config.watch)}"
    yield ""
    yield "[policy]"
    yield f"unmatched = {_text(config.unmatched)}"
    yield f"manual = {_text(config.manual)}"


def _rule(rule: Rule) -> Iterator[str]:
    yield f"[[rule]]  # {shown(str(rule.origin))}"
    yield f"name = {_text(rule.name)}"
    yield f"action = {_text(rule.action)}"
    yield f"from = {_selectors(rule.sources)}"
    yield f"to = {_selectors(rule.destinations)}"
    yield f"priority = {rule.priority}"
    yield f"enabled = {_flag(rule.enabled)}"
    if rule.profiles is not None:
        yield f"profiles = {_list(map(_text, sorted(rule.profiles)))}"
    if rule.action is Action.CONNECT:
        yield f"pair = {_text(rule.pair)}"
        yield f"same_client = {_flag(rule.same_client)}"
        if rule.manual is not None:
            yield f"manual = {_text(rule.manual)}"


def _bus(bus: BusConfig) -> Iterator[str]:
    yield "[[bus]]" if bus.origin is None else f"[[bus]]  # {shown(str(bus.origin))}"
    yield f"name = {_text(bus.name)}"
    yield f"type = {_text(bus.type)}"
    yield f"channels = {_list(map(_text, bus.inputs))}"
    yield f"outputs = {_list(map(_text, bus.outputs))}"
    yield f"gain = {bus.gain_db!r}"
    yield f"channel_gains = {_list(map(repr, bus.channel_gains_db))}"
    yield f"mute = {_flag(bus.mute)}"
    if bus.matrix is not None:
        yield f"matrix = {_list(_list(map(repr, row)) for row in bus.matrix)}"
    yield f"fade_ms = {bus.fade_ms!r}"


def _profile(profile: Profile) -> Iterator[str]:
    yield "[[profile]]" if profile.origin is None else f"[[profile]]  # {shown(str(profile.origin))}"
    yield f"name = {_text(profile.name)}"
    if profile.description:
        yield f"description = {_text(profile.description)}"
    for bus, values in profile.buses.items():
        yield f"bus.{_text(bus)} = {{ {', '.join(_profile_bus(values))} }}"


def _profile_bus(values: ProfileBus) -> Iterator[str]:
    if values.gain_db is not None:
        yield f"gain = {values.gain_db!r}"
    if values.mute is not None:
        yield f"mute = {_flag(values.mute)}"


def _selectors(selectors: Selectors) -> str:
    written = [_selector(selector) for selector in selectors]
    return written[0] if len(written) == 1 else _list(written)


def _selector(selector: Selector) -> str:
    match selector:
        case BusSelector():
            channel = f", channel = {_text(selector.channel)}" if selector.channel is not None else ""
            return f"{{ bus = {_text(selector.bus)}{channel} }}"
        case PortSelector():
            return _plain(selector) or _table(selector)
        case _:
            assert_never(selector)


def _plain(selector: PortSelector) -> str | None:
    """Give the selector as one string, where it can be one."""
    name, client, port = selector.name, selector.client, selector.port
    if name is not None and selector == PortSelector(name=name) and name.form is Form.REGEX:
        return _text(_pattern(name))
    if client is None or selector != PortSelector(client=client, port=port) or client.form is not Form.GLOB:
        return None
    if port is None:
        return _text(_pattern(client))
    return _text(f"{_pattern(client)}:{_pattern(port)}") if port.form is Form.GLOB else None


def _table(selector: PortSelector) -> str:
    patterns = {"exact": selector.name, "client": selector.client, "port": selector.port, "alias": selector.alias}
    items = [f"{key} = {_text(_pattern(pattern))}" for key, pattern in patterns.items() if pattern is not None]
    if selector.type is not None:
        items.append(f"type = {_text(selector.type)}")
    flags = {"physical": selector.physical, "terminal": selector.terminal}
    items += [f"{key} = {_flag(value)}" for key, value in flags.items() if value is not None]
    return f"{{ {', '.join(items)} }}"


def _pattern(pattern: Pattern) -> str:
    return f"/{pattern.text}/" if pattern.form is Form.REGEX else shown(pattern.text)


def _list(items: Iterator[str] | Sequence[str]) -> str:
    return f"[{', '.join(items)}]"


def _text(text: str) -> str:
    # The escapes of JSON are escapes of TOML; but DEL, which JSON leaves as it is, must be escaped in TOML.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _flag(value: bool) -> str:
    return "true" if value else "false"
