"""Fuzzes the table of parsers, guided by the code that inputs reach (atheris).

    python -m tests.parsers.fuzz [--seconds=20] [parser ...]

Each parser has a process of its own, and a corpus in .fuzz/ that grows from run to run, beginning with its examples
and the inputs of `inputs.py`. What makes a parser fail is kept in `crashers/`, where `test_parsers.py` tries it
again; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

CRASHERS = Path(__file__).parent / "crashers"
CORPUS = Path(".fuzz")
INPUT_BYTES_MAX = 4096
INPUT_S_MAX = 10
MEMORY_MB_MAX = 1024


def main() -> int:
    """Fuzz the parsers that are named, or all."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=20, help="for each parser")
    arguments.add_argument("--one", help=argparse.SUPPRESS)
    arguments.add_argument("parsers", nargs="*")
    given, rest = arguments.parse_known_args()
    if find_spec("atheris") is None:
        sys.stderr.write("fuzzing needs atheris: make fuzz installs it (pip install -e '.[fuzz]'); CPython on Linux\n")
        return 2
    if given.one:
        fuzz_one(given.one, [*given.parsers, *rest])
    from tests.parsers.table import PARSERS

    unknown = set(given.parsers) - PARSERS.keys()
    if unknown:
        sys.stderr.write(f"no such parser: {', '.join(sorted(unknown))}; there are {', '.join(PARSERS)}\n")
        return 2
    found = [run(name, given.seconds) for name in given.parsers or PARSERS]
    return int(any(found))


def run(name: str, seconds: int) -> bool:
    """Fuzz one parser in a process of its own and say how it went; returns whether it failed."""
    from tests.parsers.inputs import BOMBS
    from tests.parsers.table import PARSERS

    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for data in (*PARSERS[name].examples, *(bomb for bomb in BOMBS if len(bomb) <= INPUT_BYTES_MAX)):
        (corpus / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    with tempfile.TemporaryDirectory() as artifacts:
        command = [sys.executable, "-m", "tests.parsers.fuzz", f"--one={name}", str(corpus)]
        command += [
            f"-max_total_time={seconds}",
            f"-max_len={INPUT_BYTES_MAX}",
            f"-timeout={INPUT_S_MAX}",
            f"-rss_limit_mb={MEMORY_MB_MAX}",
            f"-artifact_prefix={artifacts}/",
            "-print_final_stats=1",
        ]
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        kept = [keep(name, path) for path in sorted(Path(artifacts).iterdir())]
    executions = re.search(r"number_of_executed_units:\s*(\d+)", ran.stderr)
    reached = re.findall(r"cov: (\d+)", ran.stderr)
    count = int(executions[1]) if executions else 0
    outcome = f"FAILED {', '.join(kept)}" if kept or ran.returncode else "ok"
    sys.stdout.write(f"{name:40} {count:>10,} inputs  reached {reached[-1] if reached else '?':>5}  {outcome}\n")
    sys.stdout.flush()
    if ran.returncode:
        sys.stderr.write("\n".join(ran.stderr.splitlines()[-60:]) + "\n")
    return bool(kept or ran.returncode)


def keep(name: str, artifact: Path) -> str:
    """Keep what made a parser fail."""
    directory = CRASHERS / name
    directory.mkdir(parents=True, exist_ok=True)
    return str(shutil.copy(artifact, directory / artifact.name[:32]))


def fuzz_one(name: str, options: list[str]) -> None:
    """Fuzz in this process; does not return."""
    import atheris

    with atheris.instrument_imports(include=["heliograph", "tomllib", "defusedxml"]):
        from tests.parsers.table import PARSERS
    parser = PARSERS[name]

    def test_one_input(data: bytes) -> None:
        with suppress(*parser.errors):
            parser.parse(data)

    atheris.Setup([sys.argv[0], *options], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
