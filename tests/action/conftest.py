"""`repository`: acme/shop with the stack's stepcreds.yml, whose workflows a real runner runs; see runner.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from runner import Repository, action_of_this_tree

from faulty_vault import Trap
from stepcreds.devstack.stack import Stack


@pytest.fixture(scope="session")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stepcreds/stepcreds@v1: a git repository made of this tree."""
    return action_of_this_tree(tmp_path_factory.mktemp("action"))


@pytest.fixture
def repository(stack: Stack, action: Path, tmp_path: Path, alone: None) -> Iterator[Repository]:
    """A repository of this test's own; its runs reach nothing but loopback, and leave no user at PostgreSQL."""
    with Trap() as beyond:
        yield Repository(stack, tmp_path, action, beyond.address)
        assert beyond.visits == 0
