#!/usr/bin/env python3
"""How the program ends, and with which status."""
import resource
import signal

import harness
from harness import NO_SCREEN, QUIET, Code


class ExitStatus(harness.TestCase):
    def test_power_off_is_success(self):
        result = self.run_machine(*QUIET, "-hda", self.boot_image(Code.POWER_OFF))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_debug_exit_shows_the_guests_value(self):
        for value, status in ((0, 1), (1, 3), (0x10, 0x21), (0x7F, 0xFF)):
            with self.subTest(value):
                image = self.boot_image(Code.debug_exit(value, 0x501))
                result = self.run_machine(*QUIET, "-hda", image, "-device", "isa-debug-exit,iobase=0x501,iosize=2")
                self.assertEqual((result.returncode, result.stderr), (status, ""))

    # docs/hosts.md: with little address space the machine runs all the same, by what fits, and says so.
    def test_little_address_space_is_told_once_and_enough(self):
        image = self.boot_image(Code.POWER_OFF)

        def run(gigabytes, *options):
            limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (gigabytes << 30,) * 2)  # noqa: E731
            return self.run_machine(*QUIET, "-m", "32", "-hda", image, *options, preexec_fn=limit)

        result = run(6)
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r"^vitrine: guest code is interpreted[^\n]*ulimit -v unlimited[^\n]*\n$")
        result = run(6, "--engine", "translate")
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r"^vitrine: [^\n]*GiB more[^\n]*ulimit -v unlimited[^\n]*\n$")
        for options in ((), ("--engine", "interpret"), ("--engine", "translate")):
            result = run(15, *options)
            self.assertEqual((result.returncode, result.stderr), (0, ""), options)

    def test_a_triple_fault_is_told_and_ends_a_machine_that_must_not_reboot(self):
        result = self.run_machine(*QUIET, "-hda", self.boot_image(Code.TRIPLE_FAULT), "-no-reboot")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r"^vitrine: triple fault on vCPU 0 at 0000:0000[0-9a-f]{4}.*the machine ends\n$")

    def test_a_triple_fault_resets_the_machine_otherwise(self):
        session = self.start(*NO_SCREEN, "-serial", "stdio", "-hda",
                             self.boot_image(Code.print("once more\n") + Code.RESET))
        session.output.wait_for("once more[^$]*once more")
        self.assertEqual(session.terminate(), 0)

    def test_a_reset_ends_a_machine_that_must_not_reboot(self):
        self.assertEqual(self.run_machine(*QUIET, "-hda", self.boot_image(Code.RESET), "-no-reboot").returncode, 0)

    def test_signals_end_in_order(self):
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            for code in (Code.HALT, Code.SPIN):
                with self.subTest(name, code=code):
                    session = self.start(*NO_SCREEN, "-serial", "stdio", "-hda", self.boot_image(Code.print("up") + code))
                    session.output.wait_for("up")
                    session.process.send_signal(getattr(signal, name))
                    self.assertEqual(session.wait(), 0)
                    self.assertEqual(session.errors.text, "")

    def test_a_paused_machine_hears_signals(self):
        session = self.start("-display", "none", "-serial", "null", "-monitor", "stdio", "-S")
        session.output.wait_for("\\(vitrine\\) ")
        self.assertEqual(session.terminate(), 0)

    def test_power_off_pauses_if_that_is_wanted(self):
        session = self.start("-display", "none", "-serial", "null", "-monitor", "stdio", "-no-shutdown", "-hda",
                             self.boot_image(Code.POWER_OFF))
        session.output.wait_for("\\(vitrine\\) ")
        while "shutdown" not in session.ask("info status\r", r"VM status: .*").group(0):
            pass
        session.type("quit\r")
        self.assertEqual(session.wait(), 0)


if __name__ == "__main__":
    harness.main()
