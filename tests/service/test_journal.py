"""What reaches the journal, and what stands on standard error where there is none."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jackd_router.service.journal import Event, JournalFields, PlainLines, is_journal, start_logging


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Give a logger that nobody else listens to."""
    logger = logging.Logger("test.journal", logging.DEBUG)
    yield logger
    for handler in logger.handlers:
        handler.close()


@pytest.fixture
def journal(log: logging.Logger) -> list[dict[str, object]]:
    """Give what systemd's handler hands to the journal, entry by entry."""
    entries: list[dict[str, object]] = []

    def send(text: str, /, **fields: object) -> None:
        entries.append({**fields, "MESSAGE": text})

    log.addHandler(JournalFields(send))
    return entries


@pytest.fixture
def lines(log: logging.Logger) -> io.StringIO:
    """Give what is written where there is no journal."""
    stream = io.StringIO()
    log.addHandler(PlainLines(stream))
    return stream


def test_journal_gets_the_fields(log: logging.Logger, journal: list[dict[str, object]]) -> None:
    log.info("Connected %s", "a:out", extra={"JACK_SOURCE": "a:out", "RULE": "all", "MESSAGE_ID": Event.CONNECTED})
    (entry,) = journal
    wanted = {
        "MESSAGE": "Connected a:out",
        "PRIORITY": "6",
        "JACK_SOURCE": "a:out",
        "RULE": "all",
        "MESSAGE_ID": str(Event.CONNECTED),
        "SYSLOG_IDENTIFIER": "jackd-router",
        "LOGGER": "test.journal",
    }
    assert wanted.items() <= entry.items()


def test_levels_become_priorities(log: logging.Logger, journal: list[dict[str, object]]) -> None:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(level, "text")
    assert [entry["PRIORITY"] for entry in journal] == ["7", "6", "4", "3"]


def test_names_that_are_not_utf8_reach_the_journal(log: logging.Logger, journal: list[dict[str, object]]) -> None:
    log.warning("No port %s", "a:\udcff", extra={"JACK_SOURCE": "a:\udcff", "COUNT": 3})
    (entry,) = journal
    assert entry["MESSAGE"] == "No port a:\\xff"
    assert (entry["JACK_SOURCE"], entry["COUNT"]) == ("a:\\xff", "3")
    for value in entry.values():
        str(value).encode()


def test_lines_are_readable(log: logging.Logger, lines: io.StringIO) -> None:
    log.info("Connected", extra={"JACK_SOURCE": "a:out", "RULE": "synth to speakers", "MESSAGE_ID": Event.CONNECTED})
    log.warning("Lost\udcff")
    first, second = (re.sub(r"^\d\d:\d\d:\d\d\.\d{3} ", "TIME ", line) for line in lines.getvalue().splitlines())
    assert first == 'TIME Connected  [JACK_SOURCE=a:out RULE="synth to speakers"]'
    assert second == "TIME warning: Lost\\xff"


def test_names_write_no_lines_of_their_own(log: logging.Logger, lines: io.StringIO, journal: list[dict[str, object]]) -> None:
    name = "a:out\n21:00:00.000 Connected \x1b[2Jb:in"
    log.info("Connected %s", name, extra={"JACK_SOURCE": name, "RULE": "x\ny"})
    (line,) = lines.getvalue().splitlines()
    assert line.endswith(r'Connected a:out\n21:00:00.000 Connected \x1b[2Jb:in  [RULE="x\ny"]')
    (entry,) = journal
    assert (entry["MESSAGE"], entry["JACK_SOURCE"]) == (r"Connected a:out\n21:00:00.000 Connected \x1b[2Jb:in", name)


def test_record_itself_stays_as_it_is_for_other_handlers(log: logging.Logger, lines: io.StringIO) -> None:
    last = logging.handlers.BufferingHandler(10)
    log.addHandler(last)
    log.info("%s", "\udcff", extra={"RULE": "\udcff"})
    (record,) = last.buffer
    assert record.getMessage() == "\udcff"
    assert vars(record)["RULE"] == "\udcff"


def test_stream_is_the_journal_only_where_systemd_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stream").open("w") as stream:
        stat = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        assert is_journal(stream)
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino + 1}")
        assert not is_journal(stream)
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not is_journal(stream)
    assert not is_journal(io.StringIO())


def test_program_without_a_journal_logs_to_standard_error() -> None:
    program = (
        "import logging; from jackd_router.service.journal import start_logging as go; go(logging.INFO);"
        "logging.info('heard'); logging.debug('not heard'); logging.info('name %s', '\\udcff')"
    )
    env = {**os.environ, "JOURNAL_STREAM": "1:1"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    texts = [line.split(" ", 1)[1] for line in done.stderr.splitlines()]
    assert texts == ["heard", "name \\xff"]


def test_program_in_the_journal_logs_the_bare_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, restored_root: logging.Logger
) -> None:
    with (tmp_path / "stream").open("w") as stream:
        stat = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        start_logging(logging.INFO, stream)
    (handler,) = restored_root.handlers
    assert isinstance(handler, JournalFields)
    assert handler.format(logging.makeLogRecord({"msg": "Connected", "levelno": logging.INFO})) == "Connected"


@pytest.fixture
def restored_root() -> Iterator[logging.Logger]:
    """Give the root logger, which pytest gets back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield root
    root.handlers[:], root.level = handlers, level


def test_ids_of_events_are_ids() -> None:
    assert len({event.value for event in Event}) == len(Event)
    assert all(re.fullmatch("[0-9a-f]{32}", event.value) for event in Event)


def test_the_target_is_where_the_log_goes() -> None:
    program = (
        "from jackd_router.service import journal\n"
        "import logging\n"
        "logging.basicConfig(handlers=[journal.JournalFields(lambda *text, **fields: None)])\n"
        "print(journal.log_target())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "journal\n"


def test_nobody_waits_for_who_does_not_read_the_lines(log: logging.Logger) -> None:
    source, sink = os.pipe()
    with open(source) as reader, open(sink, "w", buffering=1) as writer:
        log.addHandler(PlainLines(writer))
        for number in range(5_000):
            log.info("line %d %s", number, "-" * 100)
        os.set_blocking(source, False)
        told = reader.read().splitlines()
        assert 100 < len(told) < 5_000
        log.info("read again")
        lost, again = reader.read().splitlines()
        assert f"warning: {5_000 - len(told)} lines of the log are lost: nobody read it" in lost
        assert again.endswith("read again")


def test_nobody_waits_for_a_journal_that_hangs(
    log: logging.Logger, journal: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "socket")
    monkeypatch.setattr("jackd_router.service.journal._JOURNAL", path)
    log.info("nobody is there")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others,
    ):
        journald.bind(path)
        others.connect(path)
        others.setblocking(False)
        log.info("it reads")
        with suppress(BlockingIOError):
            while True:
                others.send(b"MESSAGE=...")
        log.info("lost")
        log.info("lost, too")
        journald.recv(100)
        log.info("it reads again")
    texts = [entry["MESSAGE"] for entry in journal]
    assert texts == ["nobody is there", "it reads", "2 lines of the log are lost: nobody read it", "it reads again"]
