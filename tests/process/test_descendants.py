"""Nothing that a command started outlives it, whatever it did to get away; and nothing else is touched."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pair_runs import SETPRIV, Starter, is_running, lines_of, pairs, pairs_of_nobody

from stepcreds.process import proc


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Starter]:
    with pairs(tmp_path) as starter:
        yield starter


@pytest.fixture
def nobody() -> Iterator[Starter]:
    with pairs_of_nobody() as starter:
        yield starter


DAEMON = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for _ in range(int(sys.argv[2])):
    if os.fork():
        continue
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(300)
"""


def python(script: str, *arguments: object) -> dict[str, Any]:
    return {"run": {"argv": [sys.executable, "-c", script, *map(str, arguments)]}}


def test_daemons_are_ended(pair: Starter, tmp_path: Path) -> None:
    """Forked twice, in a session of their own, deaf to every polite signal."""
    pids = tmp_path / "pids"
    script = DAEMON + "\nwhile len(open(sys.argv[1]).read().split()) < int(sys.argv[2]): time.sleep(0.005)\nsys.exit(3)"
    pids.touch()
    step = pair(python(script, pids, 5))
    assert step.wait() == 3
    daemons = [int(line) for line in lines_of(pids)]
    assert len(daemons) == 5
    assert not any(map(is_running, daemons))
    assert step.outcome["descendants_ended"] == 5


MANY = """
import os, sys, time
for _ in range(1000):
    if os.fork() == 0:
        os.setsid()
        os.write(1, b".")
        time.sleep(300)
        os._exit(0)
"""


@pytest.mark.parametrize("who", ["pair", "nobody"])
def test_a_thousand_are_ended(who: str, request: pytest.FixtureRequest) -> None:
    start: Starter = request.getfixturevalue(who)
    step = start({"run": {"argv": ["sh", "-c", '"$0" -c "$1" | head -c 1000 >/dev/null', start.python, MANY]}})
    assert step.wait() == 0
    assert (step.outcome["descendants_ended"], step.outcome["survivors"]) == (1000, [])


def test_a_chain_of_generations_is_ended(pair: Starter, tmp_path: Path) -> None:
    """Each is the parent of the next, all in sessions of their own: 300 levels below the worker."""
    end = tmp_path / "end"
    generation = tmp_path / "generation"
    generation.write_text(f"if test $1 = 0; then >{end}; sleep 300; fi\nsetsid -w sh $0 $(($1-1)) &\nwait\n")
    step = pair({"run": {"argv": ["sh", "-c", f"sh {generation} 300 & until test -e {end}; do sleep 0.01; done"]}})
    assert step.wait() == 0
    assert (step.outcome["descendants_ended"], step.outcome["survivors"]) == (302, [])


FORKING = {
    # Every process forks as long as it lives, in the command's group.
    "in the group": "while True:\n    try: os.fork()\n    except OSError: pass\n",
    # The same, each in a session of its own.
    "in sessions": "while True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass\n",
    # Each forks and ends, so that there is always another one to look for.
    "away": "while True:\n    try:\n        if os.fork(): os._exit(0)\n        os.setsid()\n    except OSError: pass\n",
}


def tasks_of_nobody() -> int:
    """What RLIMIT_NPROC counts, getrlimit(2): threads; PostgreSQL runs as the same user, next to other tests."""
    owner = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            found += len(list((process / "task").iterdir())) if process.stat().st_uid == owner else 0
    return found


@pytest.mark.parametrize("how", FORKING)
def test_a_command_that_keeps_forking_is_ended(nobody: Starter, how: str) -> None:
    """Within limits: 60 more processes for the user, in a command that max_ttl ends."""
    argv = ["prlimit", f"--nproc={tasks_of_nobody() + 60}", nobody.python, "-c", "import os\n" + FORKING[how]]
    # The first of those that fork away ends at once, but a busy machine may take its time to start it.
    step = nobody({"run": {"argv": argv, "max_ttl": 60 if how == "away" else 0.5, "grace": 0.1}})
    assert step.wait() == (0 if how == "away" else 124)
    assert step.outcome["survivors"] == []
    assert step.all_running() == []


@pytest.fixture
def as_root(nobody: Starter) -> str:
    """What `sudo` is to a command: runs another one as root, where the user may not end it."""
    if os.geteuid() != 0:
        pytest.skip("only root can let somebody else become root")
    setpriv = nobody.folder / "as-root"
    shutil.copy(shutil.which("setpriv") or "", setpriv)
    setpriv.chmod(0o4755)
    return f"{setpriv} --reuid=0 --regid=0 --clear-groups"


def test_what_belongs_to_another_user_is_named_and_its_own_is_ended(nobody: Starter, as_root: str) -> None:
    pids = nobody.folder / "pids"
    back = " ".join(SETPRIV)
    inner = f"{back} sleep 300 & echo $! $$ >{pids}; wait; exec sleep 300"
    script = f"{as_root} sh -c '{inner}' & until test -s {pids}; do sleep 0.01; done; exit 6"
    step = nobody({"run": {"argv": ["sh", "-c", script]}})
    assert step.wait() == 6
    own, others = map(int, lines_of(pids)[0].split())
    assert step.outcome["survivors"] == [others]
    assert not is_running(own)


def test_a_command_that_belongs_to_another_user_does_not_hold_the_step(nobody: Starter, as_root: str) -> None:
    argv = [*as_root.split(), "sleep", "300"]
    step = nobody({"run": {"argv": argv, "max_ttl": 0.3, "grace": 0.1}})
    assert step.wait() == 124
    assert len(step.outcome["survivors"]) == 1
    assert step.outcome["reason"] == "max_ttl"


def test_a_kernel_without_lists_of_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONFIG_PROC_CHILDREN is missing in some; then the whole of /proc is looked through."""
    child = subprocess.Popen(["sleep", "300"])
    try:
        with_lists = proc.children()
        monkeypatch.setattr(os.path, "exists", lambda path: False)
        assert sorted(proc.children()) == sorted(with_lists)
        assert child.pid in with_lists
    finally:
        child.kill()
        child.wait()
