"""Gives each parser of foreign bytes what atheris, a fuzzer that is led by coverage, finds: `make fuzz`.

    python tools/fuzz.py [--seconds 20] [--crashes build/fuzz] [PARSER …]

Each parser (tests/fuzz/parsers.py) runs in a process of its own, with 2 GiB of memory and ten seconds for one input at
the most. What makes one fail is kept under --crashes; what it shows belongs into SEEDS of tests/fuzz/parsers.py.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "tests/fuzz", "tests/ledger")]


def main() -> int:
    options = argparse.ArgumentParser(description="Fuzz the parsers of foreign bytes.")
    options.add_argument("parsers", nargs="*", metavar="PARSER")
    options.add_argument("--seconds", type=int, default=20, help="for each parser")
    options.add_argument("--crashes", type=Path, default=ROOT / "build/fuzz")
    options.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    try:
        import atheris
    except ImportError:
        print("atheris has no wheel for this Python or machine; `make test` runs the same parsers with hypothesis")
        return 0
    if given.run:
        return run(atheris, *given.parsers)
    from parsers import PARSERS

    given.crashes.mkdir(parents=True, exist_ok=True)
    failures = [name for name in given.parsers or PARSERS if not fuzz(name, given.seconds, given.crashes)]
    print(f"{len(failures)} of them failed: {', '.join(failures)}" if failures else "No findings.")
    return 1 if failures else 0


def fuzz(name: str, seconds: int, crashes: Path) -> bool:
    """Fuzz one parser, and say how it went; whether it held."""
    from parsers import SEEDS

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            (Path(corpus) / str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"]
        kept = f"-artifact_prefix={crashes}/{name}-"
        command = [sys.executable, __file__, "--run", "--", name, corpus, *limits, kept]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    counts = [int(number) for number in re.findall(r"(?m)^#(\d+)\t", said)]
    covered = re.findall(r" ft: (\d+)", said)
    held = done.returncode == 0 and bool(counts)
    inputs, features = f"{max(counts, default=0):,}", covered[-1] if covered else "?"
    print(f"{name:<18} {inputs:>9} inputs  {features:>6} features  {'held' if held else 'FAILED'}")
    if not held:
        print(said[-4000:])
    sys.stdout.flush()
    return held


def run(atheris: object, name: str, *arguments: str) -> int:
    """In the process of one parser."""
    fuzzer: Any = atheris
    with fuzzer.instrument_imports(include=["stepcreds"]):
        from parsers import PARSERS
    fuzzer.Setup([sys.argv[0], *arguments], PARSERS[name])
    fuzzer.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
