"""Runs the CI's own command that prints an ID token; it reads a bounded answer and waits a bounded time."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence
from typing import IO

from stepcreds.ci.wording import without_tokens
from stepcreds.errors import IdentityError
from stepcreds.printable import one_line
from stepcreds.secret import Secret

_LIMIT = 256 * 1024  # bytes of each stream
PATIENCE = 60.0  # seconds without a word


def printed_token(
    command: Sequence[str], environment: Mapping[str, str], *, who: str, patience: float = PATIENCE
) -> Secret:
    """What `command` prints, without the white space around it. It is found on the PATH of `environment`.

    Raises `IdentityError` when it is not there, fails, says too much, or says nothing for `patience` seconds.
    """
    import subprocess

    name = command[0]
    trouble = ""
    try:
        with subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - PIPE above
                output, said = _read(process.stdout, process.stderr, patience)
                process.wait(patience)
            except (_SilenceError, _FloodError, subprocess.TimeoutExpired) as error:
                process.kill()
                trouble = str(error) if isinstance(error, _FloodError) else f"has not answered for {patience:g} s"
    except FileNotFoundError:
        trouble = "is not on the PATH"
    except OSError as error:
        trouble = f"cannot be run: {error.strerror}"
    if not trouble and process.returncode != 0:
        trouble = f"ended with {process.returncode}{_last_words(said)}"
    if trouble:
        raise IdentityError(
            f"{who} gave no ID token: {name} {trouble}",
            cause=f"{who} hands out ID tokens through this command, which its agent puts on the PATH of a job.",
            fix=f"Make {name} work in the job (in a container, mount or install it), or hand a token over "
            "with --id-token-file.",
            docs="token-command",
        )
    return Secret(output.decode("utf-8", "replace").strip())


class _SilenceError(Exception):
    pass


class _FloodError(Exception):
    pass


def _read(stdout: IO[bytes], stderr: IO[bytes], patience: float) -> tuple[bytes, bytes]:
    """Both streams to their ends, together, so that neither stops the other by a full pipe."""
    read: dict[int, bytearray] = {stdout.fileno(): bytearray(), stderr.fileno(): bytearray()}
    open_ = set(read)
    while open_:
        ready = select.select(open_, (), (), patience)[0]
        if not ready:
            raise _SilenceError
        for descriptor in ready:
            chunk = os.read(descriptor, 65536)
            read[descriptor] += chunk
            if not chunk:
                open_.discard(descriptor)
            if len(read[descriptor]) > _LIMIT:
                raise _FloodError(f"printed more than {_LIMIT // 1024} KiB")
    output, said = read.values()
    return bytes(output), bytes(said)


def _last_words(said: bytes) -> str:
    """The last line on standard error, without anything that looks like a token."""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return f": {one_line(without_tokens(lines[-1]))}" if lines else ""
