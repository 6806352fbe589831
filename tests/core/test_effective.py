"""The configuration in force as text: it reads back as what it was."""

from __future__ import annotations

from hypothesis import given

from jackd_router.core.config import Config
from jackd_router.core.effective import effective_toml
from tests.core.building import config, without_origins
from tests.core.test_properties import configs

EVERYTHING = r"""
[server]
name = "studio"
library = "jack2"
[client]
name = "mé\""
[daemon]
watch = false
[policy]
unmatched = "remove"
manual = "enforce"
[[rule]]
name = 'a "rule"'
from = ['/(?P<x>\w+)"\\:.*/', { client = '/(?P<x>.)/', port = 'out*' }]
to = { client = 'Caf\xe9 \\ {x}', port = '/in_{1}/', type = "audio", physical = true, terminal = false }
pair = "order"
manual = "enforce"
same_client = true
priority = -1
enabled = false
profiles = ["quiet room", "default"]
[[rule]]
name = "b"
action = "forbid"
from = { exact = "a:*" }
to = [{ alias = "x*" }, { bus = "main" }, { bus = "main", channel = "L" }, "c", "c:", "c:d:*", { port = "x" }]
[[bus]]
name = "main"
channels = ["L", "R"]
outputs = 1
gain = -6.5
channel_gains = [-1e-3, 3]
mute = true
matrix = [[0.5, -1e-7]]
fade_ms = 0
[[profile]]
name = "default"
bus.main.gain = -1e-7
[[profile]]
name = "quiet room"
description = 'a "dry" \one'
[profile.bus.main]
gain = -30
mute = false
[[profile]]
name = "none"
"""


def test_every_setting_survives() -> None:
    before = config(EVERYTHING)
    assert without_origins(config(effective_toml(before))) == without_origins(before)


def test_defaults_are_written_out() -> None:
    text = effective_toml(Config())
    assert 'unmatched = "keep"' in text
    assert config(text) == Config()


def test_origins_are_comments() -> None:
    line = EVERYTHING.split("\n").index("[[bus]]") + 1
    assert f"[[bus]]  # test.toml:{line}\n" in effective_toml(config(EVERYTHING))


@given(configs())
def test_every_configuration_survives(before: Config) -> None:
    assert without_origins(config(effective_toml(before))) == without_origins(before)
