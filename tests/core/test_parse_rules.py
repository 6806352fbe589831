"""Reading [[rule]]: every key, every form, and every mistake at its place."""

from __future__ import annotations

import pytest

from jackd_router.core.config import Action, Exclusive, Manual, Origin, Pairing, Rule, When
from jackd_router.core.errors import Severity
from jackd_router.core.language.vocabulary import CONNECT_ONLY, KNOWN
from jackd_router.core.selecting.patterns import Form, Pattern
from jackd_router.core.selecting.selectors import BusSelector, PortSelector, Selectors
from tests.core.building import config
from tests.core.parsing import BUS, FORMS, PROFILE, RULE, TEXT, problems

KEYS = ", ".join(KNOWN["rule"])
MAP = 'a table of endings { FL = "AUX0", FR = ["AUX1", "AUX3"] }'
PAIR = f'"auto", "order", "all", "name", {MAP}'
PRIORITY = "an integer from -2147483647 to 2147483647"


def client(name: str) -> PortSelector:
    """Give the selector of all ports of a client."""
    return PortSelector(client=Pattern(Form.GLOB, name))


def each(*names: str) -> Selectors:
    """Give the selectors of the ports of any of these clients."""
    return tuple(map(client, names))


def read(more: str) -> Rule:
    """Give the rule that also says this."""
    (rule,) = config(RULE + more + "\n" + BUS + PROFILE).rules
    return rule


def test_a_rule_has_defaults() -> None:
    assert read("") == Rule("r", each("a"), each("b"), Origin("test.toml", 1))


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("action = 'leave'", "action", Action.LEAVE),
        *((f"pair = '{pairing}'", "pair", pairing) for pairing in Pairing),
        ("pair = { FL = 'AUX0' }", "pair", (("FL", ("AUX0",)),)),
        ("pair = { 1 = '2', 'é \"' = ['b', 'a', 'b'] }", "pair", (("1", ("2",)), ('é "', ("b", "a", "b")))),
        ("pair.FL = 'L'\npair.FR = ['R']", "pair", (("FL", ("L",)), ("FR", ("R",)))),
        ("complete = true", "complete", True),
        *((f"exclusive = '{where}'", "exclusive", where) for where in Exclusive),
        ("fallback = 'c'", "fallback", (each("c"),)),
        ("fallback = ['c', 'd']", "fallback", (each("c"), each("d"))),
        ("fallback = [['c', 'd'], 'e']", "fallback", (each("c", "d"), each("e"))),
        ("from_fallback = [['c'], 'd']", "from_fallback", (each("c"), each("d"))),
        ("via = 'c'", "via", (each("c"),)),
        ("via = ['c', ['d', 'e'], { bus = 'main' }]", "via", (each("c"), each("d", "e"), (BusSelector("main", None, "router"),))),
        ("when.present = 'c'", "when", When(present=(each("c"),))),
        ("when = { present = ['c', ['d', 'e']], absent = 'f' }", "when", When((each("c"), each("d", "e")), (each("f"),))),
        ("[rule.when]\nabsent = ['c']", "when", When(absent=(each("c"),))),
        ("profiles = ['live', 'default']", "profiles", frozenset(("live", "default"))),
        ("priority = -2147483647", "priority", -2147483647),
        ("enabled = false", "enabled", False),
        *((f"manual = '{manual}'", "manual", manual) for manual in Manual),
        ("allow_feedback = true", "allow_feedback", True),
        ("same_client = true", "same_client", True),
    ],
)
def test_every_form_of_every_key_is_read(text: str, key: str, value: object) -> None:
    assert getattr(read(text), key) == value


def test_follow_stands_in_the_place_of_from() -> None:
    (rule,) = config("[[rule]]\nname = 'r'\nfollow = ['a', { bus = 'main' }]\nto = 'c'\n" + BUS).rules
    assert (rule.follows, rule.sources) == (True, (client("a"), BusSelector("main", None, "router")))


def test_what_from_catches_may_be_used_in_to_fallback_and_via() -> None:
    text = "[[rule]]\nname = 'r'\nfrom = '/(?P<x>.)/'\nfrom_fallback = [['/(?P<x>y)z/']]\n"
    (rule,) = config(text + "to = '{1}{2}'\nfallback = ['a', '{x}']\nvia = [['b{1}']]\nwhen.present = '{x}'\n").rules
    used = [rule.destinations[0], rule.fallback[0][0], rule.fallback[1][0], rule.via[0][0], rule.when.present[0][0]]
    assert [selector.needs for selector in used] == [{"1"}, set(), {"x"}, {"1"}, set()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("priority = true", f"12: priority: found true; allowed: {PRIORITY}"),
        ("priority = 1.5", f"12: priority: found 1.5; allowed: {PRIORITY}"),
        ("priority = 1.0", f"12: priority: found 1.0; allowed: {PRIORITY}"),
        ("priority = 2147483648", f"12: priority: found 2147483648; allowed: {PRIORITY}"),
        ("enabled = 'no'", '11: enabled: found "no"; allowed: true, false'),
        ("action = 'connct'", '10: action: found "connct"; allowed: "connect", "forbid", "leave" (did you mean "connect"?)'),
        ("exclusiv = true", f"1: unknown key \"exclusiv\"; did you mean 'exclusive'? known here: {KEYS}"),
        ("a-b = true", f'1: unknown key "a-b"; known here: {KEYS}'),
        ("pair = 'atuo'", f'8: pair: found "atuo"; allowed: {PAIR} (did you mean "auto"?)'),
        ("pair = ['all']", f"8: pair: found a list; allowed: {PAIR}"),
        ("pair = {}", f"8: pair: found a table; allowed: {MAP}, not empty"),
        ("pair = { FL = 5 }", "15: pair: found 5; allowed: an ending of ports, or a list of endings"),
        ("pair = { FL = [] }", "15: pair: found an empty list; allowed: an ending of ports, or a list of endings"),
        ("pair = { FL = ['a', ''] }", '21: pair: found ""; allowed: an ending of ports, or a list of endings'),
        ("pair = { '' = 'a' }", f'10: pair: found the ending ""; allowed: {TEXT}'),
        ('pair = { "a\\tb" = "a" }', f'10: pair: found the ending "a\\u0009b"; allowed: {TEXT}'),
        ("pair = { FL = 'a', fl = 'b' }", '20: pair: "fl" and "FL" are one ending; write it once, with a list'),
        ("complete = 'yes'", '12: complete: found "yes"; allowed: true, false'),
        ("exclusive = true", '13: exclusive: found true; allowed: "from", "to", "both"'),
        ("exclusive = 'form'", '13: exclusive: found "form"; allowed: "from", "to", "both" (did you mean "from"?)'),
        ("fallback = 5", f"12: fallback: found 5; allowed: {FORMS}"),
        ("fallback = []", f"12: fallback: found an empty list; allowed: {FORMS}, not empty"),
        ("fallback = ['c', []]", f"18: fallback: found an empty list; allowed: {FORMS}, not empty"),
        ("from_fallback = ['c', ['d', 5]]", f"29: from_fallback: found 5; allowed: {FORMS}"),
        ("via = [['c', ['d']]]", f"14: via: found a list; allowed: {FORMS}"),
        ("via = ''", f'7: via: found ""; allowed: {FORMS}'),
        ("when = 5", "8: when: found 5; allowed: a table, [rule.when]"),
        ("when = ['c']", "8: when: found a list; allowed: a table, [rule.when]"),
        ("when = {}", "8: when: found a table; allowed: present = [...], absent = [...], or both"),
        ("when = { presnt = 'c' }", "10: unknown key \"presnt\"; did you mean 'present'? known here: present, absent"),
        ("when = { absent = [] }", f"19: absent: found an empty list; allowed: {FORMS}, not empty"),
        ("allow_feedback = 'yes'", '18: allow_feedback: found "yes"; allowed: true, false'),
        ("same_client = 0", "15: same_client: found 0; allowed: true, false"),
        ("manual = 'enforced'", '10: manual: found "enforced"; allowed: "respect", "enforce" (did you mean "enforce"?)'),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    assert problems(RULE + text) == [f"1.toml:5:{expected}"]


def test_a_rule_must_say_what_it_is_about() -> None:
    assert problems("[[rule]]\n") == [
        "1.toml:1:1: a rule must have a name",
        "1.toml:1:1: a rule must say 'from' (or 'follow')",
        "1.toml:1:1: a rule must say 'to'",
    ]


def test_follow_and_from_cannot_both_stand() -> None:
    assert problems(RULE + "follow = 'c'\nfrom_fallback = 'd'\n") == [
        f"1.toml:{line}:1: '{key}' cannot stand beside 'follow', which names ports to follow in its place"
        for line, key in ((3, "from"), (6, "from_fallback"))
    ]


@pytest.mark.parametrize("action", ["forbid", "leave"])
@pytest.mark.parametrize("key", CONNECT_ONLY)
def test_what_only_a_rule_that_connects_has(action: str, key: str) -> None:
    value = {"pair": "'all'", "exclusive": "'to'", "manual": "'respect'"}.get(
        key, "'c'" if key in ("fallback", "from_fallback", "follow", "via") else "true"
    )
    text = RULE if key != "follow" else RULE.replace("from =", "# from =")
    expected = f"1.toml:6:1: '{key}' means nothing in a rule with action = \"{action}\"; leave it out"
    assert problems(f"{text}action = '{action}'\n{key} = {value}\n") == [expected]


def test_the_other_keys_stand_in_every_rule() -> None:
    for action in ("forbid", "leave"):
        assert (
            read(f"action = '{action}'\nwhen.absent = 'c'\nprofiles = ['live']\npriority = 1\nenabled = false").action == action
        )
    assert {*CONNECT_ONLY} | {"name", "action", "from", "to", "when", "profiles", "priority", "enabled"} == {*KNOWN["rule"]}


@pytest.mark.parametrize(
    ("key", "side"),
    [
        ("from", "outputs"),
        ("from_fallback", "outputs"),
        ("to", "inputs"),
        ("fallback", "inputs"),
        ("follow", "inputs"),
        ("via", "either"),
    ],
)
def test_a_channel_of_a_bus_must_be_on_the_side_that_is_meant(key: str, side: str) -> None:
    keys = {"from": "'a'", "to": "'b'"} if key != "follow" else {"to": "'b'"}
    keys[key] = "{ bus = 'main', channel = 'x' }"
    text = "[[bus]]\nname = 'main'\nchannels = ['i']\noutputs = ['o']\n[[rule]]\nname = 'r'\n"
    (problem,) = problems(text + "".join(f"{key} = {value}\n" for key, value in keys.items()))
    assert problem.endswith('channel: found "x"; allowed: ' + {"outputs": '"o"', "inputs": '"i"', "either": '"i", "o"'}[side])


def test_a_group_must_be_in_every_alternative_of_what_may_take_part() -> None:
    text = "[[rule]]\nname = 'r'\nfrom = ['/a(.)/', 'b']\nfrom_fallback = ['/(?P<x>.)/', 'c']\nto = '{1}'\nvia = ['v', '{x}']\n"
    assert problems(text + "fallback = [['f', '{1}']]\n") == [
        f"1.toml:{place}: {{{group}}} is used here, so every alternative of '{origin}' must have that group"
        for place, group in (("5:6", "1"), ("6:7", "x"), ("7:12", "1"))
        for origin in ("from", "from_fallback")
    ]
    text = "[[rule]]\nname = 'r'\nfollow = ['/a(.)/', 'b']\nto = '{1}'\n"
    assert problems(text) == ["1.toml:4:6: {1} is used here, so every alternative of 'follow' must have that group"]


def warnings(text: str) -> list[str]:
    """Give what is said of the rules, which are used all the same."""
    found = config(text).warnings
    assert {warning.severity for warning in found} <= {Severity.WARNING}
    return [str(warning).removeprefix("test.toml:") for warning in found]


def test_a_rule_between_buses_connects_nothing() -> None:
    text = BUS + "[[rule]]\nname = 'r'\nfrom = { bus = 'main' }\nto = { bus = 'main' }\n"
    said = "both sides are buses, ports of one client: the rule connects nothing unless it says same_client = true"
    assert warnings(text) == [f"6:6: {said}"]
    for more in ("same_client = true", "fallback = 'a'", "from_fallback = 'a'", "via = 'a'", "action = 'forbid'"):
        assert warnings(text + more) == []


@pytest.mark.parametrize(
    ("sources", "destinations", "expected"),
    [
        ("{ type = 'audio' }", "{ type = 'midi' }", "'from' means audio, 'to' means midi: no pair has both"),
        (
            "[{ type = 'cv' }, { type = 'audio' }]",
            "{ type = 'midi' }",
            "'from' means audio, cv, 'to' means midi: no pair has both",
        ),
        ("{ type = 'cv' }", "{ type = 'audio' }", None),
        ("{ type = 'audio' }", "[{ type = 'midi' }, 'b']", None),
        ("'a'", "{ type = 'midi' }", None),
        ("{ bus = 'main' }", "{ type = 'midi' }", "'from' means audio, 'to' means midi: no pair has both"),
        ("{ bus = 'keys' }", "{ bus = 'main' }", "'from' means midi, 'to' means audio: no pair has both"),
        ("{ bus = 'keys' }", "{ type = 'midi' }", None),
    ],
)
def test_types_that_never_meet(sources: str, destinations: str, expected: str | None) -> None:
    buses = "[[bus]]\nname = 'main'\n[[bus]]\nname = 'keys'\ntype = 'midi'\n"
    said = [
        text.removeprefix("4:6: ")
        for text in warnings(f"[[rule]]\nname = 'r'\nfrom = {sources}\nto = {destinations}\nsame_client = true\n{buses}")
    ]
    assert said == ([] if expected is None else [expected])
