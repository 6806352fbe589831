"""Whether a change of the D-Bus interfaces that would break clients of the last release is noticed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MANAGER = "io.github.jackd_router.Router1.Manager.xml"


def diff(folder: Path) -> tuple[int, str]:
    done = subprocess.run([ROOT / "tools/interface-diff", folder], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgSign=false")
    subprocess.run(["git", *author, *arguments], cwd=folder, capture_output=True, check=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a repository with the interfaces as they are, and no release."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "dbus", folder / "dbus")
    git(folder.parent, "init", "--quiet", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "as it is")
    return folder


@pytest.fixture
def released(checkout: Path) -> Path:
    """Give a repository whose last release has the interfaces as they are."""
    git(checkout, "tag", "v0.9.0")
    git(checkout, "tag", "not-a-release")
    return checkout


def change(folder: Path, before: str, after: str) -> None:
    file = folder / "dbus" / MANAGER
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def test_outside_of_a_checkout_there_is_nothing_to_compare(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "dbus", tmp_path / "dbus")
    assert diff(tmp_path) == (0, "interface-diff: no git checkout, nothing to compare the interfaces with\n")


def test_without_a_release_there_is_nothing_to_compare(checkout: Path) -> None:
    code, said = diff(checkout)
    assert (code, "no release yet" in said) == (0, True)


def test_what_is_as_it_was_or_new_is_fine(released: Path) -> None:
    well = (0, "interface-diff: everything of v0.9.0 is there\n")
    assert diff(released) == well
    change(released, "</interface>", '<method name="Ping"/><property name="New" type="s" access="read"/></interface>')
    shutil.copy(released / "dbus" / MANAGER, released / "dbus" / "io.github.jackd_router.Router1.Another.xml")
    assert diff(released) == well


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('<property name="Status" type="s"', '<property name="Status" type="u"', "Manager.Status"),
        ('<method name="Uninhibit">', '<method name="Release">', "Manager.Uninhibit"),
        ('name="why" type="s"', 'name="why" type="as"', "Manager.Inhibit"),
    ],
)
def test_what_breaks_a_client_is_an_error(released: Path, before: str, after: str, told: str) -> None:
    change(released, before, after)
    code, said = diff(released)
    assert code == 1
    assert told in said
    assert f"dbus/{MANAGER} breaks clients of v0.9.0" in said
    assert "\x1b" not in said


def test_an_interface_that_is_gone_is_an_error(released: Path) -> None:
    (released / "dbus" / MANAGER).unlink()
    assert diff(released) == (1, f"interface-diff: dbus/{MANAGER} is gone since v0.9.0\n")


@pytest.mark.parametrize("later", ["v0.10.0", "v1.0.0"])
def test_the_last_release_counts(released: Path, later: str) -> None:
    change(released, '<method name="Uninhibit">', '<method name="Release">')
    git(released, "commit", "--quiet", "--all", "--message", "break it")
    assert diff(released)[0] == 1
    git(released, "tag", later)
    assert diff(released) == (0, f"interface-diff: everything of {later} is there\n")
