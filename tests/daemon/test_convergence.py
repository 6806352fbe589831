"""Whatever comes, goes and is patched by hand: when all is quiet, the graph is what the rules make of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from jackd_router.dbus_api.message_bus import variant
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.daemon.test_rule_language import rule
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, JackClientError
from tests.support.jack_server import JackServer

CONFIG = "".join(
    (
        '[[bus]]\nname = "main"\nchannels = ["L", "R"]\n',
        rule("never", action='"forbid"', from_='"noise:*"', to='"recorder:*"'),
        rule("hands off", action='"leave"', from_='"mine:*"', to='"*"'),
        rule("guitar", from_='"system:capture_1"', to='{ bus = "main" }'),
        rule("mix", from_='{ bus = "main" }', to='"system:playback_*"', pair='{ L = "1", R = "2" }'),
        rule("effects", from_='"synth:*"', to='"desk:*"', via='["reverb:*", "delay:*"]'),
        rule("phones", from_='"player:*"', to='"amp:*"', fallback='["phones:*", "desk:*"]'),
        rule("record", follow='"desk:*"', to='"recorder:*"'),
        rule("stereo or nothing", from_='"tape:*"', to='"amp:*"', complete="true"),
        rule("alone", from_='"boss:*"', to='"phones:left"', exclusive='"to"', when='{ absent = ["tape:*"] }'),
        rule("numbers", from_="'/(noise|boss):(left|right)/'", to="'delay:{2}'", priority="1"),
        rule("second desk", from_='"player:right"', to='{ client = "*", port = "left", nth = 2 }', pair='"all"'),
    )
)
SOURCES = ("synth", "player", "tape", "noise", "boss", "mine")
DESTINATIONS = ("desk", "amp", "phones", "recorder")
BOTH = ("reverb", "delay")


class Studio:
    """Clients that come and go, and somebody who patches, by a seed."""

    def __init__(self, seed: int, start_client: StartClient) -> None:
        self._chance = random.Random(seed)
        self._start = start_client
        self._clients: dict[str, JackClient] = {}
        self._ports: dict[str, set[str]] = {}

    def change(self) -> None:
        """Do one thing, if it can be done now."""
        deeds: list[Callable[[], None]] = [self._come] * 3
        deeds += [self._go, self._port, self._connect, self._disconnect]
        with suppress(JackClientError, IndexError):
            self._chance.choice(deeds)()

    def _come(self) -> None:
        name = self._chance.choice([*SOURCES, *DESTINATIONS, *BOTH])
        if name not in self._clients:
            sides = ["left", "right"][: self._chance.choice((1, 2, 2))]
            outputs = [f"{side}_out" for side in sides] if name in BOTH else sides if name in SOURCES else []
            self._clients[name] = self._start(name, outputs=outputs, inputs=[] if name in SOURCES else sides)
            self._ports[name] = set(sides)

    def _go(self) -> None:
        self._clients.pop(self._chance.choice(sorted(self._clients))).close()

    def _port(self) -> None:
        name = self._chance.choice(sorted(set(self._clients) - set(BOTH)))
        port = self._chance.choice(("left", "right"))
        if port in self._ports[name]:
            self._clients[name].unregister(port)
        else:
            self._clients[name].register(port, flow="output" if name in SOURCES else "input")
        self._ports[name] ^= {port}

    def _connect(self) -> None:
        source, destination = self._chance.choice([*SOURCES, "system"]), self._chance.choice(DESTINATIONS)
        client = self._clients[self._chance.choice(sorted(self._clients))]
        port = "capture_2" if source == "system" else self._chance.choice(("left", "right"))
        client.connect(f"{source}:{port}", f"{destination}:{self._chance.choice(('left', 'right'))}")

    def _disconnect(self) -> None:
        client = self._clients[self._chance.choice(sorted(self._clients))]
        client.disconnect(*self._chance.choice(sorted(client.connections())))


@pytest.mark.jack2("PipeWire 0.3.65 stands still for 20 s and more, now and then, where clients come and go so fast")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(4))
def test_the_graph_comes_to_rest_where_the_rules_want_it(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote, seed: int
) -> None:
    start_router(CONFIG)
    eventually(remote.connected)
    studio = Studio(seed, start_client)
    for _ in range(8):
        for _ in range(6):
            studio.change()
        eventually(lambda: _is_at_rest(remote), timeout=20)


def _is_at_rest(remote: Remote) -> bool:
    """Tell whether the rules, planned from nothing, would make and cut nothing; what they would is in the error."""
    remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)  # what was cut by hand a moment ago may just have been noticed
    would = remote.call("Rules.Reapply", "a{sv}", {"dry-run": variant("b", True)})
    assert (would["connect"], would["disconnect"]) == ([], [])
    return True
