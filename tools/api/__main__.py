"""Writes docs/api.md.

python -m tools.api             from dbus/*.xml and what the lines said when they were last run
python -m tools.api --check     only tells whether it is up to date: exit code 0, else 1
tests/isolate python -m tools.api --record    runs the lines first
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.api.contract import Undocumented, read_contract
from tools.api.page import Incomplete, page
from tools.api.record import read, record, write

PAGE = Path(__file__).parents[2] / "docs/api.md"


def main() -> int:
    """Do what the arguments say, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.api", description="Write docs/api.md.")
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    parser.add_argument("--record", action="store_true", help="run the busctl lines anew; inside tests/isolate")
    asked = parser.parse_args()
    contract = read_contract()
    if asked.record:
        write(record(contract))
    try:
        text = page(contract, read())
    except (Undocumented, Incomplete) as error:
        print(f"api: {error}", file=sys.stderr)
        return 1
    if not asked.check:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        print("api: docs/api.md is not what dbus/*.xml says: run `make api`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
