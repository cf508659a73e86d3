#!/usr/bin/env python3
"""Runs a test where nobody can make a user namespace, by the kernel's own limit and not by leaving them out.

usage: no_user_namespaces.py TEST.py [its arguments]
user.max_user_namespaces is a user namespace's own: it is set to 0 in one that is made here, so the host's stays. Root
stays root in it, with all users; an ordinary user is the same user, in a second one within. VITRINE_NO_USER_NAMESPACES tells
the test. Status 77: this host does not let us.
"""
import ctypes
import errno
import os
import sys

CLONE_NEWUSER = 0x10000000
LIMIT = "/proc/sys/user/max_user_namespaces"
libc = ctypes.CDLL(None, use_errno=True)


def skip(why):
    print(f"user namespaces cannot be forbidden here: {why}")
    sys.exit(77)


def leave_user_namespace():
    return 0 if libc.unshare(CLONE_NEWUSER) == 0 else ctypes.get_errno()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def in_user_namespace(mapping, then):
    """`then` in a child in a new user namespace with `mapping`, by the number of its process; its status is ours."""
    ready, mapped = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        error = leave_user_namespace()
        os.write(ready[1], bytes([error]))
        if error:
            skip(os.strerror(error))
        os.read(mapped[0], 1)
        then()
        os._exit(1)
    os.read(ready[0], 1)
    try:
        mapping(pid)
    except OSError as error:
        os.kill(pid, 9)
        skip(error)
    os.write(mapped[1], b"x")
    return pid


def finish(pid):
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def map_one(inside, outside):
    def mapping(pid):
        write(f"/proc/{pid}/setgroups", "deny")
        write(f"/proc/{pid}/uid_map", f"{inside[0]} {outside[0]} 1")
        write(f"/proc/{pid}/gid_map", f"{inside[1]} {outside[1]} 1")
    return mapping


def map_all(pid):
    for name in ("uid_map", "gid_map"):
        write(f"/proc/{pid}/{name}", "0 0 4294967295")


def forbid():
    try:
        write(LIMIT, "0")
    except OSError as error:
        skip(error)


def run():
    error = leave_user_namespace()
    if error not in (errno.ENOSPC, errno.EUSERS):
        print("a user namespace could be made all the same" if error == 0 else os.strerror(error))
        os._exit(1)
    os.environ["VITRINE_NO_USER_NAMESPACES"] = "1"
    os.execv(sys.executable, [sys.executable, "-B", *sys.argv[1:]])


def main():
    own = os.getuid(), os.getgid()
    if own[0] == 0:
        def forbidden():
            forbid()
            run()
        finish(in_user_namespace(map_all, forbidden))

    gate = os.pipe()

    def run_when_forbidden():
        os.read(gate[0], 1)
        run()

    # The limit of an outer namespace holds for the inner ones as well; who is in it sets it.
    def outer_with_limit():
        pid = in_user_namespace(map_one(own, (0, 0)), run_when_forbidden)
        forbid()
        os.write(gate[1], b"x")
        finish(pid)

    finish(in_user_namespace(map_one((0, 0), own), outer_with_limit))


if __name__ == "__main__":
    main()
