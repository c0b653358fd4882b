"""Compare `helio bench wan` with the bare path (`bare_path.py`), run in turns on the same machine.

    python benchmarks/compare.py [--runs=3] [--events=500000] [--put-all=100] [--clients=16] [--json]
                                 [--reference=SCRIPT] [-- more options of helio bench wan]

Another SCRIPT takes --events, --put-all and --clients too, and prints one JSON object with `wan_events_per_second`, as
`helio bench wan --json` does. Runs alternate, so that a machine that grows slower or
faster meanwhile favours neither; medians count, and the ratio is ours divided by theirs. helio runs with its
clients inside the sending member (`--embedded`), as the reference does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIGURES = ("put_events_per_second", "wan_events_per_second")
BARE_PATH = Path(__file__).with_name("bare_path.py")
Run = dict[str, Any]


def measure(command: Sequence[str]) -> Run:
    """Run a program and return the last line of its output, a JSON object. Raises SystemExit when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"failed with exit status {done.returncode}: {' '.join(command)}")
    run: Run = json.loads(done.stdout.strip().splitlines()[-1])
    return run


def compare(reference: Sequence[Run], ours: Sequence[Run]) -> dict[str, Any]:
    """Return the medians of each figure that both sides have, and ours divided by theirs."""
    result: dict[str, Any] = {"runs": len(ours)}
    for figure in FIGURES:
        if all(figure in run for run in (*reference, *ours)):
            theirs = statistics.median(run[figure] for run in reference)
            own = statistics.median(run[figure] for run in ours)
            result[figure] = {"reference": theirs, "heliograph": own, "ratio": round(own / theirs, 3)}
    return result


def table(result: dict[str, Any]) -> str:
    """Return a result as a table of text."""
    rows = [f"{'median of ' + str(result['runs']):<24}{'reference':>14}{'heliograph':>14}{'ratio':>8}"]
    rows += [
        f"{figure:<24}{of['reference']:>14,.0f}{of['heliograph']:>14,.0f}{of['ratio']:>8.2f}"
        for figure, of in result.items()
        if figure in FIGURES
    ]
    return "\n".join(rows)


def main() -> None:
    """Run both programs in turns and print the comparison."""
    parser = argparse.ArgumentParser(
        description="Compare `helio bench wan --embedded` with the bare path.",
        epilog="What follows -- goes to helio bench wan.",
    )
    parser.add_argument("--reference", type=Path, default=BARE_PATH, help="another script than the bare path")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--put-all", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every run in it")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    options, more = parser.parse_args(words[:end]), words[end + 1 :]
    load = [f"--events={options.events}", f"--put-all={options.put_all}", f"--clients={options.clients}"]
    helio = str(Path(sys.executable).with_name("helio"))
    reference: list[Run] = []
    ours: list[Run] = []
    for number in range(options.runs):
        print(f"run {number + 1} of {options.runs}", file=sys.stderr, flush=True)  # noqa: T201
        reference.append(measure([sys.executable, str(options.reference), *load]))
        ours.append(measure([helio, "bench", "wan", "--json", "--embedded", *load, *more]))
    result = compare(reference, ours)
    everything = result | {"reference_runs": reference, "heliograph_runs": ours}
    print(json.dumps(everything) if options.json else table(result))  # noqa: T201  (the program's output)


if __name__ == "__main__":
    main()
