"""One message from the front to its worker, when the front is ready to send it; neither looks at what it says."""

from __future__ import annotations

import os


class Handover:
    """Made before the fork; each side then closes what is the other's."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def give(self, message: bytes) -> None:
        """In the front, once: send `message`; b"" says that there will be none."""
        os.close(self._read)
        try:
            while message:
                message = message[os.write(self._write, message) :]
        except BrokenPipeError:
            pass  # the worker is dead, and whoever waits for it will see that
        finally:
            os.close(self._write)

    def take(self) -> bytes:
        """In the worker, once: the message; b"" if the front has none, or died."""
        os.close(self._write)
        try:
            return b"".join(iter(lambda: os.read(self._read, 65536), b""))
        finally:
            os.close(self._read)
