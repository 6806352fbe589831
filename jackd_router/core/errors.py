"""The errors that this program raises on purpose: each text names the culprit and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RouterError(Exception):
    """Something that the program expects can go wrong."""


class UserError(RouterError):
    """What the user asked for cannot be done as written; the text says what to write instead."""


class NoSuchPort(UserError):
    """A port that the graph does not have."""


class IncompatiblePorts(UserError):
    """Two ports that JACK cannot connect: direction or type."""


class NoSuchRule(UserError):
    """A rule that the configuration in force does not have."""


class NoSuchProfile(UserError):
    """A profile that the configuration in force does not have."""


class NoSuchSnapshot(UserError):
    """A snapshot that nobody has saved."""


class NoSuchBus(UserError):
    """A bus that does not exist."""


class AlreadyExists(UserError):
    """A name that something else has."""


class ReadOnlyConfig(UserError):
    """Something that the configuration defines: only who edits the file changes it."""


class NoSuchInhibitor(UserError):
    """A cookie that stands for no inhibitor."""


class NothingToUndo(RouterError):
    """Nothing was changed by hand that could be taken back."""


class LimitExceeded(RouterError):
    """More of something than the program keeps."""


class NotSupported(RouterError):
    """Something that the API describes and this build cannot do."""


class ServerLost(RouterError):
    """There is no JACK server to ask, or it went away before it answered."""


class Cancelled(RouterError):
    """Something that was begun did not come to its end, because something else was asked for."""


class Refused(RouterError):
    """The JACK server, a rule, or the operating system said no."""


class RuledOut(Refused):
    """A rule would undo at once what is asked for."""


class Severity(StrEnum):
    """How bad a problem of the configuration is: an error keeps it from being used."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with the configuration, and where. Line and column count from 1, 0 is unknown."""

    file: str
    line: int
    column: int
    text: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """Give `file:line:column: text`, as compilers do, so that editors can jump there."""
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class ConfigInvalid(UserError):
    """A configuration that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    @property
    def first(self) -> Problem:
        """What to name where there is room for one: the first error, whatever warnings come before it."""
        return next((each for each in self.problems if each.severity is Severity.ERROR), self.problems[0])
