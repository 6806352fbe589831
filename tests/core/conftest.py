"""How hypothesis works where the tests themselves are tested: few examples, the same ones every time."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "mutation",
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a shorter example of a failure is of no use there
)
