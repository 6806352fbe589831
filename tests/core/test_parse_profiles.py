"""Reading [[profile]]: values, and every mistake at its place."""

from __future__ import annotations

import pytest

from jackd_router.core.config import DEFAULT_PROFILE, Document, Profile, ProfileBus
from jackd_router.core.errors import ConfigInvalid, Problem
from jackd_router.core.language.parse import parse
from jackd_router.runtime.config_files import read_document
from tests.core.building import config
from tests.core.parsing import BUS, PROFILE, RULE, TEXT, problems


def test_default_exists_without_being_written_and_comes_first() -> None:
    assert config("").profiles == (DEFAULT_PROFILE,)
    assert [profile.name for profile in config(PROFILE + "[[profile]]\nname = 'b'").profiles] == ["default", "live", "b"]


def test_default_may_be_written() -> None:
    read = config(PROFILE + "[[profile]]\nname = 'default'\ndescription = 'at home'\nbus.main.mute = true\n" + BUS)
    assert read.profiles == (Profile("default", "at home", {"main": ProfileBus(mute=True)}), Profile("live"))


def test_everything_written_is_read() -> None:
    read = config(
        PROFILE + "description = 'on stage'\n[profile.bus.main]\ngain = -6\nmute = false\n[profile.bus.sub]\ngain = -1e9\n"
        "[[bus]]\nname = 'main'\n[[bus]]\nname = 'sub'\n"
    )
    assert read.profiles[1] == Profile(
        "live", "on stage", {"main": ProfileBus(gain_db=-6.0, mute=False), "sub": ProfileBus(gain_db=-144.0)}
    )
    assert str(read.profiles[1].origin) == "test.toml:1"


def test_a_later_file_may_define_the_profile_of_a_rule_and_the_bus_of_a_profile() -> None:
    rule, profile = RULE + "profiles = ['live']\n", PROFILE + "bus.main.gain = 0\n"
    read = parse([read_document(f"{n}.toml", text.encode()) for n, text in enumerate((rule, profile, BUS), 1)])
    assert read.rules[0].profiles == frozenset(("live",))


def test_a_bus_that_no_file_defines_may_come_at_run_time() -> None:
    read = config(PROFILE + "bus.mian.gain = 3\nbus.fx.mute = true\n" + BUS)
    assert read.profiles[1].buses == {"mian": ProfileBus(gain_db=3.0), "fx": ProfileBus(mute=True)}
    end = "it means nothing until one is made at run time"
    assert [str(warning) for warning in read.warnings] == [
        f'test.toml:3:5: no [[bus]] is called "mian" (did you mean "main"?): {end}',
        f'test.toml:4:5: no [[bus]] is called "fx": {end}',
    ]


def test_what_an_unread_file_may_define_is_not_missed() -> None:
    text = RULE + "profiles = ['live']\n" + "[[profile]]\nname = 'p'\nbus.main.gain = 0\n"
    unread = Problem("0.toml", 1, 1, "broken")
    with pytest.raises(ConfigInvalid) as caught:
        parse([Document("0.toml", {}, {}, {}), read_document("1.toml", text.encode())], [unread])
    assert caught.value.problems == (unread,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("profile = 1", "1:11: profile: found 1; allowed: an array of tables; write [[profile]]"),
        ("[profile]\nname = 'x'", "1:1: profile: found a table; allowed: an array of tables; write [[profile]]"),
        ("[[profile]]", "1:1: a profile must have a name"),
        ("[[profile]]\nname = ''", f'2:8: name: found ""; allowed: {TEXT}'),
        (PROFILE + PROFILE, '3:1: a profile named "live" already stands at 1.toml:1; give one of them another name'),
        (
            "[[profile]]\nname = 'default'\n" * 2,
            '3:1: a profile named "default" already stands at 1.toml:1; give one of them another name',
        ),
        (
            PROFILE + "descripton = 'x'",
            "3:1: unknown key \"descripton\"; did you mean 'description'? known here: name, description, bus",
        ),
        (PROFILE + "description = ''", f'3:15: description: found ""; allowed: {TEXT}'),
        (PROFILE + 'description = "a\\nb"', f'3:15: description: found "a\\u000ab"; allowed: {TEXT}'),
        (PROFILE + "bus = 5", "3:7: bus: found 5; allowed: a table, [profile.bus]"),
        (PROFILE + "bus.main = 5\n" + BUS, "3:12: main: found 5; allowed: a table, [profile.bus.main]"),
        (PROFILE + "bus.main.gain = 21\n" + BUS, "3:17: gain: found 21; allowed: a number up to 20 dB"),
        (PROFILE + "bus.main.gain = nan\n" + BUS, "3:17: gain: found nan; allowed: a number up to 20 dB"),
        (PROFILE + "bus.main.mute = 1\n" + BUS, "3:17: mute: found 1; allowed: true, false"),
        (
            PROFILE + "[profile.bus.main]\nmatrix = [[1, 0], [0, 1]]\n" + BUS,
            '4:1: unknown key "matrix"; known here: gain, mute',
        ),
        (RULE + "profiles = 'live'", '5:12: profiles: found "live"; allowed: a list of names, not empty'),
        (RULE + "profiles = []", "5:12: profiles: found an empty list; allowed: a list of names, not empty"),
        (RULE + "profiles = ['default', 5]", "5:24: profiles: found 5; allowed: names"),
        (
            RULE + "profiles = ['default', 'liv']\n" + PROFILE,
            '5:24: there is no profile "liv"; did you mean "live"? there are: "default", "live"',
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    assert problems(text) == [f"1.toml:{expected}"]
