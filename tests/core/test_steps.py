"""What is to be done about one pair: each verdict, in each of the circumstances that make a difference."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from jackd_router.core.config import Unmatched
from jackd_router.core.deciding.matcher import Decision, Verdict
from jackd_router.core.deciding.plan import Circumstances, Deed, Reason, Step, decide_step, paused
from tests.core.building import config, connection

PAIR = connection("a:out -> b:in")
(RULE,) = config("[[rule]]\nname = 'r'\nfrom = 'a'\nto = 'b'\n").rules
_MADE = {"connected": True}
_OURS = {"connected": True, "owned": "old"}
_REMOVE = {"unmatched": Unmatched.REMOVE}


@pytest.mark.parametrize(
    ("verdict", "now", "deed", "rule", "reason", "owner"),
    [
        (Verdict.WANTED, {}, Deed.CONNECT, "r", Reason.WANTED, "r"),
        (Verdict.WANTED, {"owned": "old"}, Deed.CONNECT, "r", Reason.WANTED, "r"),
        (Verdict.WANTED, _MADE, Deed.NOTHING, "r", Reason.WANTED, "r"),
        (Verdict.WANTED, _OURS, Deed.NOTHING, "r", Reason.WANTED, "r"),
        (Verdict.WANTED, _MADE | {"held": True, "refused": True, "kept": True}, Deed.NOTHING, "r", Reason.WANTED, "r"),
        (Verdict.WANTED, {"held": True, "refused": True}, Deed.NOTHING, "r", Reason.HELD, ""),
        (Verdict.WANTED, {"refused": True}, Deed.NOTHING, "r", Reason.REFUSED, ""),
        (Verdict.WANTED, {"withheld": True, "held": True}, Deed.NOTHING, "r", Reason.WITHHELD, ""),
        (Verdict.WANTED, _OURS | {"withheld": True}, Deed.DISCONNECT, "r", Reason.WITHHELD, ""),
        (Verdict.WANTED, _MADE | {"withheld": True}, Deed.NOTHING, "r", Reason.WITHHELD, ""),
        (Verdict.WITHHELD, {}, Deed.NOTHING, "r", Reason.WITHHELD, ""),
        (Verdict.WITHHELD, _MADE | _REMOVE, Deed.NOTHING, "r", Reason.WITHHELD, ""),
        (Verdict.WITHHELD, _OURS, Deed.DISCONNECT, "r", Reason.WITHHELD, ""),
        (Verdict.WITHHELD, _OURS | {"kept": True}, Deed.NOTHING, "r", Reason.KEPT, ""),
        (Verdict.WITHHELD, _MADE | {"exclusive": "x"}, Deed.DISCONNECT, "x", Reason.EXCLUSIVE, ""),
        (Verdict.WITHHELD, _OURS | {"exclusive": "x"}, Deed.DISCONNECT, "r", Reason.WITHHELD, ""),
        (Verdict.LEFT, {}, Deed.NOTHING, "r", Reason.LEFT, ""),
        (Verdict.LEFT, _OURS | _REMOVE, Deed.NOTHING, "r", Reason.LEFT, ""),
        (Verdict.FORBIDDEN, {}, Deed.NOTHING, "r", Reason.FORBIDDEN, ""),
        (Verdict.FORBIDDEN, _MADE, Deed.DISCONNECT, "r", Reason.FORBIDDEN, ""),
        (Verdict.FORBIDDEN, _MADE | {"kept": True}, Deed.NOTHING, "r", Reason.KEPT, ""),
        (Verdict.FORBIDDEN, {"kept": True}, Deed.NOTHING, "r", Reason.FORBIDDEN, ""),
        (Verdict.BYPASSED, {}, Deed.NOTHING, "r", Reason.BYPASSED, ""),
        (Verdict.BYPASSED, _MADE, Deed.DISCONNECT, "r", Reason.BYPASSED, ""),
    ],
)
def test_of_a_pair_of_which_a_rule_speaks(
    verdict: Verdict, now: Mapping[str, object], deed: Deed, rule: str, reason: Reason, owner: str
) -> None:
    circumstances = Circumstances(**{"connected": False, **now})  # type: ignore[arg-type]
    assert decide_step(PAIR, Decision(verdict, RULE), circumstances) == Step(deed, PAIR, rule, reason, owner)


@pytest.mark.parametrize(
    ("now", "deed", "rule", "reason"),
    [
        ({}, Deed.NOTHING, "", Reason.UNMATCHED),
        (_MADE, Deed.NOTHING, "", Reason.UNMATCHED),
        (_MADE | _REMOVE, Deed.DISCONNECT, "", Reason.UNMATCHED),
        (_MADE | _REMOVE | {"kept": True}, Deed.NOTHING, "", Reason.KEPT),
        (_OURS, Deed.DISCONNECT, "old", Reason.NO_LONGER_WANTED),
        (_OURS | {"exclusive": "x"}, Deed.DISCONNECT, "old", Reason.NO_LONGER_WANTED),
        (_OURS | {"kept": True}, Deed.NOTHING, "old", Reason.KEPT),
        ({"owned": "old"}, Deed.NOTHING, "old", Reason.NO_LONGER_WANTED),
        (_MADE | {"exclusive": "x"}, Deed.DISCONNECT, "x", Reason.EXCLUSIVE),
        (_MADE | {"exclusive": "x", "kept": True}, Deed.NOTHING, "x", Reason.KEPT),
    ],
)
def test_of_a_pair_of_which_no_rule_speaks(now: Mapping[str, object], deed: Deed, rule: str, reason: Reason) -> None:
    circumstances = Circumstances(**{"connected": False, **now})  # type: ignore[arg-type]
    assert decide_step(PAIR, Decision(Verdict.UNSPOKEN), circumstances) == Step(deed, PAIR, rule, reason)


def test_after_each_hundred_pairs_there_is_a_pause() -> None:
    pairs = [connection(f"a:{number} -> b:in") for number in range(250)]
    told = list(paused(pairs))
    assert [pair for pair in told if pair is not None] == pairs
    assert [index for index, pair in enumerate(told) if pair is None] == [100, 201]
