"""A credential is measured before its command gets it: refused where it can do more than it declares, and what else can
come of a look at the database.

The profile `migrate` of these steps has what it takes for DDL, and the relay before PostgreSQL does as it is told.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from step_runs import MASK, Running, normalised, of_kind, records, until
from sweep_runs import Sweep, swept
from test_sweep_signals import killed_front, killed_worker

from annotations import unannotated
from faulty_relay import FaultyRelay, Treatment
from stepcreds.devstack.stack import Stack
from stepcreds.ledger.reading import read_chain

DEAD, REVOKED = "proven dead", "revoked, not proven"
DOCS = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md"
ENDED = "stepcreds: migrate: proven dead (lease lookup and refused logins)\n"
VERDICT = "is declared read-only in app, and can do more (ddl)"
WORST = "it can drop the schema app with all that is in it, and open it to others, via SET ROLE app_owner"
EXCESS = [
    "PG.SCHEMA.OWN app",
    "PG.TABLE.OWN app",
    "PG.SCHEMA.CREATE app",
    "PG.SEQUENCE.OWN app",
    "PG.TABLE.WRITE app",
    "PG.SEQUENCE.WRITE app",
]


@pytest.fixture
def sweep(stack: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(stack, tmp_path) as made:
        yield made


class Before:
    """PostgreSQL behind a relay that treats the connections of a step as it is told, the first being the measuring."""

    def __init__(self, sweep: Sweep, treat: Callable[[int], Treatment]) -> None:
        self.relay = FaultyRelay(sweep.stack.postgresql.port, treat)
        database = sweep.stack.database
        sweep.change(database=f"postgresql://127.0.0.1:{self.relay.port}/{database.database}?sslmode=disable")

    def __enter__(self) -> FaultyRelay:
        return self.relay

    def __exit__(self, *_: object) -> None:
        self.relay.close()


def first(treatment: Treatment) -> Callable[[int], Treatment]:
    return lambda number: treatment if number == 1 else "relay"


def privileges(sweep: Sweep) -> list[dict[str, Any]]:
    return [closed["privileges"] for closed in of_kind(sweep.config_file, "credential.closed")]


def unmeasured(reason: str) -> dict[str, Any]:
    return {"granted": None, "used": None, "excess": None, "measured_by": f"not measured: {reason}"}


def without_hosts(text: str) -> str:
    return re.sub(r"127\.0\.0\.1[: ]\d+", "HOST", text)


def findings(text: str) -> list[str]:
    """The findings that a message names, in its order."""
    return re.findall(r"^(?:  cause:|   ) (PG\.[A-Z.]+ \S+): ", text, re.MULTILINE)


def test_a_credential_that_can_do_more_is_ended_and_nothing_runs(sweep: Sweep) -> None:
    sweep.change(access="read-only")
    summary = sweep.folder / "summary"
    run = sweep.run(GITHUB_STEP_SUMMARY=str(summary))
    sweep.check(run, code=125, ran=False, verdicts=[DEAD])
    assert MASK not in run.stderr  # nothing was about to be handed over
    said = unannotated(run.stderr)
    ended, message = said[: len(ENDED)], said[len(ENDED) :]
    assert ended == ENDED
    first_line, cause, _ = message.split("\n  ", 2)
    assert first_line == f"stepcreds: error: The credential of profile migrate {VERDICT}: {WORST}"
    assert cause == (
        "cause: PG.SCHEMA.OWN app: drop the schema app with all that is in it, and open it to others, via SET ROLE "
        "app_owner [ddl, and the profile declares read-only]"
    )
    assert findings(message) == EXCESS
    assert message.endswith(
        "    Or accept one of them for a while, under profiles.migrate:\n"
        "      allow:\n"
        '        - {what: "PG.SCHEMA.OWN app", reason: "…", expires: YYYY-MM-DD}\n'
        "    Or have a warning of it: on_excess: warn\n"
        f"  see: {DOCS}#excess\n"
    )
    # On the page of the run.
    title = f"::error title=stepcreds%3A The credential of profile migrate {VERDICT}".replace(",", "%2C")
    assert title in run.stderr
    (recorded,) = privileges(sweep)
    assert recorded["excess"] == EXCESS
    assert recorded["granted"]["level"] == "ddl"
    assert re.fullmatch(r"PostgreSQL \d+\.\d+ in \d+ ms", recorded["measured_by"])
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert closed["lock"]["status"] == "locked"
    assert closed["verified"]["method"] == "lease lookup and refused logins"
    table = summary.read_text()
    assert re.search(r"\| migrate \| read-only in app \| measured ddl, 6 beyond the profile in \d+ ms \|", table)
    assert [name.replace("\\", "") for name in re.findall(r"^\| (PG\S+ \S+) \|", table, re.MULTILINE)] == EXCESS
    assert sweep.vault.stages == ["login", "probe", "issue", "revoke", "lookup", "revoke-self"]


def test_a_schema_that_is_not_declared_is_as_much_excess_as_a_level(sweep: Sweep) -> None:
    sweep.change(schemas=["audit"])
    run = sweep.run()
    sweep.check(run, code=125, ran=False, verdicts=[DEAD])
    assert "is declared ddl in audit, and can do more (ddl): it can drop the schema app" in run.stderr
    assert "[the profile does not declare the schema app]" in run.stderr


def test_two_credentials_and_the_second_is_refused(sweep: Sweep) -> None:
    sweep.change(access="read-only", env={"OTHER": "{password}"})
    run = sweep.run("exec", "verify", "--also", "migrate", "--", *sweep.command)
    sweep.check(run, code=125, ran=False, verdicts=[DEAD, DEAD])
    assert [each["excess"] for each in privileges(sweep)] == [EXCESS, []]


def test_with_on_excess_warn_it_is_said_and_goes_on(sweep: Sweep) -> None:
    sweep.change(access="read-only", on_excess="warn")
    run = sweep.run()
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    warning, *_ = run.stderr.partition("::warning")
    assert warning.startswith(
        f"stepcreds: warning: the credential of profile migrate {VERDICT}: {WORST}. on_excess: warn lets it pass\n"
    )
    assert findings(warning) == EXCESS
    assert "measured ddl, 6 beyond the profile in N ms; ends at TIME unless renewed\n" in normalised(run.stderr)
    (recorded,) = privileges(sweep)
    assert recorded["excess"] == EXCESS


def test_what_somebody_accepts_passes_and_what_is_accepted_for_nothing_is_named(sweep: Sweep) -> None:
    until_when = {"reason": "the vendor's", "expires": "2199-12-31"}
    sweep.change(access="read-only", allow=[{"what": name, **until_when} for name in (*EXCESS, "PG.ROLE.CREATEDB")])
    run = sweep.run()
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    said = normalised(run.stderr)
    assert said.startswith(
        'stepcreds: warning: migrate: allow "PG.ROLE.CREATEDB" matches nothing that it can do: remove it\n'
    )
    assert "measured ddl, 6 allowed in N ms" in said
    (recorded,) = privileges(sweep)
    assert recorded["excess"] == []
    assert {each["because"] for each in recorded["granted"]["findings"] if each["standing"] == "allowed"} == {
        "allowed until 2199-12-31: the vendor's"
    }


def test_what_somebody_accepted_until_yesterday_is_excess_again(sweep: Sweep) -> None:
    ended = {"reason": "the vendor's", "expires": "2026-01-31"}
    sweep.change(access="read-only", allow=[{"what": name, **ended} for name in EXCESS])
    run = sweep.run()
    sweep.check(run, code=125, ran=False, verdicts=[DEAD])
    assert (
        "app_owner [ddl, and the profile declares read-only; the allowance for PG.SCHEMA.OWN app expired on 2026-01-31]"
    ) in run.stderr
    (recorded,) = privileges(sweep)
    assert recorded["excess"] == EXCESS


def test_what_is_accepted_for_another_profile_and_has_expired_is_nobody_elses_matter(sweep: Sweep) -> None:
    sweep.change(access="ddl", allow=[{"what": "X y", "reason": "the vendor's", "expires": "2026-01-31"}])
    run = sweep.run()
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    assert normalised(run.stderr).startswith(
        'stepcreds: warning: migrate: allow "X y" expired on 2026-01-31: remove it\n'
    )


def test_a_database_that_cannot_be_reached_to_measure(sweep: Sweep) -> None:
    with Before(sweep, first("reset")):
        run = sweep.run()
    sweep.check(run, code=125, ran=False, verdicts=[DEAD])
    assert without_hosts(unannotated(run.stderr)) == (
        f"{ENDED}stepcreds: error: The credential of profile migrate could not be measured: HOST closed the connection\n"
        "  fix: Look at `database` of the profile, and at the network. From this machine:\n"
        "      nc -vz HOST\n"
        "    Or accept that nobody looks at what it can do: profiles.migrate.measure: off\n"
        f"  see: {DOCS}#not-measured\n"
    )
    assert [without_hosts(json.dumps(each)) for each in privileges(sweep)] == [
        json.dumps(
            {"excess": None, "granted": None, "measured_by": "not measured: HOST closed the connection", "used": None}
        )
    ]


def test_a_database_that_is_gone_by_then(sweep: Sweep) -> None:
    """It cannot say that a login is refused either: what Vault says is not called a proof, and the user is gone."""
    with Before(sweep, lambda _: "reset"):
        run = sweep.run()
    assert (run.returncode, sweep.ran, sweep.verdicts()) == (125, False, [REVOKED])
    assert sweep.alive() == set()
    assert "The credential of profile migrate is not proven dead: revoked, not proven" in run.stderr
    assert "The credential of profile migrate could not be measured: " in run.stderr
    sweep.check_secrets(run)


def test_with_measure_off_nobody_looks_and_that_is_said(sweep: Sweep) -> None:
    sweep.change(access="read-only", measure="off")
    with Before(sweep, lambda _: "relay") as relay:
        run = sweep.run()
        # The lock, and the two passwords that are tried.
        assert relay.connections == 3
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    assert "; declared read-only in app; not measured: the profile says measure: off; ends at " in run.stderr
    assert privileges(sweep) == [unmeasured("the profile says measure: off")]


def test_a_declared_database_that_cannot_be_measured(sweep: Sweep) -> None:
    sweep.change(databases=["shop", "nowhere"])
    run = sweep.run()
    sweep.check(run, code=125, ran=False, verdicts=[DEAD])
    assert re.search(r"could not be measured: \S+ said: database \"nowhere\" does not exist", run.stderr)


def hanging(sweep: Sweep, relay: FaultyRelay, connections: int = 1) -> Running:
    """A step whose connection of this number is not answered."""
    step = sweep.start()
    until(lambda: relay.connections >= connections, "the step asks the database")
    return step


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_asked_to_end_while_it_measures(sweep: Sweep, number: signal.Signals) -> None:
    with Before(sweep, first("hang")) as relay, hanging(sweep, relay) as step:
        step.kill(step.process.pid, number)
        run = step.wait()
    sweep.check(run, code=125, ran=False, verdicts=[DEAD])
    assert unannotated(run.stderr) == (
        f"stepcreds: error: Ended by {number.name} before the command ran\n"
        "  cause: The job was cancelled, or somebody pressed Ctrl-C.\n"
        f"  see: {DOCS}#cancelled\n"
    )
    assert privileges(sweep) == [unmeasured("it ended before that was done")]


def test_the_worker_is_killed_while_it_measures(sweep: Sweep) -> None:
    with Before(sweep, first("hang")) as relay, hanging(sweep, relay) as step:
        run = killed_worker(step)
    sweep.check(run, code=125, ran=False, verdicts=[DEAD])
    assert privileges(sweep) == [unmeasured("it ended before that was done")]


def test_the_front_is_killed_while_it_measures(sweep: Sweep) -> None:
    with Before(sweep, first("hang")) as relay, hanging(sweep, relay) as step:
        run = killed_front(step)
    sweep.check(run, code=-signal.SIGKILL, ran=False, verdicts=[DEAD])
    assert privileges(sweep) == [unmeasured("it ended before that was done")]


def test_the_worker_is_killed_while_it_ends_what_it_refused(sweep: Sweep) -> None:
    """The other half knows what was found: it says so, and puts it on record."""
    sweep.change(access="read-only")
    with Before(sweep, lambda number: "hang" if number == 2 else "relay") as relay, hanging(sweep, relay, 2) as step:
        run = killed_worker(step)
    sweep.check(run, code=125, ran=False, verdicts=[DEAD])
    said = unannotated(run.stderr)
    assert said.startswith(
        "stepcreds: error: The process that ran this step was lost: the worker was killed by SIGKILL\n"
    )
    assert f"stepcreds: error: The credential of profile migrate {VERDICT}: {WORST}\n" in said
    assert said.endswith(ENDED)
    assert [each["excess"] for each in privileges(sweep)] == [EXCESS]


def test_the_worker_is_killed_while_its_command_runs(sweep: Sweep) -> None:
    with sweep.start("exec", "migrate", "--", "sh", "-c", f"echo ran > {sweep.marker}; sleep 300") as step:
        until(sweep.marker.exists, "the command runs")
        run = killed_worker(step)
    sweep.check(run, code=137, ran=True, verdicts=[DEAD])
    (recorded,) = privileges(sweep)
    assert (recorded["granted"]["level"], recorded["excess"]) == ("ddl", [])


def test_what_another_step_ends_was_measured_by_nobody_it_knows(sweep: Sweep) -> None:
    with sweep.start("exec", "migrate", "--", "sh", "-c", f"echo ran > {sweep.marker}; sleep 300") as step:
        until(sweep.marker.exists, "the command runs")
        for pid in (step.worker, step.process.pid):
            step.kill(pid, signal.SIGSTOP)
        for pid in (step.worker, step.process.pid):
            step.kill(pid)
        step.process.wait()
        run = sweep.run("revoke", "--all")
    assert run.returncode == 0, run.stderr
    by_name = {
        view.profile: view for view in read_chain(next((sweep.folder / ".stepcreds").glob("*.jsonl"))).credentials
    }
    assert by_name["migrate"].privileges == unmeasured("what was found out is lost with the process that issued it")
    assert by_name["verify"].privileges == unmeasured("it is a witness, and handed to nobody")
    assert [record["kind"] for record in records(sweep.config_file)][-1] == "chain.closed"
