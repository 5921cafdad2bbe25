"""What a support file says of the machine, of the programs and of the configuration; names and numbers, no values."""

from __future__ import annotations

import os
import platform
import ssl
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from stepcreds import __version__
from stepcreds.config.model import Config, DatabaseURL, Profile
from stepcreds.doctor.mounts import mount_of
from stepcreds.vault.failure import without_password

PACKAGES = ("click", "urllib3", "PyYAML", "tabulate", "certifi", "PyMySQL", "id")
LARGEST = 65_536  # bytes of one file of /proc or /sys
_STATUS = ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Threads", "VmRSS", "voluntary_ctxt_switches")
_CGROUP = ("memory.max", "memory.current", "memory.events", "pids.max", "pids.current", "cpu.max")
_KERNEL = ("kernel/yama/ptrace_scope", "kernel/core_pattern", "fs/suid_dumpable", "vm/overcommit_memory")


def versions() -> dict[str, object]:
    """Of everything but the servers, whose versions are in what was found."""
    return {
        "stepcreds": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "isolated": bool(sys.flags.isolated),
        "openssl": ssl.OPENSSL_VERSION,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def machine(folders: Sequence[Path], variables: Mapping[str, str]) -> dict[str, object]:
    """Kernel, container, limits; and of each of `folders` what it is mounted from and how much it takes."""
    system = platform.uname()
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        distribution = ""
    status = dict(line.partition(":")[::2] for line in _text("/proc/self/status").splitlines())
    group = _text("/proc/self/cgroup").strip()
    places = dict.fromkeys(f"/sys/fs/cgroup{path.rstrip('/')}" for path in ("", group.rpartition("::")[2]))
    return {
        "system": " ".join((system.system, system.release, system.version, system.machine)),
        "distribution": distribution,
        "libc": " ".join(platform.libc_ver()),
        "processors": os.cpu_count(),
        "user": {"uid": os.getuid(), "euid": os.geteuid(), "gid": os.getgid(), "groups": os.getgroups()},
        "process": {name: status[name].strip() for name in _STATUS if name in status},
        "limits": _text("/proc/self/limits").splitlines(),
        "cgroup": {
            "path": group,
            **{f"{p}/{name}": found for p in places for name in _CGROUP if (found := _text(f"{p}/{name}").strip())},
        },
        "kernel": {name: _text(f"/proc/sys/{name}").strip() for name in _KERNEL},
        "container": [path for path in ("/.dockerenv", "/run/.containerenv") if os.path.exists(path)]  # noqa: PTH110
        + [name for name in ("KUBERNETES_SERVICE_HOST", "container") if name in variables],
        "folders": {str(folder): _folder(folder) for folder in folders},
    }


def configuration(config: Config) -> dict[str, object]:
    """The configuration as it is in effect. Templates are known by their names alone: their text may be anything."""
    vault = config.vault
    return {
        "source": str(config.source),
        "vault": {
            **{key: _plain(value) for key, value in vault._asdict().items() if key != "proxies"},
            "proxies": {address: without_password(proxy) for address, proxy in vault.proxies.items()},
        },
        "ledger": {key: _plain(value) for key, value in config.ledger._asdict().items()},
        "profiles": {name: _profile(profile) for name, profile in config.profiles.items()},
    }


def _profile(profile: Profile) -> dict[str, object]:
    told = {key: _plain(value) for key, value in profile._asdict().items()}
    url = profile.database
    return {
        **told,
        "database": _url(url) if url is not None else None,
        "allow": [{"what": each.what, "expires": each.expires} for each in profile.allow],
        "env": sorted(profile.env) if profile.env is not None else None,
        "files": sorted(profile.files),
    }


def _url(url: DatabaseURL) -> dict[str, object]:
    told = {key: _plain(value) for key, value in url._asdict().items()}
    return {**told, "options": sorted(url.options)}


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return [_plain(each) for each in value] if isinstance(value, tuple) else str(value)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _folder(folder: Path) -> dict[str, object]:
    try:
        space, found = os.statvfs(folder), folder.stat()
    except OSError as error:
        return {"error": error.strerror}
    mount = mount_of(str(folder))
    return {
        "mount": mount._asdict() if mount is not None else None,
        "mode": oct(found.st_mode),
        "owner": found.st_uid,
        "bytes_free": space.f_bavail * space.f_frsize,
        "files_free": space.f_favail,
    }


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
