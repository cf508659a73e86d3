#!/usr/bin/env python3
"""A real gdb, driven like a person would, against a machine that runs the teaching kernel.

usage: gdb_session_test.py --guests FOLDER --machine PROGRAM [ARGUMENT …]

FOLDER is where the target `guests` puts pane.elf. The machine takes QEMU's options, so that the same expectations
can be held against another emulator: --machine qemu-system-i386. Status 77: there is no gdb here.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TIMEOUT = float(os.environ.get("VITRINE_GDB_TIMEOUT", "60"))
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "guests" / "teaching"
failures = 0


def check(condition, what, text=""):
    global failures
    print(("ok      " if condition else "FAILED  ") + what, flush=True)
    if not condition:
        failures += 1
        print("        " + text.strip().replace("\n", "\n        "), flush=True)


def expect(pattern, text, what):
    check(re.search(pattern, text, re.M), f"{what}: {pattern}", text)


class Reader(threading.Thread):
    """Collects what a program writes, and waits for a pattern in it."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream = stream
        self.text = ""
        self.ended = False
        self.changed = threading.Condition()
        self.start()

    def run(self):
        while True:
            piece = os.read(self.stream.fileno(), 65536)
            with self.changed:
                self.text += piece.decode("utf-8", "replace")
                self.ended = not piece
                self.changed.notify_all()
            if not piece:
                return

    def wait_for(self, pattern, timeout=TIMEOUT):
        """What came up to the pattern's end, which is taken away; None: it did not come."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                match = re.search(pattern, self.text)
                if match:
                    before = self.text[: match.end()]
                    self.text = self.text[match.end() :]
                    return before
                left = end - time.monotonic()
                if left <= 0 or self.ended:
                    return None
                self.changed.wait(left)


class Machine:
    def __init__(self, command, gdb_address, *options):
        arguments = command + ["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]
        arguments += ["-S", "-gdb", gdb_address, *options]
        print("started " + " ".join(arguments), flush=True)
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.serial = Reader(self.process.stdout)

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def ended(self, timeout=TIMEOUT):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Silence(Exception):
    """gdb, or what it waits for, has not answered in time."""


class Gdb:
    def __init__(self, program):
        self.count = 0
        self.process = subprocess.Popen(
            ["gdb", "-q", "-nx", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C", "DEBUGINFOD_URLS": "", "TERM": "dumb"},
        )
        self.output = Reader(self.process.stdout)
        for setting in ("pagination off", "confirm off", "height 0", "width 0", "style enabled off", "prompt"):
            self.do("set " + setting)
        self.do(f"directory {SOURCES}")

    def send(self, command):
        self.count += 1
        self.process.stdin.write(f"{command}\necho @done{self.count}@\\n\n".encode())
        self.process.stdin.flush()

    def finish(self):
        text = self.output.wait_for(f"@done{self.count}@")
        if text is None:
            raise Silence(self.output.text)
        return text

    def do(self, command):
        self.send(command)
        return self.finish()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def quit(self):
        try:
            self.process.stdin.write(b"quit\n")
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def wait_for_socket(path):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and not os.path.exists(path):
        time.sleep(0.01)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def registers_and_breakpoints(gdb):
    expect(r"= 0xfff0$|= \(.*\) 0xfff0", gdb.do("print/x $pc"), "the machine stands at its first instruction")
    expect(r"= 0xf000$", gdb.do("print/x $cs"), "in the reset segment")
    threads = gdb.do("info threads")
    check(len(re.findall(r"Thread .*CPU#\d", threads)) == 2, "two processors are two threads", threads)

    gdb.do("break kernel_main")
    text = gdb.do("continue")
    expect(r"Breakpoint 1, kernel_main \(magic=\d+", text, "a breakpoint by a symbol")
    expect(r"= 0x2badb002$", gdb.do("print/x magic"), "an argument")
    expect(r"#0 +kernel_main", gdb.do("backtrace"), "backtrace")
    expect(r"=> 0xc01.*<kernel_main", gdb.do("x/4i $pc"), "disassembly")
    with open("/proc/cpuinfo", encoding="ascii") as file:
        if " avx " in file.read():
            expect(r"v8_int32 = \{", gdb.do("p $ymm7"), "YMM registers")
    text = gdb.do("info registers")
    expect(r"^eip +0xc01", text, "info registers")
    expect(r"^eflags .*\[.*\]", text, "info registers")
    expect(r"^cr0 +0x[0-9a-f]+ +\[.*PG", gdb.do("info registers cr0"), "control registers")
    expect(r"^mxcsr", gdb.do("info registers mxcsr"), "SSE registers")
    expect(r"^fctrl", gdb.do("info float") + gdb.do("info registers fctrl"), "x87 registers")
    expect(r"= 1$", gdb.do("print cpu_count"), "a global variable")


def stepping(gdb):
    gdb.do("tbreak timer_init")
    expect(r"timer_init \(\)", gdb.do("continue"), "a temporary breakpoint")
    text = gdb.do("backtrace")
    expect(r"#1 .*kernel_main", text, "backtrace through a call")
    expect(r"kernel_main", gdb.do("finish"), "finish")
    expect(r"^\d+\s+\w+.*;", gdb.do("next"), "next")
    expect(r"^\d+\s+\w+.*|\w+ \(", gdb.do("step"), "step")
    before = gdb.do("print $pc")
    gdb.do("stepi")
    check(before != gdb.do("print $pc"), "stepi moves on")
    gdb.do("tbreak ide_disk_init")
    gdb.do("continue")
    expect(r"ide_disk_init \(\)", gdb.do("frame"), "continue from one breakpoint to the next")


def watchpoints(gdb):
    gdb.do("delete")
    expect(r"[Hh]ardware watchpoint \d+: ticks", gdb.do("watch ticks"), "watch")
    text = gdb.do("continue")
    expect(r"Old value = \d+", text, "a watched variable changes")
    expect(r"New value = \d+", text, "a watched variable changes")
    expect(r"timer_interrupt", gdb.do("backtrace 1"), "the change was made where the program makes it")
    old = int(re.search(r"New value = (\d+)", text)[1]) if "New value" in text else -1
    expect(rf"New value = {old + 1}$", gdb.do("continue"), "and again")
    gdb.do("delete")
    expect(r"[Hh]ardware access .*watchpoint", gdb.do("awatch ticks"), "awatch")
    expect(r"Value = \d|New value = \d", gdb.do("continue"), "a watched variable is used")
    gdb.do("delete")
    expect(r"[Hh]ardware read watchpoint", gdb.do("rwatch cpus[0].process"), "rwatch")
    expect(r"Value = ", gdb.do("continue"), "a watched variable is read")
    gdb.do("delete")
    expect(r"[Hh]ardware assisted breakpoint", gdb.do("hbreak timer_interrupt"), "hbreak")
    expect(r"Breakpoint [\d.]+, timer_interrupt", gdb.do("continue"), "a hardware breakpoint")
    gdb.do("delete")


def changes(gdb):
    gdb.do("set var ticks = 1000000")
    expect(r"= 1000000$", gdb.do("print ticks"), "a variable is set")
    old = re.search(r"= (0x[0-9a-f]+)$", gdb.do("print/x $esi"), re.M)
    gdb.do("set var $esi = 0x12345678")
    gdb.do("maintenance flush register-cache")
    expect(r"= 0x12345678$", gdb.do("print/x $esi"), "a register is set")
    if old:
        gdb.do(f"set var $esi = {old[1]}")
    expect(r"Cannot access memory", gdb.do("x/x 0x10"), "a page that is not mapped")


def threads_and_monitor(gdb):
    gdb.do("thread 2")
    expect(r"^\* 2 ", gdb.do("info threads"), "the other thread is chosen")
    expect(r"#0 ", gdb.do("backtrace 1"), "backtrace of the other thread")
    gdb.do("thread 1")
    expect(r"(?i)eip=|eip ", gdb.do("monitor info registers"), "a monitor command")
    expect(r"CPU #1", gdb.do("monitor info cpus"), "a monitor command")


def interruption(gdb):
    gdb.do("delete")
    gdb.send("continue")
    shown = gdb.output.wait_for(r"Continuing\.")
    check(shown is not None, "the machine goes on")
    time.sleep(0.3)
    gdb.interrupt()
    expect(r"SIGINT", gdb.finish(), "Ctrl-C stops it")
    # Masked interrupts: however often one steps, it is the program that one sees.
    for _ in range(30):
        gdb.do("stepi")
    expect(r"#0 ", gdb.do("backtrace 1"), "thirty single steps")


def first_machine(command, boot, kernel, folder):
    path = os.path.join(folder, "gdb")
    machine = Machine(command, f"unix:{path},server=on,wait=off", *boot)
    gdb = Gdb(kernel)
    try:
        wait_for_socket(path)
        expect(r"Remote debugging using", gdb.do(f"target remote {path}"), "a connection to a Unix socket")
        registers_and_breakpoints(gdb)
        stepping(gdb)
        watchpoints(gdb)
        changes(gdb)
        threads_and_monitor(gdb)
        interruption(gdb)
        gdb.do("break timer_interrupt")
        expect(r"[Dd]etach", gdb.do("detach"), "detach")
        machine.type("")
        check(machine.serial.wait_for(r"\$ ") is not None, "a detached machine runs on, to its prompt", machine.serial.text)

        expect(r"Remote debugging using", gdb.do(f"target remote {path}"), "a second session")
        gdb.quit()
        machine.type("echo still there")
        check(machine.serial.wait_for(r"(?<!echo )still there") is not None, "and runs on when gdb has gone")

        gdb = Gdb(kernel)
        gdb.do(f"target remote {path}")
        gdb.do("kill")
        check(machine.ended() == 0, "kill ends the machine", str(machine.process.poll()))
    except Silence as silence:
        check(False, "gdb answers", str(silence))
    finally:
        gdb.quit()
        machine.stop()


def second_machine(command, boot, kernel):
    port = free_port()
    machine = Machine(command, f"tcp:127.0.0.1:{port}", *boot)
    gdb = Gdb(kernel)
    try:
        expect(r"Remote debugging using", gdb.do(f"target remote 127.0.0.1:{port}"), "a connection over TCP")
        gdb.do("hbreak kernel_main")
        expect(r"kernel_main", gdb.do("continue"), "a breakpoint over TCP")
        gdb.do("kill")
        check(machine.ended() == 0, "kill ends this machine, too", str(machine.process.poll()))
    except Silence as silence:
        check(False, "gdb answers", str(silence))
    finally:
        gdb.quit()
        machine.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--guests", required=True, type=pathlib.Path)
    parser.add_argument("--machine", required=True, nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not shutil.which("gdb"):
        print("skipped: there is no gdb (package gdb)")
        return 77

    kernel = str(options.guests / "pane.elf")
    boot = ["-smp", "2", "-kernel", kernel, "-append", "quiet", "-initrd", str(options.guests / "pane-fs.img")]
    with tempfile.TemporaryDirectory() as folder:
        first_machine(options.machine, boot, kernel, folder)
    second_machine(options.machine, boot, kernel)
    print("all passed" if failures == 0 else f"{failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
