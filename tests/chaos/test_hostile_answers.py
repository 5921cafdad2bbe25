"""Answers and files that are made to fill the memory or to keep the processor: the step holds within its bounds, and
what was issued dies. Each step has 1 GiB of address space."""

from __future__ import annotations

import json
import os
import resource
import subprocess

import pytest
from chaos_table import Tell
from sweep_runs import DEAD, NOT_ISSUED, REVOKED, Sweep

from faulty_vault import Fault

SPACE = 1 << 30  # bytes


def bodies() -> dict[str, bytes]:
    fields = ",".join(f'"field{number}":"value of {number}"' for number in range(100_000))
    return {
        "an answer of 400 MB": b'{"errors":["' + b"a" * 400_000_000,
        "JSON of 100,000 levels": b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "a number of a million digits": b'{"lease_id":"a","lease_duration":' + b"9" * 10**6 + b',"data":{}}',
        "100,000 fields": f'{{"lease_id":"a","lease_duration":60,"data":{{{fields}}}}}'.encode(),
        "names of gigabytes": nested(),
    }


def nested() -> bytes:
    """Four MiB whose dotted names would be gigabytes."""
    value: object = {str(number): 1 for number in range(1000)}
    for _ in range(60):
        value = {"a" * 60_000: value}
    return json.dumps({"lease_id": "a", "lease_duration": 60, "data": value}).encode()


BODIES = bodies()


def limited(sweep: Sweep, *arguments: str) -> subprocess.CompletedProcess[str]:
    with sweep.start(*arguments, VAULT_CLIENT_TIMEOUT="20s") as step:
        resource.prlimit(step.process.pid, resource.RLIMIT_AS, (SPACE, SPACE))
        return step.wait()


@pytest.mark.parametrize(
    "stage", ["issue", *(pytest.param(name, marks=pytest.mark.chaos) for name in ("login", "revoke", "lookup"))]
)
@pytest.mark.parametrize("fault", BODIES)
def test_an_answer_without_measure(sweep: Sweep, row: Tell, fault: str, stage: str) -> None:
    """Once. What is no answer is asked for again, and a credential that may have been issued is lost, and revoked."""
    rule = sweep.vault.fail(stage, Fault(body=BODIES[fault], after=stage != "login"))
    run = limited(sweep)
    assert rule.met == 1
    assert "MemoryError" not in run.stderr
    if stage == "issue":
        sweep.check(run, code=7, ran=True, verdicts=[REVOKED, DEAD])
    elif stage == "revoke" or fault == "an answer of 400 MB":
        sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    elif stage == "login":
        sweep.check(run, code=125, ran=False, verdicts=[NOT_ISSUED])
    else:
        sweep.check(run, code=121, ran=True, verdicts=[REVOKED])
    sweep.tell(row, f"OpenBao: {fault}, once", stage, run, rule)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    "fault", ["a YAML bomb", "a configuration of 10 GB", "a configuration without end", "a FIFO for a configuration"]
)
def test_a_configuration_without_measure(sweep: Sweep, row: Tell, fault: str) -> None:
    file = sweep.config_file
    file.unlink()
    if fault == "a YAML bomb":
        file.write_text(BOMB)
    elif fault == "a FIFO for a configuration":
        os.mkfifo(file)
    elif fault == "a configuration without end":
        file.symlink_to("/dev/zero")
    else:
        file.touch()
        os.truncate(file, 10**10)
    run = limited(sweep)
    assert (run.returncode, sweep.ran, sweep.vault.stages) == (125, False, [])
    what = {
        "a YAML bomb": ":2:8: b[0]: *a is an alias, and aliases are not read\n",
        "a configuration of 10 GB": ":1:1: the file is larger than 1 MiB, which no configuration needs\n",
    }.get(fault, ": it is not a regular file\n")
    assert f"stepcreds.yml{what}" in run.stderr
    assert "Traceback" not in run.stderr
    sweep.tell(row, f"branch: {fault}", "before the login", run, None)
