"""What `stepcreds init` makes of the files that it finds: the CI, the tool, the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from starters import SYSTEMS, TOOLS, made, repository
from stepcreds.starter import engines, systems, tools
from stepcreds.starter.repository import survey


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_is_recognised_by_its_files(tmp_path: Path, name: str) -> None:
    (first, *others) = tools.recognise(survey(repository(tmp_path, TOOLS[name])))
    assert first.tool.name == name
    assert [other.tool.name for other in others] == (["dbmate"] if name == "golang-migrate" else [])


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_ci_is_recognised_by_its_files(tmp_path: Path, name: str) -> None:
    (seen,) = systems.recognise(survey(repository(tmp_path, SYSTEMS[name])))
    assert (seen.system.name, seen.by) == (name, next(iter(SYSTEMS[name])))


@pytest.mark.parametrize(
    ("remote", "host", "name"),
    [
        ("git@github.com:acme/shop.git", "github.com", "github"),
        ("https://github.com/acme/shop", "github.com", "github"),
        ("ssh://git@gitlab.com:22/acme/shop.git", "gitlab.com", "gitlab"),
        ("https://maria:c4n4ry@GitLab.com/acme/shop.git", "gitlab.com", "gitlab"),
        ("git@ssh.dev.azure.com:v3/acme/shop/shop", "ssh.dev.azure.com", "azure"),
        ("git@bitbucket.org:acme/shop.git", "bitbucket.org", "bitbucket"),
        ("https://git.example.com/acme/shop.git", "git.example.com", None),
        ("/srv/git/shop.git", "", None),
        ("", "", None),
    ],
)
def test_without_files_the_remote_says_the_ci(tmp_path: Path, remote: str, host: str, name: str | None) -> None:
    found = survey(repository(tmp_path, {}, remote))
    assert found.host == host
    assert [(seen.system.name, seen.by) for seen in systems.recognise(found)] == (
        [(name, f"the remote {host}")] if name else []
    )


def test_of_several_cis_the_one_where_the_repository_lives_is_the_first(tmp_path: Path) -> None:
    files = {**SYSTEMS["github"], **SYSTEMS["jenkins"], **SYSTEMS["gitlab"]}
    found = made(repository(tmp_path, files, "git@gitlab.com:acme/shop.git")).found
    assert found[0] == "CI: GitLab CI/CD (.gitlab-ci.yml; also found: GitHub Actions, Jenkins, and --ci chooses)"


def test_of_several_tools_the_others_are_named(tmp_path: Path) -> None:
    files = {**TOOLS["knex"], **TOOLS["django"]}
    found = made(repository(tmp_path, files)).found
    assert found == (
        "CI: none found; --ci names one",
        "Migrations: Django (manage.py)",
        "Database: postgresql (knexfile.js)",
        "Also found: Knex; --tool chooses another",
    )


def test_a_pipeline_of_a_folder_below_is_somebody_elses(tmp_path: Path) -> None:
    files = {"examples/.gitlab-ci.yml": "", "tests/Jenkinsfile": "", "x/.github/workflows/a.yml": ""}
    assert systems.recognise(survey(repository(tmp_path, files))) == []


@pytest.mark.parametrize(
    ("files", "engine", "by", "client"),
    [
        ({}, "postgresql", "", ""),
        (TOOLS["alembic"], "postgresql", "psycopg2 in requirements.txt", "psycopg2"),
        ({"alembic.ini": "sqlalchemy.url = mysql+pymysql://h/d\n"}, "mysql", "alembic.ini", ""),
        (
            {"pyproject.toml": 'dependencies = ["psycopg[binary]>=3"]'},
            "postgresql",
            "psycopg in pyproject.toml",
            "psycopg",
        ),
        ({"requirements.txt": "PyMySQL==1.1\n"}, "mysql", "PyMySQL in requirements.txt", "pymysql"),
        ({"package.json": '{"dependencies": {"mysql2": "^3"}}'}, "mysql", "mysql2 in package.json", "mysql2"),
        ({"package.json": '{"dependencies": {"pg": "^8"}}'}, "postgresql", "pg in package.json", "pg"),
        ({"schema.prisma": 'datasource db {\n  provider = "mysql"\n}'}, "mysql", "schema.prisma", ""),
        ({"config/database.yml": "default:\n  adapter: mysql2\n"}, "mysql", "config/database.yml", ""),
        ({"Gemfile": "gem 'pg', '~> 1.5'"}, "postgresql", "pg in Gemfile", "pg"),
        ({"knexfile.ts": 'client: "mysql2"'}, "mysql", "knexfile.ts", ""),
        ({"flyway.toml": 'url = "jdbc:mariadb://h/d"'}, "mariadb", "flyway.toml", ""),
        ({"sqitch.conf": "[core]\n    engine = mysql\n"}, "mysql", "sqitch.conf", ""),
        ({"shop/settings.py": '"ENGINE": "django.db.backends.mysql"'}, "mysql", "shop/settings.py", ""),
        (
            {"go.mod": "github.com/go-sql-driver/mysql v1"},
            "mysql",
            "go-sql-driver/mysql in go.mod",
            "go-sql-driver/mysql",
        ),
        (
            {"pom.xml": "<artifactId>mysql-connector-j</artifactId>"},
            "mysql",
            "mysql-connector-j in pom.xml",
            "mysql-connector-j",
        ),
        # What a file says goes before a dependency; something unknown says nothing.
        (
            {"alembic.ini": "sqlalchemy.url = sqlite:///x\n", "requirements.txt": "mysqlclient"},
            "mysql",
            "mysqlclient in requirements.txt",
            "mysqlclient",
        ),
        ({"knexfile.js": "client: 'pg'", "package.json": '{"mysql2": "1"}'}, "postgresql", "knexfile.js", ""),
    ],
)
def test_the_database(tmp_path: Path, files: dict[str, str], engine: str, by: str, client: str) -> None:
    assert engines.recognise(survey(repository(tmp_path, files))) == (engine, by, client)


def test_it_looks_from_the_root_of_the_repository(tmp_path: Path) -> None:
    root = repository(tmp_path, {"alembic.ini": "", "a/b/c.txt": ""})
    assert survey(root / "a/b") == survey(root)._replace(here="a/b")
    assert survey(root).root == root


def test_outside_of_a_repository_it_looks_here_alone(tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").touch()
    (tmp_path / "below").mkdir()
    assert survey(tmp_path / "below").files == ()


def test_what_others_wrote_or_is_far_down_is_not_looked_at(tmp_path: Path) -> None:
    files = {f"{folder}/manage.py": "" for folder in ("node_modules/x", ".venv/lib", "a/b/c/d/e", "vendor")}
    assert survey(repository(tmp_path, files)).files == ()


def test_links_are_not_followed(tmp_path: Path) -> None:
    root = repository(tmp_path / "root", {"README": ""})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/manage.py").touch()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "manage.py").symlink_to(tmp_path / "elsewhere/manage.py")
    assert survey(root).files == ("README",)


@pytest.mark.parametrize(
    ("head", "branch"),
    [
        ("ref: refs/remotes/origin/trunk\n", "trunk"),
        ("ref: refs/remotes/origin/release/1.x\n", "release/1.x"),
        ("ref: refs/remotes/origin/a'b\n", "main"),
        ("", "main"),
    ],
)
def test_the_default_branch(tmp_path: Path, head: str, branch: str) -> None:
    root = repository(tmp_path, {})
    (root / ".git/refs/remotes/origin/HEAD").write_text(head)
    assert survey(root).branch == branch
