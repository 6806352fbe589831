"""How long it takes until a client whose 64 ports appear at once is connected with all of them."""

from __future__ import annotations

from statistics import median

from benchmarks.contenders import Contender, Floor, Router
from benchmarks.figures import Bound, ms, table
from benchmarks.surroundings import Surroundings

PORTS = 64


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the table and give the bounds."""
    turns, rounds = (1, 5) if quick else (3, 10)
    print(f"From the appearance of {PORTS} ports until sound runs through all connections, in ms; {turns} x {rounds} rounds\n")
    contenders: list[Contender] = [Floor("burst:out_"), Router("burst:*", "system:playback_*")]
    times: dict[str, list[int]] = {contender.name: [] for contender in contenders}
    server = around.server(playbacks=PORTS)
    with server:
        for contender in contenders * turns:
            with contender.running(around, server), around.native("burst", str(PORTS), str(rounds), server=server) as burst:
                times[contender.name] += map(int, burst.rest())
    made = {name: [took for took in all_of_it if took >= 0] for name, all_of_it in times.items()}
    rows = [
        [name, ms(median(took)), ms(max(took)), f"{median(took) / median(made['floor']):.2f}", str(len(times[name]) - len(took))]
        for name, took in made.items()
    ]
    print(table(["who", "all connected", "slowest", "x floor", "missed"], rows))
    missed = len(times["router"]) - len(made["router"])
    return [Bound(f"burst: {missed} of {len(times['router'])} missed (none)", missed == 0)]
