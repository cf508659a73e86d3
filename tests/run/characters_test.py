#!/usr/bin/env python3
"""Serial lines and the debug console on everything they can lead to."""
import os
import socket
import termios

import harness
from harness import NO_SCREEN, Code

ECHO = Code.print("hello\n") + Code.echo(shift=1)


class Lines(harness.TestCase):
    def echo_machine(self, *devices, code=ECHO, **keywords):
        serial = [word for device in devices for word in ("-serial", device)]
        return self.start(*NO_SCREEN, *serial, "-hda", self.boot_image(code), **keywords)

    def check_socket(self, peer):
        text = harness.Transcript(os.dup(peer.fileno()))
        # What comes while the firmware sets the line up is lost, as on a real one.
        harness.wait_until(lambda: (peer.sendall(b"H"), "I" in text.text)[1])
        peer.shutdown(socket.SHUT_RDWR)
        peer.close()

    def test_tcp_server(self):
        port = harness.free_port()
        session = self.echo_machine(f"tcp::{port},server,nowait")
        # A peer that leaves makes room for the next.
        for _ in range(2):
            self.check_socket(harness.connect_tcp(port))
        self.assertEqual(session.terminate(), 0)

    def test_a_server_that_waits(self):
        port = harness.free_port()
        session = self.echo_machine(f"tcp:127.0.0.1:{port},server=on,wait=on")
        session.errors.wait_for("serial0 waits for a connection")
        peer = harness.connect_tcp(port)
        harness.Transcript(os.dup(peer.fileno())).wait_for("hello")
        peer.close()
        self.assertEqual(session.terminate(), 0)

    def test_tcp_and_unix_client(self):
        listeners = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
        listeners[1].bind(self.path("listener"))
        listeners[1].listen()
        for listener, device in zip(listeners, (f"tcp:localhost:{listeners[0].getsockname()[1]}",
                                                "unix:" + self.path("listener"))):
            session = self.echo_machine(device)
            self.check_socket(listener.accept()[0])
            self.assertEqual(session.terminate(), 0)
            listener.close()

    def test_unix_server(self):
        path = self.path("line")
        session = self.echo_machine(f"unix:{path},server,nowait")
        self.check_socket(harness.connect_unix(path))
        self.assertEqual(session.terminate(), 0)
        self.assertFalse(os.path.exists(path), "the socket's file stays behind")

    def test_pty(self):
        session = self.echo_machine("pty")
        path = session.errors.wait_for("serial0 is at (/dev/pts/[0-9]+)").group(1)
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, fd)
        text = harness.Transcript(fd)
        harness.wait_until(lambda: (os.write(fd, b"H"), "I" in text.text)[1])
        self.assertEqual(termios.tcgetattr(fd)[3] & termios.ECHO, 0)
        self.assertEqual(session.terminate(), 0)

    def test_file_and_several_ports_and_the_debug_console(self):
        code = Code.print("one") + Code.print("two", 0x2F8) + Code.print("con", 0xE9) + Code.POWER_OFF
        result = self.run_machine("-display", "none", "-serial", "file:" + self.path("first"), "-serial", "stdio",
                                  "-debugcon", "file:" + self.path("console"), "-hda", self.boot_image(code))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "two", ""))
        self.assertEqual((self.folder / "first").read_text(), "one")
        self.assertEqual((self.folder / "console").read_text(), "con")

    def test_the_debug_console_at_another_port(self):
        result = self.run_machine(*NO_SCREEN, "-serial", "null", "-debugcon", "stdio", "-global",
                                  "isa-debugcon.iobase=0x402", "-hda", self.boot_image(Code.POWER_OFF))
        self.assertEqual(result.returncode, 0)
        self.assertIn("SeaBIOS", result.stdout)

    def test_a_chardev_with_a_name(self):
        result = self.run_machine(*NO_SCREEN, "-chardev", f"file,id=out,path={self.path('out')}", "-serial", "chardev:out",
                                  "-hda", self.boot_image(Code.print("named") + Code.POWER_OFF))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.folder / "out").read_text(), "named")

    def test_what_cannot_be_opened(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            for option in ("-serial", "-monitor"):
                self.assert_refused([option, f"tcp:127.0.0.1:{port},server,nowait"], "Address already in use")
            self.assert_refused(["-gdb", f"tcp:127.0.0.1:{port}"], "Address already in use")
        self.assert_refused(["-serial", f"tcp:127.0.0.1:{port}"], "Connection refused.*server makes Vitrine listen")
        self.assert_refused(["-serial", "unix:" + self.path("nobody")], "cannot connect")
        self.assert_refused(["-serial", "file:" + self.path("no/folder")], "No such file or directory")
        self.file("occupied", b"precious")
        self.assert_refused(["-serial", f"unix:{self.path('occupied')},server"], "occupied")
        self.assertEqual((self.folder / "occupied").read_bytes(), b"precious")

    def test_nothing_is_lost_when_nobody_reads_for_a_while(self):
        # 64 KiB through a pipe that holds less: the guest waits.
        code = bytes.fromhex("baf803 b90080 b02e ee e2fd b90080 ee e2fd") + Code.POWER_OFF
        session = self.echo_machine("stdio", code=code)
        self.assertEqual(session.wait(), 0)
        self.assertEqual(session.output.text, "." * 65536)

    def test_nothing_of_a_kernels_calls_is_lost_either(self):
        # 4 MB by the monitor's console call (docs/hypercalls.md), 4 KiB each, from flat 32-bit code; far more than is queued.
        code = bytes.fromhex(
            "fa 31c0 8ed8 0f0116587c 0f20c0 0c01 0f22c0 ea177c0800"  # cli; into protected mode
            "66b81000 8ed8 8ec0 8ed0 bf00000100 b02e b900100000 f3aa bee8030000"
            "b807000000 bb00000100 b900100000 0f01c1 4e 75eb"  # mov eax, 7; …; vmcall; dec esi; jnz
            "66ba0406 66b80020 66ef f4 ebfd 9090 1700607c0000 9090"  # power off; the GDT's register
            "0000000000000000 ffff0000009bcf00 ffff00000093cf00")
        for processors in ("1", "2"):
            session = self.start(*NO_SCREEN, "-serial", "stdio", "-smp", processors, "-hda", self.boot_image(code))
            self.assertEqual(session.wait(), 0)
            self.assertEqual(len(session.output.text), 4096 * 1000)


class Idleness(harness.TestCase):
    def test_an_idle_guest_costs_little(self):
        """However long it takes: while the guest's clock goes on for 36 ticks of 55 ms, hardly any time of the processor."""
        # 36 interrupts from the timer, then a letter, and the same again.
        wait = bytes.fromhex("fb b92400 f4 e2fd")
        code = wait + Code.print("A") + wait + Code.print("B") + Code.HALT
        with open(os.devnull) as nothing:
            session = self.start(*NO_SCREEN, "-serial", "stdio", "-hda", self.boot_image(code), stdin=nothing)
            session.output.wait_for("A")
            before = session.cpu_seconds()
            session.output.wait_for("B")
            self.assertLess(session.cpu_seconds() - before, 1.0)
            self.assertEqual(session.terminate(), 0)


if __name__ == "__main__":
    harness.main()
