"""What is set on a bus after a switch, a reload or a start: by hand, by the profile, or by the bus itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jackd_router.core.bus_values import BusValues, carried_over, checked_values, named_by, values_of
from jackd_router.core.config import BusConfig, Profile, ProfileBus
from jackd_router.core.errors import UserError

BUS = BusConfig("main", ("L", "R"), ("L", "R"), gain_db=-6.0)
OWN = BusValues(-6.0, False, (0.0, 0.0), ((1.0, 0.0), (0.0, 1.0)))
PLAIN = Profile("default")
QUIET = Profile("quiet", buses={"main": ProfileBus(gain_db=-30.0)})
LOUD = Profile("loud", buses={"main": ProfileBus(gain_db=3.0, mute=False)})
SILENT = Profile("silent", buses={"main": ProfileBus(mute=True)})
BY_HAND = -12.5


def after(live: BusValues, old: Profile, new: Profile, *, bus_before: BusConfig = BUS, bus: BusConfig = BUS) -> BusValues:
    """Give what is set when `new` comes after `old`."""
    switched = named_by(old, "main") | named_by(new, "main") if old.name != new.name else frozenset[str]()
    return carried_over(live, values_of(bus_before, old), values_of(bus, new), switched=switched)


def test_a_profile_names_some_values_and_the_bus_has_the_others() -> None:
    assert values_of(BUS, PLAIN) == OWN
    assert values_of(BUS, QUIET) == replace(OWN, gain_db=-30.0)
    assert values_of(BUS, SILENT) == replace(OWN, mute=True)
    assert values_of(replace(BUS, name="other", mute=True), SILENT).mute
    assert named_by(LOUD, "main") == {"gain_db", "mute"}
    assert named_by(LOUD, "other") == named_by(PLAIN, "main") == frozenset()


@pytest.mark.parametrize(
    ("old", "new", "gain_db"),
    [
        (PLAIN, QUIET, -30.0),
        (QUIET, LOUD, 3.0),
        (QUIET, PLAIN, -6.0),  # named by the old one only: the bus's own
        (PLAIN, SILENT, BY_HAND),  # named by neither: what was set by hand stays
        (QUIET, SILENT, -6.0),
        (QUIET, QUIET, BY_HAND),
    ],
)
def test_a_switch(old: Profile, new: Profile, gain_db: float) -> None:
    assert after(replace(values_of(BUS, old), gain_db=BY_HAND), old, new).gain_db == gain_db


def test_a_profile_that_names_what_the_bus_has_anyway_ends_what_was_set_by_hand() -> None:
    same = Profile("same", buses={"main": ProfileBus(gain_db=-6.0)})
    assert after(replace(OWN, gain_db=BY_HAND), PLAIN, same).gain_db == -6.0


@pytest.mark.parametrize(
    ("before", "now", "gain_db"),
    [
        (BUS, BUS, BY_HAND),
        (BUS, replace(BUS, gain_db=-9.0), -9.0),
        (BUS, replace(BUS, mute=True), BY_HAND),
    ],
)
def test_a_value_that_changed_in_the_file_wins(before: BusConfig, now: BusConfig, gain_db: float) -> None:
    assert after(replace(OWN, gain_db=BY_HAND), PLAIN, PLAIN, bus_before=before, bus=now).gain_db == gain_db


def test_what_the_active_profile_hides_may_change_unheard() -> None:
    live = replace(values_of(BUS, QUIET), gain_db=BY_HAND)
    assert after(live, QUIET, QUIET, bus=replace(BUS, gain_db=-1.0)).gain_db == BY_HAND


def test_a_value_of_the_active_profile_that_changed_in_the_file_wins() -> None:
    louder = Profile("quiet", buses={"main": ProfileBus(gain_db=-20.0)})
    assert after(replace(OWN, gain_db=BY_HAND), QUIET, louder).gain_db == -20.0
    assert after(replace(OWN, gain_db=BY_HAND), QUIET, Profile("quiet")).gain_db == -6.0


def test_other_channels_begin_anew() -> None:
    live = replace(OWN, gain_db=BY_HAND, channel_gains_db=(1.0, 2.0))
    three = replace(BUS, inputs=("L", "R", "C"))
    assert after(live, PLAIN, PLAIN, bus=three) == replace(values_of(three, PLAIN), gain_db=BY_HAND)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(OWN, gain_db=20.1),
        replace(OWN, gain_db=float("nan")),
        replace(OWN, channel_gains_db=(0.0, float("inf"))),
        replace(OWN, channel_gains_db=(0.0,)),
        replace(OWN, matrix=((1.0, 0.0), (0.0,))),
        replace(OWN, matrix=((1.0, 0.0), (0.0, float("nan")))),
        replace(OWN, matrix=((1.0, 0.0), (0.0, 11.0))),
    ],
)
def test_values_that_cannot_be(wrong: BusValues) -> None:
    with pytest.raises(UserError, match="main"):
        checked_values("main", wrong)


def test_all_that_is_below_silence_is_silence() -> None:
    assert checked_values("main", replace(OWN, gain_db=float("-inf"))).gain_db == -144.0
