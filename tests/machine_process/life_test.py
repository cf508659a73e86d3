#!/usr/bin/env python3
"""The two processes of a machine: what the one holds, how the one ends when the other does, and what the user sees of
it."""
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import termios
import time
import unittest

import machine_harness as harness
from machine_harness import KILLED


def machine_of(supervisor):
    """The number of the machine process, once it runs its guest (or is paused)."""
    deadline = time.monotonic() + harness.TIMEOUT
    while time.monotonic() < deadline:
        try:
            children = pathlib.Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
            for child in children:
                if pathlib.Path(f"/proc/{child}/comm").read_text() == "vitrine-machine\n":
                    status = status_of(child)
                    if status.get("Seccomp_filters", "2") == "2" and status["Seccomp"] == "2":
                        return int(child)
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.01)
    raise AssertionError("there is no machine process")


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def gone(pid):
    try:
        return status_of(pid)["State"].startswith("Z")
    except FileNotFoundError:
        return True


class Life(harness.TestCase):
    def begin(self, *arguments, user=None, **keywords):
        keywords.setdefault("stdin", subprocess.DEVNULL)
        keywords.setdefault("stdout", subprocess.DEVNULL)
        words = [self.vitrine, "run", *harness.MACHINE, "-kernel", self.kernel, *arguments]
        process = self.start(words, os.geteuid() if user is None else user, stderr=subprocess.PIPE, cwd=self.directory,
                             **keywords)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_until(self, condition):
        deadline = time.monotonic() + harness.TIMEOUT
        while not condition():
            self.assertLess(time.monotonic(), deadline, "what was waited for has not happened")
            time.sleep(0.01)

    def end(self, process):
        """Its status, and what it said."""
        text = process.stderr.read().decode()
        return process.wait(harness.TIMEOUT), text

    def test_what_it_has_given_up(self):
        for user in harness.users():
            for engine in harness.ENGINES:
                with self.subTest(user=user, engine=engine):
                    process = self.begin(*harness.engine_options(engine), user=user)
                    status = status_of(machine_of(process.pid))
                    self.assertEqual(status["NoNewPrivs"], "1")
                    self.assertEqual(status["Seccomp"], "2")
                    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                        self.assertEqual(int(status[name], 16), 0, name)
                    process.terminate()
                    self.assertEqual(self.end(process), (0, ""))

    def test_all_threads_are_confined(self):
        process = self.begin("-smp", "3")
        machine = machine_of(process.pid)
        threads = list(pathlib.Path(f"/proc/{machine}/task").iterdir())
        self.assertGreaterEqual(len(threads), 4)
        for thread in threads:
            status = (thread / "status").read_text()
            self.assertRegex(status, r"Seccomp:\s*2")
            if "Seccomp_filters" in status:
                self.assertRegex(status, r"Seccomp_filters:\s*2")
        process.terminate()
        self.assertEqual(self.end(process), (0, ""))

    @unittest.skipUnless(os.geteuid() == 0, "only root may look into it")
    def test_what_it_holds(self):
        image = self.directory / "disk.img"
        image.write_bytes(bytes(1 << 20))
        descriptor = os.open(self.secret, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        process = self.begin("-hda", image, pass_fds=[descriptor])
        machine = machine_of(process.pid)
        held = {os.readlink(link) for link in pathlib.Path(f"/proc/{machine}/fd").iterdir()}
        files = {name for name in held if name.startswith("/") and not name.startswith("/memfd:")}
        # Its disk, what it was loaded from, and standard error, which is no file here.
        self.assertLessEqual(files, {str(image), str(self.kernel), "/dev/null"}, held)
        self.assertIn(str(image), files)
        root = pathlib.Path(f"/proc/{machine}/root")
        own = os.stat(root).st_dev != os.stat("/").st_dev
        if own:
            self.assertEqual(os.listdir(root), [])
            for name in ("user", "mnt", "pid", "net", "ipc", "uts"):
                self.assertNotEqual(os.readlink(f"/proc/{machine}/ns/{name}"), os.readlink(f"/proc/self/ns/{name}"))
        self.assertEqual(pathlib.Path(f"/proc/{machine}/oom_score_adj").read_text(), "500\n")
        # The supervisor holds nothing of the machine's.
        others = {os.readlink(link) for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir()}
        self.assertNotIn(str(image), others)
        process.terminate()
        self.assertEqual(self.end(process), (0, ""))

    def test_started_without_standard_input_and_output(self):
        # Then files of the machine's have their numbers.
        words = ["sh", "-c", '"$0" "$@" <&- >&-', self.vitrine, "run", *harness.MACHINE, "-kernel", self.kernel]
        process = self.start(words, os.geteuid(), stderr=subprocess.PIPE, cwd=self.directory)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        time.sleep(1)
        self.assertIsNone(process.poll())
        os.killpg(process.pid, signal.SIGTERM)
        self.assertEqual(process.stderr.read().decode(), "")
        process.wait(harness.TIMEOUT)

    def test_the_image_stays_locked(self):
        image = self.directory / "disk.img"
        image.write_bytes(bytes(1 << 20))
        image.chmod(0o666)
        process = self.begin("-hda", image)
        machine_of(process.pid)
        status, text = self.end(self.begin("-hda", image))
        self.assertEqual(status, 1)
        self.assertIn("cannot lock the disk image", text)
        process.terminate()
        self.assertEqual(self.end(process), (0, ""))

    def test_a_killed_supervisor_takes_the_machine_with_it(self):
        for user in harness.users():
            with self.subTest(user=user):
                process = self.begin(user=user)
                machine = machine_of(process.pid)
                process.kill()
                self.wait_until(lambda: gone(machine))

    def test_a_killed_machine_is_told(self):
        process = self.begin()
        os.kill(machine_of(process.pid), signal.SIGKILL)
        status, text = self.end(process)
        self.assertEqual(status, KILLED)
        self.assertRegex(text, r"^vitrine: the machine process died of signal 9 \(.*\)\n$")

    def test_a_machine_that_crashes_is_told(self):
        for engine in harness.ENGINES:
            with self.subTest(engine):
                status, text = self.machine("crash", user=os.geteuid(), machine=harness.engine_options(engine))
                self.assertEqual(status, 128 + signal.SIGSEGV, text)
                self.assertRegex(text, r"^vitrine: the machine process died of signal 11 \(.*\)\n$")

    def test_a_machine_that_does_not_end(self):
        process = self.begin()
        os.kill(machine_of(process.pid), signal.SIGSTOP)
        process.terminate()
        time.sleep(1.5)
        process.terminate()
        status, text = self.end(process)
        self.assertEqual(status, KILLED)
        self.assertIn("came a second time", text)

    def test_signals_to_the_whole_group(self):
        # As timeout(1) does: the process, then its group.
        process = self.begin()
        machine_of(process.pid)
        process.terminate()
        os.killpg(process.pid, signal.SIGTERM)
        self.assertEqual(self.end(process), (0, ""))

    def terminal(self, *arguments):
        main, terminal = pty.openpty()
        self.addCleanup(os.close, main)
        self.addCleanup(os.close, terminal)

        def own_terminal():
            import fcntl
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        words = [self.vitrine, "run", *harness.MACHINE, "-kernel", self.kernel, *arguments]
        process = self.start(words, os.geteuid(), stdin=terminal, stdout=terminal, stderr=subprocess.PIPE,
                             preexec_fn=own_terminal, cwd=self.directory)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, main, terminal

    def is_raw(self, terminal):
        return termios.tcgetattr(terminal)[3] & (termios.ECHO | termios.ICANON) == 0

    def test_the_terminal_survives_a_machine_that_dies(self):
        process, _, terminal = self.terminal("-serial", "stdio")
        machine = machine_of(process.pid)
        self.assertTrue(self.is_raw(terminal))
        os.kill(machine, signal.SIGKILL)
        self.assertEqual(self.end(process)[0], KILLED)
        self.assertFalse(self.is_raw(terminal))

    def test_stop_and_continue(self):
        process, _, terminal = self.terminal("-serial", "stdio")
        machine = machine_of(process.pid)
        for _ in range(2):
            process.send_signal(signal.SIGTSTP)
            self.wait_until(lambda: status_of(process.pid)["State"].startswith("T"))
            self.wait_until(lambda: status_of(machine)["State"].startswith("T"))
            self.assertFalse(self.is_raw(terminal))
            process.send_signal(signal.SIGCONT)
            self.wait_until(lambda: not status_of(machine)["State"].startswith("T"))
            self.wait_until(lambda: self.is_raw(terminal))
        process.terminate()
        self.assertEqual(self.end(process), (0, ""))

    def monitor(self, *arguments):
        path = self.directory / "monitor"
        path.unlink(missing_ok=True)
        process = self.begin("-monitor", f"unix:{path},server,nowait", *arguments)
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        self.wait_until(lambda: peer.connect_ex(str(path)) == 0)
        peer.settimeout(harness.TIMEOUT)
        self.read_prompt(peer)
        return process, peer

    def read_prompt(self, peer):
        text = ""
        while not text.endswith("(vitrine) "):
            piece = peer.recv(4096).decode()
            self.assertTrue(piece, text)
            text += piece
        return text

    def ask(self, peer, line):
        peer.sendall(line.encode() + b"\n")
        return self.read_prompt(peer)

    def test_the_monitor_tells_how_it_is_confined(self):
        _, peer = self.monitor()
        text = self.ask(peer, "info sandbox")
        self.assertRegex(text, "seccomp-filter +yes")
        self.assertRegex(text, "no-new-privileges +yes")
        self.assertRegex(text, r"memory-bound +yes .*\(1056 MiB\)")
        for row in re.findall(r"(?m)^[a-z-]+ +no .*$", text):
            self.assertIn("(", row, "a reason")
        _, peer = self.monitor("--sandbox=off")
        self.assertRegex(self.ask(peer, "info sandbox"), "off")

    def test_the_balloon_knows_what_the_host_holds(self):
        _, peer = self.monitor("-bios", "bios.bin", "-device", "virtio-balloon-pci")
        self.wait_until(lambda: not re.search(r"holds 0 ", self.ask(peer, "info balloon")))

    def test_the_monitor_says_where_files_may_be(self):
        _, peer = self.monitor()
        self.assertEqual(self.ask(peer, "pmemsave 0 16 saved").count("\n"), 1)
        self.assertEqual((self.directory / "saved").stat().st_size, 16)
        text = self.ask(peer, "pmemsave 0 16 /var/lib/x")
        for word in ("/var/lib/x", str(self.directory), "--files DIR", "--sandbox=off"):
            self.assertIn(word, text)

    def test_without_a_sandbox_it_says_what_is_lost(self):
        process = self.begin("--sandbox=off", "-S")
        time.sleep(0.2)
        self.assertEqual(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(), "")
        process.terminate()
        status, text = self.end(process)
        self.assertEqual(status, 0)
        self.assertRegex(text, r"^vitrine: warning: --sandbox=off: .*read, change and send.*\n$")

    def test_a_host_without_filters_is_refused(self):
        # A filter around it that answers seccomp(2) with an error stands for such a host.
        probe = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def instruction(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
code = b"".join([instruction(0x20, 0, 0, 0), instruction(0x15, 0, 1, 317), instruction(0x06, 0, 0, 0x00050000 | 22),
                 instruction(0x06, 0, 0, 0x7fff0000)])
buffer = ctypes.create_string_buffer(code)
class Program(ctypes.Structure): _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(4, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
        import sys
        words = [sys.executable, "-c", probe, self.vitrine, "run", *harness.MACHINE, "-kernel", self.kernel]
        status, text = self.finish(words, os.geteuid())
        self.assertEqual(status, 1, text)
        self.assertRegex(text, "cannot (install|compile) .*system-call filter")
        self.assertIn("--sandbox=off", text)


if __name__ == "__main__":
    harness.main()
