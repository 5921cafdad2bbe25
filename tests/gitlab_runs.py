"""GitLab's jobs, run by gitlab-ci-local in a repository of their own against the real servers."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pg8000.exceptions
import yaml

from ci_tools import node
from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup import vault

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parent.parent
COMPONENT = REPOSITORY / "templates/stepcreds.yml"
EXAMPLES = REPOSITORY / "examples/gitlab"
PROGRAM = Path(sys.prefix) / "node/node_modules/gitlab-ci-local/dist/index.js"
HOST = "https://gitlab.example.com"
INPUTS = {"profile": "verify", "run": "true", "audience": "https://vault.example.com:8200"}

# https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload; all of them texts.
CLAIMS: Mapping[str, object] = {
    "sub": "project_path:acme/shop:ref_type:branch:ref:main",
    "namespace_id": "3",
    "namespace_path": "acme",
    "project_id": "7",
    "project_path": "acme/shop",
    "user_id": "1",
    "user_login": "maria",
    "pipeline_id": "8",
    "pipeline_source": "push",
    "job_id": "9",
    "ref": "main",
    "ref_type": "branch",
    "ref_protected": "true",
    "sha": "5e3f1c0b0a0d4e0c9c55a1b8a5a2d8c0e1f2a3b4",
    "environment": "production",
    "environment_protected": "true",
    "runner_environment": "self-hosted",
}
BOUND = ("project_id", "ref", "ref_type", "ref_protected")


def token(stack: Stack, **claims: object) -> str:
    """What `id_tokens:` would put into the job's variable: GitLab's claims, and none of GitHub's."""
    without = dict.fromkeys(stack.issuer.claims)
    return stack.issuer.token(stack.address, **{**without, **CLAIMS, **claims}).reveal()


@contextmanager
def gitlab_project(
    stack: Stack, folder: Path, bound: Mapping[str, Mapping[str, object]] | None = None
) -> Iterator[Project]:
    """A `Project` in `folder`, with JWT roles for GitLab's claims beside those that the stack has for GitHub's.

    `bound` has further claims that the role of a profile is bound to.
    Afterwards the roles are gone, and so must be every user that OpenBao issued meanwhile.
    """
    before = stack.issued_roles()
    paths = []
    with stack.client() as client:
        for profile in stack.profiles.values():
            body = vault.jwt_role(
                profile,
                audience=stack.address,
                bound_claims={**{name: CLAIMS[name] for name in BOUND}, **(bound or {}).get(profile.name, {})},
                policies=[profile.role],
                user_claim="project_id",
            )
            paths.append(f"auth/{provision.MOUNT}/role/gitlab-{profile.name}")
            client.write_data(paths[-1], data=body)
        yield Project(folder, stack)
        for path in paths:
            client.delete(path)
    assert stack.issued_roles() - before == set()


class Project:
    """A repository on a GitLab that nobody runs: acme/shop on its branch main, cloned to `folder`."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.folder = folder
        self._stack = stack
        self._aside = folder.parent / f"{folder.name}-aside"  # what is not the job's: git's and the runner's settings
        self._aside.mkdir()
        folder.mkdir()
        (self._aside / "gitconfig").write_text(
            "[user]\n\tname = Maria\n\temail = maria@example.com\n[init]\n\tdefaultBranch = main\n"
        )
        self.git("init", "--quiet")
        self.git("remote", "add", "origin", f"{HOST}/acme/shop.git")
        self.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
        self.write("stepcreds.yml", self.config())
        self.write(".gitignore", ".stepcreds/\n.gitlab-ci-local/\n")
        self._identities: dict[str, dict[str, str]] = {}
        self.identify()

    def config(self, change: Callable[[dict[str, Any]], object] = lambda document: None) -> str:
        """The stack's stepcreds.yml with GitLab's roles, and its ledger where it is by default."""
        document = yaml.safe_load(self._stack.config_text())
        del document["ledger"]
        for name, profile in document["profiles"].items():
            profile["role"] = f"gitlab-{name}"
        change(document)
        return yaml.safe_dump(document, sort_keys=False)

    def write(self, name: str, text: str, *, executable: bool = False) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if executable:
            path.chmod(0o755)

    def script(self, name: str, text: str) -> None:
        """A shell script that a job calls, as `./name`."""
        self.write(name, f"#!/usr/bin/env bash\nset -euo pipefail\n{text}", executable=True)

    def log(self, job: str) -> str:
        """A job's log as its reader sees it, both streams. `job`: a matrix job's name has dashes for what is no word."""
        path = self.folder / ".gitlab-ci-local/output" / f"{job}.log"
        return re.sub(r"\x1b\[[0-9;]*m", "", path.read_text())

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A pipeline")
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")

    def git(self, *arguments: str) -> str:
        run = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    def serve_component(self, version: str) -> None:
        """The project stepcreds/stepcreds on the same GitLab, with the component of this checkout, tagged `version`."""
        origin = self._aside / "stepcreds/stepcreds.git"
        (origin / "templates").mkdir(parents=True)
        shutil.copy(COMPONENT, origin / "templates/stepcreds.yml")
        for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", version), ("tag", version)):
            subprocess.run(["git", *arguments], cwd=origin, env=self.environment(), check=True)
        with (self._aside / "gitconfig").open("a") as file:
            file.write(f'[url "{self._aside}/stepcreds/"]\n')
            file.writelines(f"\tinsteadOf = {host}/stepcreds/\n" for host in (HOST, f"{HOST}:443"))

    def fetch_component(self) -> str:
        """Have gitlab-ci-local fetch it; what it says.

        For two includes of one component it makes two copies into one place at once, of which one can fail: so it is
        fetched for one, and found there by the others.
        """
        include = {"component": "$CI_SERVER_FQDN/stepcreds/stepcreds/stepcreds@1", "inputs": INPUTS}
        self.write("one.gitlab-ci.yml", yaml.safe_dump({"include": [include]}))
        run = self.run("--file", "one.gitlab-ci.yml", "--list")
        (self.folder / "one.gitlab-ci.yml").unlink()
        assert run.code == 0, run.text
        return run.text

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), str(node().parent), "/usr/local/bin:/usr/bin:/bin"])
        return {
            "PATH": path,
            "HOME": str(self._aside),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": str(self._aside / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """As `run`, but not waited for."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def command(self, *arguments: str, **variables: str) -> list[str]:
        """gitlab-ci-local as it is called; https://github.com/firecow/gitlab-ci-local#readme has the flags.

        It runs jobs in this folder, and says itself that it is not GitLab.
        """
        assert PROGRAM.exists(), "gitlab-ci-local is not installed: run tools/node-tools"
        given = {"GITLAB_CI": "true", "CI_SERVER_URL": self._stack.issuer.url, **variables}
        # It names the folder that a container would have, where the job says `image:`.
        given["CI_PROJECT_DIR"] = str(self.folder)
        ours = ",".join([*given, "CI_PROJECT_ID", "CI_PIPELINE_ID", "CI_JOB_ID"])
        flags = ["--force-shell-executor", "--no-color", "--ignore-predefined-vars", ours]
        flags += [flag for name, value in given.items() for flag in ("--variable", f"{name}={value}")]
        return [str(node()), str(PROGRAM), *flags, *arguments]

    def identify(self, environment: str = "*", /, **claims: object) -> None:
        """Who a job with this GitLab environment ("*": every other) is: by its ID token, and by its variables alike."""
        said = {**CLAIMS, **claims}
        self._identities[environment] = {
            "VAULT_ID_TOKEN": token(self._stack, **claims),
            "CI_PROJECT_ID": str(said["project_id"]),
            "CI_PIPELINE_ID": str(said["pipeline_id"]),
            "CI_JOB_ID": str(said["job_id"]),
        }
        self._write_identities()

    def forget(self) -> None:
        """As without an `id_tokens:` block."""
        for variables in self._identities.values():
            variables.pop("VAULT_ID_TOKEN", None)
        self._write_identities()

    def _write_identities(self) -> None:
        named: dict[str, dict[str, object]] = {}
        for environment, variables in self._identities.items():
            for name, value in variables.items():
                values = named.setdefault(name, {"type": "variable", "values": {}})["values"]
                assert isinstance(values, dict)
                values[environment] = value
        file = self._aside / ".gitlab-ci-local/variables.yml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump({"project": {"gitlab.example.com/acme/shop.git": named}}))

    def run(self, *arguments: str, **variables: str) -> Run:
        """The jobs named, or the whole pipeline."""
        run = subprocess.run(
            self.command(*arguments, **variables),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Run(self, run)


class Run:
    """What one call of gitlab-ci-local did: `code`, `text` (all it printed)."""

    def __init__(self, project: Project, run: subprocess.CompletedProcess[str]) -> None:
        self.code = run.returncode
        self.text = run.stdout + run.stderr
        self._project = project

    def log(self, job: str) -> str:
        return self._project.log(job)


# What a job's script calls to say what it was given, to a file outside of the repository.
REPORT = 'python3 -c \'import json, os; json.dump({**os.environ, "own pid": str(os.getppid())}, open("{}", "w"))\'\n'


def reporting(report: Path) -> str:
    return REPORT.replace("{}", str(report))


def until(condition: Callable[[], T], what: str) -> T:
    """The first true value of `condition`; fails after a minute."""
    deadline = time.monotonic() + 60.0
    while not (value := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.02)
    return value


def reported(report: Path) -> dict[str, str]:
    """What a script that called `reporting` was given, as soon as it is known."""

    def read() -> dict[str, str]:
        try:
            given: dict[str, str] = json.loads(report.read_text())
        except (FileNotFoundError, ValueError):  # not there yet, or not whole
            return {}
        return given

    return until(read, f"a report at {report}")


def normalised(text: str) -> str:
    """`text` with what differs from run to run replaced by a word for it."""
    for pattern, word in (
        (r"v-[0-9a-f]{12}-[a-z0-9-]{1,12}-\w{12}", "USER"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
        (r"\d+\.\d\d s after", "N s after"),
        (r"(?<=measured )([^|\n]*?) in \d+ ms", r"\1 in N ms"),
        (r"127\.0\.0\.1:\d+", "HOST"),
        (re.escape(str(Path(sys.executable).parent)), "BIN"),
        # What may be folded, as GitLab reads it, and as gitlab-ci-local shows it.
        (r"\x1b\[0Ksection_start:\d+:stepcreds_\d+\[collapsed=true\]\r\x1b\[0K.*\n", "(fold)\n"),
        (r"\x1b\[0Ksection_end:\d+:stepcreds_\d+\r\x1b\[0K\n", "(end of fold)\n"),
        (r"stepcreds_\d+_started\n", "(fold)\n"),
        (r"stepcreds_\d+ took \d+ms\n", "(end of fold)\n"),
    ):
        text = re.sub(pattern, word, text)
    return text


def refusal(stack: Stack, given: Mapping[str, str]) -> str:
    """The SQLSTATE with which PostgreSQL refuses the login that a job was given; "" if it does not."""
    try:
        stack.connect(given["PGUSER"], Secret(given["PGPASSWORD"])).close()
    except pg8000.exceptions.DatabaseError as error:
        return str(error.args[0]["C"])
    return ""


def places(project: Project, *values: str) -> list[str]:
    """The files below the job's folder (its log, its artifacts and the ledger among them) that hold one of `values`."""
    forms = [form.encode() for value in values for form in (value, quote(value, safe=""), _base64(value))]
    return [
        str(path.relative_to(project.folder))
        for path in sorted(project.folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and any(form in path.read_bytes() for form in forms)
    ]


def records(project: Project) -> list[list[dict[str, Any]]]:
    """The records of each chain in the ledger, chain by chain."""
    chains = sorted((project.folder / ".stepcreds").glob("*.jsonl"))
    return [[json.loads(line) for line in chain.read_text().splitlines()] for chain in chains]


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode().rstrip("=")
