"""The keys of the configuration: those that are known in each kind of table, and those that come with a later version."""

from __future__ import annotations

KNOWN: dict[str, tuple[str, ...]] = {
    "file": ("server", "client", "daemon", "policy", "rule", "bus"),
    "server": ("name", "library"),
    "client": ("name",),
    "daemon": ("watch",),
    "policy": ("unmatched", "manual"),
    "rule": ("name", "action", "from", "to", "pair", "priority", "enabled", "manual", "same_client"),
    "bus": ("name", "type", "channels", "outputs", "gain", "channel_gains", "mute", "matrix", "fade_ms"),
    "selector": ("client", "port", "alias", "exact", "type", "physical", "terminal", "bus", "channel"),
}

CONNECT_ONLY = ("pair", "manual", "same_client")
"""Keys of a rule that mean nothing with `forbid` and `leave`."""

NOT_YET: dict[str, tuple[str, ...]] = {
    "file": ("profile",),
    "server": ("system",),
    "policy": ("feedback",),
    "rule": (
        "complete",
        "exclusive",
        "fallback",
        "from_fallback",
        "follow",
        "via",
        "when",
        "profiles",
        "allow_feedback",
    ),
    "bus": ("midi_channels",),
    "selector": ("pretty_name", "nth"),
    # Values of keys that are known.
    "library": ("pipewire",),
    "pair": ("name", "table"),
    "bus type": ("midi",),
    "port type": ("cv",),
}
"""What the language has and this program does not: refused by name, for a key that is ignored would widen a rule."""


def not_yet(text: str) -> str:
    """Give the words that refuse it."""
    return f"{text} is not supported by this version yet"
