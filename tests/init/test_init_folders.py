"""What `stepcreds init` makes of a tool that is not at the root: its folder, its package manager, and others like it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from starters import SYSTEMS, TOOLS, init, made, pipeline_of, repository
from stepcreds.starter import tools
from stepcreds.starter.repository import survey

PRISMA = "prisma/schema.prisma"


def below(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


@pytest.mark.parametrize("name", [name for name in TOOLS if name not in ("script", "golang-migrate")])
def test_a_tool_is_called_where_its_files_are(tmp_path: Path, name: str) -> None:
    (seen, *_) = tools.recognise(survey(repository(tmp_path, below("a/b", TOOLS[name]))))
    assert (seen.tool.name, seen.folder, seen.others) == (name, "a/b", ())


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("1_a.up.sql", "."),
        ("a/db/1_a.up.sql", "a/db"),
        ("my files/1_a.up.sql", "'my files'"),
        ("it's/1_a.up.sql", None),
        ("$(id)/1_a.up.sql", None),
        ("a: b/1_a.up.sql", None),
        ("-rf/1_a.up.sql", None),
    ],
)
def test_golang_migrate_is_told_its_folder(tmp_path: Path, file: str, folder: str | None) -> None:
    (seen, *_) = tools.recognise(survey(repository(tmp_path, {file: ""})))
    if folder is None:  # no line of a pipeline names such a folder
        assert seen.tool.name == "script"
        return
    assert (seen.folder, seen.guessed) == ("", False)
    assert seen.tool.migrate == f'migrate -path {folder} -database "$DATABASE_URL" up'
    assert seen.tool.verify == f'migrate -path {folder} -database "$DATABASE_URL" version'


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_folder_that_is_not_there_is_a_line_to_change(tmp_path: Path, system: str) -> None:
    text = pipeline_of(made(repository(tmp_path, SYSTEMS[system]), tool="golang-migrate"))
    assert "<folder>" not in text
    assert " -path migrations -database " in text
    mark = "//" if system == "jenkins" else "#"
    assert f"{mark} change: no migrations of golang-migrate were found; this names their folder.\n" in text


def test_a_changelog_of_liquibase_is_named(tmp_path: Path) -> None:
    (seen,) = tools.recognise(survey(repository(tmp_path, {"src/db.changelog-master.xml": ""})))
    assert seen.folder == ""
    assert seen.tool.migrate == "liquibase update --changelog-file=src/db.changelog-master.xml"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("folder", ["services/api", "my services/api"])
def test_the_pipeline_calls_it_there(tmp_path: Path, system: str, folder: str) -> None:
    root = repository(tmp_path, {**SYSTEMS[system], **below(folder, TOOLS["alembic"])})
    text = pipeline_of(made(root))
    if system == "github":
        steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
        given = [step["with"]["working-directory"] for step in steps if "stepcreds/" in step.get("uses", "")]
        assert given == [folder, folder]
    else:
        quoted = re.escape(f"cd {shlex.quote(folder)}")
        called = re.findall(quoted + r"(?: && exec |\n +- )stepcreds exec (\w+) -- alembic", text)
        assert called == ["migrate", "verify"]
    # The dependencies are installed from the root, of the file that is beside it.
    assert f"pip install --quiet -r {shlex.quote(folder + '/requirements.txt')}" in text


def test_other_folders_are_named_and_the_one_that_it_is_called_in_goes_first(tmp_path: Path) -> None:
    root = repository(
        tmp_path, {**below("services/api", {PRISMA: ""}), **below("services/web", {PRISMA: ""}), "x/y": ""}
    )
    for here, first, other in (
        (root, "services/api", "services/web"),
        (root / "x", "services/api", "services/web"),
        (root / "services/web", "services/web", "services/api"),
        (root / "services/web/prisma", "services/api", "services/web"),  # it is not in there
    ):
        found = init(here, "--dry-run").stdout.splitlines()
        assert found[1] == f"Migrations: Prisma ({first}/{PRISMA})"
        assert found[3] == (f"Also found: Prisma in {other}; init chooses the one of the folder that it is called in")


def test_the_root_is_named_so(tmp_path: Path) -> None:
    root = repository(tmp_path, {"manage.py": "", "tools/manage.py": ""})
    (seen,) = tools.recognise(survey(root / "tools"))
    assert (seen.folder, seen.others) == ("tools", ("the root",))


@pytest.mark.parametrize(
    ("files", "setup", "migrate"),
    [
        ({"package-lock.json": "{}"}, ["npm ci"], "npx prisma migrate deploy"),
        ({}, ["npm install"], "npx prisma migrate deploy"),
        (
            {"pnpm-lock.yaml": ""},
            ["command -v pnpm || npm install --global pnpm", "pnpm install --frozen-lockfile"],
            "pnpm exec prisma migrate deploy",
        ),
        (
            {"yarn.lock": "# yarn lockfile v1\n"},
            ["command -v yarn || npm install --global yarn", "yarn install --frozen-lockfile"],
            "yarn run prisma migrate deploy",
        ),
        (
            {"yarn.lock": "__metadata:\n  version: 8\n"},
            ["command -v yarn || npm install --global yarn", "yarn install --immutable"],
            "yarn run prisma migrate deploy",
        ),
    ],
)
def test_the_package_manager_is_the_one_of_the_lock_file(
    tmp_path: Path, files: dict[str, str], setup: list[str], migrate: str
) -> None:
    # At the root, for the whole workspace; or beside the schema.
    for number, (place, run) in enumerate((("", "{}"), ("apps/api", "(cd apps/api && {})"))):
        lock = below(place, files) if place else files
        package = {f"{place}/package.json".lstrip("/"): "{}"}
        root = repository(
            tmp_path / str(number), {**SYSTEMS["github"], **below("apps/api", {PRISMA: ""}), **lock, **package}
        )
        steps = yaml.safe_load(pipeline_of(made(root)))["jobs"]["migrate"]["steps"]
        installed = [step["run"] for step in steps if "run" in step]
        assert installed == [*setup[:-1], run.format(setup[-1])]
        assert steps[-1]["with"]["run"] == f"{migrate}\n"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Maria", "-c", "user.email=maria@example.com", "-c", "protocol.file.allow=always")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_a_work_tree_and_a_submodule_know_their_remote(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "--quiet", "--initial-branch=trunk")
    git(main, "commit", "--quiet", "--allow-empty", "-m", "one")
    git(main, "remote", "add", "origin", "git@gitlab.com:acme/shop.git")
    git(main, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    git(main, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    git(outer, "submodule", "add", "--quiet", str(main), "inner")
    git(outer / "inner", "remote", "set-url", "origin", "git@bitbucket.org:acme/shop.git")
    for folder, host in ((main, "gitlab.com"), (tmp_path / "tree", "gitlab.com"), (outer / "inner", "bitbucket.org")):
        found = survey(folder)
        assert (found.root, found.host, found.branch) == (folder, host, "trunk")


def test_a_git_file_that_says_nothing_is_no_error(tmp_path: Path) -> None:
    for number, text in enumerate(("", "gitdir: \0\n", "gitdir: /nowhere\n", "something else")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / ".git").write_text(text)
        assert survey(folder).host == ""
