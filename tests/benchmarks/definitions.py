"""How quickly definitions are read: whole reading against json.loads alone of the same bytes, on one core.

    python tests/benchmarks/definitions.py [FOLDER] [--rounds N]

Prints definitions a second and the ratio. Processor time is taken, and of several rounds the best, so that other
work on the machine counts less.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flowanalysis.definitions import read_definition

ROOT = Path(__file__).resolve().parents[2]
AIM_RATIO, AIM_RATE = 6.0, 1_000


def best(work: Callable[[bytes], object], contents: Sequence[bytes], rounds: int) -> float:
    """Seconds for all contents, the best of several rounds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for content in contents:
            work(content)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared/corpus/flows/definitions")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    contents = [p.read_bytes() for p in sorted(options.folder.rglob("*")) if p.is_file()]
    if not contents:
        raise SystemExit(f"no definitions in {options.folder}")
    alone = best(lambda c: json.loads(c.decode("utf-8-sig")), contents, options.rounds)
    whole = best(read_definition, contents, options.rounds)
    size = sum(map(len, contents)) / 2**20
    print(f"{len(contents)} definitions, {size:.1f} MB")
    print(f"json.loads alone  {len(contents) / alone:10,.0f} a second")
    print(f"read_definition   {len(contents) / whole:10,.0f} a second (aim {AIM_RATE:,})")
    print(f"ratio             {whole / alone:10.2f} (aim at most {AIM_RATIO})")


if __name__ == "__main__":
    main()
