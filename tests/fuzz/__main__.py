"""Tries damaged recordings for so many seconds: ``python -m tests.fuzz 1800 [FIRST_SEED]``."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.fuzz.trying import attempt

_AT_ONCE = 2


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1800.0
    first = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() // 1_000_000
    end_s = time.monotonic() + seconds
    tried, failed, seed = 0, 0, first
    print(f"damaged recordings from seed {first} on, for {seconds:.0f} s", flush=True)
    with ProcessPoolExecutor(_AT_ONCE) as pool:
        while time.monotonic() < end_s:
            for outcome in pool.map(attempt, range(seed, seed + 50)):
                tried += 1
                if outcome.failed is not None:
                    failed += 1
                    print(f"\nseed {outcome.seed}: {outcome.damage}\n{outcome.failed}", flush=True)
            seed += 50
    print(f"{tried} tried, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
