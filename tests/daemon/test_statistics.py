"""What the daemon counts: xruns, and the cost of its process cycles."""

from __future__ import annotations

import re

import pytest

from tests.conftest import StartRouter
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer

BUS = '[[bus]]\nname = "main"\nchannels = 2\n'


def cost(remote: Remote) -> tuple[int, float, float]:
    """Give number, median and maximum of the cycles."""
    status = remote.call("Manager.GetStatus")
    return status["cycles"], status["cycle-median-usec"], status["cycle-max-usec"]


@pytest.mark.jack2("PipeWire counts its xruns for itself")
def test_cycles_are_counted_and_nothing_is_broadcast(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    start_router(BUS)
    eventually(lambda: remote.read("Server.Hints"))  # the last thing that is found out about a server: jackd -r
    signals = len(remote.signals("PropertiesChanged"))
    before, _, _ = cost(remote)
    eventually(lambda: remote.read("Server.CycleCount") > before + 2 * 48_000 / 256)
    changed = {name for signal in remote.signals("PropertiesChanged")[signals:] for name in (*signal.body[1], *signal.body[2])}
    assert not changed & {"CycleCount", "CycleMedianUSec", "CycleMaxUSec", "DspLoad"}
    cycles, median, most = cost(remote)
    assert cycles >= before + 2 * 48_000 / 256
    assert 0 < median <= most * 17 / 16
    assert remote.read("Server.CycleMedianUSec") > 0
    assert remote.read("Server.CycleMaxUSec") >= most


@pytest.mark.jack2("PipeWire counts its xruns for itself")
def test_reset_counts_everything_anew(running_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    start_router(BUS)
    eventually(remote.connected)
    running_server.freeze()
    eventually(lambda: remote.read("Server.State") == "unresponsive")
    running_server.resume()
    eventually(lambda: remote.read("Server.XrunCount"), what="a server that stood still had an xrun")
    assert remote.read("Server.LastXrunUSec") > 0
    before, _, _ = cost(remote)
    remote.call("Server.ResetXruns")
    cycles, _, _ = cost(remote)
    assert cycles < before
    # Also after the daemon has looked at the counters again, which it does once a second.
    eventually(lambda: remote.read("Server.CycleCount") > 2 * 48_000 / 256)
    count, last = remote.read("Server.XrunCount"), remote.read("Server.LastXrunUSec")
    assert (count == 0) is (last == 0)


def test_a_new_server_is_counted_from_0(running_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    start_router(BUS)
    eventually(lambda: remote.read("Server.CycleCount") > 1_000, timeout=20)
    running_server.kill()
    eventually(lambda: not remote.connected())
    assert cost(remote) == (0, 0.0, 0.0)
    running_server.start()
    eventually(lambda: remote.read("Server.CycleCount"))
    assert cost(remote)[0] < 1_000


@pytest.mark.parametrize("json", [False, True])
def test_status_shows_the_load(json: bool, running_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    router = start_router(BUS)
    eventually(lambda: remote.read("Server.DspLoad") and remote.read("Server.CycleCount"))
    told = router.cli("status", *["--json"][: int(json)]).stdout
    if json:
        assert re.search(r'"cycles": [1-9]', told)
        assert re.search(r'"dsp_load": [0-9]+\.[0-9]', told)
    else:
        pattern = r"^Load +DSP [0-9.]+ %; our part of a cycle: [0-9.]+ us \(median\), [0-9.]+ us \(most\) of 5333 us, \d+ cycles$"
        assert re.search(pattern, told, re.MULTILINE), told
