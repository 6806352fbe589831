"""The sample and the examples: they load without a word, and do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jackd_router.core.deciding.matcher import Verdict
from jackd_router.core.language.effective import effective_toml
from jackd_router.core.language.vocabulary import KNOWN
from jackd_router.runtime.config_files import load_config
from tests.core.building import config, connection, destination, matcher, source, without_origins

FOLDER = Path(__file__).parents[2] / "config"
SAMPLE = FOLDER / "router.toml"
EXAMPLES = sorted((FOLDER / "examples").glob("*.toml"))

# What is seldom needed, and what the program writes rather than people.
UNTAUGHT = {"selector": ["alias", "terminal"], "file": ["snapshot"], "snapshot": ["created"]}

# A comment line that holds TOML: a header, or a key with a value; what is only prose has no `=` in it.
_COMMENTED = re.compile(r"^# (?=\[|[a-z_]+ = )", re.MULTILINE)


@pytest.mark.parametrize("file", [SAMPLE, *EXAMPLES], ids=lambda file: file.stem)
def test_it_loads_without_errors_or_warnings(file: Path) -> None:
    read = load_config(file)
    assert read.warnings == ()
    assert read.rules
    assert read.buses
    assert without_origins(config(effective_toml(read))) == without_origins(read)


def test_there_are_examples() -> None:
    assert {file.stem for file in EXAMPLES} >= {"studio", "radio", "streamer", "live"}


def test_what_is_commented_out_in_the_sample_works_too() -> None:
    text = _COMMENTED.sub("", SAMPLE.read_text())
    read = config(text)
    assert read.warnings == ()
    assert len(read.rules) == SAMPLE.read_text().count("[[rule]]")
    assert len(read.buses) == SAMPLE.read_text().count("[[bus]]")
    assert [profile.name for profile in read.profiles] == ["default", "live"]
    assert read.server_name == "default"


def test_the_sample_brings_a_synth_to_the_speakers_and_no_browser_to_a_recorder() -> None:
    ports = [
        *(source(name) for name in ("fluidsynth:left", "fluidsynth:right", "Firefox:out_FL", "Firefox:out_FR")),
        *(source(f"router:main_out_{channel}") for channel in "LR"),
        *(source(f"system:capture_{number}") for number in (1, 2)),
        *(destination(f"router:main_in_{channel}") for channel in "LR"),
        *(destination(f"system:playback_{number}") for number in (1, 2)),
        destination("qjackrecorder:in_1"),
    ]
    told = matcher(load_config(SAMPLE), ports)
    assert {pair: rule.name for pair, rule in told.wanted().items()} == {
        connection("fluidsynth:left -> router:main_in_L"): "synth to main bus",
        connection("fluidsynth:right -> router:main_in_R"): "synth to main bus",
        connection("router:main_out_L -> system:playback_1"): "main bus to speakers",
        connection("router:main_out_R -> system:playback_2"): "main bus to speakers",
    }
    assert told.decide(connection("Firefox:out_FL -> qjackrecorder:in_1")).verdict is Verdict.FORBIDDEN


def test_the_click_of_the_stage_never_reaches_the_audience() -> None:
    told = matcher(
        load_config(FOLDER / "examples" / "live.toml"),
        [
            source("klick:out"),
            *map(destination, ("stage:foh_in_L", "stage:drummer_in_2", "system:playback_1", "ardour:Master/audio_in 1")),
        ],
        client_name="stage",
    )
    assert told.decide(connection("klick:out -> stage:foh_in_L")).verdict is Verdict.FORBIDDEN
    assert told.decide(connection("klick:out -> system:playback_1")).verdict is Verdict.FORBIDDEN
    assert set(told.wanted()) == {connection("klick:out -> stage:drummer_in_2")}


def test_the_sample_and_the_examples_teach_every_key() -> None:
    texts = "".join(file.read_text() for file in (SAMPLE, *EXAMPLES))
    for kind, keys in KNOWN.items():
        missing = [key for key in keys if not re.search(rf"\b{key}\b *=|\[{key}\]|\.{key}\b", texts)]
        assert missing == UNTAUGHT.get(kind, []), kind


def test_what_the_readme_shows_works() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", (FOLDER.parent / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert config(example).warnings == ()
