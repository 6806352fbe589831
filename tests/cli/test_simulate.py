"""`jackd-router plan --graph`: a configuration on a graph that was saved, where there is no daemon, no bus and no server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

SPEAKERS = ("system:playback_1", "system:playback_2")

RULES = """\
[[rule]]
name = "synth to main bus"
from = "synth:*"
to = { bus = "main" }

[[rule]]
name = "main bus to speakers"
from = { bus = "main" }
to = "system:playback_*"

[[rule]]
name = "synth to main bus, once more"
from = "synth:*"
to = { bus = "main" }

[[rule]]
name = "on stage"
from = "synth:*"
to = "monitor:*"
profiles = ["live"]

[[bus]]
name = "main"
channels = ["L", "R"]

[[profile]]
name = "live"
"""

MICROPHONE = """\
[[rule]]
name = "microphone to main bus"
from = "system:capture_1"
to = { bus = "main" }

[[rule]]
name = "main bus to speakers"
from = { bus = "main" }
to = "system:playback_*"

[[bus]]
name = "main"
"""

Json = dict[str, Any]
Save = Callable[[object], str]


def port(name: str, direction: str = "output", **more: object) -> Json:
    """Give a port as `graph --json` writes it."""
    return {"name": name, "direction": direction, "type": "audio", "physical": name.startswith("system:")} | more


def connections(*pairs: tuple[str, str]) -> list[Json]:
    """Give connections as `graph --json` and `plan --json` write them."""
    return [{"source": source, "destination": destination} for source, destination in pairs]


def graph(ports: Iterable[Json], *pairs: tuple[str, str], **more: object) -> Json:
    """Give a graph as `graph --json` writes it."""
    return {"ports": list(ports), "connections": connections(*pairs), **more}


STUDIO = graph(
    [port("synth:left"), port("synth:right"), port("system:capture_1"), *(port(name, "input") for name in SPEAKERS)],
    ("synth:left", SPEAKERS[0]),
)
BUS = [port(f"router:main_{way}_{side}", f"{way}put") for way in ("in", "out") for side in "LR"]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Give a function that saves a graph and gives the name of its file."""

    def save(saved: object) -> str:
        path = tmp_path / "my graph.json"
        path.write_text(saved if isinstance(saved, str) else json.dumps(saved))
        return str(path)

    return save


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Give a function that writes a configuration and gives the name of its file."""

    def write(text: str) -> str:
        path = tmp_path / "my router.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def file(write: Callable[[str], str]) -> str:
    """Give the name of a file with RULES."""
    return write(RULES)


def planned(run: Run, *arguments: str) -> Json:
    """Plan, which must go well, and give the JSON."""
    done = run("plan", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    told: Json = json.loads(done.stdout)
    return told


def refused(run: Run, *arguments: str) -> str:
    """Plan, which must be refused in one line, and give the line."""
    done = run("plan", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


def test_buses_of_the_file_are_there(run: Run, save: Save, file: str) -> None:
    told = planned(run, "--graph", save(STUDIO), file)
    assert sorted(told["connect"], key=str) == connections(
        ("router:main_out_L", SPEAKERS[0]),
        ("router:main_out_R", SPEAKERS[1]),
        ("synth:left", "router:main_in_L"),
        ("synth:right", "router:main_in_R"),
    )
    assert (told["disconnect"], told["failed"], told["refused"]) == ([], [], [])
    assert (told["unmet"], told["shadowed"]) == ([], ["synth to main bus, once more"])


def test_the_same_for_people(run: Run, save: Save, file: str) -> None:
    done = run("plan", "--graph", save(STUDIO), file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "+ synth:left -> router:main_in_L\n" in done.stdout
    assert done.stdout.endswith("shadowed: rule 'synth to main bus, once more' never decides: earlier rules speak first\n")


def test_a_graph_on_which_all_is_done(run: Run, save: Save, file: str) -> None:
    wanted = [(f"synth:{name}", f"router:main_in_{side}") for name, side in (("left", "L"), ("right", "R"))]
    wanted += [(f"router:main_out_{side}", speaker) for side, speaker in zip("LR", SPEAKERS, strict=True)]
    there = save(graph([*STUDIO["ports"], *BUS], *wanted))
    done = run("plan", "--graph", there, file)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "no connection would change")


def test_our_client_may_have_another_name_there(run: Run, save: Save, file: str) -> None:
    told = planned(run, "--graph", save(STUDIO | {"client_name": "router-01"}), file)
    assert connections(("router-01:main_out_L", SPEAKERS[0]))[0] in told["connect"]


def test_what_is_connected_to_a_bus_that_the_file_has_not_goes(run: Run, save: Save, file: str) -> None:
    old = port("router:old_in_1", "input")
    there = graph([*STUDIO["ports"], old], ("synth:left", "router:old_in_1"), client_name="router")
    assert planned(run, "--graph", save(there), file)["disconnect"] == connections(("synth:left", "router:old_in_1"))


def test_buses_that_were_made_at_run_time_are_there(run: Run, save: Save, tmp_path: Path) -> None:
    rule = tmp_path / "rule.toml"
    rule.write_text('[[rule]]\nname = "r"\nfrom = "synth:*"\nto = { bus = "fx" }\n')
    fx = [port(f"router:fx_in_{side}", "input") for side in "LR"]
    ports, mono = [*STUDIO["ports"], *fx], {"name": "fx", "channels": ["L", "R"], "outputs": ["sum"], "matrix": [[0.5, 0.5]]}
    there = save(graph(ports, ("synth:left", "router:fx_in_L"), client_name="router", made_buses=[mono]))
    told = planned(run, "--graph", there, str(rule))
    assert (told["connect"], told["disconnect"]) == (connections(("synth:right", "router:fx_in_R")), [])
    rule.write_text(rule.read_text() + '[[bus]]\nname = "fx"\nchannels = ["L"]\n')
    done = run("plan", "--graph", there, str(rule))
    assert 'warning: this bus takes the place of the bus "fx" that was made at run time' in done.stderr


def test_the_profile_is_the_one_that_was_active_or_is_named(run: Run, save: Save, file: str) -> None:
    on_stage = connections(("synth:left", "monitor:in"), ("synth:right", "monitor:in"))
    there = STUDIO | {"ports": [*STUDIO["ports"], port("monitor:in", "input")]}
    for more, named, counts in (
        ({}, [], False),
        ({"profile": "live"}, [], True),
        ({"profile": "live"}, ["--profile", "default"], False),
        ({}, ["--profile", "live"], True),
    ):
        connect = planned(run, "--graph", save(there | more), file, *named)["connect"]
        assert [pair for pair in on_stage if pair in connect] == (on_stage if counts else []), (more, named)


def test_a_profile_that_is_not_in_the_file(run: Run, save: Save, file: str) -> None:
    there = save(STUDIO)
    assert refused(run, "--graph", there, file, "--profile", "liv") == (
        f"jackd-router: {file}: there is no profile 'liv'; did you mean 'live'?"
    )
    assert refused(run, "--graph", there, file, "--profile", "") == f"jackd-router: {file}: there is no profile ''"


def test_a_profile_that_was_active_and_is_not_in_the_file(run: Run, save: Save, file: str) -> None:
    done = run("plan", "--graph", save(STUDIO | {"profile": "evening"}), file)
    assert done.returncode == 0
    assert done.stderr == (f"jackd-router: {file}: there is no profile 'evening', which was active; this is for 'default'\n")


def test_the_guard_speaks(run: Run, save: Save, write: Callable[[str], str]) -> None:
    (first, *_) = planned(run, "--graph", save(STUDIO), write(MICROPHONE))["refused"]
    assert (first["rule"], first["source"]) == ("main bus to speakers", "router:main_out_1")
    assert "allow_feedback = true" in first["reason"]
    done = run("plan", "--graph", save(STUDIO), write(MICROPHONE))
    assert "refused: router:main_out_1 -> system:playback_1 of rule 'main bus to speakers': " in done.stdout


def test_names_of_any_kind_go_there_and_back(run: Run, save: Save, write: Callable[[str], str]) -> None:
    client = 'Bob\'s "synth" [1]+(2)/ö'
    names = [rf"{client}:out \xff", rf"{client}:back\\slash", f"{client}:{'x' * 220}"]
    ports = [port(name) for name in names] + [port("in:1", "input", aliases=[r"ALSA:a\\b"], pretty_name=r"Mix \\ 1")]
    literal = json.dumps(f"{client}:*", ensure_ascii=False)
    config = write(f'[[rule]]\nname = "all"\nfrom = {literal}\nto = {{ alias = "ALSA:*", pretty_name = "Mix *" }}\n')
    told = planned(run, "--graph", save(graph(ports)), config)
    assert sorted(pair["source"] for pair in told["connect"]) == sorted(names)


def test_a_file_with_mistakes_in_it(run: Run, save: Save, write: Callable[[str], str]) -> None:
    config = write('[[rule]]\nname = "a"\nfrm = "x"\nfrom = "x"\nto = "/(/"\n')
    done = run("plan", "--graph", save(STUDIO), config)
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [f"{config}:3:1", f"{config}:5:6"]


def test_files_that_are_not_there(run: Run, save: Save, file: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert refused(run, "--graph", missing, file) == f"jackd-router: {missing}: No such file or directory"
    assert refused(run, "--graph", str(tmp_path), file) == f"jackd-router: {tmp_path}: Is a directory"
    assert refused(run, "--graph", save(STUDIO), missing) == f"jackd-router: {missing}: no such file"


def test_without_a_file_the_one_of_the_user_counts(run: Run, save: Save, environment: dict[str, str]) -> None:
    there = save(STUDIO)
    assert run("plan", "--graph", there).stdout == "no connection would change\n"
    path = Path(environment["HOME"], ".config/jackd-router/router.toml")
    path.parent.mkdir(parents=True)
    path.write_text(RULES)
    assert "+ synth:left -> router:main_in_L\n" in run("plan", "--graph", there).stdout


def test_a_profile_needs_a_graph(run: Run, file: str) -> None:
    done = run("plan", file, "--profile", "live")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("--profile needs --graph: the daemon plans for the profile that is active\n")


@pytest.mark.parametrize("text", ["", "{", '{"ports": [}', "[" * 100_000, "\0"], ids=["empty", "open", "wrong", "deep", "NUL"])
def test_what_is_no_json(run: Run, save: Save, file: str, text: str) -> None:
    path = save(text)
    assert refused(run, "--graph", path, file).startswith(f"jackd-router: {path}: not JSON: ")


def test_bytes_that_are_no_text(run: Run, file: str, tmp_path: Path) -> None:
    path = tmp_path / "bytes.json"
    path.write_bytes(bytes(range(256)))
    assert refused(run, "--graph", str(path), file).startswith(f"jackd-router: {path}: not JSON: ")


NAME = "letters (A-Z, a-z), digits, '-' and '_'"
WRONG: dict[str, tuple[object, str]] = {
    "null": (None, "graph is not an object"),
    "a number": (3, "graph is not an object"),
    "an array": ([], "graph is not an object"),
    "nothing": ({}, "graph: ports is missing"),
    "no connections": ({"ports": []}, "graph: connections is missing"),
    "ports that are no array": ({"ports": {}, "connections": []}, "graph: ports is not an array"),
    "connections that are text": ({"ports": [], "connections": "a:b"}, "graph: connections is not an array"),
    "a client that is no name": (graph([], client_name=["router"]), "graph: client_name is not a string"),
    "a profile that is no name": (graph([], profile=1), "graph: profile is not a string"),
    "made buses that are no array": (graph([], made_buses={}), "graph: made_buses is not an array"),
    "a made bus that is a name": (graph([], made_buses=["fx"]), "made bus 1 is not an object"),
    "a made bus that cannot be": (graph([], made_buses=[{"name": "a b"}]), f'made bus 1: name: found "a b"; allowed: {NAME}'),
    "a port that is a name": ({"ports": ["a:b"], "connections": []}, "port 1 is not an object"),
    "a port without a name": (graph([{"direction": "input"}]), "port 1: name is missing"),
    "a name that is null": (graph([port("a:b") | {"name": None}]), "port 1: name is missing"),
    "a name without a client": (graph([port("ab")]), "port 1: name 'ab' is not client:port"),
    "a backslash": (graph([port(r"a:\b")]), r"port 1: name a:\b: write \\ for a backslash, \xNN for a byte that is not UTF-8"),
    "half a character": (
        graph([port("a:\ud800")]),
        r"port 1: name has half a surrogate pair; a byte that is not UTF-8 is written \xNN",
    ),
    "a port twice": (graph([port("a:b"), port("a:b", "input")]), "port 2: there is another port a:b"),
    "a direction": (graph([port("a:b", "in")]), "port 1: direction is 'in', none of input, output"),
    "a type": (graph([port("a:b", type="sound")]), "port 1: type is 'sound', none of audio, midi, cv, other"),
    "physical": (graph([port("a:b", physical="yes")]), "port 1: physical is not true or false"),
    "aliases": (graph([port("a:b", aliases="c:d")]), "port 1: aliases is not an array"),
    "an alias": (graph([port("a:b", aliases=[1])]), "port 1: alias is not a string"),
    "a pretty name": (graph([port("a:b", pretty_name=1)]), "port 1: pretty_name is not a string"),
    "a connection that is an array": ({"ports": [], "connections": [["a:b", "c:d"]]}, "connection 1 is not an object"),
    "a connection of nobody": (graph([], ("a:b", "c:d")), "connection 1: there is no output port a:b"),
    "a connection the wrong way": (
        graph([port("a:b"), port("c:d", "input")], ("c:d", "a:b")),
        "connection 1: there is no output port c:d",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_graph(run: Run, save: Save, file: str, kind: str) -> None:
    saved, problem = WRONG[kind]
    path = save(saved)
    assert refused(run, "--graph", path, file) == f"jackd-router: {path}: not what `jackd-router graph --json` writes: {problem}"


def test_what_belonged_to_a_rule_goes_with_it(run: Run, save: Save, write: Callable[[str], str]) -> None:
    saved = STUDIO | {"connections": [connections(("synth:left", SPEAKERS[0]))[0] | {"rule": "an older one"}]}
    assert planned(run, "--graph", save(saved), write(""))["disconnect"] == connections(("synth:left", SPEAKERS[0]))
    assert planned(run, "--graph", save(STUDIO), write(""))["disconnect"] == []


def test_what_a_saved_graph_cannot_tell_is_said(run: Run, tmp_path: Path) -> None:
    config, saved = tmp_path / "router.toml", tmp_path / "graph.json"
    config.write_text(
        "[server]\nsystem = 'Scarlett*'\n"
        "[[rule]]\nname = 'piano'\nfrom = 'synth:*'\nto = { pretty_name = '*Piano' }\n"
        "[[rule]]\nname = 'out'\nfrom = 'synth:*'\nto = 'system:playback_*'\n"
    )
    saved.write_text(json.dumps(graph([port("synth:out"), port("Scarlett:playback_FL", "input", physical=True)])))
    told = run("plan", "--graph", str(saved), str(config))
    assert f'{config}:3:1: warning: rule "piano" asks for pretty names or CV' in told.stderr
    assert f"{config}: `system` under [server] is not asked here" in told.stderr
