"""What a person changed through the daemon, as steps that can be taken back, and each in a sentence for people."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from jackd_router.core.deciding.words import pair_text
from jackd_router.core.graph import Connection
from jackd_router.core.names import shown

DEPTH = 100
"""Steps that are remembered; an older one is forgotten."""


class Hold(StrEnum):
    """Whether a pair stays as somebody wanted it by hand, whatever the rules want."""

    NONE = "none"
    CUT = "cut"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a pair of ports stands, as far as a person decides about it."""

    connected: bool
    hold: Hold = Hold.NONE


@dataclass(frozen=True, slots=True)
class PairChange:
    """One pair that was changed, and how it stood before and after that."""

    connection: Connection
    before: Standing
    after: Standing


@dataclass(frozen=True, slots=True)
class PairsChanged:
    """Pairs that one call changed. `what` says what it was where that is more than the pairs themselves."""

    changes: tuple[PairChange, ...]
    what: str = ""


@dataclass(frozen=True, slots=True)
class ProfileSwitched:
    """Another profile was made the active one, which released the pairs that were `held` as cut."""

    before: str
    after: str
    held: tuple[Connection, ...] = ()


@dataclass(frozen=True, slots=True)
class Switch:
    """How a rule is switched by hand: in this run of the daemon, and as it is kept. None: not at all.

    A rule counts as switched only while the configuration says of it what it said then (`configured`).
    """

    live: tuple[bool, bool] | None
    kept: Mapping[str, bool] | None


@dataclass(frozen=True, slots=True)
class RuleSwitched:
    """One rule was switched on or off."""

    name: str
    enabled: bool
    before: Switch


@dataclass(frozen=True, slots=True)
class AllRulesSwitched:
    """The master switch of the rules was turned."""

    enabled: bool


Step = PairsChanged | ProfileSwitched | RuleSwitched | AllRulesSwitched


def sentence(step: Step) -> str:
    """Give the step in a sentence for people, in the past tense."""
    match step:
        case PairsChanged(changes, what):
            told = ", ".join(filter(None, (_group(verb, changes, belongs) for verb, belongs in _GROUPS)))
            return f"{what}: {told}" if what else told
        case ProfileSwitched(before, after):
            return f"switched from profile '{shown(before)}' to '{shown(after)}'"
        case RuleSwitched(name, enabled):
            return f"{_switched(enabled)} rule '{shown(name)}'"
        case AllRulesSwitched(enabled):
            return f"{_switched(enabled)} all rules"
        case _:
            assert_never(step)


def _group(verb: str, changes: Sequence[PairChange], belongs: Callable[[PairChange], bool]) -> str:
    """Give `connected a:b -> c:d`, or how many they are; "" for none."""
    pairs = [change.connection for change in changes if belongs(change)]
    if len(pairs) == 1:
        return f"{verb} {pair_text(pairs[0])}"
    return f"{verb} {len(pairs)} pairs" if pairs else ""


def _stays(change: PairChange, hold: Hold) -> bool:
    """Tell whether only the hold was changed, to this one."""
    return change.before.connected == change.after.connected and change.before.hold != change.after.hold == hold


_GROUPS: tuple[tuple[str, Callable[[PairChange], bool]], ...] = (
    ("connected", lambda change: change.after.connected > change.before.connected),
    ("disconnected", lambda change: change.after.connected < change.before.connected),
    ("held as connected", lambda change: _stays(change, Hold.KEPT)),
    ("held as cut", lambda change: _stays(change, Hold.CUT)),
    ("released", lambda change: _stays(change, Hold.NONE)),
)


def _switched(enabled: bool) -> str:
    return "enabled" if enabled else "disabled"


class UndoStack:
    """The steps that can be taken back, each with when it was made (µs since the epoch)."""

    def __init__(self) -> None:
        self._steps: deque[tuple[int, Step]] = deque(maxlen=DEPTH)

    def push(self, usec: int, step: Step) -> bool:
        """Remember a step; False where it changed nothing, which nobody wants to take back."""
        if isinstance(step, PairsChanged):
            changes = tuple(change for change in step.changes if change.before != change.after)
            if not changes:
                return False
            step = PairsChanged(changes, step.what)
        self._steps.append((usec, step))
        return True

    def last(self) -> Step | None:
        """Give the newest step; None where there is none."""
        return self._steps[-1][1] if self._steps else None

    def drop(self, step: Step) -> None:
        """Forget this step, which is taken back; others may have come on top of it meanwhile."""
        self._steps = deque((entry for entry in self._steps if entry[1] is not step), maxlen=DEPTH)

    def entries(self) -> list[tuple[int, str]]:
        """Give when each step was made and its sentence, the newest first."""
        return [(usec, sentence(step)) for usec, step in reversed(self._steps)]
