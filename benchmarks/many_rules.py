"""A large studio to measure in: 500 varied rules, 4,000 ports with two aliases each, and two ports that 20 rules each match."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jackd_router.core.config import Config
from jackd_router.core.graph import Port, PortFlags, PortName, PortType
from jackd_router.core.language.parse import parse
from jackd_router.runtime.config_files import read_document

PORTS = 4000
SHARES = {"glob": 200, "regex": 150, "table": 100, "list": 50}
"""Rules by the form of their selectors: globs with a wildcard in the client, regular expressions with groups ..."""
TOUCHING = {"glob": 8, "regex": 6, "table": 4, "list": 2}
"""... and how many of them match the port that comes and goes."""

_PROGRAMS = (
    ("ZynAddSubFX-{}", "out_{}", "in_{}"),
    ("Calf Studio Gear {}", "eq Out #{}", "eq In #{}"),
    ("ardour/Track {}", "audio_out {}", "audio_in {}"),
    ("PulseAudio JACK Sink-{:02}", "front-{}", "monitor-{}"),
    ("Hydrogen_{}", "Track_{}_Main", "aux_{}"),
    ("qsynth.{}", "left_{}", "reverb_{}"),
    ("Carla-Rack ({})", "audio-out{}", "audio-in{}"),
    ("jack_mixer {}", "MAIN {}", "Channel {}"),
    ("Firefox [{}]", "output_{}", "input_{}"),
    ("REAPER#{}", "out{}", "in{}"),
    ("sooperlooper_{}", "loop0_out_{}", "loop0_in_{}"),
    ("Bitwig Studio {}", "Stereo Out {}", "Mono In {}"),
)
"""Programs: how instances of each, their outputs and their inputs are called."""


@dataclass(frozen=True, slots=True)
class Client:
    """One program: its name, and how its ports are called."""

    name: str
    outputs: str
    inputs: str

    @property
    def tail(self) -> str:
        """The end of the name, which no other instance has."""
        return self.name[3:]


@dataclass(frozen=True, slots=True)
class Studio:
    """Rules, and the ports that they find."""

    rules: tuple[str, ...]
    """What each says, without its name."""
    config: Config
    others: tuple[Port, ...]
    """Ports that no rule for `sources` and `destinations` touches."""
    partners: tuple[Port, ...]
    """What those rules connect them with."""
    sources: tuple[Port, ...]
    """Ports to come and go, one at a time: 20 rules match each in `from`."""
    destinations: tuple[Port, ...]
    """The same for `to`."""


def studio(events: int, *, ports: int = PORTS, seed: int = 500) -> Studio:
    """Give the rules, others with each seed, and so many ports to come and go in each direction; always the same."""
    chance = random.Random(seed)
    others = _clients(ports)
    rules = [
        *_touching(chance, from_probe=True),
        *_touching(chance, from_probe=False),
        *_between(chance, others),
    ]
    chance.shuffle(rules)
    assert len(rules) == sum(SHARES.values())
    tones = [Client(f"tone {number}", "Signal {}", "-") for number in range(20)]
    sinks = [Client(f"sink {number}", "-", "Feed {}") for number in range(20)]
    return Studio(
        rules=tuple(rules),
        config=read(rules),
        others=tuple(itertools.islice(itertools.chain.from_iterable(map(_ports, others)), ports)),
        partners=tuple(port for client in (*tones, *sinks) for port in _ports(client, pairs=1) if "-" not in port.short_name),
        sources=tuple(_port(_PROBE, number, is_source=True) for number in range(1, events + 1)),
        destinations=tuple(_port(_PROBE, number, is_source=False) for number in range(1, events + 1)),
    )


def written(rules: Sequence[str]) -> bytes:
    """Give the file in which these rules stand."""
    return "".join(f'[[rule]]\nname = "rule {number}"\n{rule}' for number, rule in enumerate(rules)).encode()


def read(rules: Sequence[str]) -> Config:
    """Give the configuration that a file with these rules makes."""
    return parse([read_document("studio.toml", written(rules))])


_PROBE = Client("Novation Probe 7", "Wave {}", "Tape {}")
_PAIRS = 10


def _clients(ports: int) -> list[Client]:
    count = -(-ports // (2 * _PAIRS))
    named = ((number, program) for number in itertools.count(1) for program in _PROGRAMS)
    return [Client(name.format(number), *kinds) for number, (name, *kinds) in itertools.islice(named, count)]


def _ports(client: Client, pairs: int = _PAIRS) -> Iterator[Port]:
    for number in range(1, pairs + 1):
        yield _port(client, number, is_source=True)
        yield _port(client, number, is_source=False)


def _port(client: Client, number: int, *, is_source: bool) -> Port:
    short_name = (client.outputs if is_source else client.inputs).format(number)
    # One client in sixteen is a device, and one program in twelve speaks MIDI.
    checksum = sum(client.name.encode())
    flags = (PortFlags.OUTPUT if is_source else PortFlags.INPUT) | (PortFlags.PHYSICAL if checksum % 16 == 0 else PortFlags(0))
    return Port(
        PortName(f"{client.name}:{short_name}"),
        PortType.MIDI if client.name.startswith("Bitwig") else PortType.AUDIO,
        flags,
        (f"alsa_pcm:hw:{checksum % 97}:{'out' if is_source else 'in'}{number}", f"{client.name.title()} Pro:{short_name}"),
    )


# ---- rules


def _touching(chance: random.Random, *, from_probe: bool) -> Iterator[str]:
    """Give the rules that match the probe's outputs (or inputs), each with one partner of its own."""
    forms = [form for form, count in TOUCHING.items() for _ in range(count)]
    for number, form in enumerate(forms):
        probe = _selector(form, _PROBE, chance, is_source=from_probe, any_port=True)
        if from_probe:
            yield f"from = {probe}\nto = 'sin?_{number}:Feed*'\n".replace("_", " ", 1)
        else:
            yield f"from = '*one {number}:Signal*'\nto = {probe}\n"


def _between(chance: random.Random, clients: list[Client]) -> Iterator[str]:
    """Give the rules between all the other clients."""
    for form, count in SHARES.items():
        for _ in range(count - 2 * TOUCHING[form]):
            source, destination = chance.sample(clients, 2)
            rule = f"from = {_selector(form, source, chance, is_source=True)}\n"
            if form == "regex" and chance.random() < 0.7:
                rule += f"to = {_with_group(destination, chance)}\n"
            else:
                rule += f"to = {_selector(form, destination, chance, is_source=False)}\n"
            yield rule + chance.choice(("", "", "", "", "", 'action = "forbid"\n', 'action = "leave"\n', "priority = 3\n"))


def _selector(form: str, client: Client, chance: random.Random, *, is_source: bool, any_port: bool = False) -> str:
    match form:
        case "glob":
            return f"'{_glob(client, chance)}:{_port_glob(client, chance, is_source, any_port)}'"
        case "regex":
            return f"'{_regex(client, chance, is_source)}'"
        case "table":
            return _table(client, chance, is_source, any_port)
        case _:
            absent = [Client(f"absent {chance.randrange(10_000)}", "out {}", "in {}") for _ in range(2)]
            forms = zip(("glob", "regex", "table"), (absent[0], client, absent[1]), strict=True)
            alternatives = [_selector(each, whose, chance, is_source=is_source, any_port=any_port) for each, whose in forms]
            return f"[{', '.join(alternatives)}]"


def _glob(client: Client, chance: random.Random) -> str:
    """Give a glob for the client's name with a wildcard, most often at its beginning."""
    name = client.name
    place = chance.randrange(1, len(name) - 2)
    return chance.choice(
        (f"*{client.tail}", f"*{client.tail}*", f"*{name[1:]}", f"{name[:place]}?{name[place + 1 :]}", f"{name}*")
    )


def _port_glob(client: Client, chance: random.Random, is_source: bool, any_port: bool) -> str:
    short_name = client.outputs if is_source else client.inputs
    globs = ["*", short_name.format("*"), f"*{short_name[2:].format('*')}"]
    return chance.choice(globs if any_port else [*globs, short_name.format(chance.randrange(1, _PAIRS))])


def _regex(client: Client, chance: random.Random, is_source: bool) -> str:
    """Give a regular expression with groups, of which the second is the number of the port."""
    name, tail = re.escape(client.name), re.escape(client.tail)
    before, after = map(re.escape, (client.outputs if is_source else client.inputs).split("{}"))
    port = rf"{before}(\d+){after}"
    return "/{}/".format(
        chance.choice(
            (
                rf"(?i)({name.lower()}):{port}",
                rf".*({tail}):{port}",
                rf"(?P<client>{name}|absent {chance.randrange(100)}):{port}",
                rf"([A-Za-z]+.*){tail}:{before}([0-9]+){after}",
                rf"(\w*{re.escape(client.name[2:])}):{port}",
            )
        )
    )


def _with_group(client: Client, chance: random.Random) -> str:
    """Give a selector for the input with the number that the second group caught."""
    numbered = client.inputs.format("{2}")
    tail = re.escape(client.tail)
    return chance.choice(
        (
            f"'*{client.tail}:{numbered}'",
            f"{{ client = '*{client.tail}', port = '*{numbered[1:]}' }}",
            rf"'/.*{tail}:{re.escape(client.inputs[:2])}.*\b0*{{2}}/'",
        )
    )


def _table(client: Client, chance: random.Random, is_source: bool, any_port: bool) -> str:
    glob, port = _glob(client, chance), _port_glob(client, chance, is_source, any_port)
    return chance.choice(
        (
            f"{{ client = '{glob}', port = '{port}' }}",
            f"{{ client = '/(?i).*{re.escape(client.tail.lower())}/', port = '{port}' }}",
            f"{{ client = '{glob}', type = '{'midi' if client.name.startswith('Bitwig') else 'audio'}' }}",
            f"{{ alias = '*{client.name.title()[1:]} Pro:{port}' }}",
        )
    )
