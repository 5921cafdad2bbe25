"""The Action's way in: stepcreds from a plain checkout, by a Python that has nothing else, whatever lies around."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from trees import ISOLATED, PYTHON, REPOSITORY, bytecode, copied, plain, started

from stepcreds.config import environment
from stepcreds.devstack.stack import Stack
from stepcreds.errors import UnsupportedError
from stepcreds.process.kernel import require_linux

LAUNCHER = REPOSITORY / "action/launch.py"
LAUNCH = runpy.run_path(str(LAUNCHER), run_name="launch")  # its functions and constants


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("elsewhere") / "checkout")


@pytest.fixture
def launch(checkout: Path) -> tuple[str, ...]:
    return (*ISOLATED, str(checkout / "action/launch.py"))


@pytest.mark.usefixtures("alone")
def test_a_step_from_a_plain_checkout(
    stack: Stack, config_file: Path, launch: tuple[str, ...], checkout: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "temp"
    temporary.mkdir()
    environment = plain(stack, RUNNER_TEMP=str(temporary))
    step = (*launch, "exec", "verify", "--", "sh", "-c", "echo $PGUSER; exit 3")
    first = started(step, config_file.parent, environment)
    assert first.returncode == 3, first.stderr
    assert first.stdout.startswith("v-")
    assert "stepcreds: verify: proven dead " in first.stderr
    # What was compiled is in a folder of the job's own, which later steps use, and not beside the sources.
    folder = temporary / "stepcreds-python"
    assert folder.stat().st_mode & 0o777 == 0o700
    compiled = {path: path.stat().st_mtime_ns for path in bytecode(folder)}
    assert len(compiled) > 100
    second = started(step, config_file.parent, environment)
    assert second.returncode == 3, second.stderr
    assert {path: path.stat().st_mtime_ns for path in bytecode(folder)} == compiled
    assert bytecode(checkout) == []


def test_every_command_says_the_same_as_when_it_is_installed(launch: tuple[str, ...], tmp_path: Path) -> None:
    for arguments in (["--version"], ["--help"], ["exec", "--help"], ["no-such-command"], ["ledger", "verify"]):
        here = started([sys.executable, "-m", "stepcreds", *arguments], tmp_path, {})
        there = started([*launch, *arguments], tmp_path, {})
        assert (there.stdout, there.stderr, there.returncode) == (here.stdout, here.stderr, here.returncode)


HOSTILE = ("stepcreds", "http", "click", "yaml", "certifi", "json", "ssl", "sitecustomize", "usercustomize")


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[[Path], Path]:
    """Fills a folder with modules of these names that leave a mark when they are imported."""
    mark = tmp_path / "imported"

    def fill(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in HOSTILE:
            (folder / f"{name}.py").write_text(f"with open({str(mark)!r}, 'a') as file: file.write('{name}\\n')\n")
        return mark

    return fill


@pytest.mark.usefixtures("alone")
def test_modules_in_the_working_folder_and_on_python_s_path_are_not_imported(
    stack: Stack, config_file: Path, launch: tuple[str, ...], tmp_path: Path, hostile: Callable[[Path], Path]
) -> None:
    hostile(config_file.parent)
    hostile(tmp_path / "path")
    mark = hostile(tmp_path / "user/lib/python{}.{}/site-packages".format(*sys.version_info[:2]))
    variables = {"PYTHONPATH": str(tmp_path / "path"), "PYTHONUSERBASE": str(tmp_path / "user")}
    # They do what they are there for where a Python is not isolated.
    started([str(PYTHON), "-c", "pass"], config_file.parent, {**plain(stack), **variables})
    assert {"sitecustomize", "usercustomize"} <= set(mark.read_text().splitlines())
    mark.unlink()
    step = started(
        [*launch, "exec", "verify", "--", "true"], config_file.parent, plain(stack, **variables, PYTHONINSPECT="1")
    )
    assert step.returncode == 0, step.stderr
    assert not mark.exists()


def test_a_python_that_is_not_isolated_starts_again_isolated(
    checkout: Path, tmp_path: Path, hostile: Callable[[Path], Path]
) -> None:
    mark = hostile(tmp_path)
    run = started([str(PYTHON), checkout / "action/launch.py", "--help"], tmp_path, {"PYTHONPATH": ""})
    assert run.returncode == 0, run.stderr
    assert not mark.exists()


def test_nothing_that_is_installed_can_be_imported(launch: tuple[str, ...], tmp_path: Path) -> None:
    """Also not what Debian puts into dist-packages, or pip into site-packages."""
    script = (
        "import runpy, sys\n"
        "sys.argv[1:] = ['--version']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print(sys.path)\n"
    )
    run = started([*ISOLATED, "-c", f"import sys; sys.argv[:] = {[launch[-1]]!r}\n{script}"], tmp_path, {})
    path = eval(run.stdout.splitlines()[-1])  # noqa: S307 - the list that we just printed
    assert path[:2] == [str(Path(launch[-1]).parent.parent / name) for name in ("src", "vendor")]
    assert len(path) > 3
    assert [entry for entry in path if "packages" in entry or entry == str(tmp_path)] == []


@pytest.mark.usefixtures("alone")
def test_the_command_sees_what_a_plain_step_would(
    stack: Stack, config_file: Path, launch: tuple[str, ...], tmp_path: Path
) -> None:
    variables = {
        "PYTHONPATH": "/nowhere",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": "/nowhere/lib",
        "SSLKEYLOGFILE": str(tmp_path / "keys"),
        "OPENSSL_CONF": "/nowhere/openssl.cnf",
        "SSL_CERT_DIR": "/nowhere/certs",
        "TZDIR": "/nowhere/zones",
    }
    script = f"import json, os, sys; json.dump(dict(os.environ), open({str(tmp_path / 'seen')!r}, 'w'))"
    step = (*launch, "exec", "verify", "--", *ISOLATED, "-c", script)
    run = started(step, config_file.parent, plain(stack, **variables))
    assert run.returncode == 0, run.stderr
    seen = json.loads((tmp_path / "seen").read_text())
    assert {name: seen.get(name) for name in variables} == variables
    assert "STEPCREDS_WITHHELD" not in seen
    assert not (tmp_path / "keys").exists()


@pytest.mark.usefixtures("alone")
def test_the_command_has_no_signal_blocked(stack: Stack, config_file: Path, launch: tuple[str, ...]) -> None:
    run = started(
        (*launch, "exec", "verify", "--", "grep", "SigBlk", "/proc/self/status"), config_file.parent, plain(stack)
    )
    assert (run.returncode, run.stdout) == (0, "SigBlk:\t0000000000000000\n"), run.stderr


@pytest.mark.usefixtures("alone")
def test_what_was_withheld_before_python_is_given_back_too(
    stack: Stack, config_file: Path, launch: tuple[str, ...], tmp_path: Path
) -> None:
    step = (
        *launch,
        "exec",
        "verify",
        "--",
        "sh",
        "-c",
        'echo "$LD_PRELOAD|$LD_LIBRARY_PATH|$TZDIR|$STEPCREDS_WITHHELD"',
    )
    withheld = {"LD_PRELOAD": "", "LD_LIBRARY_PATH": "/theirs", "TZDIR": "/first"}
    environment = plain(stack, STEPCREDS_WITHHELD=json.dumps(withheld), LD_LIBRARY_PATH="/for/python", TZDIR="/second")
    run = started(step, config_file.parent, environment)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "|/theirs|/first|\n"


@pytest.mark.parametrize("more", [{}, {"PYTHONPATH": "/nowhere"}])
def test_what_was_withheld_and_cannot_be_read_is_an_error(
    stack: Stack, config_file: Path, launch: tuple[str, ...], more: Mapping[str, str]
) -> None:
    run = started(
        [*launch, "exec", "--quiet", "verify", "--", "true"],
        config_file.parent,
        plain(stack, STEPCREDS_WITHHELD="{", **more),
    )
    assert run.returncode == 125
    assert run.stdout == ""
    assert (
        "".join(line for line in run.stderr.splitlines(keepends=True) if not line.startswith("::"))
        == """\
stepcreds: error: The variable STEPCREDS_WITHHELD cannot be read: it is not JSON
  cause: stepcreds itself sets it where it starts Python, and hands those variables on to the command. Something else set it, or changed it.
  fix: Find what sets STEPCREDS_WITHHELD (env: in the workflow, a line in GITHUB_ENV), and remove that.
  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#withheld-environment
"""
    )


def test_both_halves_of_the_action_withhold_the_same() -> None:
    """The Node half in a regular expression that means the same in Python."""
    node = (REPOSITORY / "action/python.mjs").read_text()
    prefixes = re.search(r"const PREFIXES = /\^\((.*)\)/;", node)
    names = re.search(r"const NAMES = /\^\((.*)\)\$/;", node)
    assert prefixes is not None
    assert names is not None
    assert tuple(prefixes[1].replace("_?PYTHON", "PYTHON|_PYTHON").split("|")) == LAUNCH["PREFIXES"]
    assert tuple(names[1].split("|")) == LAUNCH["NAMES"]
    # What is taken back from there is no more than that.
    assert (LAUNCH["PREFIXES"], LAUNCH["NAMES"]) == (environment.PREFIXES, environment.NAMES)


# --- the folder for bytecode


def private_folder(**variables: str) -> str | None:
    folder: str | None = LAUNCH["private_folder"](variables)
    return folder


def test_the_job_s_own_folder_for_bytecode(tmp_path: Path) -> None:
    above = {name: tmp_path / name for name in ("STEPCREDS_CACHE", "RUNNER_TEMP")}
    for path in above.values():
        path.mkdir()
    texts = {name: str(path) for name, path in above.items()}
    for name, path in above.items():
        folder = private_folder(**texts)
        assert folder == str(path / "stepcreds-python")
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        assert private_folder(**texts) == folder  # again
        del texts[name]
    assert private_folder() is None
    assert private_folder(XDG_RUNTIME_DIR=str(tmp_path), HOME=str(tmp_path), TMPDIR=str(tmp_path)) is None
    assert private_folder(RUNNER_TEMP="") is None
    assert private_folder(RUNNER_TEMP="relative") is None
    assert private_folder(RUNNER_TEMP=str(tmp_path / "nowhere")) is None
    (tmp_path / "file").touch()
    assert private_folder(RUNNER_TEMP=str(tmp_path / "file")) is None


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "stepcreds-python"
    for mode in (0o777, 0o770, 0o702, 0o720):
        folder.mkdir()
        folder.chmod(mode)
        assert private_folder(RUNNER_TEMP=str(tmp_path)) is None
        folder.rmdir()
    tmp_path.chmod(0o777)  # others could put one of theirs in its place
    assert private_folder(RUNNER_TEMP=str(tmp_path)) is None
    tmp_path.chmod(0o1777)  # as /tmp, where they cannot
    assert private_folder(RUNNER_TEMP=str(tmp_path)) == str(folder)


def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert private_folder(RUNNER_TEMP=str(tmp_path)) is not None
    folder = tmp_path / "stepcreds-python"
    owners = {
        0: str(folder),
        os.geteuid(): str(folder),
    }  # root's is as good as the interpreter, which is root's as well
    real = os.lstat
    for owner in (0, os.geteuid(), 4711):
        monkeypatch.setattr(os, "lstat", lambda path, owner=owner: Owned(real(path), owner))
        assert private_folder(RUNNER_TEMP=str(tmp_path)) == owners.get(owner)


class Owned:
    """What lstat(2) says, of a file with another owner."""

    def __init__(self, found: os.stat_result, owner: int) -> None:
        self.st_mode = found.st_mode
        self.st_uid = owner


def test_what_a_link_leads_to_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "stepcreds-python").symlink_to(tmp_path / "elsewhere")
    assert private_folder(RUNNER_TEMP=str(tmp_path)) is None
    (tmp_path / "stepcreds-python").unlink()
    (tmp_path / "stepcreds-python").touch()
    assert private_folder(RUNNER_TEMP=str(tmp_path)) is None


def test_without_such_a_folder_nothing_is_compiled_into_files(
    launch: tuple[str, ...], checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "stepcreds-python").symlink_to(tmp_path)
    run = started([*launch, "--version"], tmp_path, {"RUNNER_TEMP": str(tmp_path)})
    assert run.returncode == 0, run.stderr
    assert bytecode(tmp_path) == []
    assert bytecode(checkout) == []


def test_bytecode_beside_the_sources_is_not_used(launch: tuple[str, ...], checkout: Path, tmp_path: Path) -> None:
    """An earlier step may have left it in the workspace; a source can be seen in a diff."""
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy)
    source = copy / "src/stepcreds/__init__.py"
    source.write_text(source.read_text().replace('"0.1.0"', '"6.6.6"'))
    here = (*launch[:-1], str(copy / "action/launch.py"), "--version")
    compiled = f"import sys; sys.path.insert(0, {str(copy / 'src')!r}); import stepcreds"
    started([*ISOLATED, "-c", compiled], tmp_path, {})
    assert len(bytecode(copy)) == 1
    before = source.stat()
    source.write_text(source.read_text().replace('"6.6.6"', '"0.1.0"'))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))  # the bytecode passes for that of this source
    for variables in ({}, {"RUNNER_TEMP": str(tmp_path)}):
        assert started(here, tmp_path, variables).stdout == "stepcreds 0.1.0\n"


def test_a_library_without_bytecode_is_compiled_into_the_folder_too(checkout: Path, tmp_path: Path) -> None:
    launcher = str(checkout / "action/launch.py")
    script = (
        "import runpy, stat, sys\n"
        "stat.__file__ = '/nowhere/stat.py'\n"  # the launcher looks beside it
        f"sys.argv[:] = [{launcher!r}, '--help']\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    folder = tmp_path / "stepcreds-python"
    for _ in range(2):
        run = started([*ISOLATED, "-c", script], tmp_path, {"RUNNER_TEMP": str(tmp_path)})
        assert run.returncode == 0, run.stderr
        compiled = {"/" + str(path.relative_to(folder)) for path in bytecode(folder)}
        assert any(path.startswith(str(checkout)) for path in compiled)
        assert any(path.startswith(str(Path(json.__file__).parent.parent)) for path in compiled)


# --- where it cannot run


TOO_OLD = """\
stepcreds: error: stepcreds needs Python 3.10 or newer; this is {version} ({python})
  cause: the Python that was found on this machine is too old
  fix: Put actions/setup-python with python-version 3.10 or newer before this step, or use an image that has it.
  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#unsupported-machine
"""

PRETENDING = "import sys; {lie}; sys.argv[:] = {argv!r}; exec(compile(open({path!r}).read(), {path!r}, 'exec'))"


def pretending(lie: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The launcher in a Python that says of itself what `lie` makes it say."""
    path = str(LAUNCHER)
    return started([*ISOLATED, "-c", PRETENDING.format(lie=lie, argv=[path, *arguments], path=path)], folder, {})


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["exec", "migrate", "--", "true"], 125), (["action", "main"], 125), (["revoke", "--all"], 2), ([], 2)],
)
def test_an_old_python_gets_a_message(tmp_path: Path, arguments: list[str], code: int) -> None:
    run = pretending("sys.version_info = (3, 9, 18, 'final', 0)", tmp_path, *arguments)
    assert run.returncode == code
    assert run.stdout == ""
    assert run.stderr == TOO_OLD.format(version="3.9.18", python=PYTHON)


def test_every_old_python_of_this_machine_can_read_the_launcher(tmp_path: Path) -> None:
    """Those that pyenv has installed, if any; that it is plain enough is also looked at."""
    source = LAUNCHER.read_text(encoding="ascii")
    assert re.search(r"""\bf["']|:=|\basync\b|\bmatch\b|\*\(|->""", source) is None
    for python in sorted(Path.home().glob(".pyenv/versions/*/bin/python")):
        version = python.parent.parent.name
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < (3, 10):
            run = started([python, LAUNCHER, "exec", "x"], tmp_path, {})
            assert (run.returncode, run.stderr) == (125, TOO_OLD.format(version=version, python=python))


def test_another_system_gets_the_message_that_exec_has(tmp_path: Path) -> None:
    run = pretending("sys.platform = 'win32'", tmp_path, "exec", "migrate", "--", "true")
    with pytest.raises(UnsupportedError) as caught:
        require_linux("win32")
    error = caught.value
    assert run.returncode == 125
    assert run.stderr == (
        f"stepcreds: error: {error.what}\n  cause: {error.cause}\n  fix: {error.fix}\n"
        f"  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#{error.docs}\n"
    )
