"""The files of the configuration: the main file, its drop-ins, and what is wrong with reading them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from jackd_router.core.config import Config, Document
from jackd_router.core.errors import ConfigInvalid, Problem
from jackd_router.core.language.parse import parse
from jackd_router.runtime.toml_errors import line_of_long_number, syntax_error
from jackd_router.runtime.toml_positions import read_positions
from jackd_router.runtime.whole_files import read_whole

MAX_BYTES = 4 * 1024 * 1024
"""No configuration is that large: something else was named by mistake."""


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Give where the main file stands by the XDG base directory specification."""
    base = Path(environment.get("XDG_CONFIG_HOME", ""))
    # The specification: a relative path is to be ignored.
    return (base if base.is_absolute() else Path.home() / ".config") / "jackd-router" / "router.toml"


def drop_in_directory(path: Path) -> Path:
    """Give the directory whose `*.toml` are read after the main file."""
    # Not with_name(): it refuses "." and "/", which are to be told as files that cannot be read.
    return path.parent / f"{path.name}.d"


def load_config(path: Path, *, must_exist: bool = False) -> Config:
    """Give the configuration that the files make together; raises ConfigInvalid with everything that is wrong.

    A main file that is not there means that there are no rules, unless somebody has named it.
    """
    if must_exist and _is_missing(path):
        raise ConfigInvalid((Problem(_name(path), 0, 0, "there is no such file"),))
    documents, problems = _read_all(path)
    return parse(documents, problems)


def _is_missing(path: Path) -> bool:
    """Tell whether nothing is there; of what cannot be looked at (a name too long, a folder of others) reading tells why."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _read_all(path: Path) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    """Give the documents in the order in which they count, an empty one for each file that could not be read."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for file in (path, *_drop_ins(path, problems)):
        try:
            documents.append(read_file(file))
            continue
        except ConfigInvalid as error:
            problems += error.problems
        except (OSError, ValueError) as error:
            # A main file that is missing means "no rules"; a link, or a drop-in, that is there and leads nowhere is a mistake.
            if file is not path or not isinstance(error, FileNotFoundError) or file.is_symlink():
                problems.append(_unreadable(file, error))
        documents.append(Document(_name(file), {}, {}, {}))
    return tuple(documents), tuple(problems)


def _drop_ins(path: Path, problems: list[Problem]) -> list[Path]:
    try:
        return drop_in_files(path)
    except (OSError, ValueError) as error:
        problems.append(_unreadable(drop_in_directory(path), error))
        return []


def drop_in_files(path: Path) -> list[Path]:
    """Give the files that are read after the main file, in this order; raise OSError where they cannot be listed."""
    try:
        return sorted(filter(is_drop_in, drop_in_directory(path).iterdir()))
    except FileNotFoundError:
        return []


def is_drop_in(path: Path) -> bool:
    """Tell by its name whether a file is a drop-in; with a dot in front it is what an editor keeps beside it."""
    return path.suffix == ".toml" and not path.name.startswith(".")


def read_file(path: Path) -> Document:
    """Give the document that a file makes; raises ConfigInvalid with the first error of syntax, and OSError."""
    return read_document(_name(path), read_whole(path, MAX_BYTES))


def read_document(file: str, text: bytes) -> Document:
    """Give the document that the bytes of a file make; raises ConfigInvalid with the first error of syntax."""
    try:
        values = tomllib.loads(text.decode())
    except UnicodeDecodeError as error:
        before = text[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise _invalid(file, line, column, f"byte 0x{text[error.start]:02x} is not UTF-8; TOML files are") from None
    except tomllib.TOMLDecodeError as error:
        raise _invalid(file, *syntax_error(str(error), text.decode())) from None
    except RecursionError:
        raise _invalid(file, 1, 1, "arrays or tables nest too deep") from None
    except ValueError:
        # An integer of thousands of digits: tomllib lets Python's own error through, which knows no place.
        raise _invalid(file, line_of_long_number(text.decode()), 1, "a number with too many digits") from None
    return Document(file, values, *read_positions(text))


def _invalid(file: str, line: int, column: int, text: str) -> ConfigInvalid:
    return ConfigInvalid((Problem(file, line, column, text),))


def _unreadable(path: Path, error: Exception) -> Problem:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Problem(_name(path), 0, 0, f"cannot be read: {reason}")


def _name(path: Path) -> str:
    """Give the path as valid text."""
    return os.fsencode(path).decode(errors="backslashreplace")
