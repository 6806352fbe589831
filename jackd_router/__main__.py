"""`python -m jackd_router`: the same as the command `jackd-router`."""

from __future__ import annotations

import sys

from jackd_router.cli import main

if __name__ == "__main__":
    sys.exit(main())
