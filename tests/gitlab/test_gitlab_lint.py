"""Every example and the component against GitLab's own schema of pipelines, which gitlab-ci-local carries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gitlab_runs import COMPONENT, EXAMPLES, Project
from stepcreds.devstack.stack import Stack

VALID = "json schema validated in"
FILES = sorted(EXAMPLES.glob("*gitlab-ci.yml"))
ALL = [path.name for path in FILES] or ["none"]
SEALING = "seal.gitlab-ci.yml"  # holds no credential; tests/seals/test_seal_examples.py


@pytest.fixture
def project(stack: Stack, tmp_path: Path) -> Project:
    return Project(tmp_path / "shop", stack)


@pytest.fixture(scope="module")
def examples(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with all of them, which has fetched the component."""
    made = Project(tmp_path_factory.mktemp("examples") / "shop", stack)
    for path in FILES:
        made.write(path.name, path.read_text())
    made.serve_component("1.0.0")
    made.commit()
    made.fetch_component()
    return made


def test_there_are_examples() -> None:
    assert ALL == [".gitlab-ci.yml", "component.gitlab-ci.yml", "matrix.gitlab-ci.yml", SEALING]


@pytest.mark.parametrize("name", ALL)
def test_an_example_is_valid(examples: Project, name: str) -> None:
    run = examples.run("--file", name, "--list")
    assert (run.code, VALID in run.text) == (0, True), run.text


@pytest.mark.parametrize("name", [name for name in ALL if name != SEALING])
def test_every_job_ends_what_a_killed_one_left(examples: Project, name: str) -> None:
    pipeline = yaml.safe_load(
        examples.run("--file", name, "--preview").text.partition("downloaded")[0].partition("parsing and")[0]
    )
    jobs = {key: job for key, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    assert jobs
    for job in jobs.values():
        assert job["after_script"] == ["stepcreds revoke --all"]
        assert job["variables"]["AFTER_SCRIPT_IGNORE_ERRORS"] == "false"
        assert list(job["id_tokens"]) == ["VAULT_ID_TOKEN"]
        assert job["script"][0].startswith("exec stepcreds exec ")
        assert len(job["script"]) == 1  # what follows an exec would never run
        assert job["rules"] == [{"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}]
        assert job["artifacts"]["access"] == "developer"


def test_what_the_schema_does_not_know_is_found(project: Project) -> None:
    project.write(".gitlab-ci.yml", (EXAMPLES / ".gitlab-ci.yml").read_text().replace("when: always", "when: ever"))
    project.commit()
    run = project.run("--list")
    assert (run.code, VALID in run.text) == (1, False)


def test_the_component_is_one_file_in_the_folder_that_the_catalogue_reads() -> None:
    assert COMPONENT.relative_to(COMPONENT.parent.parent) == Path("templates/stepcreds.yml")
    header, body = yaml.safe_load_all(COMPONENT.read_text())
    assert (list(header), list(header["spec"])) == (["spec"], ["inputs"])
    # No global keyword, which would change the jobs of whoever includes it.
    assert list(body) == ["$[[ inputs.as ]]"]


def documented(first: str) -> str:
    """The block of YAML in docs/gitlab.md whose first line is `first`."""
    text = (EXAMPLES.parent.parent / "docs/gitlab.md").read_text()
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(first)]
    return found


@pytest.mark.parametrize("first", ["include:\n", "migrate:\n", "# .gitlab-ci.yml of the mirror\n"])
def test_what_the_docs_say_is_valid(project: Project, first: str) -> None:
    project.write(".gitlab-ci.yml", documented(first).replace("stage: migrate", "stage: deploy"))
    project.write("templates/stepcreds.yml", COMPONENT.read_text())
    project.serve_component("1.0.0")
    project.commit()
    run = project.run("--list")
    assert (run.code, VALID in run.text) == (0, True), run.text
