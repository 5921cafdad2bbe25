"""What the ledger costs: a record and a signature in a step; verifying, sealing, asking and reporting for who reads it.

Of each command the processor time of all its processes, which others on the machine lengthen little, the time that
passed, and the most memory that one of its processes had; the median of some rounds. Signatures are of a real OpenBao.

    make bench-ledger                                    # 1,000,000 records twice: an hour, and 4 GB of disk
    make bench-ledger ARGS="--one 50000 --many 20000 --steps 500 --rounds 1"
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests/ledger")]

from ledger_samples import issued, open_journal  # noqa: E402
from ledger_site import SEAL_KEY, START, Life, Scribe, Signer, job_of, make_site, profiles, proven  # noqa: E402

from stepcreds.clock import SystemClock  # noqa: E402
from stepcreds.config.model import VaultSettings  # noqa: E402
from stepcreds.devstack.openbao import OpenBao  # noqa: E402
from stepcreds.ledger import checkpoint  # noqa: E402
from stepcreds.review.sources import opened  # noqa: E402
from stepcreds.sealing.making import Order, make  # noqa: E402
from stepcreds.seals.place import Folder  # noqa: E402
from stepcreds.trust.file import load_trust  # noqa: E402
from stepcreds.vault.client import Vault  # noqa: E402

PER_JOB = 10.8  # records, of a site's jobs
PER_RUN = 2.97  # steps
T = TypeVar("T")
QUERY = "SELECT profile, verdict, count(*) FROM credentials GROUP BY ALL ORDER BY ALL"


class Cost(NamedTuple):
    processor: float  # seconds
    passed: float  # seconds
    memory: int  # bytes, of the largest process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=int, default=1_000_000, help="records of one chain without signatures")
    parser.add_argument("--many", type=int, default=1_000_000, help="records of many chains, signed")
    parser.add_argument("--steps", type=int, default=10_000, help="steps of the report")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{machine()}; load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory(prefix="stepcreds-bench-") as name:
        folder = Path(name)
        writing(folder)
        signing(folder)
        of_one(folder, given.one, given.rounds)
        of_many(folder, given.many, given.rounds)
        reporting(folder, given.steps, given.rounds)
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return 0


def machine() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(": ")[2] if models else platform.machine()
    return f"{os.cpu_count()} processors, {model}; Python {platform.python_version()}"


def writing(folder: Path, number: int = 2000) -> None:
    """One record after the other, each locked, on the disk, and acknowledged."""
    journal = open_journal(folder / "writing")
    times = [timed(lambda: journal.append(issued())) for _ in range(number)]
    tell_call("append a record, with lock and fsync", times)


def signing(folder: Path, number: int = 1000) -> None:
    """A checkpoint as a step makes it, but for its journal."""
    with OpenBao() as bao:
        settings = VaultSettings((bao.address,), None, None, None, None, False, "jwt", bao.address)
        vault = Vault(settings, SystemClock())
        vault.use(bao.root_token)
        for path, body in (("sys/mounts/transit", {"type": "transit"}), ("transit/keys/ledger", {"type": "ed25519"})):
            vault._post(path, body)
        chain = folder / "signing.jsonl"

        def sign() -> None:
            made = vault.sign("transit/keys/ledger", os.urandom(400))
            checkpoint.keep(made.sig.hex().encode(), chain, SystemClock())

        sign()
        tell_call("have Transit sign, and keep it", [timed(sign) for _ in range(number)])
        vault.close()


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def tell_call(what: str, times: list[float]) -> None:
    rows = statistics.quantiles(times, n=100)
    print(f"{what}: median {rows[49] * 1000:.2f} ms, 95 of 100 under {rows[94] * 1000:.2f} ms")


def of_one(folder: Path, entries: int, rounds: int) -> None:
    one = folder / "one"
    one.mkdir()
    apart(long_chain, one / "4711-1-deploy-000000000000.jsonl", entries)
    print(f"{entries:,} records in one chain, without signatures")
    show(folder, rounds, "verify", "verify", str(one))
    show(folder, rounds, "query", "query", QUERY, str(one))


def of_many(folder: Path, entries: int, rounds: int) -> None:
    site = apart(make_site, folder / "many", 40, max(1, round(entries / PER_JOB / 40)))
    many, trust = str(site.ledgers), str(site.trust)
    checkpoints = sum(checkpoint.beside(chain).read_bytes().count(b"\n") for chain in site.chains)
    print(f"{site.entries:,} records in {len(site.chains):,} chains, with {checkpoints:,} checkpoints")
    show(folder, rounds, "verify, without a trust file", "verify", many)
    show(folder, rounds, "verify, and signatures", "verify", "--trust", trust, many)
    seals = folder / "seals"
    for what in ("seal, with Parquet", "seal again, with nothing new"):
        processor, passed = apart(sealing, site.ledgers, site.trust, seals)
        print(f"  {what}: {processor:.1f} s of processor time, {passed:.1f} s", flush=True)
    show(folder, rounds, "verify, signatures and seals", "verify", "--trust", trust, "--seals", str(seals), many)
    show(folder, rounds, "query", "query", QUERY, many)
    show(folder, rounds, "query of the Parquet", "query", QUERY, str(next(seals.glob("*.parquet"))))


def reporting(folder: Path, steps: int, rounds: int) -> None:
    site = apart(make_site, folder / "report", 40, max(1, round(steps / PER_RUN / 40)))
    page, costs = folder / "report.html", []
    for _ in range(rounds):
        page.unlink(missing_ok=True)
        costs.append(run(folder, "report", "--trust", str(site.trust), "--output", str(page), str(site.ledgers)))
    print(f"{site.steps:,} steps in {len(site.chains):,} chains, signed")
    tell(f"report, a page of {page.stat().st_size / 1e6:.1f} MB", costs)


def sealing(ledgers: Path, trust: Path, place: Path) -> tuple[float, float]:
    """By the function behind the command, signed by a key of this process: its one signature is Transit's affair."""
    with opened([str(ledgers)]) as sources:
        order = Order(sources, Folder(place), load_trust(trust), compact=True)
        before, start = os.times(), time.perf_counter()
        list(make(order, Signer(SEAL_KEY, 1).envelope, SystemClock()))
    return sum(os.times()[:4]) - sum(before[:4]), time.perf_counter() - start


def apart(work: Callable[..., T], *arguments: object) -> T:
    """What `work` returns, in a process of its own: a command's memory counts from what its parent had."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(work, *arguments).result()


def long_chain(path: Path, entries: int) -> None:
    """One chain of that many records."""
    chance = random.Random(1)  # noqa: S311 - the same chain each time
    scribe = Scribe(job_of(0, 0, "deploy", START), chance, None, START)
    profile = profiles(0)["verify"]
    with path.open("wb") as file:
        while scribe.size < entries - 3:
            life = Life(scribe, profile, "verify", chance)
            life.request()
            life.issue()
            life.end(proven)
            file.write(b"".join(line + b"\n" for line in scribe.lines))
            scribe.lines.clear()
        scribe.close()
        file.write(scribe.lines[-1] + b"\n")


def show(folder: Path, rounds: int, what: str, *arguments: str) -> None:
    tell(what, [run(folder, *arguments) for _ in range(rounds)])


def run(folder: Path, *arguments: str) -> Cost:
    """One command. 1 is what it ends with where it finds what is in a site."""
    output = folder / "output"
    with output.open("wb") as file:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "stepcreds", "ledger", *arguments],
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        passed = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        sys.exit(f"{' '.join(arguments)} ended with {process.returncode}:\n{output.read_text()[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, passed, usage.ru_maxrss * 1024)


def tell(what: str, costs: list[Cost]) -> None:
    processor, passed, memory = (statistics.median(values) for values in zip(*costs, strict=True))
    print(f"  {what}: {processor:.1f} s of processor time, {passed:.1f} s, {memory / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
