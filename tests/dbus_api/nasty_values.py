"""Values of any D-Bus type that a careless or hostile caller may send, drawn from a seed."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from jackd_router.dbus_api.message_bus import Value, Variant, variant

_TEXTS = [
    *("", "a", "x" * 256, "x" * 70_000, "💥" * 500, "client:port", "../../etc/passwd", "%s%n{}", "*", "[" * 300, "(?:" * 200),
    *("\n\r\t\x07", "-1", "/", r"\x", "\\", "\u202e", "é", "a b", "system:playback_1", "*:*", "?" * 100, "*a" * 60, "ns:" * 100),
    *("/dev/zero", "/dev/stdin", "/proc/self/mem", "/" + "a" * 300, "/" + "a/" * 3_000, r"/\x00", r"\xff\x80", "]]>", "--"),
]
_NUMBERS: dict[str, tuple[Value, ...]] = {
    "y": (0, 1, 255),
    "b": (True, False),
    "n": (0, -1, 2**15 - 1, -(2**15)),
    "q": (0, 1, 2**16 - 1),
    "i": (0, -1, 2**31 - 1, -(2**31)),
    "u": (0, 1, 2, 64, 3_600_000, 2**31, 2**32 - 1),
    "x": (0, -1, 2**63 - 1, -(2**63)),
    "t": (0, 1, 2**64 - 1),
    "d": (0.0, -0.0, 1.0, -6.5, 1e308, -1e308, float("inf"), float("-inf"), float("nan"), -144.0, 20.0, 5e-324),
}
_SIGNATURES = ("s", "u", "d", "b", "as", "a{sv}", "a(ss)", "v", "aad", "t", "o", "i", "ay", "g", "x", "a{s(dd)}", "(ss)", "au")
_CONTRACT = Path(__file__).parents[2] / "dbus"
_OPTIONS = re.compile(r"\bOptions\b.+?(?=\n\s*\n|-->)", re.DOTALL)
"""The paragraph of a comment that names the options of a method."""
_OPTION = re.compile(r"\b([a-z]+(?:-[a-z]+)*) (b|u|s|d|as|ad|au|aad)\b")


def documented_options() -> list[tuple[str, str]]:
    """Give the name and the type of every option that the contract names, as `dry-run b`, in alphabetical order."""
    texts = (file.read_text() for file in _CONTRACT.glob("*.xml"))
    return sorted({option for text in texts for paragraph in _OPTIONS.findall(text) for option in _OPTION.findall(paragraph)})


class NastyValues:
    """Draws values; the same seed gives the same ones. `known`: texts that mean something to who gets them."""

    def __init__(self, seed: int, known: Sequence[str] = ()) -> None:
        self.random = random.Random(seed)
        self._known = known
        self._options = documented_options()

    def signature(self) -> str:
        """Give the signature of arguments that a method may not expect."""
        return "".join(self.random.choices(_SIGNATURES, k=self.random.randrange(4)))

    def type(self) -> str:
        """Give the signature of one value."""
        return self.random.choice(_SIGNATURES)

    def body(self, signature: str) -> list[Value]:
        """Give arguments of this signature."""
        return [self._value(one, 0) for one in split(signature)]

    def _value(self, signature: str, depth: int) -> Value:
        if signature in _NUMBERS:
            return self.random.choice(_NUMBERS[signature])
        match signature[0]:
            case "s":
                return self._text()
            case "o":
                return self.random.choice(("/", "/a", "/" + "a/" * 200 + "b"))
            case "g":
                return self.random.choice(("", "s", "a{sv}", "(((((i)))))"))
            case "v":
                return self._variant(depth)
            case "(":
                return [self._value(one, depth + 1) for one in split(signature[1:-1])]
            case _:
                return self._array(signature[1:], depth)

    def _text(self) -> str:
        """Give a text, half of the time one that means something."""
        if self._known and self.random.random() < 0.5:
            return self.random.choice(self._known)
        if self.random.random() < 0.2:
            return "".join(chr(self.random.randrange(1, 0xD7FF)) for _ in range(self.random.randrange(20)))
        return self.random.choice(_TEXTS)

    def _variant(self, depth: int) -> Variant:
        return self._variant_of("s" if depth > 5 else self.random.choice(_SIGNATURES), depth)

    def _variant_of(self, signature: str, depth: int) -> Variant:
        return variant(signature, self._value(signature, depth + 1))

    def _array(self, element: str, depth: int) -> Value:
        if element == "y":
            return self.random.randbytes(self.random.choice((0, 1, 2, 3, 1_000)))
        if element == "{sv}" and self.random.random() < 0.7:
            return self._some_options(depth)
        length = self.random.choice((0, 1, 2, 3, 40 if depth < 2 else 2))
        if not element.startswith("{"):
            return [self._value(element, depth + 1) for _ in range(length)]
        key, value = split(element[1:-1])
        assert key == "s"
        return {str(self._value(key, depth + 1)): self._value(value, depth + 1) for _ in range(length)}

    def _some_options(self, depth: int) -> Value:
        """Give none, one or two options that some method knows, each of its type."""
        some = self.random.choices(self._options, k=self.random.choice((0, 0, 1, 1, 2)))
        return {name: self._variant_of(signature, depth + 1) for name, signature in some}


def split(signature: str) -> list[str]:
    """Give the complete types of a signature."""
    types: list[str] = []
    while signature:
        arrays = re.match("a*", signature)
        assert arrays is not None
        length = arrays.end() + 1
        while signature[:length].count("(") + signature[:length].count("{") > signature[:length].count(")") + signature[
            :length
        ].count("}"):
            length += 1
        types.append(signature[:length])
        signature = signature[length:]
    return types
