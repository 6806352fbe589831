"""What the daemon has to put back each time: 20 rules that make 40 connections with two buses, and a client that hears it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmarks.surroundings import NativeProgram, Surroundings
from tests.daemon.remote import Remote
from tests.support.jack_server import JackServer

NATIVE = Path(__file__).with_name("native")
"""Where the sources of the native programs are."""

GAINS_DB = {"takes": -7.5, "mix": -3.25}
CHANNELS = {"takes": 8, "mix": 4}
PRETTY_NAME = "Soloist"
PLAYBACKS = 8
_PATIENCE_S = 60
_OUTPUTS = 16
"""Of the band; the last one has the pretty name."""


def _pairs(source: str, destination: str, count: int, *, first: int = 1) -> list[tuple[str, str]]:
    """Give connections from ports that are numbered from `first` on to such that are numbered from 1 on."""
    return [(f"{source}{first + n}", f"{destination}{1 + n}") for n in range(count)]


_BY_PRETTY_NAME = [("band:out_16", "system:playback_5"), ("band:out_16", "system:playback_6")]
_BY_EXPRESSION = [("band:out_13", "system:playback_7"), ("band:out_14", "system:playback_8")]
_BY_LISTS = [
    *[(f"router:takes_out_{n}", f"band:in_{12 + n}") for n in range(1, 9)],
    *_pairs("band:out_", "router:takes_in_", 8),
    *_pairs("router:takes_out_", "band:in_", 8),
    *_pairs("band:out_", "router:mix_in_", 4, first=9),
    *[(f"router:mix_out_{n}", f"band:in_{8 + n}") for n in range(1, 5)],
    *_pairs("router:mix_out_", "system:playback_", 4),
]
CONNECTIONS = frozenset(_BY_LISTS + _BY_EXPRESSION + _BY_PRETTY_NAME)
WITHOUT_METADATA = CONNECTIONS.difference(_BY_PRETTY_NAME)
"""Where nobody has a pretty name."""


def config() -> str:
    """Give the rules, two connections each: most with lists, one with a regular expression, one with a pretty name."""
    buses = "".join(f'[[bus]]\nname = "{name}"\nchannels = {CHANNELS[name]}\ngain = {gain}\n' for name, gain in GAINS_DB.items())
    rules = ""
    for number, ((first, to_first), (second, to_second)) in enumerate(zip(_BY_LISTS[::2], _BY_LISTS[1::2], strict=True), 1):
        rules += f'[[rule]]\nname = "list {number}"\npair = "order"\n'
        rules += f'from = ["{first}", "{second}"]\nto = ["{to_first}", "{to_second}"]\n'
    rules += '[[rule]]\nname = "expression"\nfrom = "/band:out_1([34])/"\nto = ["system:playback_7", "system:playback_8"]\n'
    rules += f'[[rule]]\nname = "pretty name"\nfrom = {{ pretty_name = "{PRETTY_NAME}" }}\n'
    rules += 'to = ["system:playback_5", "system:playback_6"]\npair = "all"\n'
    assert (rules.count("[[rule]]"), len(CONNECTIONS)) == (20, 40)
    return buses + rules


def _heard() -> list[float]:
    """Give what each input of the band hears: output N plays N/64, and what comes out of the first bus is heard twice."""
    buses = [name for name, channels in CHANNELS.items() for _ in range(channels)]
    heard = [n / 64 * 10 ** (GAINS_DB[bus] / 20) for n, bus in enumerate(buses, 1)]
    return heard + heard[: CHANNELS["takes"]]


def why(remote: Remote, pairs: Iterable[tuple[str, str]]) -> str:
    """Give what the daemon says of some pairs, one line each, of a few of them."""
    return "".join(f"\n    {remote.call('Rules.Explain', 'ss', *pair)[1]}" for pair in sorted(pairs)[:3])


@dataclass(frozen=True, slots=True)
class Look:
    """When all pairs were connected, and every input of the band heard what it must, in µs; -1 where that never came.

    `others_us`: all pairs but those that take a pretty name.
    """

    others_us: int
    restored_us: int
    sound_us: int

    @property
    def complete(self) -> bool:
        """Whether all is as it must be."""
        return min(self.others_us, self.restored_us, self.sound_us) >= 0


NOTHING_BACK = Look(-1, -1, -1)


class Band:
    """The client, from the moment on when the server accepts."""

    def __init__(self, program: NativeProgram) -> None:
        self._program = program

    @property
    def has_left(self) -> bool:
        """Whether it is no client any more: that of PipeWire 0.3.65 crashes, now and then."""
        return self._program.has_ended

    def first_look(self) -> tuple[int, Look]:
        """Give when its own ports were there, and what it saw then, in µs since the server accepts.

        Raise RuntimeError where it leaves, or hangs: in the libjack of a PipeWire that has crashed it does.
        """
        end = threading.Timer(_PATIENCE_S, self._program.kill)
        end.start()
        try:
            return self._word("ready"), self._look()
        finally:
            end.cancel()

    def look_again(self) -> Look:
        """Give what it sees from now on."""
        self._program.tell("\n")
        return self._look()

    def _look(self) -> Look:
        return Look(self._word("others"), self._word("restored"), self._word("sound"))

    def _word(self, name: str) -> int:
        word, _, number = self._program.line().partition(" ")
        assert word == name, f"the band says {word!r}, not {name!r}"
        return int(number)


@contextmanager
def band(
    around: Surroundings,
    server: JackServer,
    wanted: frozenset[tuple[str, str]] = CONNECTIONS,
    second_names: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Band]:
    """Let the band wait for the server that is about to start; it leaves with it.

    `wanted`: the connections that it waits for; `second_names`: what destinations may be called, too.
    """
    late = sorted(wanted - WITHOUT_METADATA)
    ends = {end: f"{end}|{second_names[end]}" if end in second_names else end for _, end in wanted}
    pairs = [(source, ends[end]) for source, end in (*sorted(wanted & WITHOUT_METADATA), *late)]
    arguments = [PRETTY_NAME if late else "", str(len(late)), str(_OUTPUTS), *(f"{value:.9g}" for value in _heard())]
    with around.native("band", str(server.socket_path), *arguments, server=server) as program:
        program.tell("".join(f"{source} {destination}\n" for source, destination in pairs) + "\n")
        yield Band(program)
