#!/usr/bin/env python3
"""Every way out that we know, tried from inside a box: as root and as a user, on hosts with everything, without
namespaces, without Landlock, and without notification. Each attack also runs with no box around it, where it must
succeed: otherwise it would show nothing."""
import os
import signal
import socket
import unittest

import harness
from harness import ABSENT, HOSTS, REFUSED
from shared_attacks import SharedAttacks


# What nothing holds where there is no filter, either.
EVERYTHING = ["system-calls", "network", "local-sockets", "processes", "no-survivors", "shared-objects", "code", "terminal",
              "process-count", "violation-reports"]


class Attacks(SharedAttacks, harness.TestCase):
    def assert_stopped(self, name, arguments=lambda user: [], box_options=(), call=None, hosts=HOSTS, **keywords):
        """`arguments`: made anew for each run. `call`: the system call that must be reported as denied."""
        for user in harness.users():
            status, text = self.bare(name, *arguments(user), user=user, **keywords)
            if status == ABSENT:
                self.skipTest(f"{name}: this host has nothing of the kind")
            self.assertEqual(status, 0, f"with no box around it {name} must succeed: {text}")
            for host in hosts:
                if self.is_refused(user, host, box_options):
                    continue
                with self.subTest(name=name, user=user, host=host):
                    report = self.box(box_options, name, *arguments(user), user=user, host=HOSTS[host], **keywords)
                    self.assertEqual((report["verdict"], report["exit_status"]), ("runtime error", REFUSED), report)
                    self.assertEqual(report["status"], 3)
                    if call and host != "no notification":
                        self.assertIn(call, [denied["call"] for denied in report["denied_calls"]], report)
            if call:
                report = self.box([*box_options, "--strict"], name, *arguments(user), user=user, **keywords)
                self.assertEqual((report["verdict"], report["status"]), ("violation", 7), report)
                self.assertEqual(report["denied_calls"][-1]["call"], call)

    # Files

    def test_open(self):
        self.assert_stopped("open", lambda user: [self.secret], ["--ro", "/etc/hostname"])

    def test_open_without_any_file(self):
        self.assert_stopped("open", lambda user: [self.secret])

    def test_open_with_the_present_directory_elsewhere(self):
        self.assert_stopped("open", lambda user: ["../secrets/secret"], ["--ro", self.inside()], cwd=self.inside())

    def inside(self):
        path = self.directory / "inside"
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
        return path

    def test_create(self):
        def fresh(user):
            path = self.secrets / "new"
            path.unlink(missing_ok=True)
            return [path]
        self.assert_stopped("create", fresh, ["--rw", self.inside()])

    def test_write_what_may_be_read(self):
        def fresh(user):
            path = self.inside() / "new"
            path.unlink(missing_ok=True)
            return [path]
        self.assert_stopped("create", fresh, ["--ro", self.inside()])

    def test_symbolic_link_out_of_a_directory(self):
        self.assert_stopped("symlink", lambda user: [self.inside(), self.secret], ["--rw", self.inside()])

    def test_directory_renamed_while_it_is_walked(self):
        def fresh(user):
            path = self.directory / f"race-{user}-{os.urandom(4).hex()}"
            path.mkdir()
            path.chmod(0o777)
            return path
        for user in harness.users():
            status, text = self.bare("rename-race", fresh(user), self.secrets, user=user)
            self.assertEqual(status, 0, text)
            for host in HOSTS:
                if self.is_refused(user, host):
                    continue
                with self.subTest(user=user, host=host):
                    path = fresh(user)
                    report = self.box(["--rw", path, "--processes", "2"], "rename-race", path, self.secrets, user=user,
                                      host=HOSTS[host])
                    self.assertEqual(report["exit_status"], REFUSED, report)

    def test_proc_of_others(self):
        self.assert_stopped("open", lambda user: [f"/proc/{self.victim(user).pid}/environ"], ["--ro", "/etc/hostname"])

    # The network and sockets

    def test_connect_from_a_loopback_of_its_own(self):
        port = self.listener(socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1]
        self.assert_stopped("connect", lambda user: [port], ["--net", "loopback"], hosts=["everything", "no landlock"])

    def test_socket_file(self):
        path = self.inside() / "socket"
        self.listener(socket.AF_UNIX, str(path))
        path.chmod(0o777)
        self.assert_stopped("unix", lambda user: [path], ["--rw", self.inside()], call="socket")

    def test_abstract_socket_from_a_loopback_of_its_own(self):
        name = "vitrine-" + os.urandom(8).hex()
        self.listener(socket.AF_UNIX, "\0" + name)
        self.assert_stopped("unix", lambda user: ["@" + name], ["--net", "loopback"], hosts=["everything", "no landlock"])

    # Other processes

    def test_exec(self):
        self.assert_stopped("exec", lambda user: ["/bin/true"], ["--ro", "/usr", "--ro", "/bin"], call="execve")

    def test_exec_by_the_descriptor_of_the_start(self):
        self.assert_stopped("execveat", lambda user: ["/bin/true"], ["--ro", "/usr", "--ro", "/bin"], call="execveat")

    def test_read_memory_of_others(self):
        def target(user):
            pid = self.victim(user).pid
            while "sleep" not in open(f"/proc/{pid}/comm").read():
                pass
            with open(f"/proc/{pid}/maps") as maps:
                return [pid, "0x" + maps.readline().split("-")[0]]
        self.assert_stopped("vm-read", target, call="process_vm_readv")

    def test_kill(self):
        self.assert_stopped("kill", self.pid)

    def test_kill_a_thread(self):
        self.assert_stopped("tgkill", self.pid)

    def test_kill_by_the_filter_alone(self):
        # Nothing but the filter is left: it lets a process signal itself.
        off = [*HOSTS["no namespaces"], "--disable", "landlock", "--disable", "other-user", "--lack", "files"]
        none = [*off, "--disable", "seccomp-filter", "--disable", "deny-write-execute",
                *(word for lack in EVERYTHING for word in ("--lack", lack))]
        for user in harness.users():
            report = self.box([], "kill", self.victim(user).pid, user=user, host=none)
            self.assertEqual((report["verdict"], report["exit_status"]), ("OK", 0), report)
            report = self.box([], "kill", self.victim(user).pid, user=user, host=off)
            self.assertEqual(report["exit_status"], REFUSED, report)
            self.assertIn("kill", [denied["call"] for denied in report["denied_calls"]])

    def test_kill_by_the_kernel(self):
        self.assert_stopped("owner", self.pid, call="fcntl")

    # The kernel

    def test_mount(self):
        self.assert_stopped("mount", call="unshare")

    def test_user_namespace(self):
        self.assert_stopped("userns", call="unshare")

    def test_user_namespace_by_clone(self):
        self.assert_stopped("clone-userns", box_options=["--processes", "4"], call="clone")

    def test_io_uring(self):
        self.assert_stopped("io-uring")

    def other_entry(self, name, entry):
        absent = False
        for user in harness.users():
            status, text = self.bare(name, user=user)
            absent |= status == ABSENT
            if status != ABSENT:
                self.assertEqual(status, 0, text)
            for host in HOSTS:
                if self.is_refused(user, host):
                    continue
                with self.subTest(name=name, user=user, host=host):
                    report = self.box([], name, user=user, host=HOSTS[host])
                    self.assertEqual((report["verdict"], report["status"]), ("violation", 7), report)
                    if host != "no notification":
                        self.assertEqual(report["denied_calls"][0]["call"], f"getpid by the {entry} entry")
        if absent:
            self.skipTest(f"{name}: stopped in every box, but this kernel has no such entry: nothing shows that it would work")

    def test_32_bit_entry(self):
        self.other_entry("int80", "32-bit")

    def test_x32_entry(self):
        self.other_entry("x32", "x32")

    # Code

    def test_map_executable(self):
        self.assert_stopped("map-executable", call="mmap")

    def test_map_written_file(self):
        def fresh(user):
            path = self.inside() / "code"
            path.unlink(missing_ok=True)
            return [path]
        # The program is linked statically: it may map no file executable at all.
        self.assert_stopped("map-file", fresh, ["--rw", self.inside()], call="mmap")

    # Terminals

    def test_type_into_the_terminal(self):
        keywords = self.terminal()
        for user in harness.users():
            status, text = self.bare("terminal", user=user, **keywords)
            if status != 0:
                self.skipTest(f"this host lets nobody type into a terminal: {text}")
            for host in HOSTS:
                if self.is_refused(user, host):
                    continue
                with self.subTest(user=user, host=host):
                    report = self.box([], "terminal", user=user, host=HOSTS[host], **keywords)
                    self.assertEqual(report["exit_status"], REFUSED, report)


if __name__ == "__main__":
    harness.main()
