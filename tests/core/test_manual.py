"""The manual pages: they are set without a warning, name every key, and their examples work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from jackd_router.core.language.vocabulary import KNOWN
from tests.core.building import config

PAGES = sorted((Path(__file__).parents[2] / "docs" / "man").glob("*.[1-8]"))
(MANUAL,) = (page.read_text() for page in PAGES if page.name == "jackd-router.toml.5")
_CHARACTERS = {r"\(aq": "'", r"\(ha": "^", r"\(ti": "~", r"\-": "-", r"\&": "", r"\e": "\\"}


def _examples() -> list[str]:
    """Give the examples as one sees them."""
    characters = re.compile("|".join(map(re.escape, _CHARACTERS)))
    examples = re.findall(r"^\.EX\n(.*?)^\.EE\n", MANUAL, re.MULTILINE | re.DOTALL)
    return [characters.sub(lambda found: _CHARACTERS[found[0]], example) for example in examples]


EXAMPLES = _examples()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_it_is_set_without_a_warning(page: Path) -> None:
    done = subprocess.run(["groff", "-ww", "-man", "-z", "-Tutf8", page], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_works(example: str) -> None:
    main = "" if 'name = "main"' in example else '[[bus]]\nname = "main"\n'
    assert config(example + main).warnings == ()


def test_the_first_example_is_complete() -> None:
    read = config(EXAMPLES[0])
    assert read.warnings == ()
    assert read.rules
    assert read.buses


@pytest.mark.parametrize("kind", KNOWN)
def test_every_key_is_documented(kind: str) -> None:
    bold = " ".join(found[1] or found[2] for found in re.finditer(r"^\.BR? (.*)$|\\fB(.*?)\\fP", MANUAL, re.MULTILINE))
    missing = [key for key in KNOWN[kind] if not re.search(rf"\b{key}\b", bold)]
    assert missing == []
