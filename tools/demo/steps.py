"""What the demo shows, one function a step. Each checks what it claims, and raises where that is not so."""

from __future__ import annotations

import json
import re
from functools import partial

import numpy as np

from jackd_router.cli.listing import meter
from jackd_router.cli.records import LevelRecord
from tests.support.eventually import eventually
from tests.support.jack_client import noise, offset_of
from tools.demo.sound import RATE_HZ, Passed, gain_db, pass_through, sine
from tools.demo.studio import Pairs, Studio, Watch, now
from tools.demo.terminal import ascii_only, check, command, output, say, well

SYNTH_OUTPUTS = ("out_1", "out_2")
RECORDER_INPUTS = ("in_1", "in_2")
TO_BUS: Pairs = frozenset({("synth:out_1", "router:main_in_L"), ("synth:out_2", "router:main_in_R")})
TO_SPEAKERS: Pairs = frozenset({("router:main_out_L", "system:playback_1"), ("router:main_out_R", "system:playback_2")})
TO_RECORDER: Pairs = frozenset({("router:main_out_L", "recorder:in_1"), ("router:main_out_R", "recorder:in_2")})

MISTAKES = """
[[rule]]
name = "synth to headphones"
form = "synth:*"
to   = "/system:(playback_1/"

[[bus]]
name = "monitor"
gain = 1e9
"""
CULPRITS = ("form", "to", "gain")
"""The keys that are wrong in there: one message must point at the line of each."""


def appear(studio: Studio) -> None:
    """Clients come and are connected."""
    eventually(lambda: studio.router.cli("status").returncode == 0, what="the daemon is connected to the JACK server")
    studio.jackd_router("status")
    say("A program starts: the JACK client 'synth' with the outputs out_1 and out_2.")
    synth = studio.join("synth", outputs=SYNTH_OUTPUTS)
    studio.wait_for(TO_BUS | TO_SPEAKERS, seen_by="synth")
    studio.jackd_router("connections")
    check(synth.name == "synth", "the client is called synth")
    well("JACK itself lists these connections; nobody but the rules has asked for them")


def explain(studio: Studio) -> None:
    """A connection is explained, and one that a rule forbids is refused."""
    text = studio.jackd_router("explain", "synth:out_1", "router:main_in_L")
    check(text.startswith("connected: "), "the pair is connected")
    check("synth to main bus" in text, "the rule that wants it is named")
    say("Two more programs start: 'recorder' and 'firefox'.")
    studio.join("recorder", inputs=RECORDER_INPUTS)
    studio.join("firefox", outputs=("output_1",))
    eventually(lambda: "firefox:output_1" in studio.jackd_router("ports", "firefox", show=False), what="the daemon sees firefox")
    refusal = studio.jackd_router("connect", "firefox:output_1", "recorder:in_1", code=1)
    check("browser never into a recorder" in refusal, "the rule that forbids it is named")
    studio.jackd_router("explain", "firefox:output_1", "recorder:in_1")
    check(("firefox:output_1", "recorder:in_1") not in studio.clients["recorder"].connections(), "it is not connected")
    studio.leave("firefox")
    well("each time the rule is named that decides, and the line where it is written")


def compare_sound(studio: Studio) -> None:
    """A block of noise comes out of the bus bit for bit."""
    say("'recorder' is connected by hand to what the bus sends out.")
    for source, destination in sorted(TO_RECORDER):
        studio.jackd_router("connect", source, destination)
    studio.jackd_router("bus", "main", "--gain", "0")
    block = np.stack([noise(RATE_HZ, seed) for seed in (1, 2)])
    say(f"'synth' sends {RATE_HZ} frames of pseudo-random noise on each output, 'recorder' records from the same frame on.")
    passed = _pass(studio, block)
    for channel, sent, recorded in zip("LR", passed.sent, passed.recorded, strict=True):
        offset = offset_of(sent, recorded)
        check(offset is not None, f"channel {channel}: what was sent is found in what came out, bit for bit")
        check(offset == 0, f"channel {channel}: no frame is added; it came {offset} frames late")
        shown = " ".join(f"{sample:+.7f}" for sample in recorded[:3])
        output(
            [f"channel {channel}: {sent.size} of {sent.size} samples equal in every bit, frame offset {offset}  ({shown} ...)"]
        )
    well("the same bits, in the same period of the server")


def watch_meters(studio: Studio) -> None:
    """Meters follow a signal of changing level."""
    say("'synth' plays a tone: louder and louder on the left, softer and softer on the right.")
    command("jackd-router bus main --meters")
    for played in ((-50, -5), (-40, -10), (-30, -20), (-20, -30), (-10, -40), (-5, -50)):
        studio.clients["synth"].play_forever(dict(zip(SYNTH_OUTPUTS, map(sine, played), strict=True)))
        levels = eventually(partial(_levels_at, studio, played), what=f"the meters show {played[0]} and {played[1]} dB")
        output(f"{level.port:<18} {meter(level, ascii_only=ascii_only())} {level.peak:6.1f} dB" for level in levels)
    studio.clients["synth"].play_forever({})
    well("what they showed was within 1 dB of what was played, each time")


def change_gain(studio: Studio) -> None:
    """A change of gain shows in the sound."""
    studio.jackd_router("bus", "main", "--gain", "-6")
    studio.jackd_router("bus")
    _check_gain(studio, -6.0)
    well("6 dB softer, measured in the sound")


def kill_server(studio: Studio) -> None:
    """The JACK server dies, and everything comes back."""
    with Watch(studio) as watch:
        command("kill -KILL $(pidof jackd)")
        studio.lose_server()
        eventually(lambda: studio.router.cli("status").returncode == 4, what="the daemon notices")
        studio.jackd_router("status", code=4)
        command("jackd -r -d dummy")
        begun = now()
        studio.server.start()
        listening = now()
        back = watch.connected_at(TO_SPEAKERS, since=begun)
        say(f"After {1000 * (listening - begun):.0f} ms it took clients;")
        say(f"after {1000 * (back - begun):.0f} ms our client, the ports of its buses and their connections were all back.")
        say("'synth' and 'recorder' start again, too.")
        studio.join("synth", outputs=SYNTH_OUTPUTS)
        studio.join("recorder", inputs=RECORDER_INPUTS)
        studio.wait_for(TO_BUS | TO_SPEAKERS, seen_by="synth")
        watch.connected_at(TO_BUS, since=begun)
    studio.jackd_router("connections")
    for source, destination in sorted(TO_RECORDER):
        studio.jackd_router("connect", source, destination, show=False)
    _check_gain(studio, -6.0)
    well("every connection that rules want, every port of the buses, and the gain of -6 dB")


def refuse_mistakes(studio: Studio) -> None:
    """A file with mistakes in it is refused, and nothing changes."""
    good = studio.router.config_path.read_text()
    bad = good + MISTAKES
    rules = [rule["name"] for rule in studio.told("rules")]
    say("Somebody adds this to router.toml:")
    output(MISTAKES.strip().splitlines())
    studio.save(bad)
    eventually(lambda: not studio.status()["config_valid"], what="the daemon notices the save by itself")
    problems = studio.jackd_router("reload", code=1)
    _check_problems(problems, bad, str(studio.router.config_path))
    check([rule["name"] for rule in studio.told("rules")] == rules, "the rules in force are the old ones")
    studio.leave("synth")
    studio.join("synth", outputs=SYNTH_OUTPUTS)
    studio.wait_for(TO_BUS | TO_SPEAKERS, seen_by="synth")
    well("refused with line and column; 'synth' was started anew, and the old rules have connected it")
    say("The file as it was:")
    studio.save(good)
    eventually(lambda: studio.status()["config_valid"], what="the daemon notices the save by itself")
    studio.jackd_router("reload")
    well("valid again")


def end(studio: Studio) -> None:
    """The daemon ends, and leaves the server in good order."""
    command("systemctl --user stop jackd-router")
    say("(here: SIGTERM to the daemon, as systemd does)")
    status = studio.stop_daemon()
    check(status == 0, f"the daemon ends with exit status 0, not {status}")
    check("router:main_in_L" not in studio.clients["synth"].ports(), "its ports are gone")
    well("exit status 0, and its ports are gone from the server")


STEPS = (
    ("Programs appear, and the rules connect them", appear),
    ("Why is this connected?", explain),
    ("Sound through a bus, compared bit for bit", compare_sound),
    ("Meters", watch_meters),
    ("A change of gain, heard in the numbers", change_gain),
    ("The JACK server is killed", kill_server),
    ("A reload with mistakes in the file", refuse_mistakes),
    ("The end", end),
)


def _pass(studio: Studio, block: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Passed:
    return pass_through(studio.clients["synth"], SYNTH_OUTPUTS, studio.clients["recorder"], RECORDER_INPUTS, block)


def _check_gain(studio: Studio, expected_db: float) -> None:
    """Send noise and compare the loudness of what comes out with that of what went in."""
    passed = _pass(studio, np.stack([noise(RATE_HZ // 2, seed) for seed in (3, 4)]))
    for channel, sent, recorded in zip("LR", passed.sent, passed.recorded, strict=True):
        came = recorded[: sent.size]
        measured = gain_db(sent, came)
        output([f"channel {channel}: sent {sent[0]:+.7f}, came out {came[0]:+.7f}; over {sent.size} frames {measured:+.3f} dB"])
        check(abs(measured - expected_db) < 0.01, f"channel {channel}: {expected_db:+.2f} dB, not {measured:+.2f} dB")


def _levels_at(studio: Studio, wanted_db: tuple[int, int]) -> list[LevelRecord]:
    """Give the levels of the bus's outputs, none while they are other ones."""
    told = json.loads(studio.jackd_router("bus", "main", "--meters", "--json", show=False))
    levels = [LevelRecord(**level) for level in told["main"]][2:]
    near = all(abs(level.peak - wanted) < 1 for level, wanted in zip(levels, wanted_db, strict=True))
    return levels if near else []


def _check_problems(problems: str, text: str, file: str) -> None:
    """Check that there is a message for each mistake, and that it points at its line."""
    lines = text.splitlines()
    places = [int(found[1]) for found in re.finditer(rf"^{re.escape(file)}:(\d+):\d+: ", problems, re.MULTILINE)]
    first = len(lines) - MISTAKES.count("\n")
    for key in CULPRITS:
        wrong = next(n for n, line in enumerate(lines, 1) if n > first and line.split("=")[0].strip() == key)
        check(wrong in places, f"a message points at line {wrong}: {lines[wrong - 1]}")
