"""Texts as a TOML file has them, so that the language reads back what was meant."""

from __future__ import annotations

import json


def quoted(text: str) -> str:
    """Give a text as a TOML string."""
    # The escapes of JSON are escapes of TOML; but DEL, which JSON leaves as it is, must be escaped in TOML.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def printable(text: str) -> str:
    r"""Give the text with `\xNN` for each byte of what is no printable character."""
    return "".join(c if c.isprintable() else "".join(rf"\x{byte:02x}" for byte in c.encode()) for c in text)
