"""Starts stepcreds as it stands here, a checkout or a stepcreds.pyz, with nothing of the machine's own Python packages.

    python3 -I -S action/launch.py exec migrate -- alembic upgrade head      # is: stepcreds exec migrate -- ...
    python3 -I -S stepcreds.pyz exec migrate -- alembic upgrade head         # this file is its __main__

Signals that end a process wait until stepcreds handles them: nothing of it can be interrupted before that.

Every Python can read this file, so that an old one gives a message and not a syntax error. It is not for import.
"""

import os
import signal
import stat
import sys

NEEDED = (3, 10)
# What a stepcreds.pyz is unpacked as; tools/pyz.py writes a digest of its contents here.
BUILD = ""

# What bends an interpreter or the libraries below it; action/python.mjs has the same list, and a test compares them.
# Most names are those that glibc itself takes away from a setuid program (sysdeps/generic/unsecvars.h), less TMPDIR.
# OPENSSL_CONF can load code into libcrypto, and urllib3 writes the keys of its connections to SSLKEYLOGFILE.
# SSL_CERT_FILE, SSL_CERT_DIR and the variables of proxies stay: people reach their Vault through them.
PREFIXES = ("LD_", "PYTHON", "_PYTHON", "OPENSSL_", "MALLOC_")
NAMES = (
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "NIS_PATH",
    "NLSPATH",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "TZDIR",
    "SSLKEYLOGFILE",
)
WITHHELD = "STEPCREDS_WITHHELD"

# What names a folder of this job alone, where bytecode may go. Nothing that outlives the job, as XDG_RUNTIME_DIR does
# on a machine with one user for all jobs: what one of them wrote there the next would run.
FOLDERS = ("STEPCREDS_CACHE", "RUNNER_TEMP")


def main():
    require(sys.version_info[:3], sys.platform)
    # stepcreds.cli.main lets them in again where no pair of processes does. A re-start inherits the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))
    withhold(os.environ)
    if sys.executable and not (sys.flags.isolated and sys.flags.no_site):
        # The machine's packages, PYTHONPATH and the current folder are on sys.path, and may be in sys.modules.
        os.execv(sys.executable, [sys.executable, "-I", "-S", os.path.abspath(sys.argv[0])] + sys.argv[1:])
    private = private_folder(os.environ)
    root = root_folder(os.path.dirname(os.path.abspath(__file__)), private)
    own = [os.path.join(root, "src"), os.path.join(root, "vendor")]
    if os.path.isdir(root):
        use_bytecode(tuple(own), private)
        sys.path[:0] = own
    else:
        sys.path[:0] = own
        keep_certificates_in_memory(root)
    from stepcreds.cli import main as stepcreds

    stepcreds()


def require(version, platform):
    """Exits with a message where stepcreds cannot run."""
    if version < NEEDED:
        found = ".".join(str(part) for part in version)
        refuse(
            "stepcreds needs Python 3.10 or newer; this is " + found + " (" + (sys.executable or "python3") + ")",
            "the Python that was found on this machine is too old",
            "Put actions/setup-python with python-version 3.10 or newer before this step, or use an image that has it.",
        )
    if platform != "linux":
        refuse(
            "stepcreds runs commands on Linux only; this is " + platform,
            "only Linux can promise that nothing the command started outlives the step",
            "Run the step on a Linux runner, or in a Linux container.",
        )


def refuse(what, cause, fix):
    """In the words and form of cli/messages.py and process/kernel.py, which an old Python cannot read."""
    sys.stderr.write(
        "stepcreds: error: " + what + "\n  cause: " + cause + "\n  fix: " + fix + "\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#unsupported-machine\n"
    )
    # exit_codes.py: 125 says that the command did not run.
    sys.exit(125 if sys.argv[1:2] in (["exec"], ["action"]) else 2)


def withhold(environment):
    """Moves what bends an interpreter into one variable; config/environment.py reads it, for the command."""
    names = [name for name in environment if name.startswith(PREFIXES) or name in NAMES]
    moved = {name: environment[name] for name in names}
    if locale_before(environment) != environment.get("LC_CTYPE"):
        moved["LC_CTYPE"] = locale_before(environment)
    if not moved:
        return
    import json

    try:
        withheld = json.loads(environment.get(WITHHELD, "{}"))
        withheld.update({name: value for name, value in moved.items() if name not in withheld})
    except (ValueError, AttributeError):
        return  # config/environment.py says what is wrong with it
    for name in names:
        del environment[name]
    environment[WITHHELD] = json.dumps(withheld)


def locale_before(environment):
    """LC_CTYPE as this process was given it, or None: where there is no locale, Python sets one (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as file:
            given = [entry[9:] for entry in file.read().split(b"\0") if entry.startswith(b"LC_CTYPE=")]
    except OSError:
        return environment.get("LC_CTYPE")
    return os.fsdecode(given[0]) if given else None


def private_folder(environment):
    """A folder that nobody but this user, or root, can write to; or None."""
    for name in FOLDERS:
        above = environment.get(name, "")
        folder = os.path.join(above, "stepcreds-python")
        if not os.path.isabs(folder):
            continue
        try:
            parent = os.stat(above)
            try:
                os.mkdir(folder, 0o700)
            except FileExistsError:
                pass
            there = os.lstat(folder)  # not what a link leads to
        except OSError:
            continue
        replaceable = parent.st_mode & 0o022 and not parent.st_mode & stat.S_ISVTX
        # In an image root has compiled everything: that is as good as the interpreter, which is root's as well.
        ours = stat.S_ISDIR(there.st_mode) and there.st_uid in (os.geteuid(), 0) and not there.st_mode & 0o022
        if ours and not replaceable:
            return folder
    return None


def root_folder(here, private):
    """Where src/ and vendor/ are: the checkout, what a stepcreds.pyz was unpacked to, or that file itself."""
    if os.path.isdir(here):
        return os.path.dirname(here)
    if private is None:
        return here
    folder = os.path.join(private, BUILD)
    if not os.path.isdir(folder):
        part = folder + "." + str(os.getpid())
        try:
            unpack(here, part)
            os.rename(part, folder)
        except OSError:
            # Another step was faster, or there is no room: then the file itself will do.
            from shutil import rmtree

            rmtree(part, ignore_errors=True)
            return folder if os.path.isdir(folder) else here
    return folder


def unpack(archive, folder):
    from zipfile import ZipFile

    with ZipFile(archive) as file:
        file.extractall(folder)


def use_bytecode(own, private):
    """Makes the import system compile what is below `own` into `private`, or into nothing.

    sys.pycache_prefix would hold for the standard library too, and compile that anew: twice the time of a first step.
    That is right where it has no bytecode of its own, as in the official images of Python: their folders are empty.
    """
    if private is None:
        sys.dont_write_bytecode = True
    elif not os.path.exists(
        os.path.join(os.path.dirname(stat.__file__), "__pycache__", "stat." + sys.implementation.cache_tag + ".pyc")
    ):
        sys.pycache_prefix = private
        return
    from importlib.machinery import FileFinder, SourceFileLoader

    def place(path):
        """Where sys.pycache_prefix would have it, so that both ways find what the other has compiled."""
        if private is None:
            raise FileNotFoundError(path)
        return private + path.replace("/__pycache__/", "/")

    class Loader(SourceFileLoader):
        def get_data(self, path):
            return SourceFileLoader.get_data(self, place(path) if path.endswith(".pyc") else path)

        def set_data(self, path, data, **mode):
            SourceFileLoader.set_data(self, place(path), data, **mode)

    def finder(path):
        if path.startswith(own):
            return FileFinder(path, (Loader, [".py"]))
        raise ImportError(path)

    sys.path_hooks.insert(0, finder)


def keep_certificates_in_memory(archive):
    """For certifi in an archive that is not unpacked: it would write its list to a file, and leave it there."""
    import certifi.core

    with open(os.memfd_create("cacert.pem"), "wb", closefd=False) as file:
        file.write(certifi.core.__loader__.get_data(os.path.join(archive, "vendor", "certifi", "cacert.pem")))
        certifi.core._CACERT_PATH = "/proc/self/fd/" + str(file.fileno())


if __name__ == "__main__":
    main()
