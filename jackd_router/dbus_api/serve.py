"""Keeps the router on the session bus: it attaches, waits until the bus is gone, and attaches again, for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from jackd_router.dbus_api.errors import BusLost, CallError, NameTaken
from jackd_router.dbus_api.face import Face
from jackd_router.dbus_api.session_bus import SessionBus, connect_session
from jackd_router.runtime.router import Router

_log = logging.getLogger("jackd_router.dbus")

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


async def serve(router: Router, tasks: asyncio.TaskGroup, attached: Callable[[bool], None] = lambda is_attached: None) -> None:
    """Offer the router on the session bus until cancelled. The router works as well while there is no bus.

    `attached` is told True when calls are answered, and False when there is no bus, or no longer.
    Raises NameTaken where another daemon runs already; one that comes while the bus was away is waited for.
    """
    face = Face(router, tasks)
    try:
        bus = await _attach(face)
        while True:
            attached(bus is not None)
            if bus is not None:
                await _stay(face, bus)
                _log.warning("The message bus went away: waiting for it")
                attached(False)
            bus = await _attach_again(face)
    finally:
        face.close()


async def _stay(face: Face, bus: SessionBus) -> None:
    """Wait until the bus is gone. When cancelled, leave it with every call answered.

    Calls that still run when it goes are not cancelled: a reload must not end between its steps.
    """
    try:
        await bus.lost()
    except asyncio.CancelledError:
        await face.end_calls()
        raise
    finally:
        await _leave(face, bus)


async def _attach_again(face: Face) -> SessionBus:
    """Try until it works, at first after a second, then more and more seldom."""
    pause_s = _FIRST_PAUSE_S
    while True:
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        try:
            if bus := await _attach(face, lost_is=logging.DEBUG):  # that there is no bus was said before
                _log.info("Attached to the message bus")
                return bus
        except NameTaken as error:
            _log.warning("%s", error)


async def _attach(face: Face, lost_is: int = logging.INFO) -> SessionBus | None:
    """Connect and take our name; None where there is no bus, which is logged at this level."""
    try:
        bus = await connect_session()
    except BusLost as error:
        _log.log(lost_is, "Working without D-Bus: %s", error)
        return None
    try:
        await face.attach(bus)
    except (BusLost, CallError) as error:
        _log.warning("Could not attach to the message bus: %s", error)
        await _leave(face, bus)
        return None
    except BaseException:
        await _leave(face, bus)
        raise
    return bus


async def _leave(face: Face, bus: SessionBus) -> None:
    """Leave a bus; who has called meanwhile holds nothing any more."""
    try:
        await bus.close()
    finally:
        face.detach()
