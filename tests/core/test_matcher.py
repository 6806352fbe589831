"""The matcher where examples of whole graphs do not reach: what it tells of changes, and whom it names."""

from __future__ import annotations

import gc
import weakref

import pytest

from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.deciding.speakers import Standing, speakers
from jackd_router.core.errors import NoSuchRule
from jackd_router.core.graph import PortName
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


def test_a_port_event_compares_with_few_of_many_rules() -> None:
    rules = "".join(f"[[rule]]\nname = 'r{n}'\nfrom = 'client{n}:*'\nto = '/dest{n}:.*/'\n" for n in range(500))
    asked = Matcher(config(rules), client_name="router")
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
