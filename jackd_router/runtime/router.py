"""The router as a whole: builds the parts behind the D-Bus face and passes on what each tells the others."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from jackd_router import __version__
from jackd_router.core.config import Config
from jackd_router.core.errors import Problem, ServerLost
from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.core.language.effective import effective_toml
from jackd_router.core.undo import AllRulesSwitched, ProfileSwitched, RuleSwitched, Switch
from jackd_router.jack_host import protocol
from jackd_router.jack_io.presence import server_sockets
from jackd_router.runtime import by_hand
from jackd_router.runtime.announcer import Action
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.by_hand import ByHand
from jackd_router.runtime.configuration import Configuration
from jackd_router.runtime.inhibitors import Inhibitors
from jackd_router.runtime.levels import Levels
from jackd_router.runtime.lifecycle import ServerKeeper
from jackd_router.runtime.made_buses import MadeBuses
from jackd_router.runtime.mirror import Mirror
from jackd_router.runtime.profiles import Profiles
from jackd_router.runtime.publisher import Publisher
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.reload import Affected, Reload
from jackd_router.runtime.rules import Rules
from jackd_router.runtime.run_memory import RunMemory
from jackd_router.runtime.server_events import ServerEvents
from jackd_router.runtime.snapshot_folder import SnapshotFolder
from jackd_router.runtime.snapshots import Snapshots, Surroundings
from jackd_router.runtime.state import (
    BusState,
    ChangeReport,
    CycleCost,
    Level,
    Listener,
    Outcome,
    PlanReport,
    ServerPhase,
    ServerState,
    Status,
)
from jackd_router.runtime.state_file import StateFile
from jackd_router.runtime.status import describe
from jackd_router.runtime.undo import Undo, Ways
from jackd_router.runtime.whole_files import remove_leftovers

log = logging.getLogger(__name__)

_APPLY_S = 5.0
"""How long a call waits for what it asked to be applied; the rest goes on without it."""
_KEPT_S = 0.05
"""How long rules wait for a change of theirs to be kept."""


class Router:
    """Everything behind the face. Invariant: no decision about a connection is made here."""

    version = __version__

    def __init__(self, config_path: Path, state_folder: Path, default_server: str) -> None:
        """Take the configuration's path, the folder for what is kept, and the server to use where nothing names one."""
        self.started_usec = time.time_ns() // 1000
        self.status = Status()
        self._default_server = default_server
        self._trouble = self._bus_trouble = ""
        self._state_folder, self._state_file = state_folder, StateFile(state_folder)
        self._state_file.on_trouble = self._refresh_status
        self._mirror = Mirror()
        self._publisher = Publisher(self._mirror)
        self._inhibitors = Inhibitors(self._inhibitors_changed)
        self._buses = Buses(self._bus_changed)
        self._levels = Levels(self._buses)
        self._reconciler = Reconciler(self._mirror.graph, self)
        self._reconciler.may_act(lambda: self.rules.enabled and not self._inhibitors)
        self._reconciler.watch.buses = lambda: self._buses.passages(self.rules.client_name)
        self._memory = RunMemory(self._mirror.graph, self._state_file)
        self._by_hand = ByHand(
            self._mirror.graph,
            self._reconciler,
            by_hand.Ways(
                note=lambda step: self.undo.note(step),
                one_burst=self._publisher.one_burst,
                applied=self._settled,
            ),
        )
        self.snapshots = Snapshots(
            SnapshotFolder(state_folder / "snapshots"),
            self._mirror.graph,
            self._by_hand,
            Surroundings(
                require_server=self._require_server,
                our_names=lambda: (self.configuration.in_force.client_name, self.rules.client_name),
                changed=self._snapshots_changed,
            ),
        )
        self.rules = Rules(self._mirror.graph, self._reconciler, self._inhibitors, self._state_file)
        self.profiles = Profiles(self.rules, self._buses, self._state_file)
        self.undo = Undo(
            self._mirror.graph,
            self._by_hand,
            Ways(
                require_server=self._require_server,
                switch_profile=self._switch_profile,
                put_switch=self._put_switch,
                enable_rules=self._enable_rules,
                applied=self._settled,
                steps_changed=self._steps_changed,
            ),
        )
        self.configuration = Configuration(config_path, state_folder)
        self._reload = Reload(
            self.configuration,
            self.rules,
            self._buses,
            self.profiles,
            Affected(
                replace_keeper=self._replace_keeper,
                buses_planned=lambda: self._events.buses_planned(),
                applied=self._applied,
                buses_changed=self._buses_changed,
                config_changed=self._config_changed,
                name_devices=lambda config: self._events.name_devices(config),
            ),
        )
        self._made_buses = MadeBuses(self.configuration, self._reload, self._state_file)
        self._events = ServerEvents(
            self._mirror,
            self._reconciler,
            self._memory,
            self._buses,
            self._publisher,
            self._server_changed,
            self._client_named,
            self._buses_troubled,
        )
        self._keeper: ServerKeeper

    # ---- life

    def load(self) -> None:
        """Load the configuration and what was kept; from here on the router can be asked."""
        self._state_file.read()
        self._made_buses.start()
        self.configuration.load_at_start()
        self._made_buses.give_way()
        config = self.configuration.in_force
        self.profiles.start(config, is_read=self.configuration.valid)
        self.rules.client_name = config.client_name
        self._keeper = self._new_keeper(config)
        self._events.name_devices(config)
        self.rules.on_metadata_wanted = self._events.want_metadata
        self.rules.put_in_force(config, self.rules.matcher(config))
        self._refresh_status()

    def start(self) -> None:
        """Begin to look for a server. Nothing was written before: another daemon may run, and this one may have to give way."""
        for folder in (".", "last-good", "snapshots"):
            remove_leftovers(self._state_folder / folder)
        self.configuration.keep_copy()
        self._state_file.start_writing()
        self._keeper.start()

    async def stop(self) -> None:
        """Leave the server; connections stay, the sound of others goes on without us."""
        await self._keeper.stop()
        self._publisher.flush()
        await self._state_file.flush()

    def _new_keeper(self, config: Config) -> ServerKeeper:
        sockets = server_sockets(config.library, config.server_name or self._default_server)
        keeper = ServerKeeper(sockets, config.client_name, self._events)
        self._events.keeper = keeper
        return keeper

    async def _replace_keeper(self, config: Config) -> None:
        """Leave one server and look for another."""
        await self._keeper.stop()
        self._keeper = self._new_keeper(config)
        self._keeper.start()

    # ---- what changed, from below

    def _server_changed(self, before: ServerState, now: ServerState) -> None:
        self._publisher.tell(lambda listener: listener.server_changed(before, now))
        self._refresh_status()

    def _client_named(self, name: str) -> None:
        """Match selectors that mean our own client with the name that the server gave us."""
        if name != self.rules.client_name:
            self.rules.client_name = name
            config = self.configuration.in_force
            self.rules.put_in_force(config, self.rules.matcher(config))
            for bus in self._buses.names:
                self._bus_changed(bus, "Inputs", "Outputs")

    def acted(self, action: Action) -> None:
        """Take what the reconciler did for a rule."""
        self.rules.note_applied(action[0])
        self._publisher.action(*action)

    def holds_changed(self) -> None:
        """Take that other pairs are held or contested than before."""
        self._publisher.holds()
        self._refresh_status()

    def ledger_changed(self) -> None:
        """Take that something new is known of pairs."""
        self._memory.changed()

    def troubled(self, text: str) -> None:
        """Take that applying the rules failed, or works again."""
        self._trouble = text
        self._refresh_status()

    def _buses_troubled(self, text: str) -> None:
        self._bus_trouble = text
        self._refresh_status()

    def _inhibitors_changed(self) -> None:
        self._publisher.tell(lambda listener: listener.inhibitors_changed())
        self._refresh_status()
        self._reconciler.look_at_everything()

    def _bus_changed(self, name: str, *properties: str) -> None:
        self._publisher.tell(lambda listener: listener.bus_changed(name, *properties))

    def _refresh_status(self) -> None:
        trouble = "; ".join(filter(None, (self._trouble, self._bus_trouble, self._state_file.trouble)))
        status = describe(
            self.server,
            self.configuration,
            trouble,
            self.inhibitors,
            self.rules.enabled,
            self.profiles.active,
            len(self.rules.contested),
        )
        if status != self.status:
            self.status = status
            self._publisher.tell(lambda listener: listener.status_changed())

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell the listener of every change from now on; give what ends that."""
        return self._publisher.subscribe(listener)

    # ---- the daemon itself

    @property
    def kept_serial(self) -> int:
        """A number that grows with every change of what is kept over restarts."""
        return self._state_file.serial

    async def secure_kept(self) -> None:
        """Wait until what is kept now is so even if the daemon is killed; not for long."""
        await self._state_file.secure()

    @property
    def inhibitors(self) -> tuple[tuple[int, str, str, str], ...]:
        """Cookie, caller, who and why of everybody who has stopped the automatic work."""
        return self._inhibitors.records()

    def inhibit(self, caller: str, who: str, why: str) -> int:
        """Stop all automatic work until the cookie is given back or the caller leaves."""
        return self._inhibitors.add(caller, who, why)

    def uninhibit(self, cookie: int) -> None:
        """Give a cookie back."""
        self._inhibitors.remove(cookie)

    def caller_left(self, caller: str) -> None:
        """Forget a D-Bus peer that is gone."""
        self._inhibitors.caller_left(caller)
        self._levels.caller_left(caller)

    # ---- the server

    @property
    def server(self) -> ServerState:
        """The JACK server as it stands."""
        return self._keeper.state

    async def dsp_load(self) -> float:
        """Give the DSP load in percent; 0.0 without a server, and of one that does not answer."""
        try:
            return float((await self._keeper.request(protocol.LOAD))[0])
        except ServerLost:
            return 0.0

    @property
    def midi_lost(self) -> int:
        """How many MIDI events an output of a bus had no room for, on this server."""
        host = self._keeper.host
        return host.memory.midi_lost if host else 0

    async def reconnect(self) -> None:
        """Try to connect now; raise ServerLost where that does not succeed."""
        await self._keeper.reconnect()

    @property
    def cycle_cost(self) -> CycleCost:
        """What our process callback cost, since the connection began or the last reset."""
        return self._events.statistics.cycle_cost

    def reset_statistics(self) -> None:
        """Count xruns and cycles from now on."""
        self._events.reset_statistics()

    # ---- the graph

    @property
    def graph(self) -> Graph:
        """The graph as it is now; it changes under an await."""
        return self._mirror.graph

    @property
    def graph_version(self) -> int:
        """A number that grows with every change of the graph."""
        return self._mirror.version

    async def connect(self, source: PortName, destination: PortName, *, hold: bool = False) -> Outcome:
        """Connect two ports by hand; with `hold` even where a rule forbids it."""
        self._require_server()
        return await self._by_hand.connect(Connection(source, destination), hold=hold)

    async def disconnect(self, source: PortName, destination: PortName, *, hold: bool = False) -> Outcome:
        """Disconnect two ports by hand; with `hold` even where a rule insists."""
        self._require_server()
        return await self._by_hand.disconnect(Connection(source, destination), hold=hold)

    async def apply(self, connect: Sequence[Connection], disconnect: Sequence[Connection], *, dry_run: bool) -> ChangeReport:
        """Disconnect and connect many pairs; what fails is in the report and does not stop the rest."""
        self._require_server()
        return await self._by_hand.apply(connect, disconnect, dry_run=dry_run)

    def _require_server(self) -> None:
        """Raise ServerLost where nothing can be done at once: what a server that stands still is asked is done much later."""
        if self.server.phase is not ServerPhase.CONNECTED:
            raise ServerLost(f"there is no JACK server that answers now: {self.status.text}")

    @property
    def stands_still(self) -> bool:
        """Whether rules are not applied any more, though they could be: only another daemon helps."""
        return self._reconciler.stands_still

    @contextmanager
    def _kept_first(self) -> Iterator[None]:
        """Let rules do nothing to the graph before what changed them is kept: a kill leaves all old, or all new."""
        self._reconciler.pause()
        try:
            yield
        finally:
            self._state_file.when_secure(self._reconciler.resume, within_s=_KEPT_S)

    # ---- rules

    def set_rule_enabled(self, name: str, enabled: bool, *, persist: bool) -> None:
        """Switch a rule on or off; with `persist` also for the next start."""
        before = self.rules.switch(name)
        with self._kept_first():
            self.rules.set_rule_enabled(name, enabled, persist=persist)
        if self.rules.switch(name) != before:
            self._publisher.rule(name)
            self.undo.note(RuleSwitched(name, enabled, before))

    def _put_switch(self, name: str, switch: Switch) -> None:
        with self._kept_first():
            self.rules.put_switch(name, switch)
        self._publisher.rule(name)

    def set_rules_enabled(self, enabled: bool) -> None:
        """Switch all automatic work on or off, until the daemon ends."""
        if enabled != self.rules.enabled:
            self._enable_rules(enabled)
            self.undo.note(AllRulesSwitched(enabled))

    def _enable_rules(self, enabled: bool) -> None:
        self.rules.enabled = enabled
        self._publisher.rule("")
        self._refresh_status()
        self._reconciler.look_at_everything()

    async def reapply(self, *, dry_run: bool) -> PlanReport:
        """Release all holds and apply all rules to the graph as it is."""
        self._require_server()
        report = self.rules.report_now()
        if dry_run:
            return report
        self.undo.note(self._by_hand.released((*self.rules.held, *self.rules.kept)))
        self._reconciler.start_over()
        await self._applied()
        return self.rules.as_done(report)

    async def release_hold(self, source: PortName, destination: PortName) -> str:
        """Let the rules decide again about a pair that is held: "released" or "not-held"."""
        pair = Connection(source, destination)
        step = self._by_hand.released((pair,))
        released = self._reconciler.release((pair,))
        if released:
            self.undo.note(step)
            await self._applied()
        return "released" if released else "not-held"

    async def _applied(self) -> None:
        """Wait until everything that was asked for is applied, and told."""
        await self._settled()
        self._publisher.flush()

    async def _settled(self) -> None:
        """Wait until everything that was asked for is applied, but not for ever: a server may not answer."""
        try:
            async with asyncio.timeout(0 if self.server.phase is ServerPhase.UNRESPONSIVE else _APPLY_S):
                await self._reconciler.idle()
        except TimeoutError:
            log.warning("Applying the rules takes longer; going on in the background")

    # ---- profiles

    async def activate_profile(self, name: str) -> None:
        """Switch to a profile, and wait until the rules are applied; raise NoSuchProfile."""
        step = ProfileSwitched(self.profiles.active, name, self.rules.held)
        if self._switch_profile(name):
            self.undo.note(step)
            await self._applied()

    def _switch_profile(self, name: str, held: Iterable[Connection] = ()) -> bool:
        """Switch to a profile in which these pairs are held as cut; False where it is active already."""
        with self._kept_first():
            switched = self.profiles.activate(name, held)
        if switched:
            self._profiles_changed()
            self._publisher.rule("")
            self._refresh_status()
        return switched

    def _steps_changed(self) -> None:
        self._publisher.tell(lambda listener: listener.undo_changed())

    def _profiles_changed(self) -> None:
        self._publisher.tell(lambda listener: listener.profiles_changed())

    # ---- snapshots

    def _snapshots_changed(self) -> None:
        self._publisher.tell(lambda listener: listener.snapshots_changed())

    # ---- the configuration

    def effective_config(self) -> str:
        """Give the configuration in force as one TOML text."""
        return effective_toml(self.configuration.in_force)

    async def validate(self, path: str) -> tuple[Problem, ...]:
        """Give everything that is wrong with a file ("" for the main file)."""
        return await self._reload.validate(path)

    async def plan_file(self, path: str) -> tuple[tuple[Problem, ...], PlanReport]:
        """Tell what would change if this file were in force."""
        return await self._reload.plan(path)

    async def reload(self, *, dry_run: bool = False) -> PlanReport:
        """Put the files in force, all or nothing; raise ConfigInvalid with everything that is wrong."""
        return await self._reload.run(dry_run=dry_run)

    def _config_changed(self) -> None:
        self._made_buses.give_way()
        self._publisher.tell(lambda listener: listener.config_changed())
        self._profiles_changed()
        if self.configuration.valid:
            self._publisher.rule("")
        self._refresh_status()

    def _buses_changed(self, added: Sequence[str], removed: Sequence[str]) -> None:
        self._publisher.tell(lambda listener: listener.buses_changed(added, removed))

    # ---- buses

    @property
    def bus_names(self) -> tuple[str, ...]:
        """The names of the buses in the order of the configuration."""
        return self._buses.names

    def bus(self, name: str) -> BusState:
        """Give a bus as it stands."""
        return self._buses.state(name, self.rules.client_name)

    async def create_bus(self, name: str, values: Mapping[str, object]) -> None:
        """Make a bus of the keys and values of a [[bus]], and wait until its ports are there, if there is a server."""
        await self._made_buses.create(name, values)

    async def remove_bus(self, name: str) -> None:
        """Remove a bus that was made at run time."""
        await self._made_buses.remove(name)

    def set_bus_gain(self, name: str, gain_db: float) -> None:
        """Set the gain of a bus in dB."""
        self._buses.set_gain(name, gain_db)
        self.profiles.keep_bus(name)

    async def fade_bus(self, name: str, gain_db: float, duration_ms: int) -> None:
        """Fade the gain of a bus to another one within a time, linear in dB; raise Cancelled where something else is set."""
        running = self._buses.begin_fade(name, gain_db, duration_ms)
        self.profiles.keep_bus(name)
        if running:
            await running.finished()

    def set_bus_mute(self, name: str, mute: bool) -> None:
        """Mute a bus, or let it sound."""
        self._buses.set_mute(name, mute)
        self.profiles.keep_bus(name)

    def set_bus_channel_gains(self, name: str, gains_db: Sequence[float]) -> None:
        """Set the trims of a bus in dB, one per input."""
        self._buses.set_channel_gains(name, gains_db)
        self.profiles.keep_bus(name)

    def set_bus_matrix(self, name: str, matrix: Sequence[Sequence[float]]) -> None:
        """Set the mix of a bus in linear factors, a row per output."""
        self._buses.set_matrix(name, matrix)
        self._reconciler.buses_changed()
        self._events.plan_buses()
        self.profiles.keep_bus(name)

    def set_bus_midi_channels(self, name: str, channels: Sequence[int]) -> None:
        """Set which MIDI channels, from 1 to 16, pass a bus of MIDI."""
        self._buses.set_midi_channels(name, channels)
        self.profiles.keep_bus(name)

    async def levels(self, caller: str) -> dict[str, tuple[Level, ...]]:
        """Give the levels of each bus: of each input, then of each output; the peak since the caller's last call."""
        return self._levels.read(caller)
