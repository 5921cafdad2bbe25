"""A process by which a runner that ends what a job left behind finds one of ours, whose environment it may not read.

Such a runner looks into /proc/PID/environ for what it gave the job; of a process that is not dumpable only root may
read that (kernel.forbid_inspection). It decides nothing about what becomes of ours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_COOKIES = (
    "RUNNER_TRACKING_ID",  # GitHub: JobExtension.cs of the runner
    "VSTS_PROCESS_LOOKUP_ID",  # Azure Pipelines: the agent's JobExtension.cs
    # Jenkins: a process must have all that it asks for. Job.getCharacteristicEnvVars, Run.getCharacteristicEnvVars,
    # and what durable-task and the Pipeline's `node` add.
    *("JENKINS_SERVER_COOKIE", "HUDSON_SERVER_COOKIE", "JENKINS_NODE_COOKIE", "HUDSON_COOKIE"),
    *("JOB_NAME", "JOB_BASE_NAME", "BUILD_NUMBER", "BUILD_ID", "BUILD_TAG"),
)
_SHELL = "/bin/sh"


def cookies(environment: Mapping[str, str]) -> dict[str, str]:
    """What in `environment` a runner marks its jobs' processes with; {} on a CI that does not."""
    return {name: environment[name] for name in _COOKIES if name in environment}


def wait_with_tether(environment: Mapping[str, str]) -> bool:
    """Start a process that holds nothing but `environment`, and wait for its end; whether somebody has ended it.

    A runner does that with a signal. A shell that cannot be started, or ends by itself (a broken image, a sandbox),
    says nothing about the job.

    It ends with this process, because it reads from a pipe that only this one can write to.
    """
    files: list[int] = []
    try:
        files += os.pipe()
        files.append(os.open(os.devnull, os.O_RDWR))
        read, _, nowhere = files
        # A shell's own `read`: no second program has to be there.
        pid = os.posix_spawn(
            _SHELL,
            [_SHELL, "-c", "read _"],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, read, 0),
                (os.POSIX_SPAWN_DUP2, nowhere, 1),
                (os.POSIX_SPAWN_DUP2, nowhere, 2),
            ],
            setpgroup=0,
            setsigmask=(),
        )
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # whoever waits for every child has waited for this one
        return True
    except OSError:
        return False
    finally:
        for descriptor in files:
            os.close(descriptor)
