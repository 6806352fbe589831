"""The reconciler: makes the graph what the rules want. Nobody else changes connections.

Level-triggered: events, reloads, calls and timers only name pairs to look at; what to do about a pair is decided from
how things are at that moment. A turn runs inside the reader of the notifications, so that the request to connect a
new port is on its way before anybody is told of the port.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import deque
from collections.abc import Callable, Iterable, Set
from contextlib import suppress
from math import inf

from jackd_router.core.config import Config, Manual, Rule
from jackd_router.core.deciding.matcher import Matcher, Verdict
from jackd_router.core.deciding.plan import Deed, Reason, Situation, Step
from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.core.ports import has_ends
from jackd_router.jack_io.host_process import HostProcess
from jackd_router.runtime.announcer import Announcer, Audience
from jackd_router.runtime.connection_requests import ConnectionRequests
from jackd_router.runtime.feedback_watch import FeedbackWatch
from jackd_router.runtime.ledger import Ledger, Quarrel, Request, registrations
from jackd_router.runtime.mirror import Changes
from jackd_router.runtime.new_devices import NewDevices
from jackd_router.runtime.quiet import QUIET_S, Quiet
from jackd_router.runtime.slices import run_in_turns

log = logging.getLogger(__name__)

_FIRST_BACKOFF_S, _LAST_BACKOFF_S = 0.1, 5.0
_TAKEN_BACK_S = 1.0
"""What another program made goes within this time because it has taken it back: a session manager, where the rest failed."""
_LONGEST_PAUSE_S = 10.0
"""They end within 0.05 s, unless the machine is very busy."""


class Reconciler:
    """One loop over pairs: decide, ask the server, watch the echo."""

    def __init__(self, graph: Graph, audience: Audience) -> None:
        """Take the mirror's graph and who is told; there are no rules before `load`."""
        self._graph, self._audience, self._announcer = graph, audience, Announcer(audience)
        self._loop = asyncio.get_running_loop()
        self._config = Config()
        self.matcher = Matcher(self._config, client_name="", graph=graph)
        self.ledger = Ledger()
        self._requests = ConnectionRequests(
            graph, self._note_result, self._announcer.mistaken, lambda connection: self.look_at((connection,))
        )
        self.watch = FeedbackWatch(graph)
        self.new_devices = NewDevices(graph, self.look_at)
        self.situation = self._situation()
        self.remake_matcher: Callable[[], Matcher] = lambda: self.matcher
        """Gives the matcher of the rules in force, made from nothing but them and the graph."""
        self._has_server = False
        self._may_act: Callable[[], bool] = lambda: True
        self._look_at: set[Connection] = set()
        self._later: dict[Connection, float] = {}
        self._untold: set[Connection] = set()
        self._cuts: dict[Connection, tuple[int, int]] = {}
        self._made_by_others: dict[Connection, float] = {}
        """When: also what a rule has asked for, but another program was first."""
        self._quiet = Quiet()
        self._timer: asyncio.TimerHandle | None = None
        self._retry_timer: asyncio.TimerHandle | None = None
        self._backoff_s = self._failed_at = 0.0
        self._is_troubled = False
        self._is_in_doubt = False
        """Whether a bug has interrupted what the matcher was told: it is not asked before another one takes its place."""
        self._pauses: deque[float] = deque()
        """When those began that have not ended; whichever ends, the oldest is taken off: many may follow each other closely."""
        self._idle_waiters: set[asyncio.Future[None]] = set()

    # ---- what it works with

    def load(self, config: Config, matcher: Matcher, concerned: Iterable[Connection] | None = None) -> None:
        """Take other rules, with their matcher fed with the ports of the graph, and look at what they concern (None: at all)."""
        before, self._config = self.matcher, config
        if self._is_in_doubt:
            self.ledger.failures.clear()
            self.ledger.quarrels.clear()
            self.end_doubt()  # this matcher may share what the bug has left
            return
        self.matcher = matcher
        if before is not matcher:
            self.watch.clear()
        self._look_from_now_on()
        # What failed may still be wanted: it is looked at again at once.
        again = {*self.ledger.failures, *self.ledger.quarrels, *self.ledger.holds, *self.situation.refused}
        # Not looked at before the rest: of what was refused the guard knows only when all is looked at.
        self._let_go([c for c in self.ledger.holds if not _same_rule(before.decide(c).rule, matcher.decide(c).rule)])
        self.ledger.failures.clear()
        self.ledger.quarrels.clear()
        if before is not matcher:
            before.retire()
        self._audience.holds_changed()
        if concerned is None:
            self.look_at_everything()
        else:
            self.look_at({*concerned, *again})

    def set_profile(self, name: str, held: Iterable[Connection] = ()) -> None:
        """Work in another profile: what was cut by hand in the one before is the rules' business again.

        `held`: what was cut by hand in this one, where it is put in force again.
        """
        self.matcher.set_profile(name)
        self._let_go(tuple(self.ledger.held))
        for connection in held:
            self.hold(connection, connected=False, reason="it was cut by hand in this profile")
        self.look_at_everything()

    def _look_from_now_on(self) -> None:
        """Decide with the matcher and the policies of now."""
        refused = self.situation.refused  # not told again where it stays so
        self.situation = self._situation()
        self.situation.refused = refused

    def _situation(self) -> Situation:
        """Give what the core decides from: it looks at the ledger's own tables."""
        return Situation(
            self.matcher,
            self._graph,
            owned=self.ledger.owned,
            held=self.ledger.held,
            kept=self.ledger.kept,
            failed=self.ledger.failures,
            unmatched=self._config.unmatched,
            feedback=self._config.feedback,
            passages=self.watch.passages(self.matcher),
        )

    def buses_changed(self) -> None:
        """Note that sound may pass through our buses in other ways."""
        self.watch.warn_of_passages(self.situation)
        self.look_at_everything()

    def may_act(self, question: Callable[[], bool]) -> None:
        """Set what tells whether the reconciler may change anything by itself."""
        self._may_act = question

    @property
    def acts(self) -> bool:
        """Whether rules are applied now."""
        return self._may_act()

    def begin_generation(self, host: HostProcess, ledger: Ledger, *, mistakes_ports: bool) -> None:
        """Work on this server from now on, with what is known of it already; `look_at_everything` is to come next.

        `mistakes_ports`: whether a request may reach another port than it names.
        """
        self._has_server, self.ledger = True, ledger
        self._requests.begin_generation(host, ledger, mistakes_ports=mistakes_ports)
        self.end_doubt()
        self.situation = self._situation()
        if ledger.holds or ledger.quarrels:
            self._audience.holds_changed()
        due = ledger.next_due(self._loop.time())
        if due is not None:
            self._set_retry(due)

    def end_generation(self) -> None:
        """Forget what was valid for the server that is gone."""
        self._has_server = False
        self.end_doubt()
        lost = self.ledger.holds
        self._requests.end_generation()
        self.new_devices.end_generation()
        self.ledger = Ledger()
        self.watch.clear()
        self.situation = self._situation()
        self._look_at.clear()
        self._later.clear()
        self._untold.clear()
        self._cuts.clear()
        self._made_by_others.clear()
        self._quiet.clear()
        self._tell_idle()
        if lost:
            self._audience.holds_changed()

    # ---- wake-ups

    def take(self, changes: Changes) -> None:
        """Look at what changes of the graph concern."""
        if changes or changes.told_again:
            if not self._is_in_doubt:
                self._guard(lambda: self._tell_matcher(changes))
            self._guard(lambda: self._tell_ledger(changes))
            self.turn()

    def _tell_matcher(self, changes: Changes) -> None:
        for name, _, port in changes.ports:
            if port is not None:
                self.matcher.add_port(port)
                self._look_at |= self._graph.connections_of(name)  # an alias may be what a rule forbids
            else:
                self.matcher.remove_port(name)
        for connection, connected in changes.connections:
            self._look_at.add(connection)
            self.matcher.connection_changed(connection)
            if connected and self.matcher.has_exclusive:
                self._look_at_neighbours(connection)

    def _tell_ledger(self, changes: Changes) -> None:
        now = self._loop.time()
        if changes:
            self._quiet.graph_changed(now)
        gone = set()
        for name, before, port in changes.ports:
            if before is not None and (port is None or port.registration != before.registration):
                gone.add(name)
            self._quiet.port_changed(name, now, gone=port is None)
        if gone:
            self._forget_ports(gone)
            # One that has another name now is still what was asked for.
            self._requests.ports_gone(gone.difference(before for before, _ in changes.renamed))
        for connection, connected in changes.connections:
            self._note_who(connection, connected, now)
        self.new_devices.ports_changed(changes.ports)
        self._try_again(changes.told_again)

    def _look_at_neighbours(self, connection: Connection) -> None:
        """Look at the other connections of both ends: a rule may have the port for itself."""
        for end in connection:
            self._look_at |= self._graph.connections_of(end)

    def _try_again(self, ports: Iterable[PortName]) -> None:
        """Do not wait any longer with what failed because the client of a port was not active yet."""
        failed = [connection for connection in self.ledger.failures if not set(connection).isdisjoint(ports)]
        for connection in failed:
            del self.ledger.failures[connection]
            self._look_at.add(connection)
            self._look_at_entangled(connection)

    def _look_at_entangled(self, connection: Connection) -> None:
        """Look at the pairs that may depend on this one."""
        if not self._is_in_doubt:  # else everything is looked at soon
            self._look_at |= self.matcher.entangled(connection)

    def _forget_ports(self, gone: Set[PortName]) -> None:
        # What was cut only because its port went: nothing waits for it when the port comes again.
        self._cuts = {connection: ends for connection, ends in self._cuts.items() if gone.isdisjoint(connection)}
        if self.ledger.forget_ports(gone):
            self._audience.holds_changed()
        self._audience.ledger_changed()

    def _note_who(self, connection: Connection, connected: bool, now: float) -> None:
        """Tell our own doing from that of somebody else."""
        request = self.ledger.on_its_way(connection, connect=connected)
        if request is not None:
            self._note_ours(connection, request)
            return
        if connected and self._requests.is_mistake(connection):
            return
        if connected:
            self._made_by_others[connection] = now
        if connected and self._has_server:
            self._warn_of(connection)
        if not connected and connection in self.ledger.kept:
            del self.ledger.kept[connection]
            self._audience.holds_changed()
        if not connected and connection in self.ledger.owned:
            # By hand, or only because a port goes: that shows when all is quiet.
            self._disown(connection)
            ends = registrations(self._graph, connection)
            if ends:
                self._cuts[connection] = ends
                self._wait(connection)
        elif connected and self._is_against_us(connection):
            self._undone(connection, now)

    def _warn_of(self, connection: Connection) -> None:
        """Warn of feedback that somebody has made by hand."""
        if not self._is_in_doubt:
            self.watch.warn_of(connection, self.situation)

    def _is_against_us(self, connection: Connection) -> bool:
        """Tell whether somebody has made again what we have cut."""
        if self._is_in_doubt or connection not in self.ledger.quarrels:
            return False
        return self.step_for(connection).deed is Deed.DISCONNECT

    def _note_ours(self, connection: Connection, request: Request) -> None:
        """Note that what we asked for has happened."""
        if not self._requests.note_echo(connection, request):
            return
        if not request.connect:
            self._disown(connection)
        elif not request.rule:
            self._warn_of(connection)
        else:
            # The rule's, even when it does not want it any more since it asked: then it is the one that takes it back.
            self._own(connection, request.rule)

    def look_at(self, connections: Iterable[Connection]) -> None:
        """Look at these pairs now."""
        self._look_at.update(connections)
        self.turn()

    def look_at_everything(self) -> None:
        """Look at every connection that is and every one that is wanted."""
        if self._is_in_doubt:
            return  # that follows
        self._look_at.update(self._graph.connections, self.matcher.wanted())
        self.turn()

    def start_over(self) -> None:
        """Release everything that is held or contested or waits for a retry, and look at everything."""
        self.ledger.failures.clear()
        self.ledger.quarrels.clear()
        self.release(self.ledger.holds)
        self.look_at_everything()

    def tick(self) -> bool:
        """Forget clients that have long been quiet, and look again at requests whose echo never came; tell of such."""
        if not self.matcher.book.is_tidy:
            run_in_turns(self.matcher.book.tidy_in_steps())
        now = self._loop.time()
        self._quiet.forget(now)
        self._made_by_others = {pair: made for pair, made in self._made_by_others.items() if now - made < _TAKEN_BACK_S}
        overdue = self._requests.give_up_overdue()
        self.look_at(overdue)
        return bool(overdue)

    # ---- a turn

    def turn(self) -> None:
        """Look at all pairs that were named: first at what is to be made, then at what is to be cut."""
        if self._has_server and not self._pauses and not self._is_in_doubt:
            self._guard(self._turn)

    def pause(self) -> None:
        """Look at nothing for a moment, until `resume`; what is named meanwhile is looked at then."""
        self._pauses.append(self._loop.time())

    def resume(self) -> None:
        """End one pause."""
        self._pauses.popleft()
        if not self._pauses:
            self.turn()
            self._tell_idle()

    @property
    def stands_still(self) -> bool:
        """Whether a pause does not end. Nothing else keeps it from its turns: one that failed is followed by another."""
        return bool(self._pauses) and self._loop.time() - self._pauses[0] > _LONGEST_PAUSE_S

    def _turn(self) -> None:
        self._look_at |= self.matcher.take_changed()
        while self._look_at:
            pairs, self._look_at = self._look_at, set()
            pairs |= self._refuse(pairs)
            steps = [self.step_for(connection) for connection in (sorted(pairs) if len(pairs) > 1 else pairs)]
            for step in sorted(steps, key=lambda step: step.deed is Deed.DISCONNECT):
                self._consider(step)
        self._announcer.circles(self.matcher.circles())
        if self._is_troubled:
            self._is_troubled = False
            self._audience.troubled("")
        self._arm()
        self._tell_idle()

    def _refuse(self, pairs: Set[Connection]) -> set[Connection]:
        """Let the feedback guard look; give what is to be looked at because it is refused now, or no longer."""
        before = self.situation.refused.keys()
        unlike = self.watch.look_at(self.situation, pairs)
        self._untold |= unlike - before
        return unlike.union(*map(self.matcher.entangled, unlike))

    def _tell_of_refusals(self) -> None:
        """Tell what is refused, now that all is quiet: what a client was paired with while it came may be gone."""
        refused = self.situation.refused
        untold, self._untold = sorted(self._untold & refused.keys()), set()
        rules = (self.matcher.decide(connection).rule for connection in untold)
        self._announcer.refused(((rule.name if rule else "", pair) for rule, pair in zip(rules, untold, strict=True)), refused)

    def _guard(self, work: Callable[[], None]) -> None:
        """Do some work. A bug in there must not take the sound away: it is logged, and all begins anew later."""
        try:
            work()
        except Exception as error:
            now = self._loop.time()
            # A bug that comes again and again is not met all the time.
            longer_s = 2 * self._backoff_s if now - self._failed_at < 2 * _LAST_BACKOFF_S else 0.0
            self._backoff_s = min(max(longer_s, _FIRST_BACKOFF_S), _LAST_BACKOFF_S)
            self._failed_at = now
            self._is_in_doubt = self._is_troubled = True
            log.exception("A turn of the reconciler failed; the next is in %g s", self._backoff_s)
            self._audience.troubled(f"the rules could not be applied: {error!r}")
            self._set_retry(now + self._backoff_s)

    def end_doubt(self) -> None:
        """Let another matcher take the place of one that a bug has left behind."""
        if self._is_in_doubt:
            self._guard(self._begin_anew)

    def _begin_anew(self) -> None:
        """Work from the rules and the graph alone, and from what the graph says is still so."""
        before, self.matcher = self.matcher, self.remake_matcher()
        with suppress(Exception):  # it may be in any state
            before.retire()
        self.ledger.compare(self._graph)
        self.watch.clear()
        self._look_from_now_on()
        self._is_in_doubt = False
        self._audience.holds_changed()
        self._audience.ledger_changed()
        self.look_at_everything()

    def step_for(self, connection: Connection) -> Step:
        """Decide about one pair as things are now."""
        return self.situation.step_for(connection)

    def _consider(self, step: Step) -> None:
        connection = step.connection
        if step.deed is Deed.NOTHING:
            if self.ledger.failures.pop(connection, None):
                self._look_at_entangled(connection)
            self._note_owner(step)
            return
        if connection in self.ledger.requests or connection in self._cuts or not self._may_act():
            return
        if self._must_wait(connection, step):
            return
        self._later.pop(connection, None)
        self._requests.ask(connection, step.deed is Deed.CONNECT, step.rule)

    def _note_owner(self, step: Step) -> None:
        """Adopt a connection that a rule wants, whoever made it, and let go of one that is nobody's business now."""
        if step.owner:
            if self.ledger.owned.get(step.connection) != step.owner and self.matcher.has_exclusive:
                self._look_at_neighbours(step.connection)
            self._own(step.connection, step.owner)
        else:
            self._disown(step.connection)

    def _own(self, connection: Connection, rule: str) -> None:
        if self.ledger.owned.get(connection) != rule:
            self.ledger.owned[connection] = rule
            self._audience.ledger_changed()

    def _disown(self, connection: Connection) -> None:
        if self.ledger.owned.pop(connection, None) is not None:
            self._audience.ledger_changed()

    def _must_wait(self, connection: Connection, step: Step) -> bool:
        now = self._loop.time()
        if self.ledger.contested(connection, now):
            self._set_retry(self.ledger.quarrels[connection].until)
            return True
        failure = self.ledger.failures.get(connection)
        if failure is not None and now < failure.due:
            self._set_retry(failure.due)
            return True
        if step.deed is Deed.DISCONNECT:
            if step.reason is not Reason.FORBIDDEN and self.new_devices.keeps(connection):
                return True
            if self._quiet.is_over(self._later.get(connection, now), now):
                return False
            self._wait(connection)
            return True
        if not has_ends(self._graph, connection):
            return True
        if self.new_devices.awaits(connection):
            return True
        if self._quiet.is_busy(connection, now, is_fan_out=self.matcher.is_fan_out(connection)):
            self._wait(connection)
            return True
        return False

    # ---- waiting until it is quiet

    def _wait(self, connection: Connection) -> None:
        self._later.setdefault(connection, self._loop.time())

    def _arm(self) -> None:
        if (self._later or self._untold) and self._timer is None:
            self._timer = self._loop.call_later(QUIET_S, self._look_later)

    def _look_later(self) -> None:
        self._timer = None
        if self._is_in_doubt:
            self._arm()
            return
        for connection, ends in self._take_cuts().items():
            if registrations(self._graph, connection) == ends and connection not in self._graph.connections:
                self._cut_by_hand(connection)
        if self._quiet.is_quiet(self._loop.time()):
            self._tell_of_refusals()
        self.look_at(self._later.keys() - self._cuts.keys())
        self._later = {c: since for c, since in self._later.items() if self._still_waits(c)}
        self._arm()

    def _take_cuts(self) -> dict[Connection, tuple[int, int]]:
        """Give the cuts of which it shows by now whether they were by hand."""
        now = self._loop.time()
        due = {c: ends for c, ends in self._cuts.items() if self._quiet.is_over(self._later.get(c, now), now)}
        for connection in due:
            del self._cuts[connection]
        return due

    def _still_waits(self, connection: Connection) -> bool:
        if connection in self._cuts:
            return True
        # What comes of a request is looked at by itself, and so is the end of an inhibition.
        if connection in self.ledger.requests or not self._may_act():
            return False
        # The end of a truce and the next retry have a timer of their own.
        now = self._loop.time()
        failure = self.ledger.failures.get(connection)
        if self.ledger.contested(connection, now) or (failure is not None and now < failure.due):
            return False
        return self.step_for(connection).deed is not Deed.NOTHING

    def insists(self, rule: Rule | None) -> bool:
        """Tell whether a rule makes its connections again that somebody cuts by hand."""
        return rule is not None and (rule.manual or self._config.manual) is Manual.ENFORCE

    def _cut_by_hand(self, connection: Connection) -> None:
        """Hold a wanted connection that somebody cut; make it again where the rule insists, or who made it has taken it back."""
        decision = self.matcher.decide(connection)
        if decision.verdict is not Verdict.WANTED or decision.rule is None:
            return
        now = self._loop.time()
        if self.insists(decision.rule) or now - self._made_by_others.get(connection, -inf) < _TAKEN_BACK_S:
            self._undone(connection, now)
        else:
            self.hold(connection, connected=False, reason="somebody cut it")

    def hold(self, connection: Connection, *, connected: bool, reason: str) -> None:
        """Leave a pair connected or cut, whatever the rules want, as long as both ports stay."""
        ends = registrations(self._graph, connection)
        if ends is None:
            return
        ledger = self.ledger
        now, before = (ledger.kept, ledger.held) if connected else (ledger.held, ledger.kept)
        if now.get(connection) == ends:
            return
        before.pop(connection, None)
        now[connection] = ends
        self._look_at.add(connection)  # for the guard, in the next turn
        self._audience.ledger_changed()
        self._announcer.held(connection, reason)
        self._audience.holds_changed()

    def release(self, connections: Iterable[Connection]) -> bool:
        """Let the rules decide again about those that are held; tell whether one was."""
        released = self._let_go(connections)
        if released:
            self.look_at(released)
        return bool(released)

    def _let_go(self, connections: Iterable[Connection]) -> list[Connection]:
        """End holds, and give the pairs that were held."""
        tables = (self.ledger.held, self.ledger.kept)
        released = [connection for connection in connections if any(table.pop(connection, None) for table in tables)]
        if released:
            self._audience.holds_changed()
            self._audience.ledger_changed()
        return released

    def _undone(self, connection: Connection, now: float) -> None:
        if not self.ledger.undo(connection, now):
            return
        quarrel = self.ledger.quarrels[connection]
        self._announcer.contested(connection, self.matcher.decide(connection).rule, quarrel, quarrel.until - now)
        self._audience.holds_changed()
        self._audience.ledger_changed()

    def _set_retry(self, due: float) -> None:
        if self._retry_timer is None or self._retry_timer.when() > due:
            if self._retry_timer is not None:
                self._retry_timer.cancel()
            self._retry_timer = self._loop.call_at(due, self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        if self._is_in_doubt:
            self.end_doubt()
        else:
            self.look_at({*self.ledger.failures, *self.ledger.quarrels})
        if self.ledger.quarrels:
            self._audience.holds_changed()  # a truce is over
        due = self.ledger.next_due(self._loop.time())
        if due is not None:
            self._set_retry(due)

    # ---- the server

    async def ask_for_caller(self, connection: Connection, *, connect: bool) -> int:
        """Connect or disconnect for somebody who waits for libjack's code; raise ServerLost."""
        self._cuts.pop(connection, None)
        return await self._requests.ask_for_caller(connection, connect=connect)

    def _note_result(self, connection: Connection, request: Request, code: int, done: bool) -> None:
        if code == errno.EEXIST and request.connect:
            self._made_by_others[connection] = self._loop.time()
        if done:
            self._note_done(connection, request)
        elif registrations(self._graph, connection) is not None:
            self._note_failed(connection, request, code)

    def _note_done(self, connection: Connection, request: Request) -> None:
        if not request.connect:
            self._disown(connection)
            if not request.by_hand:
                self.ledger.quarrels.setdefault(connection, Quarrel())  # to notice who makes it again
        self._announcer.done(connection, request)

    def _note_failed(self, connection: Connection, request: Request, code: int) -> None:
        failure = self.ledger.fail(connection, code, self._loop.time())
        self._look_at_entangled(connection)
        if failure.times == 1:
            self._announcer.failed(connection, request, code)

    # ---- rest

    @property
    def _is_idle(self) -> bool:
        return not self._has_server or not (self.ledger.requests or self._later or self.new_devices.waiting or self._pauses)

    async def idle(self) -> None:
        """Wait until no request is on its way, and nothing waits for quiet or the end of a pause."""
        while not self._is_idle:
            future: asyncio.Future[None] = self._loop.create_future()
            self._idle_waiters.add(future)
            await future

    def _tell_idle(self) -> None:
        if self._is_idle:
            waiters, self._idle_waiters = self._idle_waiters, set()
            for future in waiters:
                if not future.done():
                    future.set_result(None)


def _same_rule(one: Rule | None, other: Rule | None) -> bool:
    return one is other or (one is not None and other is not None and one.says_the_same(other))
