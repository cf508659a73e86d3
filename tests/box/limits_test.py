#!/usr/bin/env python3
"""Bombs and floods end at their limits with the right verdict; without the limit the same program gets through. What
a box starts never outlives it."""
import fcntl
import os
import pathlib
import resource
import signal
import subprocess
import time

import harness
from harness import HOSTS, REFUSED


def owner(path):
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


class Limits(harness.TestCase):
    def bomb(self, verdict, limit, name, *arguments, without=(), hosts=HOSTS):
        """With `limit` the verdict, without it success: the same box otherwise."""
        for user in harness.users():
            for host in hosts:
                with self.subTest(name=name, user=user, host=host):
                    report = self.box(without, name, *arguments, user=user, host=HOSTS[host])
                    self.assertEqual(report["verdict"], "OK", report)
                    report = self.box([*without, *limit], name, *arguments, user=user, host=HOSTS[host])
                    self.assertEqual(report["verdict"], verdict, report)

    def test_memory(self):
        self.bomb("memory limit", ["--memory", "64M"], "memory", 200)

    def test_shared_memory(self):
        self.bomb("memory limit", ["--memory", "64M"], "shared-memory", 200, hosts=["everything", "no namespaces"])

    def test_memory_of_many_processes(self):
        self.bomb("memory limit", ["--memory", "64M"], "memory-of-many", 20, without=["--processes", "10"],
                  hosts=["everything", "no namespaces"])

    def test_memory_asked_for_at_once(self):
        self.bomb("memory limit", ["--memory", "64M"], "large-mapping", 1000,
                  hosts=["everything", "no namespaces", "no landlock"])

    def test_processor_time(self):
        self.bomb("time limit", ["--time", "50ms"], "busy", 6, hosts=["everything", "no namespaces"])

    def test_time_by_the_clock(self):
        self.bomb("time limit", ["--wall", "100ms"], "sleep", 400)

    def test_output(self):
        self.bomb("output limit", ["--output", "64K"], "flood", 1)

    def test_output_into_a_file(self):
        for user in harness.users():
            out = self.directory / f"out-{user}"
            out.mkdir()
            out.chmod(0o777)
            for limit, verdict in (([], "OK"), (["--output", "64K"], "output limit")):
                # As root each box is another user: it cannot take over the other's file.
                file = out / f"file-{len(limit)}"
                report = self.box(["--rw", out, *limit], "file-flood", 1, file, user=user)
                self.assertEqual(report["verdict"], verdict, report)
            self.assertLessEqual(file.stat().st_size, 65536)

    def test_processes(self):
        for user in harness.users():
            for host in HOSTS:
                with self.subTest(user=user, host=host):
                    # Without a namespace everything that the user runs counts as well, and may end meanwhile.
                    report = self.box(["--processes", "200"], "fork-bomb", 60, user=user, host=HOSTS[host])
                    self.assertEqual(report["verdict"], "OK", report)
                    report = self.box(["--processes", "8"], "fork-bomb", 60, user=user, host=HOSTS[host])
                    self.assertEqual(report["exit_status"], REFUSED, report)
                    self.assertLessEqual(int(report["text"].split()[0]), 7, report)


class Survivors(harness.TestCase):
    def is_locked(self, path):
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def lock_directory(self, user):
        path = self.directory / f"locks-{user}-{os.urandom(4).hex()}"
        path.mkdir()
        path.chmod(0o777)
        return path

    def assert_ends(self, lock):
        """Whoever holds it goes; how soon is no promise."""
        deadline = time.monotonic() + harness.TIMEOUT
        while self.is_locked(lock):
            self.assertLess(time.monotonic(), deadline, "a process of the box is left")
            time.sleep(0.01)

    def test_grandchild_in_a_session_of_its_own(self):
        for user in harness.users():
            lock = self.lock_directory(user) / "bare"
            status, text = self.bare("survive", lock, user=user)
            self.assertEqual(status, 0, text)
            self.assertTrue(self.is_locked(lock), "with no box around it the grandchild lives on")
            os.kill(int(lock.read_text()), signal.SIGKILL)
            for host in HOSTS:
                with self.subTest(user=user, host=host):
                    path = self.lock_directory(user)
                    report = self.box(["--rw", path, "--processes", "4"], "survive", path / "lock", user=user,
                                      host=HOSTS[host])
                    self.assertEqual(report["verdict"], "OK", report)
                    # vitrine has ended: nobody is left, at once.
                    self.assertFalse(self.is_locked(path / "lock"))

    def end_bare(self, process, lock):
        """Whatever of a session without a box holds the lock."""
        while self.is_locked(lock):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            time.sleep(0.01)

    def wait_for_lock(self, process, lock):
        deadline = time.monotonic() + harness.TIMEOUT
        while not (lock.exists() and self.is_locked(lock)):
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(process.poll())
            time.sleep(0.01)

    def test_processes_that_only_make_more_without_a_box(self):
        # Root has no limit that would end it.
        user = harness.users()[-1]
        if user == 0:
            self.skipTest("root alone is here, whom no limit on processes holds")
        lock = self.lock_directory(user) / "lock"

        def limit():
            most = 20 + sum(1 for path in pathlib.Path("/proc").glob("[0-9]*/task/*") if owner(path) == user)
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))

        process = self.start([self.attack, "churn", lock], user, preexec_fn=limit)
        self.wait_for_lock(process, lock)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text():
            time.sleep(0.01)
        process.kill()
        process.wait()
        self.assertTrue(self.is_locked(lock), "with no box around them the others live on")
        self.end_bare(process, lock)

    def test_supervisor_killed_without_a_box(self):
        for user in harness.users():
            lock = self.lock_directory(user) / "lock"
            process = self.start(["sh", "-c", '"$@"; exit $?', "sh", self.attack, "survive", lock, "wait"], user)
            self.wait_for_lock(process, lock)
            while not lock.read_text():
                time.sleep(0.01)
            process.kill()
            process.wait()
            self.assertTrue(self.is_locked(lock), "with no box around them they live on")
            os.kill(int(lock.read_text()), signal.SIGKILL)
            self.end_bare(process, lock)

    def test_processes_that_only_make_more(self):
        for user in harness.users():
            for host in HOSTS:
                with self.subTest(user=user, host=host):
                    path = self.lock_directory(user)
                    for wall in ("200ms", "2s", "20s"):
                        report = self.box(["--rw", path, "--processes", "16", "--wall", wall], "churn", path / "lock",
                                          user=user, host=HOSTS[host])
                        self.assertEqual(report["verdict"], "time limit", report)
                        # A busy host may need longer until the program has begun.
                        if (path / "lock").exists():
                            break
                    self.assertFalse(self.is_locked(path / "lock"))

    def test_supervisor_killed(self):
        for user in harness.users():
            for host in HOSTS:
                with self.subTest(user=user, host=host):
                    path = self.lock_directory(user)
                    lock = path / "lock"
                    process = self.start([*self.box_command, *HOSTS[host], "--rw", path, "--processes", "4", "--",
                                          self.attack, "survive", lock, "wait"], user)
                    deadline = time.monotonic() + harness.TIMEOUT
                    while not (lock.exists() and lock.read_text()):
                        self.assertLess(time.monotonic(), deadline)
                        self.assertIsNone(process.poll())
                        time.sleep(0.01)
                    self.assertTrue(self.is_locked(lock))
                    process.kill()
                    process.wait()
                    self.assert_ends(lock)

    def test_asked_to_end(self):
        for user in harness.users():
            path = self.lock_directory(user)
            lock = path / "lock"
            process = self.start([*self.box_command, "--rw", path, "--processes", "4", "--", self.attack, "survive",
                                  lock, "wait"], user, stderr=subprocess.PIPE)
            while not (lock.exists() and lock.read_text()):
                time.sleep(0.01)
            process.terminate()
            _, text = process.communicate(timeout=harness.TIMEOUT)
            self.assertEqual(process.returncode, 1, text)
            self.assertFalse(self.is_locked(lock))


if __name__ == "__main__":
    harness.main()
