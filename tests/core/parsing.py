"""What is wrong with a configuration, for the tests of reading it."""

from __future__ import annotations

import pytest

from jackd_router.core.errors import ConfigInvalid
from jackd_router.core.language.parse import parse
from jackd_router.runtime.config_files import read_document

RULE = '[[rule]]\nname = "r"\nfrom = "a"\nto = "b"\n'
"""A rule of four lines; a key that is added stands in line 5."""
BUS = '[[bus]]\nname = "main"\n'
PROFILE = '[[profile]]\nname = "live"\n'

FORMS = 'a string "client:port", a "/regular expression/", a table, or a list of these'
TEXT = "a string, not empty, without control characters"


def problems(*texts: str) -> list[str]:
    """Give what is wrong with these files, called 1.toml and so on."""
    documents = [read_document(f"{number}.toml", text.encode()) for number, text in enumerate(texts, 1)]
    with pytest.raises(ConfigInvalid) as caught:
        parse(documents)
    return [str(problem) for problem in caught.value.problems]
