"""The keys of the configuration that are known in each kind of table."""

from __future__ import annotations

KNOWN: dict[str, tuple[str, ...]] = {
    "file": ("server", "client", "daemon", "policy", "rule", "bus", "profile", "snapshot"),
    "server": ("name", "library", "system"),
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
    "bus": ("name", "type", "channels", "outputs", "gain", "channel_gains", "mute", "matrix", "fade_ms", "midi_channels"),
    "profile": ("name", "description", "bus"),
    "bus of a profile": ("gain", "mute"),
    "snapshot": ("created", "description"),
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

ONLY_OF_TYPE = {
    "audio": ("outputs", "gain", "channel_gains", "matrix", "fade_ms"),
    "midi": ("midi_channels",),
}
"""Keys of a bus that mean nothing for one of another type."""
