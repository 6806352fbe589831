"""A private session bus: a real dbus-daemon that knows no services to activate but those of a given folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from xml.sax.saxutils import escape

from tests.support.eventually import eventually
from tests.support.process import Process, interrupted_later
from tests.support.unix_socket import accepts

# The limits are those of the distributions' session.conf: a session bus never throttles its own user.
_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  {services}
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_message_size">1000000000</limit>
  <limit name="service_start_timeout">120000</limit>
  <limit name="auth_timeout">240000</limit>
  <limit name="max_completed_connections">100000</limit>
  <limit name="max_incomplete_connections">10000</limit>
  <limit name="max_connections_per_user">100000</limit>
  <limit name="max_names_per_connection">50000</limit>
  <limit name="max_match_rules_per_connection">50000</limit>
  <limit name="max_replies_per_connection">50000</limit>
</busconfig>
"""


class SessionBus:
    """One dbus-daemon. It can be killed and started again, at the same address."""

    def __init__(self, folder: Path, *, services: Path | None = None) -> None:
        self._socket = folder / "bus"
        self._configuration = folder / "bus.conf"
        self.log = folder / "bus.log"
        self.address = f"unix:path={self._socket}"
        service_folder = f"<servicedir>{escape(str(services))}</servicedir>" if services else ""
        self._configuration.write_text(_CONFIGURATION.format(address=escape(self.address), services=service_folder))
        self._process: Process | None = None

    def __enter__(self) -> SessionBus:
        """Start the bus."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the bus, if it still runs."""
        self.close()

    def close(self) -> None:
        """End the bus, if it still runs."""
        if self._process is not None and self._process.status() is None:
            self._process.terminate()

    def start(self) -> None:
        """Start the bus and wait until it accepts connections."""
        self._socket.unlink(missing_ok=True)
        with interrupted_later():
            self._process = Process(["dbus-daemon", f"--config-file={self._configuration}", "--nofork", "--nopidfile"], self.log)
        eventually(self._listens, what="dbus-daemon listens")

    def kill(self) -> None:
        """End the bus as a crash would: every connection breaks."""
        assert self._process is not None, "the bus was never started"
        self._process.kill()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let it take nothing and hand on nothing meanwhile."""
        stopped = self.pid
        os.kill(stopped, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(stopped, signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The process id of the bus."""
        assert self._process is not None, "the bus was never started"
        return self._process.pid

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.status() is not None:
            raise RuntimeError(f"dbus-daemon did not start:\n{self._process.output()}")
        return accepts(self._socket)
