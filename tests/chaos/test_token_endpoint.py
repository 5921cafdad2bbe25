"""The CI's token endpoint fails: once, for good, and while the step is asked to end. Nothing is asked of OpenBao then."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from chaos_table import Tell
from step_runs import kinds, normalised, said
from sweep_runs import DEAD, Sweep, outcome, swept

from faulty_vault import HTML, Fault, FaultyVault
from stepcreds.ci.http import Answer, PatientHTTP
from stepcreds.clock import SystemClock
from stepcreds.devstack.stack import Stack


def url(endpoint: FaultyVault) -> str:
    return f"{endpoint.address}/token?api-version=2.0"


def no_token(reason: str, cause: str, fix: str) -> str:
    return (
        f"stepcreds: error: The token endpoint of GitHub Actions at 127.0.0.1 {reason}\n"
        f"  cause: {cause}\n  fix: {fix}\n  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#token-endpoint\n"
    )


AGAIN = "Run the job again. If it stays so, look at the CI's status page and at the runner's network."
NOT_REACHED = "The runner cannot reach the CI's token service, or something between them breaks the connection off."
OTHER = "Something else than the CI answered, a proxy for example, or the CI changed what it answers."
NETWORK = "Look at the network of the runner."


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("reset", Fault("reset"), ""),
        ("503", Fault(status=503), ""),
        (
            "403",
            Fault(status=403),
            no_token(
                "gave no ID token: HTTP 403",
                "The token that the job asks with was not accepted: it has expired, or belongs to another job.",
                AGAIN,
            ),
        ),
        (
            "a page",
            Fault(body=b"<html>Sign in</html>", content_type=HTML),
            no_token("answered HTTP 200 without an ID token", OTHER, NETWORK),
        ),
        (
            "another shape",
            Fault(body=b'{"value": 7}'),
            no_token("answered HTTP 200 without an ID token", OTHER, NETWORK),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_the_token_endpoint_fails_once(
    sweep: Sweep, stack: Stack, row: Tell, name: str, fault: Fault, message: str
) -> None:
    with FaultyVault(stack.issuer.url) as endpoint:
        rule = endpoint.fail("token", fault)
        run = sweep.run(ACTIONS_ID_TOKEN_REQUEST_URL=url(endpoint))
        sweep.vault.canaries |= endpoint.canaries | {stack.issuer.request_token.reveal()}
    sweep.tell(row, f"token endpoint: {name}, once", "identity", run, rule)
    if not message:
        sweep.check(run, code=7, ran=True, verdicts=[DEAD])
        return
    assert (run.returncode, sweep.ran, said(run.stderr)) == (125, False, message)
    assert (sweep.vault.stages, kinds(sweep.config_file)) == ([], [])


@pytest.mark.chaos
def test_the_token_endpoint_fails_for_good(stack: Stack, tmp_path: Path, row: Tell) -> None:
    """All at once: each of them is asked for half a minute."""
    faults = {
        "reset": (Fault("reset"), "no connection, or one that broke off (the last of N tries)", NOT_REACHED),
        "refuse": (Fault("refuse"), "no connection, or one that broke off (the last of N tries)", NOT_REACHED),
        "hang": (Fault("hang"), "no answer in time (the last of N tries)", NOT_REACHED),
        "dribble": (Fault("dribble"), "an answer that does not end", NOT_REACHED),
        "503": (
            Fault(status=503),
            "HTTP 503 (the last of N tries)",
            "The CI's token service is overloaded or out of order.",
        ),
    }
    with ExitStack() as scope:
        steps = {}
        for name, (fault, _, _) in faults.items():
            (tmp_path / name).mkdir()
            sweep = scope.enter_context(swept(stack, tmp_path / name))
            endpoint = scope.enter_context(FaultyVault(stack.issuer.url))
            endpoint.fail("token", fault, times=None)
            steps[name] = (sweep, scope.enter_context(sweep.start(ACTIONS_ID_TOKEN_REQUEST_URL=url(endpoint))))
        for name, (sweep, step) in steps.items():
            run = step.wait()
            _, reason, cause = faults[name]
            heard = " ".join(
                "N" if word.isdecimal() and word != "503" else word for word in said(run.stderr).split(" ")
            )
            if name == "dribble":  # it is given up between two bytes, or while one is waited for
                heard = heard.replace("no answer in time", reason)
            assert heard == no_token(f"gave no ID token: {reason}", cause, AGAIN)
            assert (run.returncode, sweep.ran, sweep.vault.stages) == (125, False, [])
            assert kinds(sweep.config_file) == []
            row(f"token endpoint: {name}, for good", "identity", outcome(run, []), None)


def test_an_answer_that_trickles_in_is_not_waited_for(stack: Stack) -> None:
    with FaultyVault(stack.issuer.url) as endpoint:
        endpoint.fail("token", Fault("dribble"))
        answer = PatientHTTP({}, SystemClock(), deadline=0.5).ask("GET", url(endpoint), {})
    assert answer in [Answer(0, reason, b"", 1) for reason in ("an answer that does not end", "no answer in time")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_ended_while_the_token_endpoint_hangs(sweep: Sweep, stack: Stack, row: Tell, number: signal.Signals) -> None:
    with FaultyVault(stack.issuer.url) as endpoint:
        rule = endpoint.fail("token", Fault("hang"))
        with sweep.start(ACTIONS_ID_TOKEN_REQUEST_URL=url(endpoint)) as step:
            assert rule.arrived.wait(60)
            moment = time.monotonic()
            step.kill(step.process.pid if number == signal.SIGTERM else step.worker, number)
            run = step.wait()
    sweep.tell(row, f"{'step' if number == signal.SIGTERM else 'worker'}: {number.name}", "identity", run, moment)
    assert (run.returncode, sweep.ran, sweep.vault.stages, kinds(sweep.config_file)) == (125, False, [], [])
    assert normalised(run.stderr) == (
        "stepcreds: error: Ended by SIGTERM before the command ran\n"
        "  cause: The job was cancelled, or somebody pressed Ctrl-C.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#cancelled\n"
        if number == signal.SIGTERM
        else "stepcreds: error: The process that ran this step was lost: the worker was killed by SIGKILL\n"
        "  cause: Something killed it (the end of the job, the out-of-memory killer), or it met an error of its own.\n"
        "  fix: It held no credential.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#worker-lost\n"
    )
