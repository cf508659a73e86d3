"""One virtual machine as a person sees it: a serial line to read and type on, a monitor, a screen, an end.

Knows nothing of guests. Vitrine and QEMU take the same options, so that one class drives both.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
BIOS_TEXT = 0xB8000  # VGA text memory: two bytes a character, 80 columns, 25 lines.


class GuestFailed(Exception):
    """The guest did not do what is expected of it."""


def plain(text, separator=" "):
    """A terminal's text as one stream of words, its control sequences replaced."""
    return ESCAPES.sub(separator, text).replace("\r", "")


def find(pattern, text):
    """Searches what a terminal was sent. Control sequences may stand between words, or within one."""
    return re.search(pattern, plain(text), re.M) or re.search(pattern, plain(text, ""), re.M)


class Machine:
    def __init__(self, command, options, log_path, limit):
        self._deadline = time.monotonic() + limit
        self._folder = tempfile.mkdtemp(prefix="vitrine-guest-")
        self._monitor_path = os.path.join(self._folder, "monitor")
        self._monitor = None
        self._text = ""
        self._position = 0
        self._changed = threading.Condition()
        self._closed = False
        self.is_qemu = "qemu" in os.path.basename(command[0])
        # A guest that is compared all the time reads keys more slowly, and the BIOS holds only 15 of them.
        self._key_time = 0.2 if {"lockstep", "lockstep-trap"} & set(command) else 0.02
        self._confined = not self.is_qemu and "--sandbox=off" not in command + options  # and not seen to be so
        self._log = open(log_path, "ab")
        arguments = command + ["-monitor", f"unix:{self._monitor_path},server=on,wait=off"] + options
        self._log.write((" ".join(arguments) + "\n").encode())
        self._log.flush()
        self.started = time.monotonic()
        self.last_seen = self.started
        self.processor_time = 0.0
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            piece = os.read(self._process.stdout.fileno(), 65536)
            with self._changed:
                if piece:
                    self._log.write(piece)
                    self._log.flush()
                    self._text += piece.decode("utf-8", "replace")
                self._closed = not piece
                self._changed.notify_all()
            if not piece:
                return

    def _expect_confinement(self):
        """Once, when the guest has been seen to run: its process has given up what a machine does not need."""
        wanted = ("NoNewPrivs:\t1", "Seccomp:\t2", "CapPrm:\t0000000000000000")
        until = time.monotonic() + 5
        while self._confined:
            try:
                status = pathlib.Path(f"/proc/{self.process_number()}/status").read_text(encoding="ascii", errors="replace")
            except OSError:
                return  # it has ended
            missing = [line for line in wanted if line not in status]
            if "State:\tZ" in status or not missing:
                self._confined = False
            elif time.monotonic() > until:
                raise GuestFailed(f"the machine's process is not confined: its status lacks {missing}")
            else:
                time.sleep(0.05)  # the machine may have just ended, and its supervisor not yet

    def _seen(self):
        """What was expected has come: this is the time until then. Works until the process has been waited for."""
        self.last_seen = time.monotonic()
        self._expect_confinement()
        try:
            fields = pathlib.Path(f"/proc/{self.process_number()}/stat").read_text(encoding="ascii", errors="replace")
            user, system = fields.rpartition(")")[2].split()[11:13]
            self.processor_time = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        except OSError:
            pass

    def kill(self):
        """Ends the machine as the loss of power would."""
        self._seen()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self):
        """Ends the machine, if it has not ended by itself."""
        if self._monitor:
            self._monitor.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGKILL)
                self._process.wait()
        self._thread.join(10)
        self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # The serial line.

    def expect(self, pattern):
        """Waits for a regular expression on the serial line, after what was found before. Gives the match."""
        with self._changed:
            while True:
                match = find(pattern, self._text[self._position :])
                if match:
                    self._position = self._end_of(pattern)
                    self._seen()
                    return match
                left = self._deadline - time.monotonic()
                if self._closed:
                    status = self._process.wait()
                    raise GuestFailed(f"the machine ended (status {status}) before '{pattern}'\n{self.tail()}")
                if left <= 0:
                    raise GuestFailed(f"'{pattern}' did not come in time\n{self.tail()}")
                self._changed.wait(min(left, 1))

    def _end_of(self, pattern):
        """The first position in the raw text with which the pattern is complete."""
        low, high = self._position, len(self._text)
        while low < high:
            middle = (low + high) // 2
            if find(pattern, self._text[self._position : middle]):
                high = middle
            else:
                low = middle + 1
        return low

    def type(self, text):
        """Types on the serial line, a key at a time: the FIFO of the UART holds 16."""
        for character in text:
            self._process.stdin.write(character.encode())
            self._process.stdin.flush()
            time.sleep(self._key_time)

    def output(self):
        """All that has come, as it came. Complete after expect_end()."""
        self._thread.join(10)
        return self._text

    def count(self, text):
        """How often this has come so far."""
        with self._changed:
            return self._text.count(text)

    def process_number(self):
        """Of the process that the machine runs in: the only child of the one that was started, if it has any."""
        started = self._process.pid
        children = pathlib.Path(f"/proc/{started}/task/{started}/children").read_text(encoding="ascii").split()
        return int(children[0]) if children else started

    def tail(self, lines=12):
        return "\n".join(line.rstrip() for line in plain(self._text).split("\n")[-lines:])

    def connect(self, path):
        """One end of a unix socket that the machine listens at."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(max(1, self._deadline - time.monotonic()))
        while True:
            try:
                connection.connect(path)
                return connection
            except OSError:
                if self._process.poll() is not None or time.monotonic() > self._deadline:
                    connection.close()
                    raise GuestFailed(f"the machine does not listen at {path}") from None
                time.sleep(0.05)

    def rest(self):
        """Between two looks at what is to come."""
        if self._process.poll() is not None or time.monotonic() > self._deadline:
            raise GuestFailed(f"what was awaited did not come\n{self.tail()}")
        time.sleep(0.1)

    # The monitor.

    def monitor(self, command):
        if not self._monitor:
            self._monitor = self.connect(self._monitor_path)
            self._monitor.settimeout(10)
            self._monitor_answer()
        self._monitor.sendall(command.encode() + b"\n")
        return self._monitor_answer()

    def _monitor_answer(self):
        answer = b""
        while not answer.endswith((b"(qemu) ", b"(vitrine) ")):
            try:
                piece = self._monitor.recv(65536)
            except OSError:
                piece = b""
            if not piece:
                raise GuestFailed("the monitor does not answer: " + plain(answer.decode("utf-8", "replace")))
            answer += piece
        return plain(answer.decode("utf-8", "replace"))

    def screen(self):
        """The text on the VGA screen."""
        if not self.is_qemu:
            return self.monitor("info screen")
        answer = self.monitor(f"xp /4000bx {BIOS_TEXT:#x}")
        cells = [int(byte, 16) for line in answer.split("\n") if ": 0x" in line for byte in line.split(":")[1].split()]
        text = "".join(chr(code) if 32 <= code < 127 else " " for code in cells[::2])
        return "\n".join(text[start : start + 80].rstrip() for start in range(0, len(text), 80))

    def expect_screen(self, pattern):
        """Waits for a regular expression on the screen."""
        while True:
            text = self.screen()
            match = re.search(pattern, text, re.M)
            if match:
                self._seen()
                return match
            if self._process.poll() is not None:
                raise GuestFailed(f"the machine ended before '{pattern}' was on its screen")
            if time.monotonic() > self._deadline:
                raise GuestFailed(f"'{pattern}' did not come to the screen; it shows\n{text}")
            time.sleep(0.2)

    def press(self, *keys):
        for key in keys:
            self.monitor(f"sendkey {key} 30")
            time.sleep(5 * self._key_time)

    # The end.

    def expect_end(self, status=0):
        """Waits until the machine has ended by itself."""
        while os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > self._deadline:
                raise GuestFailed(f"the machine did not end\n{self.tail()}")
            time.sleep(0.02)
        self._seen()
        actual = self._process.wait()
        if actual != status:
            raise GuestFailed(f"the machine ended with status {actual}, not {status}\n{self.tail()}")

    def seconds(self):
        """From power-on to the last thing that was expected and came."""
        return self.last_seen - self.started
