"""What `stepcreds init` writes, for each CI and each tool: it is valid, passes the linters, and runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import ci_tools
from ci_tools import actionlint, shellcheck, zizmor
from gitlab_runs import COMPONENT, Project, gitlab_project, places, refusal, reported, reporting
from starters import SYSTEMS, TOOLS, init, made, pipeline_of, repository
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.devstack.config import location
from stepcreds.devstack.stack import Stack

EVERY = [(system, tool) for system in SYSTEMS for tool in TOOLS]
YAML = [(system, tool) for system, tool in EVERY if system != "jenkins"]
MYSQL = "mysql://db.example.com:3306/shop"


@pytest.mark.parametrize(("system", "tool"), EVERY)
@pytest.mark.parametrize("database", ["", MYSQL, "postgresql://db.example.com/shop?sslmode=require"])
def test_the_configuration_is_valid(tmp_path: Path, system: str, tool: str, database: str) -> None:
    root = repository(tmp_path, {**SYSTEMS[system], **TOOLS[tool]})
    plan = made(root, system=system, tool=tool, database=database)
    (root / "stepcreds.yml").write_text(plan.files[0].text)
    environment = {"STEPCREDS_VAULT_ADDR": "https://vault.example.com"} if system == "azure" else {}
    config = load_config(root / "stepcreds.yml", environment, root, SystemClock())
    assert [(profile.name, profile.access) for profile in config.profiles.values()] == [
        ("migrate", "ddl"),
        ("verify", "read-only"),
    ]
    assert "<<" not in plan.files[0].text + pipeline_of(plan)
    assert all(len(line) <= 120 for line in plan.files[0].text.splitlines())


@pytest.mark.parametrize(
    ("tool", "engine", "variables"),
    [
        ("alembic", "postgresql", None),
        ("alembic", "mysql", None),
        ("flyway", "postgresql", {"FLYWAY_URL": "jdbc:postgresql://{host}:{port}/{database}?sslmode={sslmode}"}),
        ("flyway", "mariadb", {"FLYWAY_URL": "jdbc:mariadb://{host}:{port}/{database}"}),
        ("liquibase", "mysql", {"LIQUIBASE_COMMAND_URL": "jdbc:mysql://{host}:{port}/{database}"}),
        ("sqitch", "postgresql", {"SQITCH_TARGET": "db:pg://{host}:{port}/{database}"}),
        ("sqitch", "mysql", {"SQITCH_TARGET": "db:mysql://{host}:{port}/{database}"}),
        ("rails", "postgresql", None),
        ("rails", "mysql", {"DATABASE_URL": "mysql2://{username:url}:{password:url}@{host}:{port}/{database}"}),
        ("prisma", "mariadb", {"DATABASE_URL": "mysql://{username:url}:{password:url}@{host}:{port}/{database}"}),
    ],
)
def test_the_variables_that_a_tool_reads(
    tmp_path: Path, tool: str, engine: str, variables: dict[str, str] | None
) -> None:
    root = repository(tmp_path, {**SYSTEMS["github"], **TOOLS[tool]})
    text = made(root, tool=tool, database=f"{engine}://db.example.com/shop").files[0].text
    profiles = yaml.safe_load(text)["profiles"]
    for profile in profiles.values():
        env = profile.get("env")
        assert env is None if variables is None else variables.items() <= env.items()


@pytest.mark.parametrize(
    ("library", "tool", "url"),
    [
        ("psycopg[binary]", "alembic", "postgresql+psycopg://db.example.com:5432/app"),
        ("psycopg2", "alembic", "postgresql://db.example.com:5432/app"),
        ("PyMySQL", "alembic", "mysql+pymysql://db.example.com:3306/app"),
        ("psycopg[binary]", "django", "postgresql://db.example.com:5432/app"),
    ],
)
def test_sqlalchemy_is_told_the_client(tmp_path: Path, library: str, tool: str, url: str) -> None:
    root = repository(tmp_path, {"requirements.txt": f"{library}\n"})
    profiles = yaml.safe_load(made(root, tool=tool).files[0].text)["profiles"]
    assert {profile["database"] for profile in profiles.values()} == {url}


@pytest.mark.parametrize(("system", "tool"), YAML)
def test_the_pipeline_has_two_jobs_that_call_stepcreds(tmp_path: Path, system: str, tool: str) -> None:
    root = repository(tmp_path, {**SYSTEMS[system], **TOOLS[tool]})
    commands = list(_commands(yaml.safe_load(pipeline_of(made(root)))))
    profiles = [match[1] for line in commands if (match := re.match(r"(?:exec )?stepcreds exec (\w+) -- ", line))]
    if system == "github":
        profiles = re.findall(r"profile: (\w+)", pipeline_of(made(root)))
    assert profiles == ["migrate", "verify"]
    # A shell that reads $DATABASE_URL before stepcreds does would hand on nothing.
    for line in commands:
        if "stepcreds exec" in line and "$" in line:
            assert re.search(r" -- sh -ec '[^']*\$[^']*'$", line), line


def _commands(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _commands(value)
    elif isinstance(node, list):
        for value in node:
            yield from _commands(value)
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize(("system", "tool"), [pair for pair in EVERY if pair[0] != "github"])  # there actionlint looks
def test_its_shell_is_clean(tmp_path: Path, system: str, tool: str) -> None:
    text = pipeline_of(made(repository(tmp_path, {**SYSTEMS[system], **TOOLS[tool]})))
    lines = _shell_of_jenkins(text) if system == "jenkins" else list(_commands(yaml.safe_load(text)))
    shown = re.compile(r"(exec |\(?cd |\. |pip |npm |pnpm |yarn |bundle |apt-get |stepcreds |command -v)")
    script = tmp_path / "script.sh"
    script.write_text("#!/bin/bash\n" + "".join(f"( {line.strip()} )\n" for line in lines if shown.match(line.strip())))
    assert script.read_text().count("\n") > 2
    # SC1091: the file that is sourced is made at run time. SC2093: each line is a script of its own.
    flags = ("--exclude=SC1091,SC2093,SC2016", str(script))
    run = subprocess.run([str(shellcheck()), *flags], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def _shell_of_jenkins(text: str) -> list[str]:
    blocks = re.findall(r"sh '''\n(.*?)\n\s*'''", text, re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", "").splitlines()]


def test_workflows_of_github_pass_the_linters(tmp_path: Path) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    for name, files in TOOLS.items():
        root = repository(tmp_path / name, {**SYSTEMS["github"], **files})
        (folder / f"{name}.yml").write_text(pipeline_of(made(root)))
    assert len(list(folder.iterdir())) == len(TOOLS)
    flags = (f"-shellcheck={shellcheck()}", "-pyflakes=", *map(str, sorted(folder.iterdir())))
    run = subprocess.run([str(actionlint()), *flags], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")
    # As its users will run it: without a configuration of ours.
    audit = [str(zizmor()), "--offline", "--no-config", "--no-progress", "--quiet", str(tmp_path)]
    run = subprocess.run(audit, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_pipelines_of_jenkins_pass_the_linter(tmp_path: Path) -> None:
    different = ("alembic", "knex", "atlas", "script")
    for name in different:
        root = repository(tmp_path / name, {**SYSTEMS["jenkins"], **TOOLS[name]})
        folder = tmp_path / "linted" / name
        folder.mkdir(parents=True)
        (folder / "Jenkinsfile").write_text(pipeline_of(made(root)))
    rules = COMPONENT.parent.parent / "examples/jenkins/.groovylintrc.json"  # Jenkins' own, and two blanks a level
    run = subprocess.run(
        ci_tools.groovy_lint("--config", str(rules), "--path", str(tmp_path / "linted"), "--files", "**/Jenkinsfile"),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    found = json.loads(run.stdout[run.stdout.index("{") :])
    assert {name: file["errors"] for name, file in found["files"].items() if file["errors"]} == {}
    assert (found["summary"]["totalFilesLinted"], run.returncode) == (len(different), 0)


@pytest.mark.parametrize(
    ("system", "schema"),
    [
        ("gitlab", "gitlab-ci"),
        ("buildkite", "buildkite"),
        ("circleci", "circle-ci"),
        ("azure", "azure-pipelines"),
        ("bitbucket", "bitbucket-pipelines"),
    ],
)
def test_pipelines_fit_the_schema_of_their_ci(tmp_path: Path, system: str, schema: str) -> None:
    """The schemas that check-jsonschema brings along: those of SchemaStore, GitLab's and Microsoft's."""
    files = []
    for name, content in TOOLS.items():
        text = pipeline_of(made(repository(tmp_path / name, {**SYSTEMS[system], **content})))
        if system == "bitbucket":  # its schema knows no `audiences:` yet
            text = re.sub(r"oidc:\n +audiences:\n +- \S+", "oidc: true", text)
        files.append(tmp_path / f"{name}.yml")
        files[-1].write_text(text)
    # Azure's schema has patterns that are no regular expressions of JavaScript's strict kind.
    variant = "python" if system == "azure" else "default"
    flags = ("--regex-variant", variant, "--builtin-schema", f"vendor.{schema}", *map(str, files))
    program = Path(sys.executable).parent / "check-jsonschema"
    run = subprocess.run([str(program), *flags], capture_output=True, text=True, timeout=250, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


PINNED = re.compile(r"uses: (\S+@[0-9a-f]{40} # \S+)")
OURS = COMPONENT.parent.parent


def test_actions_are_pinned_as_in_our_own_workflows(tmp_path: Path) -> None:
    text = pipeline_of(made(repository(tmp_path, {**SYSTEMS["github"], **TOOLS["alembic"]})))
    ours = "".join(path.read_text() for path in (OURS / ".github/workflows").glob("*.yml"))
    assert {pin.partition("@")[0] for pin in PINNED.findall(text)} == {"actions/checkout", "actions/setup-python"}
    pages = [*OURS.glob("*.md"), *(OURS / "docs").rglob("*.md"), *(OURS / "examples").rglob("*.*")]
    shown = {"what init writes": text} | {str(path): path.read_text() for path in pages if path.is_file()}
    assert sum(bool(PINNED.search(page)) for page in shown.values()) > 3
    # An action that our own workflows do not use is pinned by the linter alone.
    used = {pin.partition("@")[0] for pin in PINNED.findall(ours)}
    found = [(place, pin) for place, page in shown.items() for pin in PINNED.findall(page)]
    assert [
        (place, pin) for place, pin in found if pin not in PINNED.findall(ours) and pin.partition("@")[0] in used
    ] == []


@pytest.mark.parametrize("tool", TOOLS)
def test_a_pipeline_of_gitlab_is_valid(stack: Stack, tmp_path: Path, tool: str) -> None:
    project = Project(tmp_path / "shop", stack)
    (project.folder / "stepcreds.yml").unlink()
    for name, text in {**SYSTEMS["gitlab"], **TOOLS[tool]}.items():
        project.write(name, text)
    assert init(project.folder).returncode == 0
    project.commit()
    run = project.run("--list")
    assert (run.code, "json schema validated in" in run.text) == (0, True), run.text


@pytest.mark.parametrize(
    ("stages", "stage"),
    [
        ("", "deploy"),
        ("stages: [build, test]\n", "test"),
        ("stages: [build, deploy, after]\n", "deploy"),
        ("stages:\n  - build\n  # a remark\n  - 'ship it' # last\n", "ship it"),
        ("stages:\n- build\n- release\n\njob: {script: true}\n", "release"),
    ],
)
def test_jobs_of_gitlab_are_in_a_stage_that_there_is(tmp_path: Path, stages: str, stage: str) -> None:
    root = repository(tmp_path, {".gitlab-ci.yml": stages})
    assert yaml.safe_load(pipeline_of(made(root)))[".stepcreds"]["stage"] == stage


def test_a_pipeline_of_gitlab_runs(stack: Stack, tmp_path: Path) -> None:
    # Bound as its comments say.
    environments = {"migrate": "production-ddl", "verify": "production"}
    bound = {profile: {"environment": name} for profile, name in environments.items()}
    with gitlab_project(stack, tmp_path / "shop", bound) as project:
        for name in environments.values():
            project.identify(name, environment=name)
        (project.folder / "stepcreds.yml").unlink()
        project.write(".gitlab-ci.yml", "stages: [build, ship]\ninclude:\n  - local: .gitlab/stepcreds.yml\n")
        url = f"postgresql://{location(stack.database)}"
        run = init(project.folder, "--vault", stack.address, "--database", url)
        assert run.returncode == 0, run.stderr
        # What its comments say to change: the roles, and the schema.
        text = (project.folder / "stepcreds.yml").read_text()
        for name in stack.profiles:
            text = text.replace(f"role: app-{name}", f"role: gitlab-{name}")
        project.write("stepcreds.yml", text.replace("[public]", "[app]"))
        psql = 'psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$DATABASE_URL"'
        table = f"started_{os.getpid()}"
        project.script(
            "migrate.sh", f"{psql} -c 'CREATE TABLE app.{table} (id int)'\n" + reporting(tmp_path / "migrate")
        )
        project.script("verify.sh", f"{psql} -c 'TABLE app.{table}' && echo looked\n" + reporting(tmp_path / "verify"))
        project.commit()
        try:
            done = project.run()
            assert done.code == 0, done.text
        finally:
            stack.sql(f"DROP TABLE IF EXISTS app.{table}")
        given = [reported(tmp_path / name) for name in ("migrate", "verify")]
        assert [refusal(stack, one) for one in given] == ["28P01", "28P01"]
        assert "\nlooked\n" in project.log("verify")
        assert "proven dead" in project.log("migrate")
        assert places(project, *(one["PGPASSWORD"] for one in given)) == []
        # A verification that was tampered with cannot log in for DDL.
        pipeline = (project.folder / ".gitlab/stepcreds.yml").read_text()
        project.write(
            ".gitlab/stepcreds.yml", pipeline.replace("stepcreds exec verify --", "stepcreds exec migrate --")
        )
        project.script("migrate.sh", "echo migrating\n")
        project.commit()
        assert project.run().code == 1
        assert "stepcreds: error: Vault refused the login" in project.log("verify")
        assert "migrating" not in project.log("verify")


# Who the job says that it is; the identity is the stack's, handed over as any CI's can be.
ELSEWHERE = {
    "jenkins": {"JENKINS_URL": "https://jenkins.example.com/", "BUILD_NUMBER": "7", "JOB_NAME": "shop/main"},
    "buildkite": {"BUILDKITE": "true", "BUILDKITE_BUILD_ID": "b", "BUILDKITE_JOB_ID": "j"},
    "circleci": {"CIRCLECI": "true", "CIRCLE_WORKFLOW_ID": "w", "CIRCLE_WORKFLOW_JOB_ID": "j", "CIRCLE_JOB": "migrate"},
    "bitbucket": {"BITBUCKET_BUILD_NUMBER": "7", "BITBUCKET_PIPELINE_UUID": "{p}", "BITBUCKET_STEP_UUID": "{s}"},
}


@pytest.mark.parametrize("system", ELSEWHERE)
@pytest.mark.usefixtures("alone")
def test_the_lines_of_other_cis_run(stack: Stack, tmp_path: Path, system: str) -> None:
    """Each script of the pipeline that calls stepcreds, by bash, which these CIs give it to."""
    root = repository(tmp_path / "shop", SYSTEMS[system])
    plan = made(root, address=stack.address, database=f"postgresql://{location(stack.database)}")
    (root / "stepcreds.yml").write_text(plan.files[0].text.replace("[public]", "[app]"))
    for name in stack.profiles:
        (root / f"{name}.sh").write_text(f'#!/bin/sh\nenv >"{tmp_path}/{name}"\necho "$DATABASE_URL"\n')
        (root / f"{name}.sh").chmod(0o755)
    text = pipeline_of(plan)
    if system == "jenkins":
        (root / ".venv/bin").mkdir(parents=True)
        (root / ".venv/bin/activate").touch()
        scripts = re.findall(r"sh '''\n(.*?)\n\s*'''", text, re.DOTALL)
    elif system == "buildkite":  # one script of the list, with variables filled in when it is uploaded
        steps = yaml.safe_load(text.replace("$$", "$"))["steps"]
        scripts = ["\n".join(step["command"]) for step in steps]
    else:
        scripts = list(_commands(yaml.safe_load(text)))
    scripts = [script for script in scripts if "stepcreds exec" in script]
    assert len(scripts) == 2
    for script in [*scripts, "stepcreds revoke --all"]:
        run = subprocess.run(
            ["/bin/bash", "-eo", "pipefail", "-c", script],
            cwd=root,
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "STEPCREDS_ID_TOKEN": stack.issuer.token(stack.address).reveal(),
                **ELSEWHERE[system],
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout == "" or ":***@" in run.stdout
    for name in stack.profiles:
        given = dict(line.split("=", 1) for line in (tmp_path / name).read_text().splitlines() if "=" in line)
        assert refusal(stack, given) == "28P01"
    chain = "".join(path.read_text() for path in (root / ".stepcreds").glob("*.jsonl"))
    assert chain.count('"verdict":"proven dead"') == 2
    assert f'"ci":"{system}"' in chain
