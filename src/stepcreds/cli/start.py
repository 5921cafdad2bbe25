"""`stepcreds exec` begins here, in two processes at once: the worker imports what a step needs while the front reads
flags and configuration. Together they take as long as the slower one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from stepcreds.clock import SystemClock
from stepcreds.exit_codes import BEFORE_THE_COMMAND
from stepcreds.process.pair import Custody, Worker, new_handover, run_pair

if TYPE_CHECKING:
    from stepcreds.action.state import State
    from stepcreds.session.request import Order
    from stepcreds.session.step import Surroundings


def run_exec(arguments: list[str]) -> int:
    """Run `stepcreds exec` with `arguments`; the code to exit with.

    Raises `StepcredsError` and click's exceptions for what is wrong before there is anything to end.
    """
    return run_step(lambda: _order_of(arguments))


def run_step(read_order: Callable[[], Order | None]) -> int:
    """Run the step that `read_order` asks for; the code to exit with. None: there is nothing to do after all.

    Raises `StepcredsError` and whatever `read_order` raises.
    """
    return _Step(read_order).run()


def _order_of(arguments: list[str]) -> Order | None:
    from stepcreds.cli.exec import command
    from stepcreds.cli.usage import invoke
    from stepcreds.session.request import Order

    code = BEFORE_THE_COMMAND
    order = invoke(command, "stepcreds exec", arguments, wrong_usage=code, interrupted=code)
    # --help has been answered when this is none.
    return order if isinstance(order, Order) else None


class _Step:
    """One step, in both processes: each sets `order` for itself."""

    def __init__(self, read_order: Callable[[], Order | None]) -> None:
        self.read_order = read_order
        self.clock = SystemClock()
        self.started_by = os.getppid()
        self.handover = new_handover()
        self.order: Order | None = None
        self.state: State | None = None  # made before there is a command

    def run(self) -> int:
        return run_pair(self.work, self.take_over, meanwhile=self.read, leave=self.leave, clock=self.clock)

    def read(self) -> None:
        """In the front: flags and configuration, which the worker is waiting for."""
        message = b""
        try:
            import pickle

            self.order = self.read_order()
            if self.order is not None:
                message = pickle.dumps(self.order)
                self.state = self.notebook(self.order)
        finally:
            self.handover.give(message)

    def work(self, worker: Worker) -> int:
        """In the worker: the step."""
        from stepcreds.session.life import live

        with worker.cancellation.interruptible():
            message = self.handover.take()
        if not message:
            return 0  # nothing was ordered; if that is an error, the front says so
        import pickle

        self.order = pickle.loads(message)  # noqa: S301 - from our other half, through a pipe nobody else holds
        around = self.around()
        if self.order.ends_handed_out:
            from stepcreds.recovery.handed_out import end_handed_out

            if not end_handed_out(around, worker, self.order.on_revoke_failure, summary=self.order.request.summary):
                return BEFORE_THE_COMMAND
        if self.order.request.delivery == "outputs":
            from stepcreds.session.handout import hand_out

            return hand_out(self.order.request, around, worker)
        return live(self.order.request, around, worker)

    def take_over(self, custody: Custody) -> int:
        """In whichever process is left."""
        if self.order is None:
            return BEFORE_THE_COMMAND
        from stepcreds.session.takeover import take_over

        request = self.order.request
        return take_over(custody, around=self.around(), argv=request.recorded, wants_summary=request.summary)

    def leave(self, custody: Custody) -> int:
        """In the front, when a cancelled step has had its time."""
        if self.order is None:
            return BEFORE_THE_COMMAND
        from stepcreds.session.departure import depart

        return depart(custody, around=self.around(), wants_summary=self.order.request.summary)

    def around(self) -> Surroundings:
        from stepcreds.cli.surroundings import surroundings
        from stepcreds.config.environment import environment
        from stepcreds.secret import Secret

        order = self.order
        assert order is not None  # noqa: S101 - asked only for an order
        token = Secret(order.operator_token) if order.operator_token is not None else None
        variables = environment()
        self.state = self.state or self.notebook(order)
        if order.shown_state:
            variables = {**variables, "GITHUB_STATE": order.shown_state}
        around = surroundings(
            order.config,
            variables,
            self.clock,
            order.step_uid,
            quiet=order.quiet,
            started_by=self.started_by,
            operator_token=token,
        )
        return around._replace(notebook=self.state)

    def notebook(self, order: Order) -> State | None:
        if not order.keeps_state:
            return None
        from stepcreds.action.state import State
        from stepcreds.config.environment import environment

        return State(environment())
