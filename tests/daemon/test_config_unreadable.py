"""The configuration cannot be read, at a start or later: what was in force stays until there is a good file again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.savers import as_vim, away_and_anew, by_a_link_of_a_folder, in_place_slowly

RULE = """
[[rule]]
name = "synth to speakers"
from = "synth:*"
to = "system:playback_*"
"""
WANTED = {("synth:left", "system:playback_1"), ("synth:right", "system:playback_2")}


def make_circle(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "Is a directory"),
    "a pipe": (os.mkfifo, "it is no regular file"),
    "a link that leads nowhere": (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    "a link in a circle": (make_circle, "Too many levels of symbolic links"),
    "no text": (lambda path: path.write_bytes(b"\x7fELF\x02\x01\xff"), "is not UTF-8"),
    "half a file": (lambda path: path.write_text(RULE[: len(RULE) // 2]), "at the end of the file"),
}


def is_last_rule(remote: Remote, name: str) -> bool:
    return [rule[0] for rule in remote.call("Rules.ListRules")][-1:] == [name]


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()


def is_refused(remote: Remote, reason: str) -> bool:
    return remote.read("Config.Valid") is False and reason in remote.read("Manager.StatusText")


def test_what_is_in_force_stays(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    router = start_router(RULE)
    eventually(lambda: synth.connections() == WANTED)
    for kind, (make, reason) in KINDS.items():
        remove(router.config_path)
        make(router.config_path)
        eventually(partial(is_refused, remote, reason), what=kind)
        assert remote.read("Manager.Status") == "degraded"
        assert synth.connections() == WANTED
    remove(router.config_path)
    router.config_path.write_text(RULE.replace("playback_*", "playback_2"))
    eventually(lambda: ("synth:left", "system:playback_2") in synth.connections())
    assert (remote.read("Manager.Status"), remote.read("Config.Valid")) == ("ok", True)


def test_at_a_start_it_is_the_last_good_one(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    router = start_router(RULE)
    for kind in ("a pipe", "no text"):
        make, reason = KINDS[kind]
        router.kill()
        remove(router.config_path)
        make(router.config_path)
        router.start()
        assert remote.read("Manager.Status") == "error"
        assert "the last good one is in force" in remote.read("Manager.StatusText")
        assert reason in remote.read("Manager.StatusText")
        synth.unregister("left", "right")
        synth.register("left", "right")
        eventually(lambda: synth.connections() == WANTED)


def test_a_slow_save_cuts_nothing(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    router = start_router(None)
    # In a folder of its own, which may give way to another one.
    router.config_path.symlink_to(router.folder / "config" / "router.toml")
    (router.folder / "config").mkdir()
    path = router.folder / "config" / "router.toml"
    path.write_text(RULE)
    eventually(lambda: synth.connections() == WANTED)
    eventually(lambda: remote.connections() == WANTED)
    for number, save in enumerate((as_vim, away_and_anew, in_place_slowly, by_a_link_of_a_folder)):
        loaded = router.output().count("Configuration loaded from")
        save(path, RULE + f'[[rule]]\nname = "rule {number}"\nfrom = "a"\nto = "b"\n')
        eventually(partial(is_last_rule, remote, f"rule {number}"))
        assert router.output().count("Configuration loaded from") == loaded + 1, save.__name__
    assert "refused" not in router.output()
    cut = [pair for signal in remote.signals("GraphChanged") for pair in signal.body[5] if tuple(pair) in WANTED]
    assert cut == []


def test_the_whole_folder_goes_and_comes_again(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(None)
    home = router.folder / "dotfiles" / "jackd-router"
    router.config_path.symlink_to(home / "router.toml")
    for number in range(2):
        home.mkdir(parents=True)
        (home / "router.toml").write_text(f'[[rule]]\nname = "rule {number}"\nfrom = "a"\nto = "b"\n')
        eventually(partial(is_last_rule, remote, f"rule {number}"))
        shutil.rmtree(home.parent)
        eventually(lambda: remote.read("Config.Valid") is False)
