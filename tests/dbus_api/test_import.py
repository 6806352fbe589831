"""That dbus-next can be imported by the Python versions to come."""

from __future__ import annotations

import subprocess
import sys


def test_without_what_python_3_15_has_dropped() -> None:
    program = "import typing; del typing.no_type_check_decorator; import jackd_router.dbus_api.message_bus"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
