"""What the ledger costs: a record and a signature in a step; verifying, sealing, asking and reporting for who reads it.

One table. Of each command the processor time of all its processes, which others on the machine lengthen little, the
time that passed, and the most memory that one of its processes had: the median of some rounds, or of one where that
takes long. Ledgers are made of one seed; signatures in a step are of a real OpenBao.

    make bench-ledger                                    # some ten minutes on a quiet machine, and 4 GB of disk
    make bench-ledger ARGS="--one 20000 --many 5000 --steps 500 --rounds 1"
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
from collections.abc import Callable, Sequence
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
from stepcreds.ledger.folder import chain_name  # noqa: E402
from stepcreds.review.sources import opened  # noqa: E402
from stepcreds.sealing.making import Order, make  # noqa: E402
from stepcreds.seals.place import Folder  # noqa: E402
from stepcreds.trust.file import dumps, load_trust  # noqa: E402
from stepcreds.trust.keys import Trust  # noqa: E402
from stepcreds.vault.client import Vault  # noqa: E402

PER_JOB = 10.8  # records, of a site's jobs
PER_RUN = 2.97  # steps
LONG = 15.0  # seconds; what takes longer is run once
T = TypeVar("T")
QUERY = "SELECT profile, verdict, count(*) FROM credentials GROUP BY ALL ORDER BY ALL"
# `stepcreds`, as it is where the extra's orjson is not there.
WITHOUT = "import runpy, sys; sys.modules['orjson'] = None; runpy.run_module('stepcreds', run_name='__main__')"


class Cost(NamedTuple):
    processor: float  # seconds
    passed: float  # seconds
    memory: int  # bytes, of the largest process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=int, default=1_000_000, help="records of one chain")
    parser.add_argument("--many", type=int, default=100_000, help="records of many chains, signed")
    parser.add_argument("--steps", type=int, default=10_000, help="steps of the report")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{machine()}; load {os.getloadavg()[0]:.1f} at the start\n")
    print("| what | processor time | passed | memory |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="stepcreds-bench-") as name:
        folder = Path(name)
        writing(folder)
        signing(folder)
        of_one(folder, given.one, given.rounds)
        of_many(folder, given.many, given.rounds)
        reporting(folder, given.steps, given.rounds)
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")
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
    tell(what, "", f"median {rows[49] * 1000:.2f} ms, 95 of 100 under {rows[94] * 1000:.2f} ms", "")


def of_one(folder: Path, entries: int, rounds: int) -> None:
    one, signed, trust = folder / "one", folder / "signed", folder / "one-trust.json"
    checkpoints = apart(long_chain, one, signed, trust, entries)
    records = f"{entries:,} records in one chain"
    show(folder, rounds, f"`verify`, {records} without signatures", "verify", str(one))
    show(folder, rounds, "the same without orjson", "verify", str(one), program=("-c", WITHOUT))
    show(folder, rounds, f"the same with {checkpoints:,} signatures", "verify", "--trust", str(trust), str(signed))
    show(folder, rounds, "`query` of it", "query", QUERY, str(one))


def of_many(folder: Path, entries: int, rounds: int) -> None:
    site = apart(make_site, folder / "many", 40, max(1, round(entries / PER_JOB / 40)))
    many, trust = str(site.ledgers), str(site.trust)
    checkpoints = sum(checkpoint.beside(chain).read_bytes().count(b"\n") for chain in site.chains)
    records = f"{site.entries:,} records in {len(site.chains):,} chains"
    show(folder, rounds, f"`verify`, {records}, without a trust file", "verify", many)
    show(folder, rounds, f"the same with {checkpoints:,} signatures", "verify", "--trust", trust, many)
    seals = folder / "seals"
    for what in ("`seal --parquet` of these", "`seal` again, with nothing new"):
        processor, passed = apart(sealing, site.ledgers, site.trust, seals)
        tell(what, f"{processor:.1f} s", f"{passed:.1f} s", "")
    sealed = "`verify`, signatures and seals"
    show(folder, rounds, sealed, "verify", "--trust", trust, "--seals", str(seals), many)
    show(folder, rounds, "`show --limit 10` of these", "show", "--limit", "10", many)
    show(folder, rounds, "`query` of these", "query", QUERY, many)
    show(folder, rounds, "`query` of their Parquet", "query", QUERY, str(next(seals.glob("*.parquet"))))


def reporting(folder: Path, steps: int, rounds: int) -> None:
    site = apart(make_site, folder / "report", 40, max(1, round(steps / PER_RUN / 40)))
    page = folder / "report.html"
    arguments = ("report", "--trust", str(site.trust), "--output", str(page), str(site.ledgers))
    costs = measured(folder, rounds, *arguments)
    size = f"a page of {page.stat().st_size / 1e6:.1f} MB"
    tell_costs(f"`report` of {site.steps:,} steps in {len(site.chains):,} chains, signed: {size}", costs)


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


def long_chain(one: Path, signed: Path, trust: Path, entries: int) -> int:
    """One chain of that many records, in `one` alone and in `signed` with its checkpoints; returns how many."""
    chance = random.Random(1)  # noqa: S311 - the same chain each time
    job, profile = job_of(0, 0, "deploy", START), profiles(0)["verify"]
    signer = Signer("transit/keys/stepcreds-ledger-9000000")
    trust.write_text(dumps(Trust(str(trust), (signer.trusted("checkpoint", job.repository_id),))))
    scribe = Scribe(job, chance, signer, START)
    checkpoints = 0
    for folder in (one, signed):
        folder.mkdir()
    chain = one / chain_name(job, 1)
    beside = checkpoint.beside(signed / chain.name)
    with chain.open("wb") as lines, beside.open("wb") as envelopes:
        while scribe.size < entries:
            if scribe.size < entries - 3:
                life = Life(scribe, profile, "verify", chance)
                life.request()
                life.issue()
                life.end(proven)
            else:
                scribe.close()
            lines.write(b"".join(line + b"\n" for line in scribe.lines))
            envelopes.write(b"".join(line + b"\n" for line in scribe.envelopes))
            checkpoints += len(scribe.envelopes)
            scribe.lines.clear()
            scribe.envelopes.clear()
            if scribe.closed:
                break
    (signed / chain.name).hardlink_to(chain)
    return checkpoints


def show(folder: Path, rounds: int, what: str, *arguments: str, program: Sequence[str] = ("-m", "stepcreds")) -> None:
    tell_costs(what, measured(folder, rounds, *arguments, program=program))


def measured(folder: Path, rounds: int, *arguments: str, program: Sequence[str] = ("-m", "stepcreds")) -> list[Cost]:
    costs = [run(folder, program, arguments)]
    while len(costs) < rounds and costs[0].passed < LONG:
        costs.append(run(folder, program, arguments))
    return costs


def run(folder: Path, program: Sequence[str], arguments: Sequence[str]) -> Cost:
    """One command. 1 is what it ends with where it finds what is in a site."""
    output = folder / "output"
    with output.open("wb") as file:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *program, "ledger", *arguments],
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


def tell_costs(what: str, costs: list[Cost]) -> None:
    processor, passed, memory = (statistics.median(values) for values in zip(*costs, strict=True))
    tell(what, f"{processor:.1f} s", f"{passed:.1f} s", f"{memory / 1e6:.0f} MB")


def tell(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
