"""What came of one kill, in the words of the chaos table: where the step was, and how its credentials ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from crash_audit import Entry, is_issue, issues, when
from crash_kills import Life
from crash_plan import ONE, SCENARIOS

from stepcreds.ledger.view import CredentialView, text_of

WHO = {
    "worker": "worker: SIGKILL",
    "front": "front: SIGKILL",
    "both": "both halves: SIGKILL",
    "both and the command": "both halves: SIGKILL, and the command",
    "front, then worker": "both halves: SIGKILL, the front first",
    "worker, then front": "both halves: SIGKILL, the worker first",
}
WHERE = {"outputs": "the handout of outputs", "scope": "scope", "doctor": "doctor", "revoke": "revoke --all"}


class Fate(NamedTuple):
    victims: str
    scenario: str
    stage: str  # one of `chaos_table.STAGES`
    outcome: str
    seconds: float | None  # from the kill until nothing of it lived any more; None: nothing ever did

    @property
    def fault(self) -> str:
        """As `chaos_table.Row` has it."""
        return WHO[self.victims] + (f", in {WHERE[self.scenario]}" if self.scenario in WHERE else "")


def stage(life: Life, entries: Sequence[Entry], asked: float) -> str:  # noqa: PLR0911 - one for each stage
    """Where the life was, by what OpenBao had been asked until then; `asked` is when it asked for its ID token."""
    before = [entry for entry in entries if when(entry) <= life.at]
    if not before:
        return "login" if asked <= life.at else "before the login"
    last, answered = before[-1], before[-1]["type"] == "response"
    path = last["request"]["path"]
    if path.endswith("/login"):
        return "probe"
    if path == "sys/leases/revoke" and not list(issues(before)) and life.kill.scenario != "revoke":
        return "issue" if answered else "probe"
    if path == "auth/token/revoke-self":
        return "give back"
    if path == "sys/leases/lookup":
        return "proof" if answered else "lookup"
    if path.startswith("sys/leases/revoke"):
        return "lookup" if answered else "revoke"
    if 0 < life.begun <= life.at:
        running = life.at <= life.begun + SCENARIOS[life.kill.scenario].seconds
        return "renew" if not answered else "the command runs" if running else "lock"
    if is_issue(last):
        return "measure" if answered else "issue"
    return "measure" if answered else "renew"


def outcome(life: Life, views: Sequence[CredentialView], entries: Sequence[Entry]) -> str:
    issued = list(issues(entries))
    if not issued and not any(view.issued for view in views):
        return "nothing was issued"
    if all(view.proven or is_refused(view) for view in views):
        return "proven dead" + (" by the recovery" if life.recovery is not None else "")
    if all(map(is_ended, views)):
        return "dead with its token"
    if any(view.delivery == "outputs" for view in views) and life.kill.victims in ONE:
        return "handed out, expired"
    issue = issued[-1] if issued else None
    revocations = [each for each in entries if each["request"]["path"].endswith(("leases/revoke", "revoke-self"))]
    if issue is None or any(each["type"] == "response" and when(each) > when(issue) for each in revocations):
        return "revoked, not on record"
    return "expired"


def is_refused(view: CredentialView) -> bool:
    return text_of(view.closed, "revoke", "status") == "not_issued"


def is_ended(view: CredentialView) -> bool:
    """On record as dead: proven, never issued, or gone with its token, where the answer was lost."""
    method, status = (text_of(view.closed, "revoke", name) for name in ("method", "status"))
    return view.proven or is_refused(view) or (method in ("token", "accessor") and status == "revoked")
