"""Which file system a folder is on, as /proc/self/mountinfo has it (proc(5)); it looks at nothing in the folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Mount(NamedTuple):
    """One line of mountinfo, without the options of the file system itself: a password may be among those."""

    point: str
    kind: str  # tmpfs, ext4, overlay…
    options: str  # of this mount: rw,relatime


def mount_of(folder: str) -> Mount | None:
    """The mount that `folder` (absolute) is on; None where nobody can tell."""
    best: Mount | None = None
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        fields, _, after = line.partition(" - ")
        mount = fields.split(" ")
        if len(mount) < 6:
            continue
        point = mount[4].replace("\\040", " ")
        # Of two on one point the later one is on top.
        if f"{folder}/".startswith(f"{point.rstrip('/')}/") and (best is None or len(point) >= len(best.point)):
            best = Mount(point, after.split(" ")[0], mount[5])
    return best
