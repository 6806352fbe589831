"""The router on the message bus: which objects there are, and which signals tell what changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set

from jackd_router.core.graph import PortName
from jackd_router.core.names import shown
from jackd_router.dbus_api import names
from jackd_router.dbus_api.buses import Bus, Buses
from jackd_router.dbus_api.config import Config
from jackd_router.dbus_api.errors import NameTaken
from jackd_router.dbus_api.graph import Graph, graph_changed_body
from jackd_router.dbus_api.interface_xml import read_interface
from jackd_router.dbus_api.log_control import LogControl
from jackd_router.dbus_api.manager import Manager
from jackd_router.dbus_api.messages import NAMES_LOST, Signal
from jackd_router.dbus_api.objects import Objects
from jackd_router.dbus_api.profiles import Profiles
from jackd_router.dbus_api.rules import Rules
from jackd_router.dbus_api.server import Server, changed_properties
from jackd_router.dbus_api.session_bus import SessionBus
from jackd_router.dbus_api.snapshots import Snapshots
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import GraphDiff, Listener, ServerState

_XRUN_INTERVAL_S = 0.25
"""How often xruns are announced at most: a server in trouble has hundreds a second."""
_XRUN_PROPERTIES = frozenset({"XrunCount", "LastXrunUSec"})


class Face(Listener):
    """Exports the router, and listens to it. Lives as long as the router; message buses come and go below it."""

    def __init__(self, router: Router, tasks: asyncio.TaskGroup) -> None:
        self._router = router
        self._objects = Objects(names.ROOT_PATH, tasks, router)
        self._objects.on_dropped = self._tell_anew
        self._bus_interface = read_interface("Bus")
        self._xruns_due: asyncio.TimerHandle | None = None
        implementations = {
            "Manager": Manager(router),
            "Server": Server(router),
            "Graph": Graph(router),
            "Rules": Rules(router),
            "Profiles": Profiles(router),
            "Snapshots": Snapshots(router),
            "Config": Config(router),
            "Buses": Buses(router),
        }
        self._objects.add(names.ROOT_PATH, {read_interface(name): own for name, own in implementations.items()})
        self._objects.add(names.LOG_CONTROL_PATH, {read_interface(names.LOG_CONTROL): LogControl()})
        self._exported_buses: set[str] = set()
        self.buses_changed(router.bus_names, ())
        self._told: dict[str, dict[str, object]] = {
            names.MANAGER: self._status(),
            names.RULES: self._rule_state(),
            names.PROFILES: self._profile_state(),
            names.CONFIG: self._config_state(),
        }
        self._unsubscribe = router.subscribe(self)

    async def attach(self, bus: SessionBus) -> None:
        """Offer everything on this bus, and only then take our name there. Raises NameTaken, BusLost and CallError."""
        self._objects.attach(bus)
        await bus.subscribe(NAMES_LOST, self._name_lost)
        if not await bus.request_name(names.BUS_NAME):
            raise NameTaken(f"another jackd-router runs on this session: {names.BUS_NAME} has an owner on the message bus")

    def detach(self) -> None:
        """Forget the bus, which is gone, and with it everybody who called over it."""
        for caller in tuple(self._objects.callers):
            self._router.caller_left(caller)
        self._objects.detach()

    async def end_calls(self) -> None:
        """Answer the calls that run, as cancelled."""
        await self._objects.end_calls()

    def close(self) -> None:
        """Listen to the router no more."""
        self._unsubscribe()
        if self._xruns_due is not None:
            self._xruns_due.cancel()

    def _tell_anew(self, dropped: Set[str]) -> None:
        """Let clients read what they missed while the bus took nothing."""
        if "GraphChanged" in dropped:
            now = self._router.graph_version
            self._objects.signal(
                names.ROOT_PATH, names.GRAPH, "GraphChanged", *graph_changed_body(GraphDiff(now, now, resync=True))
            )
        if "RulesChanged" in dropped:
            self._objects.signal(names.ROOT_PATH, names.RULES, "RulesChanged", [])
        if "SnapshotsChanged" in dropped:
            self._objects.signal(names.ROOT_PATH, names.SNAPSHOTS, "SnapshotsChanged")

    def graph_changed(self, diff: GraphDiff) -> None:
        """Publish a burst of changes."""
        self._objects.signal(names.ROOT_PATH, names.GRAPH, "GraphChanged", *graph_changed_body(diff))
        self._changed(names.GRAPH, "GraphVersion")
        self._tell_rule_state()

    def applied(self, actions: Sequence[tuple[str, str, PortName, PortName]]) -> None:
        """Publish what rules did."""
        told = [(rule, verb, shown(source), shown(destination)) for rule, verb, source, destination in actions]
        self._objects.signal(names.ROOT_PATH, names.RULES, "Applied", told)
        self._tell_rule_state()

    def rules_changed(self, changed: Sequence[str]) -> None:
        """Publish that rules are in another state."""
        self._objects.signal(names.ROOT_PATH, names.RULES, "RulesChanged", list(changed))
        self._tell_rule_state()

    def holds_changed(self) -> None:
        """Publish which pairs are held and contested."""
        self._tell_rule_state()

    def status_changed(self) -> None:
        """Publish the new status."""
        self._tell_of(names.MANAGER, self._status())

    def server_changed(self, before: ServerState, now: ServerState) -> None:
        """Publish what differs; xruns not at once."""
        changed = changed_properties(before, now)
        if self._xruns_due is None and not _XRUN_PROPERTIES.isdisjoint(changed):
            self._xruns_due = asyncio.get_running_loop().call_later(_XRUN_INTERVAL_S, self._tell_xruns)
        self._changed(names.SERVER, *(name for name in changed if name not in _XRUN_PROPERTIES))

    def config_changed(self) -> None:
        """Publish what the last (re)load found."""
        self._tell_of(names.CONFIG, self._config_state())

    def profiles_changed(self) -> None:
        """Publish which profiles there are and which is active, where that differs."""
        self._tell_of(names.PROFILES, self._profile_state())

    def snapshots_changed(self) -> None:
        """Publish that there are other snapshots."""
        self._objects.signal(names.ROOT_PATH, names.SNAPSHOTS, "SnapshotsChanged")

    def inhibitors_changed(self) -> None:
        """Publish who inhibits."""
        self._changed(names.MANAGER, "Inhibitors")

    def undo_changed(self) -> None:
        """Publish that other steps can be undone."""
        self._changed(names.MANAGER, "UndoSteps")

    def bus_changed(self, name: str, *properties: str) -> None:
        """Publish properties of a bus."""
        if name in self._exported_buses:
            self._objects.changed(names.bus_path(name), names.BUS, *properties)

    def buses_changed(self, added: Sequence[str], removed: Sequence[str]) -> None:
        """Take away and export objects."""
        for name in removed:
            self._exported_buses.discard(name)
            self._objects.remove(names.bus_path(name))
        for name in added:
            self._exported_buses.add(name)
            self._objects.add(names.bus_path(name), {self._bus_interface: Bus(self._router, name)})

    def _changed(self, interface: str, *properties: str) -> None:
        if properties:
            self._objects.changed(names.ROOT_PATH, interface, *properties)

    def _tell_xruns(self) -> None:
        self._xruns_due = None
        self._changed(names.SERVER, *_XRUN_PROPERTIES)

    def _status(self) -> dict[str, object]:
        return {"Status": self._router.status.health, "StatusText": self._router.status.text}

    def _config_state(self) -> dict[str, object]:
        config = self._router.configuration
        return {
            "Path": config.path,
            "LoadedUSec": config.loaded_usec,
            "Valid": config.valid,
            "Problems": config.problems,
        }

    def _rule_state(self) -> dict[str, object]:
        """Give what the properties of Rules say now: nobody tells when they change, so they are compared."""
        rules = self._router.rules
        return {"Enabled": rules.enabled, "Held": rules.held, "Kept": rules.kept, "Contested": rules.contested}

    def _profile_state(self) -> dict[str, object]:
        """Give what the properties of Profiles are made of."""
        known = [(profile.name, profile.description) for profile in self._router.profiles.known]
        return {"Profiles": known, "ActiveProfile": self._router.profiles.active}

    def _tell_rule_state(self) -> None:
        self._tell_of(names.RULES, self._rule_state())

    def _tell_of(self, interface: str, now: dict[str, object]) -> None:
        """Publish those of these properties that are not as they were told last."""
        before, self._told[interface] = self._told[interface], now
        self._changed(interface, *(name for name, value in now.items() if value != before[name]))

    def _name_lost(self, signal: Signal) -> None:
        """Note that a caller has left the bus: what it held ends with it."""
        name = signal.body[0]
        if name in self._objects.callers:
            self._objects.callers.discard(name)
            self._router.caller_left(name)
