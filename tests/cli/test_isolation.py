"""Code that lies in the working folder, or that a variable PYTHON* names, is not run by stepcreds; the command finds it as always.

Here stepcreds is started as pip installs it; what the Action and stepcreds.pyz do is in tests/distribution/test_launch.py.
"""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import pytest

import stepcreds
from stepcreds.cli.isolation import HARMLESS
from stepcreds.devstack.stack import Stack

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BASE = str(Path(sys.base_prefix, "bin", "python3").resolve())  # without the virtual environment of the tests
VERSION = "python{}.{}".format(*sys.version_info[:2])
SCRIPT = (str(Path(sys.executable).parent / "stepcreds"),)
MODULE = (sys.executable, "-m", "stepcreds")

# What stepcreds imports after its first line. Before that come, with a hostile PYTHONPATH, sitecustomize and what Python
# and pip's script import themselves: see docs/neighbours.md.
LATER = ("click", "urllib3", "yaml", "certifi", "tabulate", "json", "ssl", "http", "pickle", "socket", "select")

CONFIG = """\
version: 1
vault: {address: https://vault.example.com:8200}
profiles:
  cloud: {creds: aws/creds/a, env: {A: "{a}"}}
"""
CHECKED = "stepcreds.yml: profile cloud: aws/creds/a as cloud, 2m, at most 30m\n"


class Traps:
    """Modules that leave a mark when they are imported: their name, and how the process was called."""

    def __init__(self, folder: Path) -> None:
        self.marks = folder / "marks"

    def fill(self, folder: Path, names: Sequence[str] = LATER) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / f"{name}.py").write_text(self.code(name))
        return folder

    def code(self, name: str) -> str:
        return f"import sys\nwith open({str(self.marks)!r}, 'a') as file:\n    file.write('{name} ' + sys.argv[0] + '\\n')\n"

    def met(self) -> list[str]:
        """The modules that were imported, each with the program that did it."""
        return self.marks.read_text().splitlines() if self.marks.exists() else []


@pytest.fixture
def traps(tmp_path: Path) -> Traps:
    return Traps(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a configuration that needs no server."""
    here = tmp_path / "work"
    here.mkdir()
    (here / "stepcreds.yml").write_text(CONFIG)
    return here


def started(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **(environment or {})},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def checks(run: subprocess.CompletedProcess[str], folder: Path) -> None:
    """The configuration was read, by the libraries that belong to stepcreds."""
    assert (run.stdout.removeprefix(f"{folder}/"), run.stderr, run.returncode) == (CHECKED, "", 0)


WAYS = pytest.mark.parametrize("way", [SCRIPT, MODULE], ids=["script", "-m"])


@WAYS
def test_nothing_of_the_working_folder_is_imported(way: tuple[str, ...], folder: Path, traps: Traps) -> None:
    traps.fill(folder)
    checks(started([*way, "config", "check"], folder), folder)
    assert traps.met() == []


@WAYS
@pytest.mark.parametrize("entry", ["absolute", "", "."])
def test_nothing_of_pythonpath_is_imported(way: tuple[str, ...], entry: str, folder: Path, traps: Traps) -> None:
    there = traps.fill(folder if entry != "absolute" else folder / "lib")
    checks(
        started(
            [*way, "config", "check"], folder, {"PYTHONPATH": f"{there if entry == 'absolute' else entry}:/nowhere"}
        ),
        folder,
    )
    assert traps.met() == []


def test_the_traps_work(folder: Path, traps: Traps) -> None:
    """A Python that is not isolated steps into every one of them."""
    traps.fill(folder)
    started([sys.executable, "-c", "import " + ", ".join(LATER)], folder)
    assert [mark.split()[0] for mark in traps.met()] == list(LATER)


@WAYS
@pytest.mark.usefixtures("alone")
def test_a_step_imports_nothing_of_others_and_its_command_does(
    way: tuple[str, ...], stack: Stack, config_file: Path, tmp_path: Path, traps: Traps
) -> None:
    path = str(traps.fill(tmp_path / "path", (*LATER, "sitecustomize")))
    traps.fill(config_file.parent)
    report = tmp_path / "report"
    script = (
        "import click, os\n"
        "words = lambda pid: open(f'/proc/{pid}/cmdline').read().split('\\0')[:-1]\n"
        f"open({str(report)!r}, 'w').write(repr([os.environ.get('PYTHONPATH'), os.environ.get('PYTHONINSPECT'), words(os.getppid())]))\n"
    )
    (tmp_path / "command.py").write_text(script)
    step = ["exec", "verify", "--", sys.executable, str(tmp_path / "command.py")]
    run = started([*way, *step], config_file.parent, stack.environment(PYTHONPATH=path, PYTHONINSPECT="1"))
    assert run.returncode == 0, run.stderr
    assert "stepcreds: verify: proven dead " in run.stderr
    # The first is Python's own start of us, which nothing of ours comes before; our two halves have none of it.
    command = str(tmp_path / "command.py")
    expected = ["sitecustomize", "sitecustomize", "click"]
    assert [mark.split()[0] for mark in traps.met()] == expected, traps.met()
    assert traps.met()[-1] == f"click {command}"
    given, inspects, words = eval(report.read_text())  # noqa: S307 - what was just printed
    assert (given, inspects) == (path, "1")
    program = str(Path(stepcreds.__file__).parent / "__main__.py")
    assert words[:2] == [sys.executable, "-I"]
    assert words[words.index(program) :] == [program, *step]


def test_compiled_code_from_elsewhere_is_not_run(folder: Path, tmp_path: Path, traps: Traps) -> None:
    """Without a source that it would be compared with: of the kind that is never checked (PEP 552)."""
    traps.fill(tmp_path / "evil")
    real = Path(click.__file__)
    compiled = tmp_path / "prefix" / real.parent.relative_to("/") / f"__init__.{sys.implementation.cache_tag}.pyc"
    py_compile.compile(
        str(tmp_path / "evil/click.py"),
        str(compiled),
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    environment = {"PYTHONPYCACHEPREFIX": str(tmp_path / "prefix")}
    checks(started([*SCRIPT, "config", "check"], folder, environment), folder)
    assert traps.met() == []
    started([sys.executable, "-c", "import click"], folder, environment)
    assert traps.met() == ["click -c"]


def test_another_standard_library_is_not_used(folder: Path, tmp_path: Path, traps: Traps) -> None:
    library = tmp_path / "home/lib" / VERSION
    library.mkdir(parents=True)
    for entry in Path(os.__file__).parent.iterdir():
        if entry.name not in ("json", "site-packages"):
            (library / entry.name).symlink_to(entry)
    traps.fill(library, ["json"])
    environment = {"PYTHONHOME": str(tmp_path / "home")}
    checks(started([*SCRIPT, "config", "check"], folder, environment), folder)
    assert traps.met() == []
    started([sys.executable, "-c", "import json"], folder, environment)
    assert traps.met() == ["json -c"]


# --- where stepcreds is installed otherwise


def installed(site: Path, script: Path, python: str) -> tuple[str, ...]:
    """stepcreds in `site`, with its libraries, and the script that pip makes for `python`."""
    site.mkdir(parents=True, exist_ok=True)
    shutil.copytree(REPOSITORY / "src/stepcreds", site / "stepcreds", ignore=shutil.ignore_patterns("__pycache__"))
    for library in (REPOSITORY / "vendor").iterdir():
        if library.is_dir() and not library.name.endswith(".dist-info"):
            shutil.copytree(library, site / library.name)  # some machines' Pythons write into a certifi that they find
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(
        f"#!{python}\nimport sys\nfrom stepcreds.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    script.chmod(0o755)
    return (str(script),)


@pytest.fixture(scope="module")
def environment_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A virtual environment that is empty."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([BASE, "-m", "venv", "--without-pip", str(folder)], check=True)
    yield folder


def test_a_wheel_in_a_virtual_environment(
    environment_of_its_own: Path, tmp_path: Path, folder: Path, traps: Traps
) -> None:
    venv = tmp_path / "venv"
    shutil.copytree(environment_of_its_own, venv, symlinks=True)
    way = installed(venv / "lib" / VERSION / "site-packages", venv / "bin/stepcreds", str(venv / "bin/python3"))
    traps.fill(folder)
    checks(started([*way, "config", "check"], folder, {"PYTHONPATH": "."}), folder)
    checks(started([str(venv / "bin/python3"), "-m", "stepcreds", "config", "check"], folder), folder)
    assert traps.met() == []


def test_the_site_of_a_user(tmp_path: Path, folder: Path, traps: Traps) -> None:
    """`pip install --user`; -I alone would not look there."""
    home = tmp_path / "home/.local"
    way = installed(home / "lib" / VERSION / "site-packages", home / "bin/stepcreds", BASE)
    environment = {"HOME": str(home.parent)}
    traps.fill(folder, ["click", "yaml", "tabulate"])  # a Python's own site may import others before our first line
    checks(started([*way, "config", "check"], folder, {**environment, "PYTHONPATH": "."}), folder)
    checks(started([BASE, "-m", "stepcreds", "config", "check"], folder, environment), folder)
    assert traps.met() == []


def test_the_site_of_a_user_elsewhere(tmp_path: Path, folder: Path, traps: Traps) -> None:
    """Where PYTHONUSERBASE says, which is where stepcreds is. Another user's base than ours is not looked at."""
    base = tmp_path / "cache"
    way = installed(base / "lib" / VERSION / "site-packages", base / "bin/stepcreds", BASE)
    checks(started([*way, "config", "check"], folder, {"PYTHONUSERBASE": str(base), "HOME": str(tmp_path)}), folder)
    other = traps.fill(tmp_path / "other/lib" / VERSION / "site-packages")
    libraries = {"PYTHONUSERBASE": str(tmp_path / "other"), "HOME": str(tmp_path)}
    there = base / "lib" / VERSION / "site-packages"
    checks(started([*way, "config", "check"], folder, {**libraries, "PYTHONPATH": str(there)}), folder)
    assert traps.met() == []
    assert other.exists()


def test_a_folder_of_pythonpath_that_stepcreds_was_installed_into(
    environment_of_its_own: Path, tmp_path: Path, folder: Path, traps: Traps
) -> None:
    """`pip install --target`: its libraries go before those of the environment, as they did, and not before Python's own."""
    venv = tmp_path / "venv"
    shutil.copytree(environment_of_its_own, venv, symlinks=True)
    python = str(venv / "bin/python3")
    target = tmp_path / "target"
    way = installed(target, target / "bin/stepcreds", python)
    traps.fill(target, ["json"])
    traps.fill(venv / "lib" / VERSION / "site-packages", ["click"])
    path = f"{traps.fill(tmp_path / 'other')}:{target}"
    for start in (way, (python, "-m", "stepcreds")):
        checks(started([*start, "config", "check"], folder, {"PYTHONPATH": path}), folder)
    assert traps.met() == []


def test_libraries_in_a_folder_of_pythonpath_of_their_own(
    environment_of_its_own: Path, tmp_path: Path, folder: Path
) -> None:
    """They could be anybody's. Nothing is tried, and it is said what to do."""
    way = installed(tmp_path / "one", tmp_path / "bin/stepcreds", str(environment_of_its_own / "bin/python3"))
    (tmp_path / "two").mkdir()
    (tmp_path / "one/click").rename(tmp_path / "two/click")
    path = {"PYTHONPATH": f"{tmp_path / 'one'}:{tmp_path / 'two'}"}
    for words, code in ((["config", "check"], 2), (["exec", "cloud", "--", "true"], 125)):
        run = started([*way, *words], folder, path)
        assert (run.returncode, run.stdout) == (code, "")
        assert run.stderr == (
            "stepcreds: error: stepcreds is not installed whole: there is no click\n"
            "  cause: It was installed without its libraries, or they are in a folder of PYTHONPATH that stepcreds itself is not in. Such a folder is for the command alone.\n"
            "  fix: Install it into an environment of its own (pipx install stepcreds), or all of it into one folder (pip install --target).\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#unsupported-machine\n"
        )


# --- when it is done


def starts(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """How many Pythons it takes: each says what it imports."""
    run = started([sys.executable, "-X", "importtime", *arguments, "--version"], folder, environment)
    assert (run.stdout, run.returncode) == (f"stepcreds {stepcreds.__version__}\n", 0), run.stderr
    return run.stderr.count(" encodings\n") + run.stderr.count(" encodings\r\n")


@pytest.mark.parametrize(
    ("options", "environment", "count"),
    [
        ([SCRIPT[0]], {}, 1),
        ([SCRIPT[0]], dict.fromkeys(sorted(HARMLESS - {"PYTHONIOENCODING", "PYTHONHASHSEED"}), "1"), 1),
        ([SCRIPT[0]], {"PYTHONPATH": "", "PYTHONIOENCODING": "utf-8", "PYTHONHASHSEED": "0"}, 1),
        ([SCRIPT[0]], {"PYTHONPATH": "/nowhere"}, 2),
        ([SCRIPT[0]], {"PYTHONWARNINGS": "ignore"}, 2),
        ([SCRIPT[0]], {"PYTHON_SOMETHING_NEW": "1"}, 2),
        (["-E", SCRIPT[0]], {"PYTHONPATH": "/nowhere"}, 1),
        (["-m", "stepcreds"], {}, 2),
        (["-I", "-m", "stepcreds"], {"PYTHONPATH": "/nowhere"}, 1),
    ],
)
def test_a_second_start_only_where_it_is_needed(
    tmp_path: Path, options: list[str], environment: Mapping[str, str], count: int
) -> None:
    assert starts(options, tmp_path, environment) == count


@pytest.mark.skipif(sys.version_info < (3, 11), reason="-P came with Python 3.11")
def test_a_path_that_is_safe_already(tmp_path: Path) -> None:
    assert starts(["-P", "-m", "stepcreds"], tmp_path, {}) == 1
    assert starts(["-m", "stepcreds"], tmp_path, {"PYTHONSAFEPATH": "1"}) == 1


def test_what_variables_said_of_our_own_start_stays_said(tmp_path: Path) -> None:
    """-B, -u and UTF-8 mode by flags, and the options of the caller's own command line."""
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "PYTHONPATH": "/nowhere"}
    told = (
        "import json, os, sys\n"
        "os.execv = lambda path, words: print(json.dumps(words))\n"
        "from stepcreds.cli.isolation import isolate\n"
        "isolate(['exec', 'migrate'])\n"
    )
    run = started([sys.executable, "-X", "dev", "-c", told], tmp_path, environment)
    assert (run.stderr, run.returncode) == ("", 0)
    words = json.loads(run.stdout)
    assert [word for word in words if not word.startswith("stepcreds_path=")] == [
        *(sys.executable, "-I", "-X", "dev", "-X", "utf8=1"),
        *(["-X"] if any(word.startswith("stepcreds_path=") for word in words) else []),
        *("-B", "-u", str(Path(stepcreds.__file__).parent / "__main__.py"), "exec", "migrate"),
    ]


def test_a_start_that_the_kernel_refuses(tmp_path: Path) -> None:
    code = (
        "import errno, os, sys\n"
        "def refuse(path, words):\n    raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))\n"
        "os.execv = refuse\n"
        "from stepcreds.cli import main\n"
        "sys.argv[1:] = sys.argv[1:]\n"
        "main()\n"
    )
    for command, expected in (("exec", 125), ("action", 125), ("revoke", 2)):
        run = started([sys.executable, "-c", code, command], tmp_path, {"PYTHONPATH": "/nowhere"})
        assert (run.returncode, run.stdout) == (expected, "")
        assert run.stderr == (
            "stepcreds: error: Python cannot be started again, isolated: Argument list too long\n"
            "  cause: A variable PYTHON* is set, or the working folder is where Python looks for its modules (-m); so stepcreds starts itself again without them.\n"
            f"  fix: Start it isolated: {sys.executable} -I -m stepcreds\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#unsupported-machine\n"
        )


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    run = started(
        ["sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", str(gone), *SCRIPT, "--version"], tmp_path
    )
    assert (run.stdout, run.stderr, run.returncode) == (f"stepcreds {stepcreds.__version__}\n", "", 0)
