"""Reading the files: drop-ins, files that cannot be read, positions; never anything but ConfigInvalid."""

from __future__ import annotations

import os
import socket
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jackd_router.core.config import Config
from jackd_router.core.errors import ConfigInvalid
from jackd_router.runtime.config_files import MAX_BYTES, default_path, load_config, read_document

ALLOWED = "allowed: a string in quotes, true or false in small letters, a number, a list, a table"
NO_END = "the string does not end on its line; write at its end the quote with which it begins"
ELSEWHERE = "has its whole value already, between brackets; write there what belongs to it"


def problems(path: Path) -> list[str]:
    """Give what is wrong with the files, by name of the file."""
    with pytest.raises(ConfigInvalid) as caught:
        load_config(path)
    return [str(problem).removeprefix(f"{path.parent}/") for problem in caught.value.problems]


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """Give the path of a main file that does not exist yet, beside a directory for drop-ins that does."""
    (tmp_path / "router.toml.d").mkdir()
    return tmp_path / "router.toml"


def drop_in(main: Path, name: str, text: str) -> None:
    (main.parent / "router.toml.d" / name).write_text(text)


def test_no_file_means_no_rules(tmp_path: Path) -> None:
    assert load_config(tmp_path / "router.toml") == Config()


def test_drop_ins_come_after_the_main_file_in_name_order(main: Path) -> None:
    main.write_text("[client]\nname = 'main'")
    drop_in(main, "20-b.toml", "[client]\nname = 'b'")
    drop_in(main, "10-a.toml", "[client]\nname = 'a'")
    drop_in(main, ".30-hidden.toml", "broken")
    drop_in(main, "30-not-toml.txt", "broken")
    assert load_config(main).client_name == "b"


def test_of_syntax_errors_the_first_of_each_file_beside_all_other_problems(main: Path) -> None:
    main.write_text("[client]\nname = \nwatch = oops")
    drop_in(main, "a.toml", "[client]\nnam = 'a'")
    drop_in(main, "b.toml", 'x = """abc')
    assert problems(main) == [
        f"router.toml:2:8: a value is missing; {ALLOWED}",
        "router.toml.d/a.toml:2:1: unknown key \"nam\"; did you mean 'name'? known here: name",
        "router.toml.d/b.toml:1:11: Unterminated string at the end of the file",
    ]


def test_a_directory_is_no_configuration(main: Path) -> None:
    main.mkdir()
    assert problems(main) == ["router.toml:0:0: cannot be read: Is a directory"]


@pytest.mark.parametrize("path", [".", "./", "/", ""])
def test_a_directory_without_a_name_is_no_configuration(path: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_config(Path(path))
    assert [str(problem) for problem in caught.value.problems] == [f"{Path(path)}:0:0: cannot be read: Is a directory"]


def test_what_cannot_be_read_is_told_in_the_order_of_the_files(main: Path) -> None:
    main.symlink_to("nowhere")
    drop_in(main, "a.toml", "[x")
    (main.parent / "router.toml.d" / "b.toml").mkdir()
    drop_in(main, "c.toml", "x = 1")
    assert [problem.split(":")[0] for problem in problems(main)] == [
        "router.toml",
        "router.toml.d/a.toml",
        "router.toml.d/b.toml",
        "router.toml.d/c.toml",
    ]


def test_what_is_no_regular_file_is_refused_without_waiting(main: Path) -> None:
    os.mkfifo(main)
    assert problems(main) == ["router.toml:0:0: cannot be read: it is no regular file"]
    main.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(main))
        assert problems(main) == ["router.toml:0:0: cannot be read: No such device or address"]


def test_a_symbolic_link_that_leads_in_a_circle_is_named(main: Path) -> None:
    main.symlink_to(main)
    assert problems(main) == ["router.toml:0:0: cannot be read: Too many levels of symbolic links"]


def test_a_main_file_that_leads_nowhere_is_named(main: Path) -> None:
    main.symlink_to("nowhere")
    assert problems(main) == ["router.toml:0:0: cannot be read: No such file or directory"]


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(ConfigInvalid, match=r"/nowhere/router\.toml:0:0: there is no such file"):
        load_config(Path("/nowhere/router.toml"), must_exist=True)


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3_000])
def test_a_name_that_is_too_long_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read: File name too long"):
        load_config(tmp_path / name, must_exist=True)


def test_a_drop_in_that_leads_nowhere_is_named(main: Path) -> None:
    (main.parent / "router.toml.d" / "a.toml").symlink_to("nowhere")
    assert problems(main) == ["router.toml.d/a.toml:0:0: cannot be read: No such file or directory"]


def test_a_drop_in_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml.d").write_text("")
    assert problems(tmp_path / "x.toml") == ["x.toml.d:0:0: cannot be read: Not a directory"]


def test_a_file_that_is_too_large_is_refused(main: Path) -> None:
    main.write_bytes(b"#" * (MAX_BYTES + 1))
    assert problems(main) == ["router.toml:0:0: cannot be read: it is larger than 4 MiB"]


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path / "a\0b")[0].endswith("cannot be read: embedded null byte")
    assert problems(tmp_path / ("a" * 300))[0].endswith("cannot be read: File name too long")


def test_what_is_not_utf8_is_named_with_its_place(main: Path) -> None:
    main.write_bytes("# é\nname = '€".encode() + b"\xe9'")
    assert problems(main) == ["router.toml:2:10: byte 0xe9 is not UTF-8; TOML files are"]


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "9" * 5000, "a = 2024-02-31", "a = 1\na = 2", "\ufeff", "[a]\n[a]"]
)
def test_what_tomllib_cannot_take_is_a_problem(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        read_document("x", text.encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x]\n[x]", "2:3: the table [x] is there twice"),
        ("[x.y]\n[x.y]\nz = 1", "2:5: the table [x.y] is there twice"),
        ("a = 1\n  b-c = 1\n  b-c = 2\nd = 1", "3:3: the key 'b-c' is there twice"),
        ("a = 1\na = [\n  { x = 1 },\n  2\n]\nb = 1", "2:1: the key 'a' is there twice"),
        ("x = { a = 1, a = 2 }", "1:19: the key 'a' is there twice"),
        (
            "a = 1\n[a]",
            "2:3: [a] cannot begin here: what it names has a value already; allowed: the value or the table",
        ),
        (
            "[[rule]]\nwhen.present = 'a'\n [[rule.when]] # again",
            "3:13: [[rule.when]] cannot begin here: what it names has a value already; "
            "allowed: [rule.when] once, or [[rule.when]] each time",
        ),
        ("[[rule]]\nwhen = { present = 'a' }\n[[rule.when]]", f"3:12: 'rule.when' {ELSEWHERE}"),
        ("a = { b = 1 }\n a.c = [\n  2\n]\nd = 1", f"2:2: 'a' {ELSEWHERE}"),
        ("enabled = False", f"1:11: found False, which is no value; {ALLOWED}"),
        ("a = [\n  My Synth, # mine\n]\r\n", f"2:3: found My Synth, which is no value; {ALLOWED}"),
        ("'é' = { a = \tx}", f"1:14: found x, which is no value; {ALLOWED}"),
        (f"a = {'y' * 99}", f"1:5: found {'y' * 57}..., which is no value; {ALLOWED}"),
        ("a = [ , ]", f"1:7: a value is missing; {ALLOWED}"),
        ("a =", f"1:4: a value is missing; {ALLOWED}"),
        ('a = 1\nb = "x # y\nc = "z"', f"2:11: {NO_END}"),
        ("a = 'x\r\nb = 1\r\n", f"1:7: {NO_END}"),
        ("a = 'x\nb = 'y'", f"1:7: {NO_END}"),
        ("a = 'x", f"1:7: {NO_END}"),
        ("\ufeffa = 1", "1:1: the file begins with a byte order mark; save it as UTF-8 without one"),
        (f"# {'9' * 5000}\na = [\n  {'9' * 5000},\n]\n\n", "3:1: a number with too many digits"),
        (f"a = {'9' * 5000}", "1:1: a number with too many digits"),
    ],
)
def test_mistakes_of_syntax_are_told_in_plain_words(text: str, expected: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read_document("x", text.encode())
    assert str(caught.value) == f"x:{expected}"


def test_keys_that_nest_deep_are_read() -> None:
    document = read_document("x", ("a" + ".a" * 3000 + " = 1").encode())
    assert document.values[("a",) * 3001] == (1, 6005)


def test_positions_of_keys_and_values() -> None:
    text = """# comment
[server]
"na\\u006de" = "x" # comment
client.name = 'y'
[[rule]]
from = [ "a",
  # comment
  { client = "é", port = "b" } ]
[rule.deep]
x = 1
[[rule]]
[[rule.sub]]
y = 2
[[rule.sub]]
y = 3
"""
    document = read_document("x", text.encode())
    assert document.keys[("server",)] == (2, 1)
    assert (document.keys[("server", "name")], document.values[("server", "name")]) == ((3, 1), (3, 15))
    assert document.keys[("server", "client", "name")] == (4, 8)
    assert document.keys[("rule", 0)] == (5, 1)
    assert document.values[("rule", 0, "from", 0)] == (6, 10)
    assert document.values[("rule", 0, "from", 1)] == (8, 3)
    assert document.keys[("rule", 0, "from", 1, "port")] == (8, 19)
    assert document.values[("rule", 0, "deep", "x")] == (10, 5)
    assert document.keys[("rule", 1)] == (11, 1)
    assert document.values[("rule", 1, "sub", 0, "y")] == (13, 5)
    assert document.values[("rule", 1, "sub", 1, "y")] == (15, 5)


def test_lines_are_counted_the_same_with_carriage_returns() -> None:
    document = read_document("x", b"a = 1\r\n[b]\r\nc = 2\r\n")
    assert document.values[("b", "c")] == (3, 5)


def test_the_default_path_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_path({"XDG_CONFIG_HOME": "/etc/me"}) == Path("/etc/me/jackd-router/router.toml")
    monkeypatch.setenv("HOME", "/home/somebody")
    expected = Path("/home/somebody/.config/jackd-router/router.toml")
    assert default_path({}) == default_path({"XDG_CONFIG_HOME": "relative"}) == expected


_PIECES = (
    """[[rule]] [rule.x] [server] [[bus]] name from to = 'a' "b" ''' 1 1e9 { } [ ] , . #é true \\ inf '/(a)/' 2024-01-01 0x1"""
)
_toml_pieces = st.lists(st.sampled_from([*_PIECES.split(), "\n", "\r\n", " ", "\x00", "\ufeff"]), max_size=40).map("".join)


@given(st.one_of(st.binary(max_size=200), _toml_pieces.map(str.encode)))
@example(b"[[rule]]\nname='a'\nfrom='a'\nto='b'")
def test_bytes_of_any_kind_raise_nothing_but_config_invalid(text: bytes) -> None:
    try:
        document = read_document("x.toml", text)
    except ConfigInvalid:
        return
    assert document.data == tomllib.loads(text.decode())
    lines = text.split(b"\n")
    for line, column in (*document.keys.values(), *document.values.values()):
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1].decode(errors="replace")) + 1
