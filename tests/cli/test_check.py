"""`jackd-router check`: a good file, every kind of broken one, and no daemon anywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run

GOOD = """\
[[rule]]
name = "to speakers"
from = "synth:*"
to = "system:playback_*"

[[bus]]
name = "main"
channels = ["L", "R"]
gain = -6.0
"""

BROKEN = {
    "syntax": ("[[rule]\n", 1),
    "unknown key": ('[[rule]]\nname = "a"\nfrm = "x"\nfrom = "x"\nto = "y"\n', 3),
    "unknown section": ("[sever]\n", 1),
    "rule without to": ('[[rule]]\nname = "a"\nfrom = "x"\n', 1),
    "bad regex": ('[[rule]]\nname = "a"\nfrom = "/(/"\nto = "y"\n', 3),
    "rule name twice": ('[[rule]]\nname = "a"\nfrom = "x"\nto = "y"\n\n[[rule]]\nname = "a"\nfrom = "x"\nto = "y"\n', 6),
    "bus name twice": ('[[bus]]\nname = "a"\n\n[[bus]]\nname = "a"\n', 4),
    "gain of 1e9": ('[[bus]]\nname = "a"\ngain = 1e9\n', 3),
    "gain that is no number": ('[[bus]]\nname = "a"\ngain = "loud"\n', 3),
    "unknown word": ('[policy]\nunmatched = "destroy"\n', 2),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of a configuration file that is not there yet."""
    return tmp_path / "my router.toml"


def test_a_good_file(run: Run, file: Path) -> None:
    file.write_text(GOOD)
    done = run("check", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: 1 rule, 1 bus\n", "")


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_with_its_place(run: Run, file: Path, kind: str) -> None:
    text, line = BROKEN[kind]
    file.write_text(text)
    done = run("check", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    (problem,) = done.stderr.splitlines()
    assert re.match(rf"{re.escape(str(file))}:{line}:\d+: \S", problem), problem


def test_all_problems_are_told_at_once(run: Run, file: Path) -> None:
    file.write_text("\n".join(text for kind, (text, _) in BROKEN.items() if kind not in {"syntax", "unknown section"}))
    done = run("check", str(file))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) >= len(BROKEN) - 2


def test_problems_as_json(run: Run, file: Path) -> None:
    file.write_text(BROKEN["gain of 1e9"][0])
    done = run("check", "--json", str(file))
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert (told["file"], told["valid"]) == (str(file), False)
    (problem,) = told["problems"]
    assert (problem["severity"], problem["file"], problem["line"]) == ("error", str(file), 3)
    assert set(problem) == {"severity", "file", "line", "column", "text"}


def test_a_good_file_as_json(run: Run, file: Path) -> None:
    file.write_text(GOOD)
    done = run("check", "--json", str(file))
    assert json.loads(done.stdout) == {"file": str(file), "valid": True, "problems": []}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name = '\x00'\n", bytes(range(256))], ids=["utf-16", "NUL", "all bytes"])
def test_bytes_that_are_no_toml(run: Run, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    done = run("check", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{file}:")


def test_a_folder_is_no_file(run: Run, tmp_path: Path) -> None:
    done = run("check", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{tmp_path}:")


@pytest.mark.parametrize("path", [".", "./", "/", ""])
def test_a_folder_without_a_name_is_no_file(run: Run, path: str) -> None:
    done = run("check", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{Path(path)}:0:0: cannot be read: Is a directory\n"


def test_a_link_that_leads_nowhere_is_told_with_the_reason(run: Run, file: Path) -> None:
    file.symlink_to("nowhere")
    assert run("check", str(file)).stderr == f"{file}:0:0: cannot be read: No such file or directory\n"
    file.unlink()
    file.symlink_to(file)
    assert run("check", str(file)).stderr == f"{file}:0:0: cannot be read: Too many levels of symbolic links\n"


def test_a_file_that_was_named_must_be_there(run: Run, file: Path) -> None:
    done = run("check", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"jackd-router: {file}: no such file\n")


def test_the_file_of_the_user_need_not_be_there(run: Run, environment: dict[str, str]) -> None:
    path = Path(environment["HOME"], ".config/jackd-router/router.toml")
    done = run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}: no such file, which means 0 rules, 0 buses\n"
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    assert run("check").stdout == f"{path}: 1 rule, 1 bus\n"


def test_a_mistake_in_a_drop_in_names_the_drop_in(run: Run, file: Path) -> None:
    file.write_text(GOOD)
    drop_in = file.with_name(f"{file.name}.d") / "10-loud.toml"
    drop_in.parent.mkdir()
    drop_in.write_text('\n[[bus]]\nname = "loud"\ngain = 21\n')
    done = run("check", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{drop_in}:4:")
