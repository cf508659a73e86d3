"""What the acceptance tests of the command line share: starting the program as a user would, waiting for what it
shows, and small guests made of a few bytes. The tests know nothing of the program's inside.

usage of each test: NAME_test.py --program PATH --guests FOLDER [--cache FOLDER] [unittest's arguments]
Status 77: everything was skipped.
"""
import argparse
import fcntl
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

# Not a matter of speed: how long a test waits before it says that something never came.
TIMEOUT = float(os.environ.get("VITRINE_RUN_TIMEOUT", "120"))
NO_SCREEN = ["-display", "none", "-monitor", "none"]
QUIET = [*NO_SCREEN, "-serial", "null"]

options = argparse.Namespace(program="", guests="", cache="")


def main():
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--guests", required=True, help="where the target `guests` puts the teaching kernel")
    parser.add_argument("--cache", default="", help="where scripts/fetch-linux puts Linux")
    rest = parser.parse_known_args(namespace=options)[1]
    program = unittest.main(argv=[sys.argv[0], *rest], exit=False, verbosity=2)
    result = program.result
    if result.wasSuccessful() and result.testsRun == len(result.skipped):
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() else 1)


def wait_until(condition):
    """Until it holds; looks again and again. For what no output tells."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("what was waited for has not happened")
        time.sleep(0.02)


def connect(family, address):
    """A connected socket, as soon as somebody listens there."""
    peer = socket.socket(family)
    peer.settimeout(TIMEOUT)
    wait_until(lambda: peer.connect_ex(address) == 0)
    peer.settimeout(None)
    return peer


def connect_unix(path):
    return connect(socket.AF_UNIX, path)


def connect_tcp(port):
    return connect(socket.AF_INET, ("127.0.0.1", port))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Transcript(threading.Thread):
    """Collects what comes from a descriptor, and waits for a pattern in it."""

    def __init__(self, fd):
        super().__init__(daemon=True)
        self.fd, self.text, self.ended = fd, "", False
        self.changed = threading.Condition()
        self.start()

    def run(self):
        while True:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:  # the other side of a terminal has been closed
                piece = b""
            with self.changed:
                self.text += piece.decode("utf-8", "replace")
                self.ended = not piece
                self.changed.notify_all()
            if not piece:
                return

    def wait_for(self, pattern, start=0, timeout=None):
        """The match, which lies after `start`. Fails when it never comes."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or re.search(pattern, self.text[start:], re.M), timeout or TIMEOUT)
            match = re.search(pattern, self.text[start:], re.M)
            if not match:
                raise AssertionError(f"'{pattern}' has not been shown:\n{self.text[start:]}")
            return match

    def wait_for_end(self):
        self.join(TIMEOUT)
        return self.text


class Session:
    """A running machine with pipes or a terminal as its standard input and output; terminal="controlling" is what a
    shell gives its commands."""

    def __init__(self, *arguments, terminal="", program=None, command=("run",), stdin=subprocess.PIPE, **keywords):
        words = [program or options.program, *command, *map(str, arguments)]
        self.master = self.slave = None
        if terminal:
            self.master, self.slave = pty.openpty()
            stdin = stdout = self.slave
            if terminal == "controlling":
                keywords["preexec_fn"] = lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        else:
            stdout = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, start_new_session=True,
                                        **keywords)
        self.output = Transcript(self.master if terminal else self.process.stdout.fileno())
        self.errors = Transcript(self.process.stderr.fileno())

    def type(self, text):
        """Bytes to the machine's standard input."""
        data = text.encode()
        os.write(self.master if self.master is not None else self.process.stdin.fileno(), data)

    def ask(self, text, pattern):
        """Types, and waits for what is shown from then on."""
        start = len(self.output.text)
        self.type(text)
        return self.output.wait_for(pattern, start)

    def wait(self):
        status = self.process.wait(TIMEOUT)
        self.errors.wait_for_end()
        if self.master is None:
            self.output.wait_for_end()
        return status

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def machine_number(self):
        """The process that the machine runs in: the only child of the one that was started."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else self.process.pid

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.machine_number()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.output.join(TIMEOUT if self.master is None else 0)
        self.errors.join(TIMEOUT)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        for fd in (self.master, self.slave):
            if fd is not None:
                os.close(fd)


class Code:
    """16-bit boot sectors, as bytes of machine code."""

    HALT = bytes.fromhex("fb f4 ebfd")  # sti; hlt; jmp to the hlt
    SPIN = bytes.fromhex("ebfe")
    POWER_OFF = bytes.fromhex("ba0406 b80020 ef faf4ebfd")  # SLP_EN to the power management's control register
    # An empty interrupt table, and an interrupt: the third fault in a row.
    TRIPLE_FAULT = bytes.fromhex("fa 31c0 8ed8 0f011e0c7c cc f4 000000000000")
    RESET = bytes.fromhex("b0fe e664 faf4ebfd")  # pulse the reset line through the keyboard controller

    @staticmethod
    def debug_exit(value, port=0xF4):
        return bytes([0xBA, port & 0xFF, port >> 8, 0xB0, value, 0xEE]) + Code.HALT

    @staticmethod
    def print(text, port=0x3F8):
        """Bytes to a port, without looking at the line's state, which emulated lines do not mind."""
        return bytes([0xBA, port & 0xFF, port >> 8]) + b"".join(bytes([0xB0, byte, 0xEE]) for byte in text.encode())

    @staticmethod
    def echo(port=0x3F8, shift=0):
        """Sends back what comes in on a serial line, `shift` added."""
        status = port + 5
        return bytes([0xBA, status & 0xFF, status >> 8, 0xEC, 0xA8, 1, 0x74, 0xF8,
                      0xBA, port & 0xFF, port >> 8, 0xEC, 0x04, shift, 0xEE, 0xEB, 0xEF])


class TestCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vitrine-run-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return str(self.folder / name)

    def file(self, name, data=b"", size=None, mode=0o644):
        path = self.folder / name
        path.write_bytes(data)
        if size is not None:
            os.truncate(path, size)
        path.chmod(mode)
        return str(path)

    def boot_image(self, code, name="boot.img", size=1 << 20):
        """A disk whose boot sector is `code`."""
        self.assertLessEqual(len(code), 510)
        return self.file(name, code.ljust(510, b"\0") + b"\x55\xaa", size)

    def guest(self, name):
        path = pathlib.Path(options.guests) / name
        if not path.exists():
            self.skipTest(f"{path} has not been built")
        return str(path)

    def own_copy(self, name):
        return shutil.copy(self.guest(name), self.folder)

    def linux(self):
        """The kernel and the initial file system of a real Linux."""
        files = [pathlib.Path(options.cache) / name for name in ("vmlinuz-686", "initramfs.cpio.gz")]
        for file in files:
            if not file.exists():
                self.skipTest(f"{file} is missing: scripts/fetch-linux")
        return list(map(str, files))

    def run_machine(self, *arguments, command=("run",), program=None, timeout=None, **keywords):
        """Runs until the machine ends by itself."""
        return subprocess.run([program or options.program, *command, *map(str, arguments)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                              timeout=timeout or TIMEOUT, **keywords)

    def start(self, *arguments, **keywords):
        session = Session(*arguments, **keywords)
        self.addCleanup(session.close)
        return session

    def assert_refused(self, arguments, pattern, status=1, **keywords):
        """One line on standard error that matches, nothing else, and the status."""
        result = self.run_machine(*arguments, **keywords)
        shown = f"{arguments}: status {result.returncode}\n{result.stdout}{result.stderr}"
        self.assertEqual(result.returncode, status, shown)
        self.assertEqual(result.stderr.count("\n"), 1, shown)
        self.assertRegex(result.stderr, "^vitrine: .*" + pattern, shown)
        self.assertEqual(result.stdout, "", shown)
