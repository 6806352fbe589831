"""`make install` and `make uninstall` where a user manager runs: it sees at once what came, changed and went."""

from __future__ import annotations

from pathlib import Path

from tests.support.eventually import eventually
from tests.systemd.session.unit import CHECKOUT, NAME, PROGRAM, UNITS, VENV, Unit, doctor, property_by_busctl, run, systemctl


def test_installed_again_it_is_restarted_where_it_runs(unit: Unit) -> None:
    unit.start()
    pid = unit.pid
    done = run(CHECKOUT / "tools/install")
    assert done.returncode == 0, done.stderr
    assert unit.pid not in (0, pid)
    assert unit.is_active


def test_uninstalled_it_is_stopped_and_forgotten(unit: Unit) -> None:
    systemctl("enable", "--now", NAME)
    pid = unit.pid
    kept = Path.home() / "kept"
    run("cp", "--archive", "--link", VENV, kept)  # to have it back without pip
    try:
        done = run(CHECKOUT / "tools/uninstall")
        assert done.returncode == 0, done.stderr
        assert not Path(f"/proc/{pid}").exists()
        assert unit.show("LoadState") == "not-found"
        assert doctor()["unit"] == ("warn", "make install, in the sources")
        assert not (UNITS / "default.target.wants" / NAME).is_symlink()
        assert run("busctl", "--user", "introspect", "io.github.jackd_router.Router1", "/").returncode == 1
    finally:
        VENV.parent.mkdir(exist_ok=True)
        kept.rename(VENV)
        PROGRAM.symlink_to(VENV / "bin/jackd-router")
        run(CHECKOUT / "tools/install")
    eventually(lambda: property_by_busctl("Manager", "Status") == "ok")
