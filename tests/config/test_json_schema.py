"""The JSON Schema is one, says of every example what the loader says, and is the file in the repository."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_examples import INVALID_SHAPE, VALID, load, problems
from jsonschema import Draft202012Validator

from stepcreds.config.json_schema import json_schema

REPOSITORY = Path(__file__).parents[2]


class CoreSchemaLoader(yaml.SafeLoader):
    """Reads plain scalars as YAML 1.2's core schema has them: what an editor hands to the schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML declares it so


for tag, pattern, first in (
    ("null", r"(?:~|null|Null|NULL)?\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"[-+]?[0-9]+\Z", list("-+0123456789")),
):
    CoreSchemaLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)


def errors(text: str) -> list[str]:
    document = yaml.load(text, CoreSchemaLoader)  # noqa: S506 - a SafeLoader
    return [error.message for error in Draft202012Validator(json_schema()).iter_errors(document)]


def test_it_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", VALID)
def test_what_the_loader_takes_the_schema_takes(name: str, tmp_path: Path) -> None:
    load(tmp_path, VALID[name])
    assert errors(VALID[name]) == []


@pytest.mark.parametrize("name", INVALID_SHAPE)
def test_what_the_schema_refuses_the_loader_refuses(name: str, tmp_path: Path) -> None:
    assert errors(INVALID_SHAPE[name]) != []
    assert problems(tmp_path, INVALID_SHAPE[name]) != []


def test_the_file_in_the_repository_is_it() -> None:
    file = REPOSITORY / "schema" / "stepcreds.schema.json"
    assert json.loads(file.read_text()) == json_schema(), "run: make docs"
