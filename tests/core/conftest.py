"""How the tests run where they are tested themselves: hypothesis with few examples, the same ones every time, and no caches."""

from __future__ import annotations

import sys

from hypothesis import Phase, settings

settings.register_profile(
    "mutation",
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a shorter example of a failure is of no use there
)


def pytest_sessionstart() -> None:
    """Forget what functions have remembered: mutmut forks from a process in which the tests have run, and no mutant would."""
    for name, module in tuple(sys.modules.items()):
        if name.startswith("jackd_router.core"):
            for value in vars(module).values():
                if hasattr(value, "cache_clear") and not isinstance(value, type):
                    value.cache_clear()
