"""A real runner for workflows: `act` on this host, with Node 24, the stack's issuer, and the Action made of this tree.

    repository.workflow('''…''')                   # of the fixture repository, whose stepcreds.yml is the stack's
    run = repository.run()                         # a push; `run.code`, `run.log("Migrate")`, `run.records()`
    with repository.start() as act: …              # one that is not waited for

Nothing of the machine is seen: HOME, caches and temporary folders are the test's own, and a proxy that answers nobody
stands before everything that is not loopback. `sql` on PATH runs its arguments as SQL with what PGHOST and its like say.

How act is told all this: https://nektosact.com/usage/runners.html, https://nektosact.com/usage/index.html
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, TypeVar

import ci_tools
from processes import Watched, children, descendants
from stepcreds.devstack.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
NO_USE = [f":!{folder}" for folder in ("docs", "examples", "requirements*.lock", "templates", "tests", "tools")]
DEADLINE = 60.0  # seconds; for what happens at once unless something is wrong
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

T = TypeVar("T")


class Step(NamedTuple):
    """One line of the runner's protocol."""

    stage: str  # Main, Post
    name: str
    result: str  # success, failure, skipped


class Run:
    """What a finished run left: the runner's log, and the ledgers of its jobs."""

    def __init__(self, code: int, log: Path, chains: list[str]) -> None:
        self.code = code
        self.texts = chains
        self.chains = [[json.loads(line) for line in chain.splitlines()] for chain in chains]
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]

    def log(self, step: str, stage: str = "Main", job: str = "") -> str:
        """What the step printed and the runner shows; without colours: act, unlike GitHub, gives its steps a terminal."""
        return self._text(entry["msg"] for entry in self._of(step, stage, job) if entry.get("raw_output"))

    def output(self, step: str, stage: str = "Main", job: str = "") -> str:
        """`log` with the workflow commands that the runner took out of it, masks aside: what the step wrote."""
        entries = (entry for entry in self._of(step, stage, job) if entry.get("command") != "add-mask")
        return self._text(entry["raw"] if "raw" in entry else entry["msg"] for entry in entries if _written(entry))

    def commands(self, step: str, stage: str = "Main", job: str = "") -> list[tuple[str, str]]:
        """Name and text of the workflow commands that the runner took from the step, masks aside."""
        return [
            (str(entry["command"]), str(entry["raw"]).rstrip("\n"))
            for entry in self._of(step, stage, job)
            if "raw" in entry and entry["command"] != "add-mask"
        ]

    def summary(self, step: str, stage: str = "Main", job: str = "") -> str:
        """What the step adds to the page of the run, in Markdown."""
        entries = self._of(step, stage, job)
        return "".join(str(entry["content"]) for entry in entries if entry.get("command") == "summary")

    def steps(self, job: str = "") -> list[Step]:
        """What ran and how it ended, in order, without the runner's own beginning and end."""
        return [
            Step(str(entry["stage"]), str(entry["step"]), str(entry["stepResult"]))
            for entry in self.entries
            if "stepResult" in entry and "stage" in entry and job in ("", entry.get("jobID"), entry.get("job"))
        ]

    def exit_code(self, step: str, stage: str = "Main", job: str = "") -> int:
        """Of the step's process."""
        found = [re.search(r"exit status (\d+)|exitcode '(\d+)'", str(e["msg"])) for e in self._of(step, stage, job)]
        codes = [int(match[1] or match[2]) for match in found if match is not None]
        return codes[-1] if codes else 0

    @property
    def masked(self) -> list[str]:
        """The values that the runner was told to hide."""
        return [str(entry["arg"]) for entry in self.entries if entry.get("command") == "add-mask"]

    @property
    def text(self) -> str:
        """All that a reader of the log sees, in every job."""
        return "\n".join(str(entry.get("msg", "")) for entry in self.entries)

    def shown(self) -> str:
        """The log for the message of a failed assertion."""
        return "\n".join(f"{entry.get('stage', '')} {entry.get('msg', '')}".rstrip() for entry in self.entries)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Those of the only chain that there is."""
        (chain,) = self.chains
        return chain

    def _text(self, lines: Iterable[object]) -> str:
        return _COLOUR.sub("", "".join(map(str, lines)).replace("\r\n", "\n"))

    def _of(self, step: str, stage: str, job: str) -> Iterator[dict[str, Any]]:
        for entry in self.entries:
            if entry.get("step") == step and entry.get("stage") == stage and job in ("", entry["jobID"], entry["job"]):
                yield entry


class Acting:
    """`with repository.start() as act:` a run that goes on; whatever is left of it is killed when the block ends."""

    def __init__(self, argv: list[str], folder: Path, environment: dict[str, str], log: Path) -> None:
        self._log = log
        self._jobs = Path(environment["XDG_CACHE_HOME"]) / "act"
        self._chains: dict[Path, IO[str]] = {}  # open, so that they can be read when the runner has cleaned up
        with log.open("wb") as out, log.with_suffix(".err").open("wb") as errors:
            self.process = subprocess.Popen(
                argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
            )

    def main(self) -> Pair:
        """The processes of the Action's main, as soon as its worker is there."""
        return until(lambda: self._pair(b"launch.py\0action\0main"), "the Action's processes are there")

    def shell(self) -> Pair:
        """Those of a step whose shell is `stepcreds exec`."""
        return until(lambda: self._pair(b"launch.py\0exec"), "the shell's processes are there")

    def _pair(self, started: bytes) -> Pair | None:
        """The first process with `started` in its command line that has a child with it: the runner's own child."""
        tree = children()
        for front in descendants(self.process.pid):
            for worker in tree.get(front, []):
                if started in _argv(front) and started in _argv(worker):
                    return Pair(front, worker)
        return None

    def wait(self, seconds: float = 3 * DEADLINE) -> Run:
        until(self._ended, "the run ends", seconds)
        return Run(self.process.returncode, self._log, [chain.read() for chain in self._chains.values()])

    def _ended(self) -> bool:
        for path in sorted(self._jobs.glob("*/tmp/stepcreds/*.jsonl")):
            if path not in self._chains:
                self._chains[path] = path.open()
        return self.process.poll() is not None

    @property
    def temporary(self) -> list[Path]:
        """RUNNER_TEMP of each job that has not ended well."""
        return sorted(self._jobs.glob("*/tmp"))

    @property
    def stderr(self) -> str:
        return self._log.with_suffix(".err").read_text()

    def __enter__(self) -> Acting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for chain in self._chains.values():
            chain.close()
        if self.process.poll() is None:
            below = descendants(self.process.pid)
            for pid in [self.process.pid, *below]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()


class Pair(NamedTuple):
    """The Action's main at work: the two processes of the step, the first of which was Node."""

    front: int
    worker: int

    @property
    def command(self) -> int:
        """The step's own command, as soon as it is there."""
        return until(lambda: next(iter(children().get(self.worker, [])), None), "the command is there")

    def kill(self, *who: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to those of `front`, `worker` that are named; stopped together, so that none reacts."""
        pids = [int(getattr(self, name)) for name in who]
        if len(pids) > 1 and number == signal.SIGKILL:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def watched(self) -> Watched:
        return Watched([self.front, self.worker])


class Repository:
    """The fixture repository: acme/shop, with the stack's stepcreds.yml and whatever a test writes into it."""

    def __init__(self, stack: Stack, folder: Path, action: Path, proxy: str) -> None:
        self.stack = stack
        self.folder = folder / "shop"
        self.home = folder / "home"
        self.outside = folder / "outside"  # not the job's: what a step tells the test is written here
        self._place = folder
        # Once for each use act copies the whole Action.
        self._copies = Path(tempfile.mkdtemp(prefix="act-"))
        self._action = action
        self._proxy = proxy
        self._runs = 0
        for new in (self.folder, self.home, self.outside, folder / "tmp", folder / "bin"):
            new.mkdir()
        (folder / "bin" / "sql").write_text(
            f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("sql.py")} "$@"\n'
        )
        (folder / "bin" / "sql").chmod(0o755)
        (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
        self._environment = {
            "PATH": f"{ci_tools.node().parent}:{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(folder / "tmp"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "ACT_DISABLE_VERSION_CHECK": "1",
            "OUTSIDE": str(self.outside),
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost"),
        }
        repository(self.folder)
        self.git("remote", "add", "origin", "https://github.com/acme/shop.git")
        self.write("stepcreds.yml", without_ledger(stack.config_text()))

    def git(self, *arguments: str) -> None:
        git(self.folder, *arguments)

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def configure(self, change: Callable[[str], str]) -> None:
        """Change the text of stepcreds.yml."""
        self.write("stepcreds.yml", change((self.folder / "stepcreds.yml").read_text()))

    def workflow(self, text: str, name: str = "deploy.yml") -> None:
        self.write(f".github/workflows/{name}", text)

    def run(self, workflow: str = "deploy.yml", **options: Any) -> Run:
        with self.start(workflow, **options) as act:
            run = act.wait()
            assert run.entries, act.stderr
            return run

    def start(
        self,
        workflow: str = "deploy.yml",
        *,
        event: str = "push",
        payload: dict[str, Any] | None = None,
        job: str | None = None,
        identity: bool = True,
        arguments: tuple[str, ...] = (),
        **variables: str,  # of every step
    ) -> Acting:
        """Begin a run; without `identity` its jobs have no permission to ask for ID tokens."""
        self._runs += 1
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message", "A change")
        base = self._place / f"run-{self._runs}"
        base.mkdir()
        wanted = self._job_variables(identity) | variables
        (base / "variables").write_text("".join(f"{name}={json.dumps(value)}\n" for name, value in wanted.items()))
        argv = [
            *(str(ci_tools.act()), event, "--json", "--workflows", f".github/workflows/{workflow}"),
            *("--platform", "ubuntu-latest=-self-hosted", "--platform", "ubuntu-24.04=-self-hosted"),
            *("--local-repository", f"stepcreds/stepcreds@v1={self._action}", "--action-offline-mode"),
            *("--no-cache-server", "--actor", "octocat", "--env-file", str(base / "variables")),
            *arguments,
        ]
        if payload is not None:
            (base / "event.json").write_text(json.dumps(payload))
            argv += ["--eventpath", str(base / "event.json")]
        if job is not None:
            argv += ["--job", job]
        environment = self._environment | {"XDG_CACHE_HOME": str(self._copies / base.name)}
        return Acting(argv, self.folder, environment, base / "log")

    def verify_ledger(self, run: Run) -> subprocess.CompletedProcess[str]:
        """`stepcreds ledger verify` of the chains that the run left."""
        folder = self._place / f"ledger-{self._runs}"
        folder.mkdir()
        for number, chain in enumerate(run.texts):
            (folder / f"{number}.jsonl").write_text(chain)
        return subprocess.run(
            [sys.executable, "-m", "stepcreds", "ledger", "verify", str(folder)],
            cwd=self.folder,
            env=self.stack.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def forget(self) -> None:
        """Remove what is not in the test's own folder."""
        shutil.rmtree(self._copies, ignore_errors=True)

    def _job_variables(self, identity: bool) -> dict[str, str]:
        issuer = self.stack.issuer
        ours = ("RUN_ID", "RUN_NUMBER", "RUN_ATTEMPT", "REPOSITORY_ID")
        known = issuer.environment()
        variables = {f"GITHUB_{name}": known[f"GITHUB_{name}"] for name in ours}
        if identity:
            variables |= {name: value for name, value in known.items() if name.startswith("ACTIONS_ID_TOKEN_")}
        return variables


def transcript(stack: Stack, since: int = 0) -> list[str]:
    """What the jobs asked OpenBao for after the first `since` entries of its audit log, in order, by whose policy."""
    lines = []
    for entry in stack.audit()[since:]:
        policies = entry["auth"].get("policies", [])
        if entry["type"] == "request" and "root" not in policies:
            who = next((name for name in policies if name.startswith("app-")), "nobody")
            lines.append(f"{who}: {entry['request']['operation']} {entry['request']['path']}")
    return lines


def without_ledger(config: str) -> str:
    """stepcreds.yml without a place for the ledger: on GitHub there is a default one."""
    before, _, rest = config.partition("ledger:\n")
    return before + rest.split("\n", 1)[1]


def action_of_this_tree(folder: Path) -> Path:
    """A git repository with the tag v1 whose content is this working tree's: what git knows, or would if told to add.

    Without what no use looks at: act copies all of it for each of them.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".", *NO_USE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # neither deleted nor a link to a folder
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    repository(folder)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A release")
    git(folder, "tag", "v1")
    return folder


def repository(folder: Path) -> None:
    git(folder, "init", "--quiet", "--initial-branch", "main")


def git(folder: Path, *arguments: str) -> None:
    who = {f"GIT_{role}_{what}": "t@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", **who}
    subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)


def until(look: Callable[[], T | None], what: str, seconds: float = DEADLINE) -> T:
    """What `look` returns as soon as that is neither None nor false."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)
    return found


def _written(entry: dict[str, Any]) -> bool:
    return "raw" in entry or bool(entry.get("raw_output"))


def _argv(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
