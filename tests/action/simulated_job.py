"""A job as the runner sees it, for the Action's Python half: files for each step, the state that it keeps, `post`s in
reverse order. `runner.py` has a real runner; this one can stop a step at any point, and change what lies about."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from processes import descendants
from stepcreds.devstack.stack import Stack


class Use:
    """One step with `uses: stepcreds/stepcreds`."""

    def __init__(self, job: Job, number: int, inputs: dict[str, str]) -> None:
        self.job = job
        self.inputs = inputs
        commands = job.temporary / "_runner_file_commands"
        commands.mkdir(parents=True, exist_ok=True)
        self.files = {
            name: commands / f"{name.lower()}_{number}" for name in ("OUTPUT", "STATE", "ENV", "PATH", "STEP_SUMMARY")
        }
        for file in self.files.values():
            file.touch()

    def environment(self, stage: str = "main", **variables: str | None) -> dict[str, str]:
        """What the runner starts it with."""
        merged: dict[str, str | None] = {
            **self.job.environment(),
            **{f"GITHUB_{name}": str(file) for name, file in self.files.items()},
            **{f"INPUT_{name.replace('_', '-').upper()}": value for name, value in self.inputs.items()},
            **({f"STATE_{name}": value for name, value in self.state.items()} if stage == "post" else {}),
            **variables,
        }
        return {name: value for name, value in merged.items() if value is not None}

    def start(self, stage: str = "main", **variables: str | None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "stepcreds", "action", stage],
            cwd=self.job.workspace if self.job.workspace.exists() else "/",
            env=self.environment(stage, **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, stage: str = "main", **variables: str | None) -> subprocess.CompletedProcess[str]:
        with self.start(stage, **variables) as process:
            stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    @property
    def state(self) -> dict[str, str]:
        """What the runner keeps of it: the last value of each name."""
        return dict(line.split("=", 1) for line in self.files["STATE"].read_text().splitlines())

    @property
    def outputs(self) -> dict[str, str]:
        text = self.files["OUTPUT"].read_text()
        found = re.findall(r"^([^\n<]+)<<(stepcreds-[0-9a-f]{32})\n(.*?)\n\2\n", text, re.MULTILINE | re.DOTALL)
        return {name: value for name, _, value in found}


class Job:
    """A job in `folder`, whose checkout holds the stack's stepcreds.yml and whose ledger is where GitHub's is."""

    def __init__(self, stack: Stack, folder: Path, *, more_config: str = "") -> None:
        self.stack = stack
        self.temporary = folder / "_temp"
        self.workspace = folder / "workspace"
        self.home = folder / "home"
        for each in (self.temporary, self.workspace, self.home):
            each.mkdir(parents=True)
        self.config = self.workspace / "stepcreds.yml"
        text = stack.config_text().replace("ledger:\n  path: .stepcreds\n", more_config)
        self.config.write_text(text)
        self.uses: list[Use] = []
        self.variables: dict[str, str | None] = {}

    @property
    def ledger(self) -> Path:
        return self.temporary / "stepcreds"

    def environment(self) -> dict[str, str | None]:
        return {
            **self.stack.environment(
                RUNNER_TEMP=str(self.temporary), GITHUB_WORKSPACE=str(self.workspace), HOME=str(self.home)
            ),
            **self.variables,
        }

    def use(self, **inputs: str) -> Use:
        """The next step; names of inputs with `_` for `-`."""
        self.uses.append(Use(self, len(self.uses) + 1, inputs))
        return self.uses[-1]

    def ends(self) -> list[subprocess.CompletedProcess[str]]:
        """The `post` of each use, the last one's first."""
        return [use.run("post") for use in reversed(self.uses)]


class Started:
    """`with Started(use) as step:` is a step that is not waited for; nothing of it stays alive."""

    def __init__(self, use: Use) -> None:
        self.process = use.start()

    @property
    def worker(self) -> int:
        return int(descendants(self.process.pid)[0])

    def kill_both(self) -> None:
        """As the runner does at the end of its patience."""
        worker = self.worker
        self.process.send_signal(signal.SIGSTOP)
        for pid in (worker, self.process.pid):
            subprocess.run(["kill", "-KILL", str(pid)], check=True)
        self.process.wait()

    def __enter__(self) -> Started:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=120)
