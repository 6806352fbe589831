"""How programs save a file: the calls that vim, emacs, nano and sed make, and the ways in which others change what a name means.

Each takes the path and the new text, and there is a text already. `PAUSE_S` stands where a slow disk, or a program that computes
while it writes, may take its time.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

PAUSE_S = 0.2

Save = Callable[[Path, str], None]


def in_place(path: Path, text: str) -> None:
    """As nano, a shell's redirection, and vim with `backupcopy=yes` do."""
    path.write_text(text)


def in_place_slowly(path: Path, text: str) -> None:
    """Truncate, and write in pieces."""
    with path.open("w") as file:
        time.sleep(PAUSE_S)
        for piece in (text[: len(text) // 2], text[len(text) // 2 :]):
            file.write(piece)
            file.flush()
            time.sleep(PAUSE_S)


def by_a_new_file(path: Path, text: str) -> None:
    """As `sed -i`, gedit and every careful program do: write beside it, and rename."""
    fresh = path.with_name("sedX1y2z3")
    in_place_slowly(fresh, text)
    fresh.rename(path)


def as_vim(path: Path, text: str) -> None:
    """With `backupcopy=no`: the old file gets another name, a new one is made, and then the old one goes."""
    _with_a_backup(path, text, path.with_name(f"{path.name}~"))
    path.with_name(f"{path.name}~").unlink()


def as_emacs(path: Path, text: str) -> None:
    """The first time: with a lock beside it; the old file becomes the backup, and stays."""
    lock = path.with_name(f".#{path.name}")
    lock.symlink_to("somebody@somewhere.1234:5678")
    _with_a_backup(path, text, path.with_name(f"{path.name}~"))
    lock.unlink()


def _with_a_backup(path: Path, text: str, backup: Path) -> None:
    path.rename(backup)
    time.sleep(PAUSE_S)
    in_place_slowly(path, text)


def away_and_anew(path: Path, text: str) -> None:
    """Unlink, then write."""
    path.unlink()
    time.sleep(PAUSE_S)
    path.write_text(text)


def by_another_name(path: Path, text: str) -> None:
    """As a program that hard links what it has written elsewhere."""
    other = path.with_name("elsewhere")
    other.write_text(text)
    path.unlink()
    path.hardlink_to(other)
    other.unlink()


def by_a_link(path: Path, text: str) -> None:
    """As Nix does: the name becomes a link to a file that never changes, by one rename."""
    target = path.parent.parent / f"store-{time.monotonic_ns()}"
    target.write_text(text)
    _link_over(path, target)


def behind_a_link(path: Path, text: str) -> None:
    """The name is a link already, or becomes one; what it leads to is saved in place."""
    if not path.is_symlink():
        by_a_link(path, path.read_text())
    path.resolve().write_text(text)


def by_a_link_of_a_folder(path: Path, text: str) -> None:
    """As stow does: the folder is a link to another one, by one rename (the first time it is a folder, and goes)."""
    store = path.parent.parent / f"store-{time.monotonic_ns()}"
    _copy_of_the_folder(path, store, text)
    if not path.parent.is_symlink():
        path.parent.rename(path.parent.with_name(f"{path.parent.name}-before"))
    _link_over(path.parent, store)


def by_a_link_on_the_way(path: Path, text: str) -> None:
    """As Kubernetes does: the file is a link through `current`, which is a link that is switched."""
    current = path.parent.parent / "current"
    store = path.parent.parent / f"store-{time.monotonic_ns()}"
    store.mkdir()
    (store / path.name).write_text(text)
    _link_over(current, store)
    if not path.is_symlink() or path.readlink() != current / path.name:
        _link_over(path, current / path.name)


def by_another_folder(path: Path, text: str) -> None:
    """The whole folder gives way to another one."""
    fresh = path.parent.with_name("fresh")
    _copy_of_the_folder(path, fresh, text)
    before = path.parent.with_name(f"before-{time.monotonic_ns()}")
    path.parent.rename(before)
    time.sleep(PAUSE_S)
    fresh.rename(path.parent)


def by_the_folder_anew(path: Path, text: str) -> None:
    """The folder is removed with all that is in it, and made again."""
    if path.parent.is_symlink():
        path.parent.unlink()
    else:
        shutil.rmtree(path.parent)
    time.sleep(PAUSE_S)
    path.parent.mkdir()
    in_place_slowly(path, text)


def a_hundred_times(path: Path, text: str) -> None:
    """Save again and again, the last time what is meant."""
    before = path.read_text()
    for number in range(100):
        path.write_text(text if number % 2 else before)
        time.sleep(0.002)


def _copy_of_the_folder(path: Path, folder: Path, text: str) -> None:
    shutil.copytree(path.parent, folder, symlinks=True)
    (folder / path.name).unlink()
    (folder / path.name).write_text(text)


def _link_over(path: Path, target: Path) -> None:
    fresh = path.with_name(f"{path.name}.link")
    fresh.symlink_to(target)
    fresh.replace(path)


SAVERS: tuple[Save, ...] = (
    in_place,
    in_place_slowly,
    by_a_new_file,
    as_vim,
    as_emacs,
    away_and_anew,
    by_another_name,
    by_a_link,
    behind_a_link,
    by_a_link_on_the_way,
    by_a_link_of_a_folder,
    by_another_folder,
    by_the_folder_anew,
    a_hundred_times,
)
