"""What the demo prints: the words and their colours. Nothing here asks a server anything or decides what is true."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stepcreds.printable import one_line, printable

_BOLD, _DIM, _RED, _GREEN, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[1;31m", "\x1b[1;32m", "\x1b[0m"


@dataclass(frozen=True)
class Act:
    """How one of the two acts ended."""

    rows: Mapping[str, int | None]  # of the three tables; None for one that is gone
    refusal: str  # PostgreSQL's answer to the leaked URL, "FATAL 28P01: …"; "" if it let us in

    @property
    def lost(self) -> int:
        return sum(count is None for count in self.rows.values())

    @property
    def leak(self) -> str:
        return "refused" if self.refusal else "works"


class Story:
    """Writes one line at a time with `write`, in colour or not."""

    def __init__(self, write: Callable[[str], object], colour: bool) -> None:
        self._write = write
        self._colour = colour

    def progress(self, text: str) -> None:
        self._write(self._in(_DIM, f"{text} …"))

    def opening(self, tables: Sequence[str]) -> None:
        self._say(
            "",
            "A deployment migrates a production database, then verifies it. Three tables there are named",
            f"like scratch tables ({', '.join(tables)}),",
            "but partners deliver into them. And a variable was left over from staging: with STAGING=1,",
            "verification drops them.",
        )

    def act_today(self) -> None:
        self._title("1. As pipelines do it today: one credential with DDL, in the environment of both steps")

    def act_with_stepcreds(self) -> None:
        self._title("2. With stepcreds: the same scripts, each step with a credential of its own")

    def act_widened(self) -> None:
        self._title("3. Somebody is in a hurry, and gives verification's role at OpenBao what the migration's gives")

    def too_wide(self, code: int, alive: Collection[str]) -> None:
        users = ", ".join(map(one_line, sorted(alive))) or "none"
        self._say(
            "",
            f"  Exit code {code}: the credential was measured before the step could have it, and revoked.",
            f"  Users that OpenBao issued and that still exist: {users}.",
        )

    def ledger(self) -> None:
        self._title("4. What is on record: which step held what, and when it was proven dead")
        self._say(
            "",
            "  Vault signed the chain when each credential was issued, and when it was dead; the key never",
            "  leaves it. The platform engineer writes down whose signatures count. From then on nobody has",
            "  to ask Vault to see that no line was changed, added or taken out.",
        )

    def command(self, argv: Sequence[str]) -> None:
        self._say("", f"  {self._in(_BOLD, '$ ' + shlex.join(argv))}")

    def output(self, line: str) -> None:
        shown = printable(line)
        self._say(f"    {self._in(_RED, shown) if re.search('ERROR:|stepcreds: error:', line) else shown}")

    def staging(self, rows: Mapping[str, int | None]) -> None:
        self._say("", "  What the database says now:")
        for name, count in rows.items():
            state = self._in(_RED, "gone") if count is None else self._in(_GREEN, f"{count} rows")
            self._say(f"    {name:<17} {state}")

    def leaked_today(self, refusal: str) -> None:
        self._say(
            "",
            "  migrate.sql also left its DATABASE_URL in a debug log. The job is over, and we try it:",
            f"    {self._login(refusal)}",
            "",
            "  Nothing was hacked. Verification had only to read; it could drop tables because the",
            "  migration's credential was still there.",
        )

    def restoring(self) -> None:
        self._say("", self._in(_DIM, "  (The tables are put back, and the long-lived credential is removed.)"))

    def leaked_with_stepcreds(self, refusal: str, alive: Collection[str]) -> None:
        users = ", ".join(map(one_line, sorted(alive))) or "none"
        self._say(
            "",
            "  The URL in the debug log, tried before the next step starts:",
            f"    {self._login(refusal)}",
            f"    Users that OpenBao issued and that still exist: {users}.",
        )

    def refused(self, code: int) -> None:
        self._say("", f"  Exit code {code}: the verify step fails, and somebody looks at it.")

    def side_by_side(self, today: Act, with_stepcreds: Act) -> None:
        self._title(f"{'':<30}{'today':<12}with stepcreds")
        for question, first, second in (
            ("tables lost", str(today.lost), str(with_stepcreds.lost)),
            ("the leaked URL, afterwards", today.leak, with_stepcreds.leak),
        ):
            self._say(f"  {question:<28}{self._in(_RED, f'{first:<12}')}{self._in(_GREEN, second)}")

    def act_missing(self, seconds: float) -> None:
        self._title("5. And when a table is missing all the same")
        self._say("", self._in(_DIM, f"  (Other steps of the job take {seconds:.0f} seconds.)"))

    def missing(self, time: str) -> None:
        self._say(
            "",
            f"  The table app.staging_returns is missing since {one_line(time)}. Which step was it?",
            "  Somebody who was not there has the ledger, and the public keys that its records are signed with.",
        )

    def answer(self, lines: Sequence[str]) -> None:
        self._say("", *(f"    {printable(line)}" for line in lines))

    def kept(self, folder: Path) -> None:
        self._say("", f"  The ledger, its checkpoints, the keys and the whole answer are in {one_line(str(folder))}.")

    def keep(self, folder: Path, pid: int) -> None:
        """How to play on: `folder` holds step.sh, admin.sh, the scripts and stepcreds.yml; `pid` is ours."""
        self._title("The servers stay up until you press Ctrl-C here")
        self._say(
            f"or run: kill {pid}",
            "",
            "In another terminal, as a step of the job:",
            "",
            f"  cd {shlex.quote(str(folder))}",
            "  . ./step.sh",
            "  stepcreds exec migrate -- psql -f migrate.sql",
            "  stepcreds exec verify -- psql",
            "  stepcreds doctor migrate",
            "  stepcreds ledger show --trust stepcreds-trust.json",
            "",
            "The ::add-mask:: lines are for GitHub's runner, which hides these values in its log.",
            "In a third one, as the platform engineer:",
            "",
            f"  cd {shlex.quote(str(folder))}",
            "  . ./admin.sh",
            "  bao list sys/leases/lookup/database/creds/app-verify",
            '  psql "$SHOP_ADMIN_URL" -c "SELECT usename, state, query FROM pg_stat_activity"',
        )

    def farewell(self) -> None:
        self._say("", self._in(_DIM, "The servers are stopped and their files removed; nothing is left running."))

    def _login(self, refusal: str) -> str:
        return self._in(_GREEN, one_line(refusal)) if refusal else self._in(_RED, "PostgreSQL lets us in.")

    def _title(self, text: str) -> None:
        self._say("", self._in(_BOLD, text))

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._write(line)

    def _in(self, code: str, text: str) -> str:
        return f"{code}{text}{_PLAIN}" if self._colour else text
