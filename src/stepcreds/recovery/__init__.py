"""Ends what a killed step left, and what a step handed out, and proves it though the password is lost.

The ledger says what was requested and not closed, or closed without proof. A login of this job's own ends it by its
lease id, or by its token's accessor where no lease came on record. Proof is by lookup and by a witness: a fresh
credential of a profile on the same server sees neither the role nor a session of it.

Where nothing is left, neither an identity nor Vault is asked: a job that never got a credential may have no right to
one.
"""

from __future__ import annotations

from stepcreds.recovery.recovering import exit_code, recover, run
from stepcreds.recovery.task import Remembered, Report, Task

__all__ = ["Remembered", "Report", "Task", "exit_code", "recover", "run"]
