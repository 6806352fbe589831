"""What the running router says of itself: frozen values with one writer each, swapped whole, published by its face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jackd_router.core.config import Action
from jackd_router.core.graph import Connection, Port, PortName


class Health(StrEnum):
    """The one word of `Manager.Status`."""

    OK = "ok"
    DEGRADED = "degraded"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Status:
    """How the program is, in one word and in one line for people."""

    health: Health = Health.OK
    text: str = "starting"


class ServerPhase(StrEnum):
    """The words of `Server.State`."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    UNRESPONSIVE = "unresponsive"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class ServerState:
    """The JACK server as far as we know it. Times are microseconds since the epoch, 0 for never."""

    phase: ServerPhase = ServerPhase.CONNECTING
    server_name: str = "default"
    title: str = "JACK server 'default'"
    """What to call it in a message."""
    implementation: str = ""
    client_name: str = ""
    sample_rate_hz: int = 0
    buffer_size_frames: int = 0
    realtime: bool = False
    client_realtime: bool = False
    hints: tuple[str, ...] = ()
    freewheeling: bool = False
    xrun_count: int = 0
    last_xrun_usec: int = 0
    connected_usec: int = 0
    retry_count: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class CycleCost:
    """How many process cycles there were, and how long our callback took in the middle one and in the longest."""

    cycles: int = 0
    median_usec: float = 0.0
    max_usec: float = 0.0


class Outcome(StrEnum):
    """What became of a request to connect or disconnect."""

    CONNECTED = "connected"
    ALREADY_CONNECTED = "already-connected"
    DISCONNECTED = "disconnected"
    NOT_CONNECTED = "not-connected"
    GONE = "gone"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class GraphDiff:
    """One burst of changes of the graph; to be applied in the order disconnected, removed, added, connected.

    A port that went and came back under its name is in both lists, with its connections. `aliases`: ports that stayed, with
    other aliases. `metadata`: ports whose pretty name, or whether they are CV, is not what was told of them before.
    `resync`: too many changes to tell, all tuples are empty, read the graph anew.
    """

    previous: int
    version: int
    ports_added: tuple[Port, ...] = ()
    ports_removed: tuple[PortName, ...] = ()
    connected: tuple[Connection, ...] = ()
    disconnected: tuple[Connection, ...] = ()
    renamed: tuple[tuple[PortName, PortName], ...] = ()
    aliases: tuple[Port, ...] = ()
    metadata: tuple[Port, ...] = ()
    resync: bool = False


@dataclass(frozen=True, slots=True)
class RuleState:
    """One rule as it stands now. `last_applied_usec`: when it last made or cut a connection, 0 for never."""

    name: str
    enabled: bool
    action: Action
    origin: str
    ports_matched: int
    connections_made: int
    last_applied_usec: int
    inactive_because: str = ""

    @property
    def active(self) -> bool:
        """Whether it counts now."""
        return not self.inactive_because


@dataclass(frozen=True, slots=True)
class BusState:
    """One bus as it stands now: full names of its ports, gains in dB, `active` while a server carries it.

    One of MIDI has neither channel gains nor a matrix, one of audio no MIDI channels.
    """

    name: str
    type: str
    inputs: tuple[PortName, ...]
    outputs: tuple[PortName, ...]
    gain_db: float
    channel_gains_db: tuple[float, ...]
    mute: bool
    matrix: tuple[tuple[float, ...], ...]
    midi_channels: tuple[int, ...]
    active: bool
    origin: str
    """Where the configuration defines it; "" for a bus that was made at run time."""


@dataclass(frozen=True, slots=True)
class Level:
    """The level of one port in dBFS: -200 for silence, +200 for infinity."""

    peak_dbfs: float
    rms_dbfs: float


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What would be, or was, connected and disconnected; `unmet` names rules that match nothing now."""

    connect: tuple[Connection, ...] = ()
    disconnect: tuple[Connection, ...] = ()
    failed: tuple[Connection, ...] = ()
    unmet: tuple[str, ...] = ()
    shadowed: tuple[str, ...] = ()
    refused: tuple[tuple[str, Connection, str], ...] = ()
    """Rule, pair and reason of each connection that the feedback guard stops."""


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What was connected and disconnected by hand, or would be; `failed`: with the reason."""

    connected: tuple[Connection, ...] = ()
    disconnected: tuple[Connection, ...] = ()
    failed: tuple[tuple[Connection, str], ...] = ()


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What was taken back, for people, and what became of it. `problems` says in words what could not be done, and why."""

    what: str
    connect: tuple[Connection, ...] = ()
    disconnect: tuple[Connection, ...] = ()
    failed: tuple[Connection, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """One snapshot as it lies in its file; `created_usec` since the epoch."""

    name: str
    created_usec: int
    connections: int
    description: str
    path: str


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What restoring a snapshot changed, or would change: `connected` and `disconnected` are all that it did to the graph.

    `missing`: a port is not there. `failed`: with the reason.
    """

    connected: tuple[Connection, ...] = ()
    disconnected: tuple[Connection, ...] = ()
    missing: tuple[Connection, ...] = ()
    failed: tuple[tuple[Connection, str], ...] = ()


class Listener:
    """Who wants to be told of changes; a subclass takes what concerns it.

    Called in the event loop, after the change, never while one is half made.
    """

    def graph_changed(self, diff: GraphDiff) -> None:
        """Take one burst of changes of the graph."""

    def applied(self, actions: Sequence[tuple[str, str, PortName, PortName]]) -> None:
        """Take what rules did: (rule, "connect" | "disconnect" | "failed" | "contested" | "refused", source, destination)."""

    def rules_changed(self, names: Sequence[str]) -> None:
        """Take the rules whose state changed; none of them named: all."""

    def holds_changed(self) -> None:
        """Note that other pairs are held or contested than before."""

    def status_changed(self) -> None:
        """Note that `Router.status` is another one."""

    def server_changed(self, before: ServerState, now: ServerState) -> None:
        """Take the server's old and new state."""

    def config_changed(self) -> None:
        """Note that a (re)load was tried: path, time, validity or problems may differ."""

    def profiles_changed(self) -> None:
        """Note that another profile is active, or that there are other ones."""

    def snapshots_changed(self) -> None:
        """Note that a snapshot was saved or deleted."""

    def inhibitors_changed(self) -> None:
        """Note that somebody inhibits, or no longer does."""

    def undo_changed(self) -> None:
        """Note that other steps can be undone than before."""

    def bus_changed(self, name: str, *properties: str) -> None:
        """Take the bus, and the names of its D-Bus properties, that changed."""

    def buses_changed(self, added: Sequence[str], removed: Sequence[str]) -> None:
        """Take the names of buses that came and went."""
