"""The reference of the API: it says what the contract says, and what it shows is what a real daemon answers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.api.__main__ import PAGE
from tools.api.contract import DBUS, Undocumented, read_contract
from tools.api.examples import examples
from tools.api.page import Incomplete, page
from tools.api.record import alike, read, record, write

MANAGER = "io.github.jackd_router.Router1.Manager.xml"


def edited(folder: Path, before: str, after: str) -> Path:
    """Give a copy of the contract in which something of the interface Manager is another thing."""
    copy = shutil.copytree(DBUS, folder / "dbus")
    text = (copy / MANAGER).read_text()
    assert before in text
    (copy / MANAGER).write_text(text.replace(before, after, 1))
    return copy


def test_the_page_is_up_to_date() -> None:
    argv = [sys.executable, "-m", "tools.api", "--check"]
    done = subprocess.run(argv, cwd=PAGE.parents[1], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert page(read_contract(), read()) == PAGE.read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Start of the daemon, microseconds", "Begin of the daemon, microseconds"),
        ('name="StartedUSec" type="t"', 'name="StartedUSec" type="x"'),
        ('name="cookie" type="u" direction="in"', 'name="biscuit" type="u" direction="in"'),
    ],
)
def test_a_change_of_the_contract_makes_another_page(tmp_path: Path, before: str, after: str) -> None:
    assert page(read_contract(edited(tmp_path, before, after)), read()) != PAGE.read_text()


def test_a_member_without_a_comment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Undocumented, match="StartedUSec"):
        read_contract(edited(tmp_path, "StartedUSec:", "Started:"))


def test_a_method_without_a_line_is_refused(tmp_path: Path) -> None:
    more = '<!--\nPing:\n\nAnswers.\n-->\n<method name="Ping"/>\n</interface>'
    with pytest.raises(Incomplete, match=r"Manager\.Ping"):
        page(read_contract(edited(tmp_path, "</interface>", more)), read())


def test_every_member_is_on_the_page() -> None:
    text = PAGE.read_text()
    for interface in read_contract():
        for member in interface.members:
            assert f"#### {member.name}\n" in text, f"{interface.title}.{member.name}"


def test_what_is_kept_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "transcript.txt"
    said = {"first": 's "one"\nu 2', "nothing": "", "last": "Call failed: no $ in it"}
    write(said, file)
    assert read(file) == said


def test_a_real_daemon_answers_what_the_page_shows() -> None:
    contract, kept = read_contract(), read()
    answers = record(contract)
    assert list(answers) == list(kept)
    for example in examples(contract):
        if example.line in answers:
            assert alike(example, answers[example.line], kept[example.line]), (answers[example.line], kept[example.line])
    failed = {line for line, said in answers.items() if re.match("Call failed|Failed to", said)}
    refused = ("synth:right desk:left", "desk:top", "lvie", "chatty", "1e9", "Uninhibit u 1", "au 1 10")
    assert all(line.removesuffix(" 0").endswith(refused) for line in failed)
    assert len(failed) == len(refused)
