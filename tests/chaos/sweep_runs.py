"""What the failure sweep shares: a step against servers that fail, and everything that must hold of it afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from chaos_table import Tell, exit_code
from deaths import Deaths, Look, at_postgresql
from pair_runs import pairs_of_nobody
from step_runs import Running, of_kind, reconfigure, said, until, verdicts

from faulty_vault import FaultyVault, Rule
from stepcreds.devstack.stack import Stack
from stepcreds.review.sources import local
from stepcreds.review.verification import verify

_REPOSITORY = Path(__file__).parents[2]
TTL = 120  # seconds; of both profiles
# Long enough for two tries by a busy machine, and short enough to wait for in vain.
TIMEOUT = "3s"
RUNS = "the command runs"
# How a credential ends on record; the third goes on with a time.
DEAD, REVOKED, EXPIRES, NOT_ISSUED = "proven dead", "revoked, not proven", "expires at", "not issued"
# What a step says, with a word for all that differs from run to run.
ISSUED = "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"
PROVEN = "stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)\n"
ENDED = "stepcreds: migrate: proven dead (lease lookup and refused logins)\n"  # before its command


class Expected(NamedTuple):
    """What `Sweep.check` asks of a step."""

    code: int
    ran: bool
    verdicts: tuple[str, ...]
    alive: bool = False
    token_left: bool = False


class Sweep:
    """`with Sweep(stack, tmp_path) as sweep:` is a step whose OpenBao is `sweep.vault`; the config is in `tmp_path`.

    When the block ends, whatever the step left alive has been revoked with the root token. Several at once may share one
    `deaths`.
    """

    def __init__(
        self, stack: Stack, folder: Path, vault: FaultyVault | None = None, deaths: Deaths | None = None
    ) -> None:
        self.stack = stack
        self.folder = folder
        self.vault = vault or FaultyVault(stack.address)
        self.deaths = deaths or Deaths(self.looking)
        self._shares_deaths = deaths is not None
        self.config_file = folder / "stepcreds.yml"
        self.config_file.write_text(stack.config_text(folder / ".stepcreds"))
        self.change(address=self.vault.address)
        self.marker = folder / "ran"

    def change(self, *, address: str = "", **migrate: object) -> None:
        """Another address of the server, other keys of the profile `migrate`."""

        def apply(document: dict[str, Any]) -> None:
            document["vault"]["address"] = address or document["vault"]["address"]
            document["profiles"]["migrate"].update(migrate)

        reconfigure(self.config_file, apply)

    @property
    def command(self) -> list[str]:
        """A command that leaves a marker, says something of its own, and ends with 7."""
        return ["sh", "-c", f"echo ran > {self.marker}; echo from the command; exit 7"]

    @property
    def ran(self) -> bool:
        return self.marker.exists()

    def run(self, *arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        """`stepcreds exec migrate` with `command`, or whatever `arguments` say."""
        with self.start(*arguments, **variables) as step:
            return step.wait()

    def start(self, *arguments: str, **variables: str | None) -> Running:
        words = arguments or ("exec", "migrate", "--", *self.command)
        return Running(self.stack, self.config_file, *words, **{"VAULT_CLIENT_TIMEOUT": TIMEOUT, **variables})

    def revoke_all(self) -> subprocess.CompletedProcess[str]:
        """What the end of the job does, when the server is well again."""
        self.change(address=self.stack.address)
        return self.run("revoke", "--all", VAULT_CLIENT_TIMEOUT=None)

    def looking(self) -> AbstractContextManager[Look]:
        """Where the users of the step are looked up."""
        return at_postgresql(self.stack)

    def alive(self) -> set[str]:
        """The users of this step that still exist."""
        with self.looking() as look:
            return set(self.vault.issued.values()) & look()

    def ttl(self, lease_id: str) -> float:
        """Seconds that OpenBao gives the lease; 0 for one that is gone."""
        with self.stack.client() as client:
            url, headers = f"{client.url}/v1/sys/leases/lookup", {"X-Vault-Token": client.token}
            answer = client.adapter.session.put(url, headers=headers, json={"lease_id": lease_id}, timeout=60)
            return float(answer.json()["data"]["ttl"]) if answer.status_code == 200 else 0.0

    def verify(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stepcreds", "ledger", "verify", str(self.folder / ".stepcreds")],
            cwd=self.folder,
            env=self.stack.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def check(
        self,
        run: subprocess.CompletedProcess[str],
        *,
        code: int,
        ran: bool,
        verdicts: Sequence[str],
        alive: bool = False,
        token_left: bool = False,
    ) -> None:
        """Exit code, whether the command ran, how each credential ended on record, and whether one is alive."""
        assert (run.returncode, self.ran) == (code, ran), run.stderr
        assert self.verdicts() == list(verdicts), run.stderr
        assert bool(of_kind(self.config_file, "token.revoke_failed")) == token_left, run.stderr
        files = sorted((self.folder / ".stepcreds").glob("*.jsonl"))  # in this process: hundreds of rows come here
        findings = [
            f"{each.layer}/{each.code} ({each.certainty})"
            for file in verify(local(files))
            for each in file.findings
            if each.line
        ]
        # What is not proven dead is what a step ends with 121 for, or what may be alive; nothing else may be wrong.
        lost = [
            closed["verdict"]
            for closed in of_kind(self.config_file, "credential.closed")
            if closed["revoke"]["method"] == "token"
        ]
        open_ended = [verdict for verdict in self.verdicts() if verdict not in ("proven dead", "not issued")]
        assert findings == ["order/unproven (unknown)"] * (len(open_ended) - lost.count("revoked, not proven"))
        if alive:
            assert self.alive()
            assert 0 < max(map(self.ttl, self.vault.issued)) <= TTL
            assert any(verdict.startswith("expires at") for verdict in verdicts)
            self.check_recovery()
        else:
            until(lambda: not self.alive(), "the users of the step are gone")
        self.check_secrets(run)

    def check_recovery(self) -> None:
        """`stepcreds revoke --all` ends what is left, proves it, and closes the chain."""
        recovery = self.revoke_all()
        assert recovery.returncode == 0, recovery.stderr
        assert self.alive() == set()
        verified = self.verify()
        assert verified.returncode == 0, verified.stdout
        assert ": ok, " in verified.stdout
        assert verified.stdout.splitlines()[0].endswith(" records, closed")
        self.check_secrets(recovery)

    def check_secrets(self, *runs: subprocess.CompletedProcess[str]) -> None:
        """No token and no password that went over the wire is anywhere but in a mask; and nothing crashed."""
        texts = [text for run in runs for text in (run.stdout, said(run.stderr))]
        texts += [path.read_text() for path in (self.folder / ".stepcreds").glob("*")]
        whole = "\n".join(texts)
        assert self.vault.canaries
        assert [canary for canary in self.vault.canaries if canary in whole] == []
        assert "Traceback" not in whole

    def verdicts(self) -> list[str]:
        """Of all closings, in order; without the time of those that say one."""
        return ["expires at" if verdict.startswith("expires at") else verdict for verdict in verdicts(self.config_file)]

    def tell(
        self,
        row: Tell,
        fault: str,
        stage: str,
        run: subprocess.CompletedProcess[str],
        since: float | Rule | None,
        ended: Sequence[str] | None = None,
    ) -> None:
        """A line of the chaos table: how the step ended, and how long its users lived after `since` (monotonic seconds,
        or when a rule was first met; None: the fault was there before the step). It waits for their end: what leaves one
        alive has it ended before, by `check`. `ended` is what came of the credential where the ledger does not say."""
        moment = since.first_met if isinstance(since, Rule) else since
        seconds = None if moment is None else self.deaths.after(moment, set(self.vault.issued.values()))
        row(fault, stage, outcome(run, self.verdicts() if ended is None else ended), seconds)

    def close(self) -> None:
        if not self._shares_deaths:
            self.deaths.__exit__(None, None, None)
        self.vault.close()
        with self.stack.client() as client:
            for lease_id in self.vault.issued:
                url, headers = f"{client.url}/v1/sys/leases/revoke", {"X-Vault-Token": client.token}
                client.adapter.session.put(url, headers=headers, json={"lease_id": lease_id, "sync": True}, timeout=60)

    def __enter__(self) -> Sweep:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def outcome(run: subprocess.CompletedProcess[str], verdicts: Sequence[str]) -> str:
    """How a step ended, as the chaos table says it."""
    return f"exit {exit_code(run.returncode)}; {', '.join(dict.fromkeys(verdicts)) or 'no credential on record'}"


AnySweep = TypeVar("AnySweep", bound=Sweep)


@contextmanager
def leaving_nothing(sweep: AnySweep) -> Iterator[AnySweep]:
    """After it nothing that it issued is left, whatever happened in it."""
    with sweep:
        yield sweep
    assert sweep.alive() == set()


@contextmanager
def swept(
    stack: Stack, folder: Path, vault: FaultyVault | None = None, deaths: Deaths | None = None
) -> Iterator[Sweep]:
    with leaving_nothing(Sweep(stack, folder, vault, deaths)) as sweep:
        yield sweep


@contextmanager
def of_nobody(kind: Callable[[Stack, Path, Sequence[str], str], AnySweep], stack: Stack) -> Iterator[AnySweep]:
    """One whose steps are a user's without privileges, whom modes and limits bind: to root nothing is refused."""
    with pairs_of_nobody() as place, leaving_nothing(kind(stack, place.folder, place.before, place.python)) as sweep:
        yield sweep


def through(python: str, first: str = "") -> tuple[str, ...]:
    """stepcreds of this tree by another Python, which may have none of our packages; `first` is done before."""
    paths = [] if python == sys.executable else [str(_REPOSITORY / name) for name in ("src", "vendor")]
    code = f"import sys; sys.path[:0] = {paths}; {first}from stepcreds.cli import main; main()"
    return (python, "-I", "-B", "-c", code)
