#!/usr/bin/env python3
"""A person at a terminal: Ctrl-a's commands, and the terminal as it was, however the program ends."""
import signal
import termios

import harness
from harness import Code

# Without interrupts: the firmware's serial console would take part of what is typed, on each tick.
ECHO = b"\xfa" + Code.print("hello\n") + Code.echo(shift=1)


class Terminal(harness.TestCase):
    def machine(self, *arguments, code=ECHO, terminal="controlling"):
        self.serial_number = getattr(self, "serial_number", 0) + 1
        image = self.boot_image(code, f"{self.serial_number}.img")
        session = self.start("-hda", image, *(arguments or ["-nographic"]), terminal=terminal)
        session.output.wait_for("hello")
        return session

    def assert_raw(self, session):
        self.assertEqual(termios.tcgetattr(session.slave)[3] & (termios.ECHO | termios.ICANON), 0)

    def assert_restored(self, session):
        """As it was when the pseudo-terminal was made."""
        wanted = termios.ECHO | termios.ICANON | termios.ISIG
        self.assertEqual(termios.tcgetattr(session.slave)[3] & wanted, wanted)

    def test_every_byte_goes_to_the_guest(self):
        for terminal in ("controlling", "another"):
            with self.subTest(terminal):
                session = self.machine(terminal=terminal)
                self.assert_raw(session)
                session.ask("H", "I")
                session.ask("\x03\x13", "\x04\x14")  # no signals, no flow control
                session.ask("\x01\x01", "\x02")
                session.type("\x01x")
                self.assertEqual(session.wait(), 0)
                self.assert_restored(session)

    def test_help_and_monitor(self):
        session = self.machine()
        session.ask("\x01h", "Ctrl-a x")
        session.ask("\x01c", r"\(vitrine\) ")
        session.ask("info status\r", "VM status: running")
        session.ask("\x01cG", "H")
        session.ask("\x01c", r"\(vitrine\) ")
        session.type("quit\r")
        self.assertEqual(session.wait(), 0)
        self.assert_restored(session)

    def test_the_same_without_options_and_with_mon_stdio(self):
        for arguments in (["-vga", "std"], ["-serial", "mon:stdio", "-display", "none"]):
            with self.subTest(arguments):
                session = self.machine(*arguments)
                session.ask("\x01c", r"\(vitrine\) ")
                session.type("\x01x")
                self.assertEqual(session.wait(), 0)
                self.assert_restored(session)

    def test_signals_and_crashes_restore_it(self):
        for name, status in (("SIGTERM", 0), ("SIGHUP", 0), ("SIGSEGV", None), ("SIGABRT", None), ("SIGQUIT", None)):
            with self.subTest(name):
                session = self.machine()
                self.assert_raw(session)
                session.process.send_signal(getattr(signal, name))
                ended = session.wait()
                self.assertEqual(ended, -getattr(signal, name) if status is None else status)
                self.assert_restored(session)

    def test_the_guests_power_off_restores_it(self):
        session = self.machine(code=Code.print("hello") + Code.POWER_OFF)
        self.assertEqual(session.wait(), 0)
        self.assert_restored(session)

    def test_a_machine_that_cannot_be_built_leaves_it_alone(self):
        session = self.start("-nographic", "-hda", self.path("missing"), terminal="controlling")
        before = termios.tcgetattr(session.slave)
        self.assertEqual(session.wait(), 1)
        self.assertEqual(termios.tcgetattr(session.slave), before)


if __name__ == "__main__":
    harness.main()
