"""Rounds of heavy churn: what the daemon shows, and a mirror that began in the middle of it, beside what a fresh client sees."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from benchmarks.figures import Bound
from benchmarks.surroundings import Surroundings
from soak.lag import METERED, Clocks
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.runtime.churn import Churn, churning
from tests.runtime.follower import Follower, Seen, open_while_churning, while_churning
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer

_CHANGES = 100
"""Of each of the two programs, each round, at least."""
_ROUNDS_OF_A_GENERATION = 4


@dataclass(slots=True)
class Rounds:
    """What came of them."""

    rounds: int = 0
    ports: int = 0
    connections: int = 0
    wrong: list[str] = field(default_factory=list)
    mended: int = 0

    def facts(self) -> list[Bound]:
        """Give what must be so on any machine."""
        told = f"mirror: {len(self.wrong)} of {self.rounds} rounds with a difference (none)"
        return [
            Bound(told + "".join(f"\n    {line}" for line in self.wrong[:5]), not self.wrong),
            Bound(f"mirror: {self.mended} corrections in the daemon's log (none)", self.mended == 0),
        ]

    def figures(self) -> list[Bound]:
        """Give what depends on the machine: nothing here."""
        return []

    def table(self) -> str:
        """Give in a line how much there was to compare."""
        return f"{self.rounds} rounds, {self.ports} ports and {self.connections} connections compared"


def run(around: Surroundings, clocks: Clocks, server: JackServer, rounds: int) -> Rounds:
    """Let two programs change the graph of a server as fast as it lets them, so many rounds."""
    seen = Rounds()
    config = '[client]\nname = "daemon"\n'
    with server, around.router(config, server, program=METERED, environment=clocks.environment) as router:
        remote = around.remote()
        with churning(server.name) as churn:
            asyncio.run(_rounds(around, server, remote, churn, rounds, seen))
        seen.mended = router.output().count("The mirror of the graph was wrong")
    return seen


async def _rounds(around: Surroundings, server: JackServer, remote: Remote, churn: Churn, rounds: int, seen: Rounds) -> None:
    """Compare at the end of each round; in the middle of every fourth one another generation begins."""
    follower, spare = None, Follower(server)
    for number in range(rounds):
        if number % _ROUNDS_OF_A_GENERATION == 0:
            if follower:
                await follower.close()
            await asyncio.wait_for(spare.loaded.wait(), 10)
            follower, spare = spare, Follower(server)
            await open_while_churning(follower, churn, _CHANGES)
        else:
            churn.begin(_CHANGES)
            await while_churning(churn)
        assert follower is not None
        await _compare(follower, remote, await asyncio.to_thread(_fresh_client, around, server), seen)
    for one in (follower, spare):
        if one:
            await one.close()


async def _compare(follower: Follower, remote: Remote, truth: Seen, seen: Rounds) -> None:
    seen.rounds += 1
    seen.ports += len(truth[0])
    seen.connections += len(truth[1])
    for who, rests in (("a mirror of this generation", follower.rests(truth)), ("the daemon", _daemon_rests(remote, truth))):
        try:
            await rests
        except AssertionError as error:
            lost = ", which has lost notifications" * follower.has_lost
            seen.wrong.append(f"round {seen.rounds}, {who}{lost}: {error.__cause__ or error}")
    if await follower.read_anew():
        seen.wrong.append(f"round {seen.rounds}: flags or types were not those of the server's own list")


def _fresh_client(around: Surroundings, server: JackServer) -> Seen:
    """Give what a client sees that has just come, but for the mirror's own and itself."""
    with around.native("listing", server=server) as listing:
        lines = [line.split(" ") for line in listing.rest()]
    ports = frozenset(words[1] for words in lines if words[0] == "port")
    return ports, frozenset((words[1], words[2]) for words in lines if words[0] == "connection")


async def _daemon_rests(remote: Remote, truth: Seen) -> None:
    """Wait until the daemon shows the truth."""

    def holds() -> bool:
        ports = frozenset(remote.call("Graph.ListPorts", "sa{sv}", "", NO_OPTIONS))
        assert (ports ^ truth[0], frozenset(remote.connections()) ^ truth[1]) == (frozenset(), frozenset())
        return True

    await asyncio.to_thread(eventually, holds)
