"""The keys of the configuration: those that are known in each kind of table, and those that come with a later version."""

from __future__ import annotations

KNOWN: dict[str, tuple[str, ...]] = {
    "file": ("server", "client", "daemon", "policy", "rule", "bus", "profile"),
    "server": ("name", "library"),
    "client": ("name",),
    "daemon": ("watch",),
    "policy": ("unmatched", "manual", "feedback"),
    "rule": (
        "name",
        "action",
        "from",
        "to",
        "pair",
        "complete",
        "exclusive",
        "fallback",
        "from_fallback",
        "follow",
        "via",
        "when",
        "profiles",
        "priority",
        "enabled",
        "manual",
        "allow_feedback",
        "same_client",
    ),
    "when": ("present", "absent"),
    "bus": ("name", "type", "channels", "outputs", "gain", "channel_gains", "mute", "matrix", "fade_ms"),
    "profile": ("name", "description", "bus"),
    "bus of a profile": ("gain", "mute"),
    "selector": (
        "client",
        "port",
        "alias",
        "pretty_name",
        "exact",
        "type",
        "physical",
        "terminal",
        "nth",
        "bus",
        "channel",
    ),
}

CONNECT_ONLY = (
    "pair",
    "complete",
    "exclusive",
    "fallback",
    "from_fallback",
    "follow",
    "via",
    "manual",
    "allow_feedback",
    "same_client",
)
"""Keys of a rule that mean nothing with `forbid` and `leave`."""

NOT_YET: dict[str, tuple[str, ...]] = {
    "server": ("system",),
    "bus": ("midi_channels",),
    # Values of keys that are known.
    "library": ("pipewire",),
    "bus type": ("midi",),
}
"""What the language has and this program does not: refused by name, for a key that is ignored would widen a rule."""


def not_yet(text: str) -> str:
    """Give the words that refuse it."""
    return f"{text} is not supported by this version yet"
