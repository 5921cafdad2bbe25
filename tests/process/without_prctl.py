"""Runs a program in a sandbox that refuses one option of prctl(2): without_prctl.py OPTION PROGRAM ARGUMENT…"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

PRCTL = {"x86_64": 157, "aarch64": 167}[platform.machine()]
SET_SECCOMP, FILTER_MODE, SET_NO_NEW_PRIVILEGES = 22, 2, 38  # <linux/prctl.h>, <linux/seccomp.h>
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # <linux/bpf_common.h>: a word, at an absolute offset
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM

# struct seccomp_data begins with the number of the call; its first argument is at 16.
rules = [
    (LOAD, 0, 0, 0),
    (JUMP_IF_EQUAL, 0, 3, PRCTL),
    (LOAD, 0, 0, 16),
    (JUMP_IF_EQUAL, 0, 1, int(sys.argv[1])),
    (RETURN, 0, 0, REFUSE),
    (RETURN, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rules), ctypes.addressof(code)))
libc = ctypes.CDLL(None)
assert libc.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
assert libc.prctl(SET_SECCOMP, FILTER_MODE, ctypes.byref(program), 0, 0) == 0
os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - that is its purpose
