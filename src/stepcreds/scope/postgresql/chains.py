"""Which memberships lead from one role to another: the shortest chain of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple


class Edge(NamedTuple):
    """That one role was granted to another; roles are told apart by object id."""

    role: int
    member: int
    inherits: bool  # the member has the role's privileges
    becomes: bool  # the member may SET ROLE to it
    admin: bool  # the member may grant it


class Chains:
    """The memberships of a server, as far as the credential has to do with them."""

    def __init__(self, edges: Iterable[Edge], names: Mapping[int, str]) -> None:
        # By name, so that of two chains of one length the same one is found for every credential.
        self._edges = sorted(edges, key=lambda edge: (names.get(edge.role, ""), names.get(edge.member, "")))

    def inherited(self, start: int, goal: int) -> list[int]:
        """The roles after `start` on the way to `goal`, each of which has the next one's privileges; [] for none."""
        return self._chain(start, goal, lambda edge: edge.inherits)

    def settable(self, start: int, goal: int) -> list[int]:
        """The same, where each may become the next one."""
        return self._chain(start, goal, lambda edge: edge.becomes)

    def steward(self, start: int, goal: int) -> list[int] | None:
        """The roles after `start` on the way to one that has ADMIN OPTION on `goal`; [] where `start` has it itself."""
        holders = [edge.member for edge in self._edges if edge.admin and edge.role == goal]
        chains = [self.inherited(start, holder) for holder in holders if holder != start]
        return [] if start in holders else min((chain for chain in chains if chain), key=len, default=None)

    def _chain(self, start: int, goal: int, along: Callable[[Edge], bool]) -> list[int]:
        chains: dict[int, list[int]] = {start: []}
        reached = [start]
        while reached and goal not in chains:
            nearer, reached = reached, []
            for edge in self._edges:
                if edge.member in nearer and edge.role not in chains and along(edge):
                    chains[edge.role] = [*chains[edge.member], edge.role]
                    reached.append(edge.role)
        return chains.get(goal, [])
