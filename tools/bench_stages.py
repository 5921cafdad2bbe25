"""Where the time of a credential goes, from the request to issue it to the proof that it is dead, stage by stage.

A read-only PostgreSQL credential through the real OpenBao, as `exec` takes it through its stages, within one process:
what Python takes to start is `make bench`'s business. With --tables the shop gets that many tables, sequences and
columns more, and the stage that grows with them is the measurement.

    make bench-stages                                  # 20 rounds
    make bench-stages ARGS="--tables 10000"
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from stepcreds import scope
from stepcreds.clock import SystemClock, rfc3339
from stepcreds.config.load import load_config
from stepcreds.config.model import Config, Profile
from stepcreds.databases import engine_for
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.checkpoint import Checkpoint
from stepcreds.measurement import Measured
from stepcreds.secret import Secret
from stepcreds.vault.client import Vault

T = TypeVar("T")
PATIENCE = 20.0  # seconds for one call; far more than it takes
KEY = "transit/keys/stepcreds-{repository_id}"


class Round:
    """One life, and what each of its stages took (seconds), in order."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}

    def __call__(self, stage: str, action: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = action()
        self.stages[stage] = self.stages.get(stage, 0.0) + time.perf_counter() - began
        return result


def live(stack: Stack, config: Config, profile: Profile) -> tuple[Round, Measured]:
    """Issue, measure, lock, revoke, prove and sign: the calls of `session`, less its ledger and its processes."""
    clock, took = SystemClock(), Round()
    vault = Vault(config.vault, clock)
    engine = engine_for(profile.database, clock)
    url = profile.database
    if engine is None or url is None:
        sys.exit("the profile has no database")
    jwt = stack.issuer.token(stack.address)
    took("log in", lambda: vault.login(profile.role, jwt))
    took("can it be revoked", lambda: vault.probe_revocation(profile.creds))
    lease = took("issue", lambda: vault.issue(profile.creds))
    username, password = lease.fields["username"].reveal(), lease.fields["password"]
    took("sign", lambda: sign(vault, config, clock))
    locked = Secret(secrets.token_urlsafe(24))
    measured = took("measure", lambda: scope.measure(profile, username, password, clock))
    lock = took("lock", lambda: engine.lock(url, username, password, locked, timeout=PATIENCE))
    took("revoke", lambda: vault.revoke_lease(lease.lease_id))
    state = took("prove: lookup", lambda: vault.lookup_lease(lease.lease_id))
    answers = [
        took("prove: two logins", lambda word=word: engine.try_login(url, username, word, timeout=PATIENCE).answer)  # type: ignore[misc]
        for word in (password, locked)
    ]
    took("sign", lambda: sign(vault, config, clock))
    took("revoke the token", vault.revoke_self)
    vault.close()
    if lock.status != "locked" or state.alive or answers != ["refused", "refused"]:
        sys.exit(f"not dead: {lock}, {state}, {answers}")
    return took, measured


def sign(vault: Vault, config: Config, clock: SystemClock) -> None:
    """A checkpoint, onto the disk."""
    payload = checkpoint.dumps(Checkpoint("0" * 64, "71717171", "9000000001", "1", 4, "0" * 64, rfc3339(clock.now())))
    name = checkpoint.key_of(KEY, "71717171")
    made = vault.sign(name, dsse.pae(checkpoint.PAYLOAD_TYPE, payload))
    signature = dsse.Signature(f"{name}:{made.version}", made.sig)
    envelope = dsse.dumps(dsse.Envelope(checkpoint.PAYLOAD_TYPE, payload, (signature,)))
    checkpoint.keep(envelope, config.ledger.path / "bench.jsonl", clock)


@contextmanager
def shop(tables: int) -> Iterator[tuple[Stack, Config]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(ledger_key=KEY, progress=lambda text: print(text, file=sys.stderr)) as stack,
    ):
        columns = ", ".join(f"c{number} int" for number in range(33))
        for first in range(0, tables, 500):
            names = range(first, min(first + 500, tables))
            stack.sql("; ".join(f"CREATE TABLE app.many{name} (id serial, {columns})" for name in names))
        if tables:
            stack.sql("GRANT SELECT ON ALL TABLES IN SCHEMA app TO app_ro")
            stack.sql("ANALYZE")
        path = stack.write_config(Path(folder))
        config = load_config(path, stack.environment(), path.parent, SystemClock())
        config.ledger.path.mkdir()
        yield stack, config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--tables", type=int, default=0, help="further tables, each with a sequence and 34 columns")
    options = parser.parse_args()
    with shop(options.tables) as (stack, config):
        profile = config.profiles["verify"]
        live(stack, config, profile)  # what is imported and cached once is not what a step pays
        rounds = [live(stack, config, profile) for _ in range(options.rounds)]
    report([took.stages for took, _ in rounds], rounds[-1][1])


def report(rounds: list[dict[str, float]], measured: Measured) -> None:
    whole = statistics.median(sum(stages.values()) for stages in rounds)
    print(f"\nmedians of {len(rounds)} rounds; measured: {measured.level}, {len(measured.findings)} findings, ", end="")
    print(f"{measured.round_trips} round trips after the login\n")
    print(f"{'':24}{'median':>10}{'min':>10}{'max':>10}{'share':>8}")
    for stage in rounds[0]:
        values = [1000 * stages[stage] for stages in rounds]
        median = statistics.median(values)
        share = median / whole / 10
        print(f"{stage:24}{median:7.1f} ms{min(values):7.1f} ms{max(values):7.1f} ms{share:7.0f}%")
    print(f"{'from login to the end':24}{1000 * whole:7.1f} ms")


if __name__ == "__main__":
    main()
