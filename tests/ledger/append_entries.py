"""Run as a program: appends to the chain in argv[1], argv[2] times, and says each event_uid once it is acknowledged."""

from __future__ import annotations

import sys
from pathlib import Path

from ledger_samples import STEP

from stepcreds.clock import SystemClock
from stepcreds.ledger import credential
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.record import new_uid


def main() -> None:
    journal = Journal.at(Path(sys.argv[1]), clock=SystemClock())
    for _ in range(int(sys.argv[2])):
        event = credential.token_revoke_failed(STEP, new_uid(), token_accessor="a", detail="503", expire_time=None)
        # One write(2) for each line: what the reader has was acknowledged before the next append began.
        sys.stdout.write(f"{journal.append(event)['event_uid']}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
