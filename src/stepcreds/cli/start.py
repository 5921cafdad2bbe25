"""`stepcreds exec` begins here, in two processes at once: the worker imports what a step needs while the front reads
flags and configuration. Together they take as long as the slower one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stepcreds.clock import SystemClock
from stepcreds.exit_codes import BEFORE_THE_COMMAND
from stepcreds.process.pair import Custody, Worker, new_handover, run_pair

if TYPE_CHECKING:
    from stepcreds.session.request import Order
    from stepcreds.session.step import Surroundings


def run_exec(arguments: list[str]) -> int:
    """Run `stepcreds exec` with `arguments`; the code to exit with.

    Raises `StepcredsError` and click's exceptions for what is wrong before there is anything to end.
    """
    return _Exec(arguments).run()


class _Exec:
    """One call, in both processes: each sets `order` for itself."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self.clock = SystemClock()
        self.started_by = os.getppid()
        self.handover = new_handover()
        self.order: Order | None = None

    def run(self) -> int:
        return run_pair(self.work, self.take_over, meanwhile=self.read, clock=self.clock)

    def read(self) -> None:
        """In the front: flags and configuration, which the worker is waiting for."""
        message = b""
        try:
            import pickle

            from stepcreds.cli.exec import command
            from stepcreds.cli.usage import invoke
            from stepcreds.session.request import Order

            code = BEFORE_THE_COMMAND
            order = invoke(command, "stepcreds exec", self.arguments, wrong_usage=code, interrupted=code)
            # --help has been answered when this is none.
            if isinstance(order, Order):
                self.order = order
                message = pickle.dumps(order)
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
        return live(self.order.request, self.around(), worker)

    def take_over(self, custody: Custody) -> int:
        """In whichever process is left."""
        if self.order is None:
            return BEFORE_THE_COMMAND
        from stepcreds.session.takeover import take_over

        return take_over(custody, around=self.around(), argv=self.order.request.argv)

    def around(self) -> Surroundings:
        from stepcreds.cli.surroundings import surroundings
        from stepcreds.config.environment import environment
        from stepcreds.secret import Secret

        order = self.order
        assert order is not None  # noqa: S101 - asked only for an order
        token = Secret(order.operator_token) if order.operator_token is not None else None
        return surroundings(
            order.config,
            environment(),
            self.clock,
            order.step_uid,
            quiet=order.quiet,
            started_by=self.started_by,
            operator_token=token,
        )
