"""stepcreds.pyz: the same bytes from every build, and a whole step from the one file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest
from trees import ISOLATED, REPOSITORY, bytecode, copied, plain, started

from processes import descendants
from stepcreds.devstack.stack import Stack


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("elsewhere") / "checkout")


@pytest.fixture(scope="module")
def pyz(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(checkout, tmp_path_factory.mktemp("dist"))


def built(checkout: Path, folder: Path, **variables: str) -> Path:
    target = folder / "stepcreds.pyz"
    run = started([sys.executable, "-I", checkout / "tools/pyz.py", target], folder, variables)
    assert run.returncode == 0, run.stderr
    return target


def test_two_builds_are_the_same_bytes(checkout: Path, pyz: Path, tmp_path: Path) -> None:
    """In another place, with files of another time and mode, by another user's settings."""
    other = tmp_path / "other"
    shutil.copytree(checkout, other)
    for number, path in enumerate(sorted(other.rglob("*"))):
        path.chmod(0o700)
        os.utime(path, (number, number))
    (other / "src/stepcreds/__pycache__").mkdir()
    (other / "src/stepcreds/__pycache__/model.cpython-311.pyc").touch()
    old = os.umask(0o077)
    try:
        again = built(other, tmp_path, TZ="Asia/Kathmandu", LC_ALL="C", PYTHONHASHSEED="1")
    finally:
        os.umask(old)
    assert again.read_bytes() == pyz.read_bytes()


def test_what_is_in_it(checkout: Path, pyz: Path) -> None:
    with ZipFile(pyz) as archive:
        members = archive.infolist()
        assert archive.testzip() is None
    names = [member.filename for member in members]
    assert names == sorted(names)
    assert {name.split("/")[0] for name in names} == {"__main__.py", "LICENSE", "src", "vendor"}
    assert {member.compress_type for member in members} == {ZIP_STORED}
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {member.external_attr >> 16 for member in members} == {0o100644}
    wanted = {
        path.relative_to(checkout).as_posix()
        for folder in ("src/stepcreds", "vendor")
        for path in (checkout / folder).rglob("*")
        if path.is_file()
    }
    assert set(names) == wanted | {"__main__.py", "LICENSE"}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("cached", [True, False])
def test_a_step_from_the_file_alone(pyz: Path, stack: Stack, config_file: Path, tmp_path: Path, cached: bool) -> None:
    """Unpacked into the job's own folder where there is one, else as it is; nothing is left anywhere else."""
    temporary, litter = tmp_path / "temp", tmp_path / "litter"
    temporary.mkdir()
    litter.mkdir()
    environment = plain(stack, TMPDIR=str(litter), **({"RUNNER_TEMP": str(temporary)} if cached else {}))
    for arguments in ([pyz], [sys.executable, pyz]):
        step = started(
            [*arguments, "exec", "verify", "--", "sh", "-c", "echo $PGUSER; exit 3"], config_file.parent, environment
        )
        assert step.returncode == 3, step.stderr
        assert step.stdout.startswith("v-")
        assert "stepcreds: verify: proven dead " in step.stderr
    assert list(litter.iterdir()) == []
    assert [path.name for path in pyz.parent.iterdir()] == ["stepcreds.pyz"]
    if cached:
        (unpacked,) = (path for path in (temporary / "stepcreds-python").iterdir() if len(path.name) == 64)
        assert (unpacked / "vendor/certifi/cacert.pem").read_bytes() == certificates()
        assert len(bytecode(temporary)) > 100
    else:
        assert list(temporary.iterdir()) == []


def certificates() -> bytes:
    return (REPOSITORY / "vendor/certifi/cacert.pem").read_bytes()


@pytest.mark.parametrize("cached", [True, False])
def test_its_certificates_can_be_used(pyz: Path, tmp_path: Path, cached: bool) -> None:
    """Those of certifi, which are for machines that have none."""
    script = (
        "import runpy, sys\n"
        f"sys.argv[:] = [{str(pyz)!r}, '--version']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "import certifi, ssl\n"
        "print(certifi.__file__)\n"
        "print(len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs()))\n"
    )
    variables = {"RUNNER_TEMP": str(tmp_path)} if cached else {}
    run = started([*ISOLATED, "-c", script], tmp_path, {"TMPDIR": str(tmp_path), **variables})
    assert run.returncode == 0, run.stderr
    _, module, count = run.stdout.splitlines()
    assert module.startswith(str(tmp_path / "stepcreds-python" if cached else pyz))
    assert int(count) == certificates().count(b"BEGIN CERTIFICATE") > 100


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("half", ["front", "worker"])
def test_either_half_ends_the_step_when_the_other_is_killed(
    pyz: Path, stack: Stack, config_file: Path, tmp_path: Path, half: str
) -> None:
    """From the archive itself: what a half imports after the death of the other is still found there."""
    report = tmp_path / "report"
    command = ["sh", "-c", f"echo $PGUSER > {report}.part; mv {report}.part {report}; exec sleep 600"]
    with subprocess.Popen(
        [pyz, "exec", "verify", "--", *command],
        cwd=config_file.parent,
        env=plain(stack),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not report.exists():
            assert process.poll() is None and time.monotonic() < deadline  # noqa: PT018
            time.sleep(0.01)
        user = report.read_text().strip()
        assert user in stack.issued_roles()
        worker = int(descendants(process.pid)[0])
        os.kill(process.pid if half == "front" else worker, signal.SIGKILL)
        output, _ = process.communicate(timeout=60)  # until both have ended: they share it
    assert process.returncode == (-signal.SIGKILL if half == "front" else 128 + signal.SIGKILL), output
    while user in stack.issued_roles():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "Traceback" not in output


def test_steps_that_start_together_share_one_copy(pyz: Path, tmp_path: Path) -> None:
    step = [*ISOLATED, str(pyz), "--version"]
    with ThreadPoolExecutor(6) as pool:
        runs = [pool.submit(started, step, tmp_path, {"RUNNER_TEMP": str(tmp_path)}) for _ in range(6)]
    assert [run.result().stdout for run in runs] == ["stepcreds 0.1.0\n"] * 6
    copies = [path.name for path in (tmp_path / "stepcreds-python").iterdir() if len(path.name) >= 64]
    assert [len(name) for name in copies] == [64]


def test_where_it_cannot_be_unpacked_it_runs_as_it_is(pyz: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stepcreds-python"
    folder.mkdir(mode=0o700)
    with ZipFile(pyz) as archive:
        build = archive.read("__main__.py").decode().split('BUILD = "')[1].split('"')[0]
    (folder / build).touch()  # not a folder
    run = started([*ISOLATED, pyz, "--version"], tmp_path, {"RUNNER_TEMP": str(tmp_path)})
    assert (run.stdout, run.stderr) == ("stepcreds 0.1.0\n", "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["exec", "migrate", "--", "true"], 125), (["action", "main"], 125), (["revoke", "--all"], 2), ([], 2)],
)
def test_where_there_is_no_python_it_says_so(pyz: Path, tmp_path: Path, arguments: list[str], code: int) -> None:
    run = started([pyz, *arguments], tmp_path, {"PATH": str(tmp_path)})
    assert run.returncode == code
    assert run.stdout == ""
    assert (
        run.stderr
        == """\
stepcreds: error: there is no python3 on PATH, and stepcreds needs Python 3.10 or newer
  fix: Add it to the image (Alpine: apk add python3; Debian: apt-get install python3), or use an image that has it.
  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#unsupported-machine
"""
    )
