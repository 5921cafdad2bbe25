"""A program that uses the pair of processes as a session would; what it sees goes line by line, as JSON, to a file.

    pair_driver.py REPORT [{"hold": …}, {"run": …}, …]

Each step is one key of `_Steps`. The exit code is that of the last command, or of the step "return".
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from typing import Any

from stepcreds.clock import SystemClock
from stepcreds.errors import ProcessError, StepcredsError
from stepcreds.model import Holding
from stepcreds.process.cancel import Cancelled
from stepcreds.process.command import run_command
from stepcreds.process.pair import Custody, Worker, run_pair
from stepcreds.redact import Redactor
from stepcreds.secret import Secret

TAKEN_OVER = 77


def report(**line: Any) -> None:
    with open(sys.argv[1], "a") as file:  # noqa: PTH123 - as short as it gets
        file.write(json.dumps(line) + "\n")


class _Steps:
    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.code = 0

    def hold(self, values: dict[str, Any]) -> None:
        secrets = {name: Secret(values[name]) for name in ("token", "password", "lock_password")}
        more = tuple(map(Secret, values["secrets"]))
        self.worker.hold(Holding(**{**values, **secrets, "secrets": more}))

    def release(self, credential_uid: str) -> None:
        self.worker.release(credential_uid)

    def keep_folder(self, path: str) -> None:
        self.worker.keep_folder(path)

    def forget_folder(self, path: str) -> None:
        self.worker.forget_folder(path)

    def note(self, text: str) -> None:
        report(note=text, front_gone=self.worker.front_gone, signal=self.worker.cancellation.signal)

    def say(self, text: str) -> None:
        print(text)  # noqa: T201 - to see where it goes

    def wait_interruptible(self, name: str) -> None:
        try:
            with self.worker.cancellation.interruptible():
                report(note=name)
                time.sleep(300)
        except Cancelled as cancelled:
            report(cancelled=cancelled.signal_name)

    def wait_for(self, path: str) -> None:
        report(note=f"waiting for {path.rpartition('/')[2]}")
        while not os.path.exists(path):  # noqa: PTH110 - as short as it gets
            time.sleep(0.005)

    def wait_for_request(self, name: str) -> None:
        report(note=name)
        while not self.worker.cancellation.signal:
            time.sleep(0.005)

    def run(self, values: dict[str, Any]) -> None:
        secrets = values.get("redact")
        try:
            outcome = run_command(
                [*values["argv"], *["x" * values["padding"] for _ in range("padding" in values)]],
                values.get("environment", os.environ),  # noqa: TID251 - this is the command line of the test
                max_ttl=values.get("max_ttl", 120.0),
                grace=values.get("grace", 60.0),
                redact=None if secrets is None else Redactor(map(Secret, secrets)),
                worker=self.worker,
                clock=SystemClock(),
            )
        except ProcessError as error:
            report(refused=[error.what, error.cause, error.fix, error.docs])
            self.code = error.code
        else:
            report(outcome=outcome._asdict())
            self.code = outcome.exit_code

    def compute(self, rounds: int) -> None:
        """In C, where no signal handler of Python's runs; as while a name server does not answer."""
        report(note="computing")
        hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)

    def fail(self, text: str) -> None:
        raise RuntimeError(text)

    def end(self, code: int) -> None:
        self.code = code


def life(worker: Worker) -> int:
    report(front=os.getppid(), worker=os.getpid())
    steps = _Steps(worker)
    for step in json.loads(sys.argv[2]):
        for name, argument in step.items():
            getattr(steps, name)(argument)
    return steps.code


def take_over(custody: Custody) -> int:
    def revealed(value: object) -> object:
        if isinstance(value, tuple):
            return list(map(revealed, value))
        return value.reveal() if isinstance(value, Secret) else value

    report(
        taken_over_by=os.getpid(),
        holdings=[{name: revealed(value) for name, value in holding._asdict().items()} for holding in custody.holdings],
        folders=custody.folders,
        reason=custody.reason,
        front_gone=custody.front_gone,
        shown=repr(custody),
    )
    return TAKEN_OVER


if __name__ == "__main__":
    try:
        sys.exit(run_pair(life, take_over))
    except StepcredsError as error:
        report(unsupported=[type(error).__name__, error.what, error.cause, error.fix, error.docs])
        sys.exit(125)
