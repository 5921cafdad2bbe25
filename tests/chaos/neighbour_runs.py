"""What the tests of hostile neighbours share: steps of a user without privileges, and another process of that user beside them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from step_runs import STAYING, Placed, Running, reporting
from sweep_runs import TIMEOUT, Sweep, through

from stepcreds.devstack.stack import Stack

_NEIGHBOUR = str(Path(__file__).parent / "neighbour.py")
# The password that the lock sets leaves its process as a verifier only; it is made of 32 random bytes, which are these.
LOCK = b"canary of the lock's own passwor"
_KNOWN = f"import os; real = os.urandom; os.urandom = lambda size: {LOCK!r} if size == 32 else real(size); "


class Neighbourhood(Sweep):
    """A sweep whose steps are those of a user without privileges, where root runs the tests: to root nothing is refused."""

    def __init__(self, stack: Stack, folder: Path, before: Sequence[str], python: str) -> None:
        super().__init__(stack, folder)
        self.before = tuple(before)  # what makes a command one of that user
        self.python = python
        for name in ("tmp", "home"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)

    def start(self, *arguments: str, **variables: str | None) -> Running:
        words = arguments or ("exec", "migrate", "--", *self.command)
        own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp"), "XDG_RUNTIME_DIR": None}
        variables = {"VAULT_CLIENT_TIMEOUT": TIMEOUT, **own, **variables}
        return Placed(self.stack, self.folder, *self.before, *through(self.python, _KNOWN), *words, **variables)

    def staying(self) -> list[str]:
        """A command that writes its environment to `report` in the folder, and stays until it is ended."""
        return [self.python, *reporting(self.folder / "report", STAYING)[1:]]

    def as_user(self, *words: str, script: str = "") -> subprocess.CompletedProcess[str]:
        """A command of that user, without a step's environment; `script` for sh, with `words` as $1 and so on."""
        argv = ["sh", "-euc", script, "sh", *words] if script else [*words]
        return subprocess.run(
            [*self.before, *argv],
            cwd=self.folder,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def attack(self, *pids: int) -> list[str]:
        """What a neighbour gets of these processes; nothing of those that are gone."""
        run = self.as_user(self.python, "-I", _NEIGHBOUR, *map(str, pids))
        assert run.returncode == 0, run.stderr
        got: list[str] = json.loads(run.stdout)
        return got

    def seen(self) -> list[str]:
        """Where a secret of the step can be read: the words of a process, or a file that is not one of `files:`."""
        canaries = [canary.encode() for canary in (*self.vault.canaries, LOCK.hex())]
        places = [
            *Path("/proc").glob("[0-9]*/cmdline"),
            *_files(self.folder),
            *_files(*Path("/dev/shm").glob("stepcreds-*")),
        ]
        found = []
        for place in places:
            with suppress(OSError):
                content = place.read_bytes()
                found += [str(place)] * any(canary in content for canary in canaries)
        return found


def _files(*folders: Path) -> list[Path]:
    """The regular ones, but for those that are large because they hold nothing."""
    found = [Path(above) / name for folder in folders for above, _, names in os.walk(folder) for name in names]
    there = [(path, path.lstat()) for path in found if os.path.lexists(path)]
    return [path for path, status in there if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 30]
