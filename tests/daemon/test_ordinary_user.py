"""What happens to the daemon of an ordinary user, and not to that of root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.ordinary_user import AS_NOBODY, NOBODY, folder_of_nobody
from tests.support.router_process import RouterProcess


@pytest.fixture
def router(keep_log: Callable[[Path], None]) -> Iterator[RouterProcess]:
    """Give a daemon of somebody who is not root, without a bus or a server; it is not started yet."""
    with folder_of_nobody() as folder:
        router = RouterProcess(folder, "", bus_address=None, server_name="none")
        router.wrapper, router.extra_env = AS_NOBODY, {"XDG_RUNTIME_DIR": str(folder)}
        router.notify.path.chmod(0o777)
        shutil.chown(router.state_home, NOBODY, NOBODY)
        keep_log(router.log)
        yield router
        router.close(check=True)


def limit_threads(router: RouterProcess, most: str) -> None:
    """Set how many threads the user may have before the daemon can begin no more."""
    subprocess.run([*AS_NOBODY, "prlimit", f"--pid={router.pid}", f"--nproc={most}:"], check=True)


def test_a_reload_without_a_thread_fails_and_the_next_one_does_not(router: RouterProcess) -> None:
    router.start()
    limit_threads(router, "1")
    router.reload_by_signal()
    eventually(lambda: "was not reloaded: the system has no more threads" in router.output())
    eventually(lambda: router.notify.lines().count("READY=1") == 2)
    limit_threads(router, "10000")
    loaded = router.output().count("Configuration loaded")
    router.reload_by_signal()
    eventually(lambda: router.output().count("Configuration loaded") == loaded + 1)
