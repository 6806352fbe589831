"""Pairs of ports that change their minds while requests are on their way to the server."""

from __future__ import annotations

import time

from tests.conftest import StartClient, StartRouter
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer

CHANNELS = 60
ROUNDS = 40
RULE = """
[[rule]]
name = "desk"
from = "synth:*"
to = "desk:*"
"""


def test_a_second_output_takes_a_fan_out_back(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter
) -> None:
    desk = start_client("desk", inputs=[f"in_{n}" for n in range(1, CHANNELS + 1)])
    start_router(RULE)
    synth = start_client("synth")
    for _ in range(3):
        # One output goes to all inputs; the second one comes while the server still makes these connections.
        synth.register("out_1")
        eventually(lambda: len(desk.connections()) >= 2)
        synth.register("out_2")
        eventually(lambda: desk.connections() == {("synth:out_1", "desk:in_1"), ("synth:out_2", "desk:in_2")})
        synth.unregister("out_1", "out_2")
        eventually(lambda: not desk.connections())


def test_a_port_that_comes_again_at_once_waits_for_nothing_of_its_predecessor(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter
) -> None:
    start_router('[[rule]]\nname = "solo"\nfrom = "solo:out"\nto = "system:playback_1"\n')
    solo = start_client("solo")
    begun = time.monotonic()
    for _ in range(ROUNDS):
        solo.register("out")
        eventually(lambda: solo.connections() == {("solo:out", "system:playback_1")})
        solo.unregister("out")
    # Each echo that never comes is waited for longer than a second.
    assert time.monotonic() - begun < ROUNDS
