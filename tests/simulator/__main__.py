# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replay one seed and print its log, or try as many seeds as fit into some minutes.

python -m tests.simulator --seed N | --minutes M [--first N] [--large NODES]
"""

from __future__ import annotations

import argparse
import importlib
import secrets
import sys
import time


def main() -> int:
    importlib.import_module("tests.conftest")  # imports the collection under its full name
    from ansible_collections.dolly.ring.tests.simulator import runs

    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, help="show what happens with this one")
    parser.add_argument("--minutes", type=float, default=10.0, help="try seeds for so long (default %(default)g)")
    parser.add_argument("--first", type=int, default=None, help="begin with this seed (default: any)")
    parser.add_argument("--large", type=int, default=0, help="also try one ring of so many nodes")
    options = parser.parse_args()
    if options.seed is not None:
        outcome = runs.Outcome(options.seed, runs.small_shape(options.seed), is_verbose=True)
        print(outcome.report())
        return 1 if outcome.violations else 0
    first = secrets.randbelow(1 << 40) if options.first is None else options.first
    failed = large(first, options.large) if options.large else 0
    return failed | soak(first, options.minutes * 60)


def large(seed: int, count: int) -> int:
    from ansible_collections.dolly.ring.tests.simulator import faults, runs

    began_at = time.monotonic()
    outcome = runs.Outcome(seed, runs.large_shape(count), draw=faults.draw_many)
    seconds, done = time.monotonic() - began_at, outcome.ring.root.done_count
    print("%d of %d nodes done, simulated in %.0f s" % (done, count, seconds), *outcome.violations, sep="\n")
    return 1 if outcome.violations else 0


def soak(first: int, seconds: float) -> int:
    importlib.import_module("tests.conftest")  # imports the collection under its full name
    from ansible_collections.dolly.ring.tests.simulator import runs

    end, seed, failed = time.monotonic() + seconds, first, 0
    while time.monotonic() < end and failed < 10:
        outcome = runs.Outcome(seed, runs.small_shape(seed))
        if outcome.violations:
            failed += 1
            print("seed %d: %s\n  %s" % (seed, outcome.violations[0], runs.replay_command(seed)), flush=True)
        seed += 1
    print("%d schedules from seed %d on, %d failed" % (seed - first, first, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
