"""Values of any D-Bus type that a careless or hostile caller may send, drawn from a seed."""

from __future__ import annotations

import random
import re

from jackd_router.dbus_api.message_bus import Value, Variant, variant

_TEXTS = [
    *("", "a", "x" * 256, "x" * 70_000, "💥" * 500, "client:port", "../../etc/passwd", "%s%n{}", "*", "[" * 300, "(?:" * 200),
    *("\n\r\t\x07", "-1", "/", r"\x", "\\", "\u202e", "é", "a b", "system:playback_1"),
]
_NUMBERS: dict[str, tuple[Value, ...]] = {
    "b": (True, False),
    "i": (0, -1, 2**31 - 1, -(2**31)),
    "u": (0, 1, 2**31, 2**32 - 1),
    "t": (0, 1, 2**64 - 1),
    "d": (0.0, -0.0, 1e308, float("inf"), float("-inf"), float("nan"), -144.0, 20.0, 5e-324),
}
_SIGNATURES = ("s", "u", "d", "b", "as", "a{sv}", "a(ss)", "v", "aad", "t", "o", "i")


class NastyValues:
    """Draws values; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def signature(self) -> str:
        """Give the signature of arguments that a method may not expect."""
        return "".join(self._random.choices(_SIGNATURES, k=self._random.randrange(4)))

    def body(self, signature: str) -> list[Value]:
        """Give arguments of this signature."""
        return [self._value(one, 0) for one in split(signature)]

    def _value(self, signature: str, depth: int) -> Value:
        if signature in _NUMBERS:
            return self._random.choice(_NUMBERS[signature])
        match signature[0]:
            case "s":
                return self._random.choice(_TEXTS)
            case "o":
                return self._random.choice(("/", "/a", "/" + "a/" * 200 + "b"))
            case "v":
                return self._variant(depth)
            case "(":
                return [self._value(one, depth + 1) for one in split(signature[1:-1])]
            case _:
                return self._array(signature[1:], depth)

    def _variant(self, depth: int) -> Variant:
        signature = "s" if depth > 5 else self._random.choice(_SIGNATURES)
        return variant(signature, self._value(signature, depth + 1))

    def _array(self, element: str, depth: int) -> Value:
        length = self._random.choice((0, 1, 2, 3, 40 if depth < 2 else 2))
        if not element.startswith("{"):
            return [self._value(element, depth + 1) for _ in range(length)]
        key, value = split(element[1:-1])
        assert key == "s"
        return {str(self._value(key, depth + 1)): self._value(value, depth + 1) for _ in range(length)}


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
