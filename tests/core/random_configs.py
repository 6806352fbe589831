"""Random configurations with every key of the language, as the values that a TOML file would hold."""

from __future__ import annotations

from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from jackd_router.core.config import Config, Document
from jackd_router.core.errors import ConfigInvalid
from jackd_router.core.language.parse import parse

Values = dict[str, Any]

# What is special to globs, to regular expressions, to TOML, to `\xNN`, and what only looks as if it were.
_PIECES = (
    *"ab:*?/([{}é\"'#日 ",
    "{1}",
    "{x}",
    "{2}",
    r"\\",
    r"\xe9",
    r"\x2f",
    r"\x3a",
    r"\x7b1}",
    r"{\x31}",
    r"\x07",
    r"\x7f",
    r"\xc2\x85",
    r"\x00",
)
_globs = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6).map("".join).filter(lambda text: text[0] != "/")
_regexes = st.sampled_from(
    ("//", "/a{1}/", '/"/', "/'''/", r"/\\\"\//", r"/(?i)é#\x07[^\]]*/", r"/\w+:(?:日|\u00e9)/", "/a{2}{x}/", r"/{1}\{x}/")
)
_with_groups = st.sampled_from((r"/(?P<x>\w+)\"\\:.*/", "/(?P<x>a|é):(.*)/", "/(?P<x>.*)/"))
_endings = st.text(st.sampled_from("FLR01.-é\"'# \\"), min_size=1, max_size=3)
_names = st.text(st.sampled_from("ab é\"'#\\{1}[]"), min_size=1, max_size=4)
_positions = st.integers(1, 12)
_flags = st.booleans()


def _one_or_many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


def _port_tables(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Values]:
    return st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("client", "port", "alias", "pretty_name"), texts),
            "exact": _globs.map(lambda text: f"a:{text}"),
            "type": st.sampled_from(("audio", "midi", "cv")),
            "physical": _flags,
            "terminal": _flags,
            "nth": _one_or_many(_positions),
        },
    ).filter(bool)


_buses = st.sampled_from(({"bus": "main"}, {"bus": "main", "channel": "L"}))
_simple = st.one_of(_globs, _regexes, _port_tables(st.one_of(_globs, _regexes)), _buses)
_catching = st.one_of(_with_groups, st.fixed_dictionaries({"client": _with_groups}, optional={"port": _globs}))
_selectors = _one_or_many(_simple)
_each = st.one_of(_simple, st.lists(_selectors, min_size=1, max_size=3))
_filled = st.one_of(_simple, st.sampled_from(({"bus": "{x}"}, {"bus": "main", "channel": "{1}"})))
_filled_selectors = _one_or_many(_filled)
_filled_each = st.one_of(_filled, st.lists(_filled_selectors, min_size=1, max_size=3))
_when = st.fixed_dictionaries({}, optional={"present": _each, "absent": _each}).filter(bool)
_profiles = st.lists(st.sampled_from(("default", "live", 'on "stage"')), min_size=1, max_size=2, unique=True)
_channel_maps = st.dictionaries(_endings, _one_or_many(_endings), min_size=1, max_size=3)


@st.composite
def _rules(draw: st.DrawFn, number: int) -> Values:
    rule: Values = {"name": f"{number} {draw(_names)}"}
    action = draw(st.sampled_from(("connect", "connect", "connect", "forbid", "leave")))
    catches = draw(_flags)
    follows = action == "connect" and draw(st.sampled_from((False, False, True)))
    rule["follow" if follows else "from"] = draw(_one_or_many(_catching) if catches else _selectors)
    rule["to"] = draw(_filled_selectors if catches else _selectors)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "when": _when,
        "profiles": _profiles,
        "priority": st.integers(-3, 3),
        "enabled": _flags,
    }
    if action != "connect":
        return rule | {"action": action} | draw(st.fixed_dictionaries({}, optional=optional))
    optional |= {
        "pair": st.one_of(st.sampled_from(("auto", "order", "all", "name")), _channel_maps),
        "complete": _flags,
        "exclusive": st.sampled_from(("from", "to", "both")),
        "fallback": _filled_each if catches else _each,
        "via": _filled_each if catches else _each,
        "manual": st.sampled_from(("respect", "enforce")),
        "allow_feedback": _flags,
        "same_client": _flags,
    }
    if not follows:
        optional["from_fallback"] = (
            st.one_of(_catching, st.lists(_one_or_many(_catching), min_size=1, max_size=2)) if catches else _each
        )
    return rule | draw(st.fixed_dictionaries({}, optional=optional))


_gains = st.floats(max_value=20.0, allow_nan=False)
_bus_values = st.fixed_dictionaries({}, optional={"gain": _gains, "mute": _flags})


@st.composite
def documents(draw: st.DrawFn) -> Values:
    """Give the values of one file; most are a valid configuration."""
    settings = st.fixed_dictionaries(
        {},
        optional={
            "server": st.fixed_dictionaries({}, optional={"name": _names, "library": st.sampled_from(("auto", "jack2"))}),
            "client": st.just({"name": 'mé"'}),
            "daemon": st.fixed_dictionaries({"watch": _flags}),
            "policy": st.fixed_dictionaries(
                {},
                optional={
                    "unmatched": st.sampled_from(("keep", "remove")),
                    "manual": st.sampled_from(("respect", "enforce")),
                    "feedback": st.sampled_from(("refuse", "allow")),
                },
            ),
        },
    )
    described = st.fixed_dictionaries(
        {}, optional={"description": _names, "bus": st.dictionaries(st.sampled_from(("main", "B-2")), _bus_values, max_size=2)}
    )
    named = [name for name in ("live", "default", 'on "stage"') if name != "default" or draw(_flags)]
    return draw(settings) | {
        "rule": [draw(_rules(number)) for number in range(draw(st.integers(0, 3)))],
        "bus": [{"name": "main", "channels": ["L", "R"]}, {"name": "B-2", "outputs": 1, "gain": draw(_gains)}],
        "profile": [{"name": name} | draw(described) for name in named],
    }


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Give a configuration in which every key may stand."""
    try:
        return parse([Document("test.toml", draw(documents()), {}, {})])
    except ConfigInvalid:
        reject()
