"""What the tests of tests/chaos ask for by name: steps against servers, machines and neighbours that fail; nothing that
they issue is left after a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from machine_runs import Machine
from neighbour_runs import Neighbourhood
from sweep_runs import Sweep, leaving_nothing, of_nobody, swept

from stepcreds.devstack.stack import Stack


@pytest.fixture
def sweep(stack: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(stack, tmp_path) as made:
        yield made


@pytest.fixture
def machine(stack: Stack, tmp_path: Path) -> Iterator[Machine]:
    with leaving_nothing(Machine(stack, tmp_path)) as made:
        yield made


@pytest.fixture
def nobody(stack: Stack) -> Iterator[Machine]:
    """A machine as a user without privileges has it."""
    with of_nobody(Machine, stack) as made:
        yield made


@pytest.fixture
def place(stack: Stack) -> Iterator[Neighbourhood]:
    with of_nobody(Neighbourhood, stack) as made:
        yield made
