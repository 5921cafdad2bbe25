"""Each example is what its CI's published schema asks for, and names profiles and the audience of a configuration."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipelines import EXAMPLES

import ci_tools
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config

# The schemas that check-jsonschema brings along: those of SchemaStore, and Microsoft's for Azure Pipelines.
SCHEMAS = {
    "azure/azure-pipelines.yml": "azure-pipelines",
    "azure/stepcreds-step.yml": "azure-pipelines",
    "bitbucket/bitbucket-pipelines.yml": "bitbucket-pipelines",
    "buildkite/pipeline.yml": "buildkite",
    "circleci/config.yml": "circle-ci",
    "circleci/orb.yml": "circle-ci",
}


def check(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts"), "check-jsonschema")
    # Azure's schema has patterns that are no regular expressions of JavaScript's strict kind; CircleCI's are.
    variant = "python" if schema == "azure-pipelines" else "default"
    options = ["--regex-variant", variant, "--builtin-schema", f"vendor.{schema}"]
    return subprocess.run(
        [sys.executable, str(program), *options, str(path)], capture_output=True, text=True, timeout=120, check=False
    )


def without_audiences(node: Any) -> Any:
    """SchemaStore's schema knows `oidc: true` alone; `audiences:` is newer."""
    if isinstance(node, dict):
        return {name: True if name == "oidc" else without_audiences(value) for name, value in node.items()}
    return [without_audiences(item) for item in node] if isinstance(node, list) else node


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_example_fits_its_cis_schema(name: str, tmp_path: Path) -> None:
    path = EXAMPLES / name
    if name.startswith("bitbucket"):
        document = yaml.safe_load(path.read_text())
        del document["definitions"]["oidc"]  # an anchor's place
        path = tmp_path / path.name
        path.write_text(yaml.safe_dump(without_audiences(document)))
    run = check(path, SCHEMAS[name])
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_would_have_found_a_mistake(name: str, tmp_path: Path) -> None:
    text = (EXAMPLES / name).read_text()
    wrong = tmp_path / Path(name).name
    wrong.write_text(re.sub(r"\b(steps|pipelines|jobs):", r"\1: 1\nx_\1:", text, count=1))
    assert check(wrong, SCHEMAS[name]).returncode == 1


def snippets() -> dict[str, str]:
    """Every piece of shell in an example that is no file of its own (tools/lint.py looks at those), by a name for it."""
    found = {}
    (task, _) = yaml.safe_load_all((EXAMPLES / "tekton/task.yaml").read_text())
    found["tekton"] = task["spec"]["steps"][0]["script"]
    template = yaml.safe_load((EXAMPLES / "azure/stepcreds-step.yml").read_text())
    for number, step in enumerate(step for step in template["steps"] if "bash" in step):
        found[f"azure {number}"] = "#!/bin/bash\n" + step["bash"]
    orb = yaml.safe_load((EXAMPLES / "circleci/orb.yml").read_text())
    for name, command in orb["commands"].items():
        run = command["steps"][0]["run"]["command"].replace("<< parameters.profile >>", "migrate")
        found[f"circleci {name}"] = f"#!/bin/bash\n{run}"
    bitbucket = yaml.safe_load((EXAMPLES / "bitbucket/bitbucket-pipelines.yml").read_text())
    for number, item in enumerate(bitbucket["pipelines"]["branches"]["main"]):
        lines = [*item["step"]["script"], *item["step"]["after-script"]]
        found[f"bitbucket {number}"] = "\n".join(["#!/bin/bash", *lines])
    for name in ("jenkins/Jenkinsfile", "jenkins/library/Jenkinsfile"):
        for number, line in enumerate(re.findall(r"^ *sh '(.*)'$", (EXAMPLES / name).read_text(), re.MULTILINE)):
            found[f"{name} {number}"] = f"#!/bin/sh\n{line}"
    return found


@pytest.mark.parametrize("name", snippets())
def test_the_shell_in_an_example_is_sound(name: str) -> None:
    text = snippets()[name] + "\n"
    check = subprocess.run(
        [str(ci_tools.shellcheck()), "-"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (check.returncode, check.stdout) == (0, "")


PIPELINES = [
    *(
        "azure/azure-pipelines.yml",
        "bitbucket/bitbucket-pipelines.yml",
        "buildkite/pipeline.yml",
        "circleci/config.yml",
    ),
    *("jenkins/Jenkinsfile", "jenkins/library/Jenkinsfile"),
]


@pytest.mark.parametrize("name", PIPELINES)
def test_an_example_names_the_profiles_of_its_configuration(name: str) -> None:
    folder = EXAMPLES / "azure" if name.startswith("azure") else EXAMPLES
    environment = {"STEPCREDS_VAULT_ADDR": "https://vault.example.com:8200"} if name.startswith("azure") else {}
    config = load_config(folder / "stepcreds.yml", environment, folder, SystemClock())
    text = (EXAMPLES / name).read_text()
    named = re.findall(r"(?:stepcreds exec |profile: |withStepcreds\(')(\w+)", text)
    assert set(named) == set(config.profiles) == {"migrate", "verify"}
    assert set(re.findall(r"https://vault[\w.:-]*\d", text)) <= {config.vault.addresses[0]}


def test_the_two_configurations_differ_in_who_is_asked_alone() -> None:
    plain, azure = (
        yaml.safe_load(path.read_text()) for path in (EXAMPLES / "stepcreds.yml", EXAMPLES / "azure/stepcreds.yml")
    )
    assert plain["profiles"] == azure["profiles"]


def test_the_index_names_every_example() -> None:
    index = (EXAMPLES / "README.md").read_text()
    linked = set(re.findall(r"\]\(([^)#:]+)\)", index))
    files = {path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*") if path.is_file()}
    assert all((EXAMPLES / link).exists() for link in linked)
    unnamed = [path for path in files if not {str(path), *map(str, path.parents)} & linked]
    assert [str(path) for path in unnamed if path.name != "README.md"] == []
