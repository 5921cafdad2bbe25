"""Starts stepcreds again in an isolated Python (-I) where the environment or the working folder may choose its code.

Imports nothing that is not in memory before Python's first line: what it would import could be the code in question.
Where Python is isolated already, as the Action and stepcreds.pyz start it (action/launch.py), it does nothing.
"""

import os
import sys

# Says what it is a Python of, or how Python prints, hashes and compiles, and never which code it runs or reads. Images
# and CIs set these for every step, which must not pay for a second start. Any other name counts, known or not: the
# warnings of PYTHONWARNINGS are imported, and each version of Python brings new names (3.13 PYTHON_PRESITE).
HARMLESS = frozenset(
    {
        *("PYTHON_VERSION", "PYTHON_SHA256", "PYTHON_PIP_VERSION", "PYTHON_SETUPTOOLS_VERSION"),
        *("PYTHON_GET_PIP_URL", "PYTHON_GET_PIP_SHA256"),
        *("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING"),
        *("PYTHONCOERCECLOCALE", "PYTHONFAULTHANDLER", "PYTHON_COLORS"),
        *("PYTHONNOUSERSITE", "PYTHONSAFEPATH"),  # these take code away
    }
)
# With one of these the rest of sys.path is not to be trusted either.
_MOVES_EVERYTHING = ("PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE")
# The folders that an isolated Python needs beside its own, in an option of the interpreter: the environment could not
# say it, and the command line of the program stays what it was. https://docs.python.org/3/using/cmdline.html#cmdoption-X
OPTION = "stepcreds_path"


def isolate(arguments: list[str]) -> None:
    """Replaces this process by the same one with -I, if it has to be; with `arguments`, and the whole environment.

    Raises OSError where the kernel will not have it.
    """
    flags = sys.flags
    if flags.isolated or not sys.executable or not (_is_bent() or _finds_the_working_folder()):
        return
    program = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "__main__.py")  # noqa: PTH100, PTH118, PTH120
    if not os.path.isfile(program):  # noqa: PTH113 - in an archive, which whoever made it starts in his own way
        return
    os.execv(sys.executable, [sys.executable, "-I", *_kept_options(), program, *arguments])  # noqa: S606 - no shell


def _is_bent() -> bool:
    """Whether a variable may say what Python runs or reads. An empty one says nothing (Py_GETENV in initconfig.c)."""
    variables = os.environ  # noqa: TID251 - config/environment.py would import what is in question
    return not sys.flags.ignore_environment and any(
        value and name.startswith("PYTHON") and name not in HARMLESS for name, value in variables.items()
    )


def _finds_the_working_folder() -> bool:
    """Whether `-m` has put it on sys.path. The empty entry of `-c` is of a program that chose to be its own start."""
    try:
        return not _is_safe() and sys.path[:1] == [os.getcwd()]  # noqa: PTH109
    except OSError:  # it has been removed, and `-m` has not found it either
        return False


def _is_safe() -> bool:
    return bool(getattr(sys.flags, "safe_path", False))  # Python 3.11


def _kept_options() -> list[str]:
    """What this start was told that is no danger: by flags, -I leaves the variables that said it unread."""
    options = [f"{name}={value}" if isinstance(value, str) else name for name, value in sys._xoptions.items()]
    if "utf8" not in sys._xoptions:
        options.append(f"utf8={sys.flags.utf8_mode}")
    folders = _folders()
    if folders:
        options.append(f"{OPTION}={os.pathsep.join(folders)}")
    kept = [word for option in options for word in ("-X", option)]
    kept += ["-B"] * bool(sys.flags.dont_write_bytecode)
    return kept + ["-u"] * bool(getattr(sys.stdout, "write_through", False))


def _folders() -> list[str]:
    """sys.path without PYTHONPATH and without where this program or `-m` begins; none if -I alone comes to the same.

    It does not where our own package is in a folder that -I leaves out, or what we import: the user's site
    (`pip install --user`), what was installed into a folder of PYTHONPATH (`--target`), what wraps a program (Nix).
    """
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    variables = os.environ  # noqa: TID251 - as above
    if any(variables.get(name) for name in _MOVES_EVERYTHING):
        return [own]
    left_out = [*variables.get("PYTHONPATH", "").split(os.pathsep), *([] if _is_safe() else sys.path[:1])]
    others = {os.path.abspath(entry) for entry in left_out} - {own}  # noqa: PTH100
    kept = [entry for entry in sys.path if os.path.isabs(entry) and entry not in others]  # noqa: PTH117
    libraries = tuple(f"{prefix}/{name}/" for prefix in (sys.prefix, sys.base_prefix) for name in ("lib", "local/lib"))
    return [] if all(f"{entry}/".startswith(libraries) for entry in kept) else kept
