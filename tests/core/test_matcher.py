"""The matcher where examples of whole graphs do not reach: what it tells of changes, and whom it names."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest

from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.deciding.speakers import Standing, speakers
from jackd_router.core.errors import NoSuchRule
from jackd_router.core.graph import PortName
from jackd_router.core.steps import run_at_once
from tests.core.building import config, connection, destination, matcher, source

RULES = """
[[rule]]
name = "no"
action = "forbid"
enabled = false
from = "synth"
to = "mixer:in_2"
[[rule]]
name = "yes"
from = "synth"
to = "mixer"
[[rule]]
name = "never"
from = "mixer"
to = "mixer"
"""


@pytest.fixture
def stereo() -> Matcher:
    """Give a matcher of a stereo synth and a stereo mixer, whose changes were taken."""
    ports = [
        source("synth:out_1"),
        source("synth:out_2"),
        destination("mixer:in_1"),
        destination("mixer:in_2"),
        source("mixer:out"),
    ]
    result = matcher(config(RULES), ports)
    assert result.take_changed() == {connection("synth:out_1 -> mixer:in_1"), connection("synth:out_2 -> mixer:in_2")}
    return result


def test_changes_are_told_once(stereo: Matcher) -> None:
    assert stereo.take_changed() == set()


def test_a_port_that_goes_changes_its_pairs_and_those_that_move(stereo: Matcher) -> None:
    stereo.remove_port(PortName("synth:out_1"))
    assert stereo.take_changed() == {
        connection("synth:out_1 -> mixer:in_1"),
        connection("synth:out_2 -> mixer:in_1"),
        # Still chosen, but from now on as the rest of a fan-out.
        connection("synth:out_2 -> mixer:in_2"),
    }


def test_a_port_that_is_told_of_again_changes_nothing(stereo: Matcher) -> None:
    stereo.add_port(source("synth:out_1"))
    assert stereo.take_changed() == set()


def test_a_rule_that_is_switched_changes_what_it_covers_of_the_chosen(stereo: Matcher) -> None:
    stereo.set_rule_enabled("no", True)
    assert stereo.take_changed() == {connection("synth:out_2 -> mixer:in_2")}
    stereo.set_rule_enabled("no", True)
    assert stereo.take_changed() == set()
    stereo.set_rule_enabled("yes", False)
    assert stereo.take_changed() == {connection("synth:out_1 -> mixer:in_1"), connection("synth:out_2 -> mixer:in_2")}
    assert stereo.wanted() == {}


def test_a_new_alias_counts(stereo: Matcher) -> None:
    stereo.add_port(source("other:out"))
    stereo.add_port(source("other:out", aliases=["synth:alias"]))
    assert stereo.chosen_at(PortName("other:out")) == {
        connection("other:out -> mixer:in_1"),
        connection("other:out -> mixer:in_2"),
    }


@pytest.mark.parametrize("goes", ["system:playback_3", "system:playback_FC"])
def test_a_port_may_have_the_name_that_another_one_has_in_the_system(goes: str) -> None:
    ports = [source("synth:out"), *(destination(f"system:playback_{n}") for n in ("1", "3", "FC"))]
    asked = matcher(config("[[rule]]\nname = 'r'\nfrom = 'synth:*'\nto = 'system:playback_*'\npair = 'all'\n"), ports)
    # For a moment: the device is made anew, and what is to come in the place of port 3 is there before that has gone.
    asked.add_port(replace(destination("system:playback_FC"), system_name="system:playback_3"))
    asked.remove_port(PortName(goes))
    left = [port.name for port in ports[1:] if port.name != goes]
    assert set(asked.wanted()) == {connection(f"synth:out -> {name}") for name in left}
    for name in left:
        asked.remove_port(PortName(name))
    assert asked.wanted() == {}


def test_an_alias_that_brings_a_pair_under_a_forbid_changes_it_though_it_stays_chosen() -> None:
    rules = RULES.replace('enabled = false\nfrom = "synth"', 'from = { alias = "loud" }')
    asked = matcher(config(rules), [source("synth:out"), destination("mixer:in_2")])
    pair = connection("synth:out -> mixer:in_2")
    assert asked.take_changed() == {pair}
    asked.add_port(source("synth:out", aliases=["loud"]))
    assert asked.take_changed() == {pair}
    assert asked.wanted() == {}


def test_destinations_leave_with_the_last_source_that_named_them() -> None:
    rules = "[[rule]]\nname = 'r'\nfrom = '/synth:(.)_./'\nto = 'mixer:{1}'\n"
    ports = [destination("mixer:a"), source("synth:a_1"), source("synth:a_2"), destination("mixer:b")]
    asked = matcher(config(rules), ports)
    assert asked.ports_matched("r") == 3
    asked.remove_port(PortName("synth:a_1"))
    assert set(asked.wanted()) == {connection("synth:a_2 -> mixer:a")}
    asked.remove_port(PortName("synth:a_2"))
    assert asked.ports_matched("r") == 0
    asked.add_port(source("synth:b_1"))
    assert set(asked.wanted()) == {connection("synth:b_1 -> mixer:b")}


def test_speakers_come_in_deciding_order_with_their_standing(stereo: Matcher) -> None:
    told = speakers(stereo, connection("synth:out_1 -> mixer:in_2"))
    assert [(speaker.rule.name, speaker.standing) for speaker in told] == [
        ("no", Standing.DISABLED),
        ("yes", Standing.NOT_PAIRED),
    ]
    assert set(told[1].instead) == {connection("synth:out_1 -> mixer:in_1"), connection("synth:out_2 -> mixer:in_2")}
    (own,) = speakers(stereo, connection("mixer:out -> mixer:in_1"))
    assert (own.rule.name, own.standing) == ("never", Standing.SAME_CLIENT)
    assert speakers(stereo, connection("synth:out_1 -> mixer:gone")) == ()


def test_a_rule_that_is_not_there_is_named_with_the_nearest(stereo: Matcher) -> None:
    with pytest.raises(NoSuchRule, match=r'there is no rule "yse"; did you mean "yes"\?'):
        stereo.set_rule_enabled("yse", True)


def test_a_book_is_tidied_once_at_a_time_and_only_while_somebody_reads_in_it() -> None:
    rules = "".join(f"[[rule]]\nname = 'r{n}'\nfrom = 'client{n}:*'\nto = '/dest{n}:.*/'\n" for n in range(200))
    asked = Matcher(config(rules), client_name="router")
    steps = asked.book.tidy_in_steps()
    next(steps)
    assert asked.book.is_tidy, "who asks meanwhile need not begin"
    assert list(asked.book.tidy_in_steps()) == []
    asked.retire()
    assert len(list(steps)) == 0
    assert not asked.membership.is_tidy, "work for nobody"


def test_a_port_event_compares_with_few_of_many_rules() -> None:
    rules = "".join(f"[[rule]]\nname = 'r{n}'\nfrom = 'client{n}:*'\nto = '/dest{n}:.*/'\n" for n in range(500))
    asked = Matcher(config(rules), client_name="router")
    states = [asked.book.is_tidy]
    run_at_once(asked.book.tidy_in_steps())
    assert [*states, asked.book.is_tidy] == [False, True]
    assert len(asked.membership._outputs.may_match(source("client7:out"))) == 1
    assert len(asked.membership._inputs.may_match(destination("dest123:in"))) == 1
    assert not asked.membership._outputs.may_match(source("other:out"))


def test_what_two_sources_share_stays_with_the_one_that_is_left() -> None:
    rules = "[[rule]]\nname = 'r'\nfrom = '/part(.):out/'\nto = ['mixer:main', 'mixer:solo_{1}']\nvia = 'reverb'\n"
    ports = [source("part1:out"), source("part2:out"), source("reverb:out"), destination("reverb:in"), destination("mixer:main")]
    asked = matcher(config(rules), ports)
    shared = connection("reverb:out -> mixer:main")
    assert set(asked.wanted()) == {shared, *(connection(f"part{number}:out -> reverb:in") for number in (1, 2))}
    asked.remove_port(PortName("part1:out"))
    assert set(asked.wanted()) == {shared, connection("part2:out -> reverb:in")}
    asked.remove_port(PortName("part2:out"))
    assert asked.wanted() == {}


def test_a_matcher_that_retires_needs_no_garbage_collector() -> None:
    text = "[[rule]]\nname = 'one'\nfollow = 'desk'\nto = 'recorder'\nvia = 'gate'\nwhen = { present = 'synth' }\n"
    asked = matcher(config(text), [source("synth:out"), destination("desk:in"), destination("recorder:in")])
    asked.wanted()
    alive = weakref.ref(asked)
    gc.disable()
    try:
        asked.retire()
        del asked
        assert alive() is None
    finally:
        gc.enable()


STAYS = "[[rule]]\nname = 'stays'\nfrom = 'synth'\nto = 'recorder'\n"
LED = "[[rule]]\nname = 'led'\nfrom = '/(s).*/'\nto = 'recorder'\nvia = 'gate'\nwhen = { present = 'synth' }\n"
AT_THE_GATE = (source("synth:out"), source("gate:out"), destination("gate:in"), destination("recorder:in"))


def test_rules_that_are_swept_out_need_no_garbage_collector() -> None:
    before = matcher(config(STAYS + LED), AT_THE_GATE)
    before.wanted()
    alive = weakref.ref(before), weakref.ref(before.cells), weakref.ref(before.cells.of(1))
    after = Matcher(config(STAYS + LED.replace("synth", "gate")), client_name="router", beside=before)
    run_at_once(after.enrol_in_steps())
    gc.disable()
    try:
        before.retire()
        run_at_once(before.book.tidy_in_steps())
        del before
        assert (alive[0](), alive[1](), alive[2]()) == (None, None, None)
    finally:
        gc.enable()
    assert len(after.wanted()) == 3


def test_a_matcher_tells_whether_it_would_be_another_one_with_a_file() -> None:
    asked = matcher(config(STAYS + LED), AT_THE_GATE)
    assert asked.says_the_same(config(STAYS + LED))
    assert asked.says_the_same(config("\n\n" + STAYS + LED)), "further down"
    assert not asked.says_the_same(config(LED + STAYS)), "in another order"
    assert not asked.says_the_same(config(STAYS)), "one rule less"
    assert not asked.says_the_same(config(STAYS + LED + STAYS.replace("stays", "more"))), "one rule more"
    assert not asked.says_the_same(config(STAYS + LED.replace("synth", "gate"))), "another condition"


def test_a_matcher_takes_its_rules_from_another_place() -> None:
    asked = matcher(config(STAYS + LED), AT_THE_GATE)
    lines = [rule.origin.line for rule in asked.rules]
    before = asked.wanted()
    asked.restate(config("\n\n" + STAYS + LED))
    assert [rule.origin.line for rule in asked.rules] == [line + 2 for line in lines]
    assert asked.wanted().keys() == before.keys()
    assert {rule.origin.line for rule in asked.wanted().values()} == {line + 2 for line in lines}


def test_a_book_tells_whether_these_are_its_ports() -> None:
    book = matcher(config(STAYS), AT_THE_GATE).book
    there = {port.name: port for port in AT_THE_GATE}
    assert book.knows(there)
    assert book.knows({name: replace(port) for name, port in there.items()}), "equal, not the same objects"
    first, *others = there
    assert not book.knows({name: there[name] for name in others}), "one less"
    assert not book.knows({**there, PortName("more:out"): source("more:out")}), "one more"
    assert not book.knows({**there, first: replace(there[first], registration=7)}), "one of another registration"
    assert not Matcher(config(STAYS), client_name="router").book.knows(there)


ALL_OR_NONE = "[[rule]]\nname = 'all'\nfrom = 'synth'\nto = 'mixer'\ncomplete = true\n"


def test_pairs_that_are_made_together_depend_on_each_other() -> None:
    ports = (source("synth:1"), source("synth:2"), destination("mixer:1"), destination("mixer:2"), destination("recorder:in"))
    asked = matcher(config(ALL_OR_NONE + STAYS), ports)
    one, other = connection("synth:1 -> mixer:1"), connection("synth:2 -> mixer:2")
    assert [*asked.entangled(one), *asked.entangled(other)] == [other, one]
    assert [*asked.together(one), *asked.together(other)] == [other, one]
    assert asked.entangled(connection("synth:1 -> recorder:in")) == frozenset()
    assert asked.entangled(connection("synth:1 -> nobody:1")) == frozenset()


def test_rules_that_stay_as_they_are_are_not_matched_anew() -> None:
    before = matcher(config(STAYS + LED), AT_THE_GATE)
    after = Matcher(config("\n" + LED.replace("gate", "door") + STAYS), client_name="router", beside=before)
    run_at_once(after.enrol_in_steps())
    assert after.cells.of(1) is before.cells.of(0)
    assert after.cells.of(0) is not before.cells.of(1)
    assert set(after.wanted()) == {connection("synth:out -> recorder:in")}
    off = Matcher(config(STAYS), client_name="router", switched={"stays": False}, beside=before)
    run_at_once(off.enrol_in_steps())
    assert off.cells.of(0) is not before.cells.of(0)
    assert (set(off.wanted()), len(before.wanted())) == (set(), 3)


@pytest.mark.parametrize(("text", "client_name"), [(STAYS, "router-01"), ("[client]\nname = 'me'\n" + STAYS, "router")])
def test_where_our_client_has_another_name_ports_are_other_ones(text: str, client_name: str) -> None:
    before = matcher(config(STAYS), AT_THE_GATE)
    after = Matcher(config(text), client_name=client_name, beside=before)
    assert after.book is not before.book
    assert after.wanted() == {}, "it knows no ports"


def test_who_knows_the_ways_through_clients_is_told_that_they_are_others() -> None:
    asked = matcher(config(LED), [source("synth:out"), destination("recorder:in")])
    versions = []
    for port in (source("gate:out"), destination("gate:in"), destination("recorder:other")):
        asked.add_port(port)
        asked.wanted()
        versions.append((set(asked.via_passages()), asked.cells.via_version))
    nothing, passage = set[object](), {("gate:in", "gate:out")}
    assert [found for found, _ in versions] == [nothing, passage, passage]
    assert 0 < versions[0][1] < versions[1][1]


def test_a_port_that_is_registered_anew_is_known_as_it_is_now() -> None:
    port = source("synth:out")
    asked = matcher(config(STAYS), [port, destination("recorder:in")])
    asked.take_changed()
    asked.add_port(replace(port, registration=7))
    assert asked.membership.members[port.name].port.registration == 7
    assert asked.take_changed() == set(), "no rule sees that"


def test_what_is_shared_in_a_rule_is_taken_over_as_it_counts() -> None:
    # The gate is a source of the rule itself, too: what one cell leads around is another one's way.
    text = "[[rule]]\nname = 'r'\nfrom = '/(.).*:out/'\nto = ['mixer:main', 'mixer:{1}']\nvia = 'reverb'\n"
    ports = [source("a:out"), source("b:out"), source("reverb:out"), destination("reverb:in"), destination("mixer:main")]
    before = matcher(config(text), ports)
    pairs = [connection(f"{client}:out -> mixer:main") for client in ("a", "b", "reverb")]
    decisions = [before.decide(pair) for pair in pairs]
    after = Matcher(config(text), client_name="router", beside=before)
    run_at_once(after.enrol_in_steps())
    assert [after.decide(pair) for pair in pairs] == decisions
    before.retire()
    after.remove_port(PortName("a:out"))
    assert set(after.wanted()) == {pairs[2], connection("b:out -> reverb:in")}
