"""What the tests of a failing machine share: steps in a mount namespace of their own, as another user, under limits, and
things that happen to the machine between two stages of a step."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from step_runs import Placed, Running, normalised
from sweep_runs import TIMEOUT, Sweep, through

from faulty_vault import FaultyVault, Request
from stepcreds.devstack.stack import Stack

IS_ROOT = os.geteuid() == 0
BEFORE_THE_ISSUE = ["login", "probe", "revoke-self"]
SMALL = 1 << 20  # bytes
WHOLE = ["login", "probe", "issue", "revoke", "lookup", "revoke-self"]
OF_THIS_TREE = (sys.executable, "-m", "stepcreds")
_OWN_MOUNTS = ("unshare", "--mount", "--propagation=private", *(() if IS_ROOT else ("--user", "--map-root-user")))


class Namespace:
    """`with Namespace() as space:` is a mount namespace that ends with the block, or with this process.

    A user without privileges is root in it (user_namespaces(7)); what is mounted there nobody else sees.
    """

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            [*_OWN_MOUNTS, "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"\n", "unshare(1) refused"

    @property
    def enter(self) -> tuple[str, ...]:
        """What goes before a command that is to run in it."""
        own_user = () if IS_ROOT else ("--user", "--preserve-credentials")
        return ("nsenter", f"--target={self._holder.pid}", "--mount", *own_user, "--")

    def at(self, path: Path | str) -> Path:
        """Where somebody outside finds what is `path` in it."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def shell(self, script: str, *arguments: object) -> str:
        """What `script` writes, with `arguments` as $1 and so on; it has to succeed."""
        run = subprocess.run(
            [*self.enter, "sh", "-euc", script, "sh", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def mount(self, place: Path | str, options: str) -> Path:
        """A tmpfs at `place`, which is made; where somebody outside finds it."""
        self.shell('mkdir -p "$1"; mount -t tmpfs -o "$2" tmpfs "$1"', place, options)
        return self.at(place)

    def __enter__(self) -> Namespace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.communicate()


class Staged(FaultyVault):
    """One at which something happens to the machine: `acts[stage]`, once OpenBao has done what it was asked, and before
    its answer goes out."""

    def __init__(self, target: str) -> None:
        self.acts: dict[str, Callable[[], object]] = {}
        super().__init__(target)

    def _forward(self, upstream: HTTPConnection, request: Request, stage: str) -> tuple[int, str, bytes]:
        answer = super()._forward(upstream, request, stage)
        self.acts.pop(stage, lambda: None)()
        return answer


AnyMachine = TypeVar("AnyMachine", bound="Machine")


class Machine(Sweep):
    """A sweep whose steps are `before` and `stepcreds`, and then their own words."""

    vault: Staged

    def __init__(self, stack: Stack, folder: Path, before: Sequence[str] = (), python: str = sys.executable) -> None:
        super().__init__(stack, folder)
        self.vault.close()
        self.vault = Staged(stack.address)
        self.change(address=self.vault.address)
        self.before = tuple(before)
        self.stepcreds = OF_THIS_TREE if python == sys.executable else through(python)
        self.ledger = folder / ".stepcreds"
        # When something happened to the machine in mid-step (monotonic seconds); None: it was so from the start.
        self.struck: float | None = None

    def __enter__(self: AnyMachine) -> AnyMachine:
        return self

    def enter(self, space: Namespace) -> None:
        """From now on the steps are in `space`, whose mounts are theirs."""
        self.before = (*space.enter, "env", f"--chdir={self.folder}", *self.before)

    def at(self, stage: str, act: Callable[[], object]) -> None:
        """Have `act` happen once, between what OpenBao does at `stage` and its answer."""

        def now() -> None:
            self.strike()
            act()

        self.vault.acts[stage] = now

    def strike(self) -> None:
        """Now something happens to the machine."""
        self.struck = time.monotonic()

    def start(self, *arguments: str, **variables: str | None) -> Running:
        self.struck = None
        words = arguments or ("exec", "migrate", "--", *self.command)
        line = (*self.before, *self.stepcreds, *words)
        return Placed(self.stack, self.folder, *line, **{"VAULT_CLIENT_TIMEOUT": TIMEOUT, **variables})

    def ask_directly(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command that asks OpenBao more than a step does."""
        self.change(address=self.stack.address)
        run = self.run(*arguments)
        self.change(address=self.vault.address)
        return run

    def forget(self) -> None:
        """What earlier steps left here."""
        self.marker.unlink(missing_ok=True)
        self.vault.stages.clear()
        _empty(self.ledger)

    def bring_out(self, folder: Path) -> None:
        """Have the ledger that somebody finds in `folder` where `check` looks for one."""
        _empty(self.ledger)
        for file in folder.iterdir():
            if "jsonl" in file.name:
                shutil.copy(file, self.ledger)

    def worded(self, run: subprocess.CompletedProcess[str]) -> str:
        """What the step said, with a word for all that differs from run to run."""
        text = normalised(run.stderr).replace(str(self.folder), "FOLDER")
        return re.sub(r"[-\w]+-[0-9a-f]{12}\.jsonl", "LEDGER", text)

    def found(self) -> tuple[int, list[str]]:
        """The verdict of `ledger verify`: its exit code, and what it found."""
        run = self.verify()
        assert run.returncode in (0, 1), run.stdout + run.stderr
        return run.returncode, re.findall(r"^  .*?([a-z]+/[-a-z]+) \(", run.stdout, re.MULTILINE)


def complaint(what: str, *, cause: str = "", fix: str = "", docs: str = "ledger") -> str:
    """An error as it is printed."""
    lines = [f"stepcreds: error: {what}"]
    lines += [f"  {name}: {text}" for name, text in (("cause", cause), ("fix", fix)) if text]
    lines += [f"  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#{docs}", ""]
    return "\n".join(lines)


def _empty(folder: Path) -> None:
    """The folder itself stays: where it goes, so does what is mounted there in a namespace."""
    for path in folder.iterdir() if folder.exists() else ():
        path.unlink()


def fill(folder: Path) -> None:
    """Leave no byte free on the file system of `folder`, which has to be a small one of the test's own."""
    whole = os.statvfs(folder)
    assert whole.f_blocks * whole.f_frsize <= SMALL, f"{folder} is on the machine's own disk"
    with suppress(OSError), (folder / "fill").open("wb", buffering=0) as file:
        for _ in range(SMALL // 4096):
            file.write(bytes(4096))
