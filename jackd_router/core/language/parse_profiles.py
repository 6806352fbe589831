"""[[profile]]: named scenes, and what each sets on the buses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jackd_router.core.config import DEFAULT_PROFILE, BusConfig, BusType, Profile, ProfileBus
from jackd_router.core.errors import Problem, Severity
from jackd_router.core.language.parse_buses import MAX_GAIN_DB, SILENCE_DB
from jackd_router.core.language.reading import Table, found, unique, unknown_bus


def read_profiles(
    files: Sequence[Table], problems: list[Problem], buses: Sequence[BusConfig], *, all_read: bool
) -> tuple[Profile, ...]:
    """Give the profiles of all files, `default` first; what is wrong is noted."""
    tables = [table for file in files for table in file.tables("profile")]
    # A file that was not read may define the bus.
    known = {bus.name: bus for bus in buses} if all_read else None
    profiles = [_read_profile(table, known) for table in tables]
    unique(problems, "profile", ((found.name, table.origin) for table, found in zip(tables, profiles, strict=True) if found.name))
    default = next((profile for profile in profiles if profile.name == DEFAULT_PROFILE.name), DEFAULT_PROFILE)
    return (default, *(profile for profile in profiles if profile.name not in ("", default.name)))


def _read_profile(table: Table, known: Mapping[str, BusConfig] | None) -> Profile:
    table.check_keys("profile")
    if "name" not in table.values:
        table.complain("a profile must have a name")
    buses = table.table("bus")
    read = {name: _read_bus(buses, name, known.get(name) if known else None) for name in buses.values}
    for name in read:
        if known is not None and name not in known:
            buses.complain(unknown_bus(name, known), name, of_key=True, severity=Severity.WARNING)
    return Profile(
        name=table.text("name", ""),
        description=table.text("description", ""),
        buses=read,
        origin=table.origin,
    )


def _read_bus(buses: Table, name: str, bus: BusConfig | None) -> ProfileBus:
    """Give what is set on one bus, where that is known."""
    table = buses.table(name)
    table.check_keys("bus of a profile")
    if bus is not None and bus.type is BusType.MIDI and "gain" in table.values:
        table.complain(f"gain: {found(name)} is a bus of MIDI, which has none", "gain", of_key=True)
    gain_db = max(table.number("gain", 0.0, float("-inf"), MAX_GAIN_DB, unit="dB"), SILENCE_DB)
    return ProfileBus(
        gain_db=gain_db if "gain" in table.values else None,
        mute=table.flag("mute", default=False) if "mute" in table.values else None,
    )
