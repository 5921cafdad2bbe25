"""A command line as the ledger recognises it: with a script's text in place of the path that the runner made up for it.

GitHub's runner writes each `run:` into a new file, `$RUNNER_TEMP/<GUID>` and an ending for the shells that it knows
(https://github.com/actions/runner/blob/main/src/Runner.Worker/Handlers/ScriptHandler.cs), and so does the Action. By
that path no script would ever be the same command twice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence

LARGEST = 1 << 20  # bytes of a script; a larger file keeps its path

_GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def recognisable(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """`argv` with `sha256:<hex>` of its content for the path of each of the runner's scripts, also inside an argument.

    Called before the command starts, which could write to its own script.
    """
    folder = environment.get("RUNNER_TEMP", "").rstrip("/")
    if not folder or not any(folder in argument for argument in argv):
        return tuple(argv)
    import re

    # pwsh is handed `. '<path>'`.
    script = re.compile(rf"{re.escape(folder)}/{_GUID}(?:\.\w{{1,8}})?(?![\w./-])")
    return tuple(script.sub(lambda found: _digest(found[0]), argument) for argument in argv)


def _digest(path: str) -> str:
    import hashlib

    text = _text(path)
    return path if text is None else f"sha256:{hashlib.sha256(text).hexdigest()}"


def _text(path: str) -> bytes | None:
    """What is in the regular file `path`; None for anything else: a device or a pipe would keep us waiting."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        text = os.read(descriptor, LARGEST + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return text if text is not None and len(text) <= LARGEST else None
