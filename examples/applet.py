#!/usr/bin/python3
# What an applet needs of jackd-router, with GLib alone (Debian: python3-gi): it prints what it would draw. See dbus/*.xml.
from gi.repository import Gio, GLib

NAME, ROOT = "io.github.jackd_router.Router1", "/io/github/jackd_router/Router1"


class Applet:
    def __init__(self):
        self.version, self.ports, self.connections, self.levels = 0, {}, set(), {}
        self.server, self.graph, self.buses = map(self.proxy, ("Server", "Graph", "Buses"))
        self.server.connect("g-properties-changed", lambda _, changed, *__: "State" in changed.unpack() and self.show_state())
        self.server.connect("notify::g-name-owner", lambda *_: self.show_state())  # GLib has read the properties again by then
        self.graph.connect("notify::g-name-owner", lambda *_: self.read_graph())
        self.graph.connect("g-signal::GraphChanged", lambda _, sender, name, body: self.change_graph(*body))
        self.show_state(), self.read_graph(), self.ask_levels()

    def proxy(self, interface):
        flags = Gio.DBusProxyFlags.DO_NOT_AUTO_START
        return Gio.DBusProxy.new_for_bus_sync(Gio.BusType.SESSION, flags, None, NAME, ROOT, f"{NAME}.{interface}", None)

    def show_state(self):
        state = self.server.get_cached_property("State")  # None while there is no daemon
        print("state:", state.unpack() if state else "no daemon", flush=True)

    def read_graph(self):
        self.version = 0  # changes are not taken until the whole graph has come
        self.graph.GetGraph("(t)", 0, result_handler=lambda _, answer, __: self.take_graph(answer))

    def take_graph(self, answer):
        if not isinstance(answer, Exception):  # that there is no daemon
            self.version, _, ports, connections = answer
            self.ports, self.connections = {port[0]: port for port in ports}, set(connections)
            print(f"graph: {len(self.ports)} ports, {len(self.connections)} connections", flush=True)

    def change_graph(self, previous, version, added, removed, connected, disconnected, more):  # more: aliases, new names ...
        is_next = version > self.version > 0  # else this change is part of what was read, or will be
        if is_next and (previous != self.version or "resync" in more):
            self.read_graph()
        elif is_next:
            self.version, self.connections = version, self.connections - {*disconnected} | {*connected}
            self.ports = {name: port for name, port in self.ports.items() if name not in removed} | {
                port[0]: port for port in added
            }
            print(f"graph: {len(self.ports)} ports, {len(self.connections)} connections, new:", *connected, flush=True)

    def ask_levels(self):
        self.buses.GetLevels("(a{sv})", {}, result_handler=lambda _, answer, __: self.show_levels(answer))
        return GLib.SOURCE_REMOVE

    def show_levels(self, answer):
        if answer != self.levels and not isinstance(answer, Exception):
            self.levels = answer
            print("levels:", {bus: [round(peak, 1) for peak, rms in ports] for bus, ports in answer.items()}, flush=True)
        GLib.timeout_add(100, self.ask_levels)  # nothing is broadcast: ask as often as you draw, and only while you do


applet = Applet()
GLib.MainLoop().run()
