"""What the commands of stepcreds exit with; the tables in the documentation are made from here."""

from __future__ import annotations

from typing import Final

OUTPUT_LOST: Final = 1
LEAKED: Final = 1
NOT_PROVEN: Final = 121
MAX_TTL: Final = 124  # as timeout(1) has it
BEFORE_THE_COMMAND: Final = 125  # as env(1), timeout(1) and docker have it
NOT_RUNNABLE: Final = 126  # 126, 127 and 128+n: as a shell has them
NOT_FOUND: Final = 127
SIGNALLED: Final = 128
USAGE: Final = 2
INTERRUPTED: Final = 130

# Code or codes, and what they mean; first those of `exec`.
EXEC: Final = (
    ("the command's own", "the command ended, and its credential is proven dead"),
    (
        str(OUTPUT_LOST),
        "the command ended with 0, but what it printed could not be written (a full disk), or it left its credential "
        "in a file that the CI hands on",
    ),
    (f"{SIGNALLED}+n", "signal n ended the command"),
    (str(MAX_TTL), "`max_ttl` was reached: stepcreds ended the command"),
    (
        str(BEFORE_THE_COMMAND),
        "stepcreds failed or refused before the command ran: configuration, identity, Vault, scope, ledger, usage",
    ),
    (f"{NOT_RUNNABLE}, {NOT_FOUND}", "the command cannot be run; was not found"),
    (
        str(NOT_PROVEN),
        "the command ended, but its credential is not proven dead, or its end is not on record; the command's own code "
        "is in the message and in the ledger",
    ),
)
OTHERS: Final = (
    ("0", "clean"),
    (
        "1",
        "findings: something is not proven dead, can do more than it declares, does not verify, or `doctor` has found "
        "something to change",
    ),
    (str(USAGE), "usage or configuration"),
)
