#!/usr/bin/env python3
"""What the command line promises: QEMU's spellings are taken, everything else is refused by name, with status 2."""
import os
import unittest

import harness
from harness import NO_SCREEN, QUIET, Code


class Refusals(harness.TestCase):
    WRONG = [
        (["-hdaa", "x"], "no option '-hdaa' .did you mean -hda"),
        (["-nographicc"], "did you mean -nographic"),
        (["--no-such-thing"], "no option '--no-such-thing'"),
        (["-daemonize"], "not supported: '-daemonize'"),
        (["-vnc", ":1"], "not supported: '-vnc'"),
        (["-usb"], "not supported: '-usb'"),
        (["-netdev", "user,id=n"], "not supported: '-netdev'"),
        (["-net", "user"], "-net: not supported: 'user'"),
        (["-device", "virtio-net-pci"], "-device: not supported: 'virtio-net-pci'"),
        (["-device", "virtio-blk"], "-device virtio-blk needs drive=ID"),
        (["-device", "isa-debug-exit,iobaze=0xf4"], "iobaze"),
        (["-M", "q35"], "not supported: 'q35'"),
        (["-M", "pc,usb=on"], "usb=on"),
        (["-cpu", "z80"], "'z80'"),
        (["-vga", "cirrus"], "'cirrus'"),
        (["-display", "gtk"], "'gtk'"),
        (["-smp", "99"], "'99'"),
        (["-smp", "0"], "'0'"),
        (["-m", "1"], "too little memory"),
        (["-m", "9999G"], "more memory than a 32-bit PC can address"),
        (["-m", "many"], "not a memory size: 'many'"),
        (["-m"], "needs an argument: '-m"),
        (["-S=on"], "-S=on"),
        (["--S=on"], "takes no argument"),
        (["-drive", "file=x,if=scsi"], "if = 'scsi'"),
        (["-drive", "file=x,format=qcow2"], "format = 'qcow2'"),
        (["-drive", "file=x,media=tape"], "'tape'"),
        (["-drive", "file=x,index=7"], "index"),
        (["-drive", "file=x,colour=red"], "colour"),
        (["-hda", "a", "-drive", "file=b,index=0"], "both want IDE index 0"),
        (["-hdc", "a", "-cdrom", "b"], "both want IDE index 2"),
        (["-serial", "carrier-pigeon"], "no such device: 'carrier-pigeon'"),
        (["-serial", "tcp:"], "tcp needs HOST:PORT"),
        (["-serial", "tcp::99999"], "'99999'"),
        (["-serial", "tcp::4444,nowait"], "server"),
        (["-serial", "stdio", "-monitor", "stdio"], "only one device can have the terminal"),
        (["-serial", "mon:stdio", "-monitor", "null", "-monitor", "unix:x"], "mon"),
        (["-serial", "chardev:nobody"], "'nobody'"),
        (["-gdb", "tcp::0"], "'0'"),
        (["-parallel", "stdio"], "no parallel port"),
        (["-boot", "n"], "no network to boot from"),
        (["-boot", "order=z"], "'z'"),
        (["-d", "everything"], "no log item 'everything'"),
        (["-rtc", "base=yesterday"], "'yesterday'"),
        (["-rtc", "clock=rt"], "not supported: clock = 'rt'"),
        (["-rtc", "clock=host", "--clock=virtual"], "not supported: clock = 'host'"),
        (["-rtc", "driftfix=slew"], "not supported: driftfix = 'slew'"),
        (["-rtc", "base=utc,speed=2"], "'speed'"),
        (["-append", "x"], "-append needs -kernel"),
        (["-initrd", "x"], "-initrd needs -kernel"),
        (["--engine=steam"], "'steam'"),
        (["-global", "floppy.speed=9"], "'floppy.speed=9'"),
    ]

    def test_what_is_wrong_is_said_by_name_with_status_2(self):
        for arguments, pattern in self.WRONG:
            with self.subTest(arguments):
                self.assert_refused(arguments, pattern, status=2)

    def test_without_a_command(self):
        self.assert_refused([], "command is missing", status=2, command=())
        self.assert_refused([], "did you mean run", status=2, command=("rum",))


class Information(harness.TestCase):
    def test_help_and_version(self):
        for arguments in (["--help"], ["-h"], ["--version"], ["-cpu", "help"], ["-M", "help"], ["-machine", "help"],
                          ["-d", "help"], ["-device", "help"], ["-vga", "help"], ["-display", "help"],
                          ["-accel", "help"], ["--engine", "help"]):
            with self.subTest(arguments):
                result = self.run_machine(*arguments)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertTrue(result.stdout.endswith("\n"))
        self.assertEqual(self.run_machine(command=("help",)).returncode, 0)
        self.assertEqual(self.run_machine("run", command=("help",)).returncode, 0)
        self.assertEqual(self.run_machine(command=("--version",)).returncode, 0)

    def test_every_listed_processor_can_be_had(self):
        image = self.boot_image(Code.debug_exit(3))
        models = [line.split()[0] for line in self.run_machine("-cpu", "help").stdout.splitlines()]
        self.assertIn("486", models)
        self.assertIn("qemu32", models)
        for model in models:
            with self.subTest(model):
                result = self.run_machine(*QUIET, "-cpu", model, "-device", "isa-debug-exit,iobase=0xf4", "-hda", image)
                self.assertEqual(result.returncode, 7, result.stderr)


class Accepted(harness.TestCase):
    """Options that mean what they mean in QEMU; the guest says by its status that it has run."""

    def exit_status(self, *arguments, **keywords):
        result = self.run_machine(*QUIET, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", *arguments, **keywords)
        self.last = result
        return result.returncode

    def test_lines_written_for_qemu(self):
        image = self.boot_image(Code.debug_exit(3))
        for arguments in (
                ["-hda", image],
                [image],
                ["-drive", f"file={image},format=raw,index=0,media=disk,if=ide"],
                ["-drive", f"file={image},format=raw,snapshot=on"],
                ["--drive", f"file={image},format=raw", "--m=64"],
                ["-nodefaults", "-hda", image],
                ["-snapshot", "-hda", image, "-m", "size=64M"],
                ["-hda", image, "-net", "none", "-nic", "none", "-parallel", "none", "-no-hpet", "-no-user-config"],
                ["-hda", image, "-M", "isapc", "-vga", "none"],
                ["-hda", image, "-machine", "pc,accel=tcg,usb=off", "-no-acpi"],
                ["-hda", image, "-rtc", "base=2026-01-31T12:00:00,clock=vm", "-name", "guest", "-boot", "c"],
                ["-hda", image, "-smp", "cpus=2,sockets=2", "-vga", "std", "-boot", "order=c,menu=off"],
                ["-hda", image, "-icount", "shift=2"],
                ["-hda", image, "--clock=virtual"],
        ):
            with self.subTest(arguments):
                self.assertEqual(self.exit_status(*arguments), 7, self.last.stderr)

    def test_accelerators_are_accepted_and_explained(self):
        image = self.boot_image(Code.debug_exit(3))
        for arguments in (["-accel", "tcg"], ["-machine", "accel=kvm"], ["-enable-kvm"]):
            with self.subTest(arguments):
                self.assertEqual(self.exit_status("-hda", image, *arguments), 7)
                self.assertRegex(self.last.stderr, "note: the accelerator .* --engine")

    def test_the_boot_order_decides(self):
        disk = self.boot_image(Code.debug_exit(3), "disk.img")
        floppy = self.boot_image(Code.debug_exit(4), "floppy.img", 1440 << 10)
        self.assertEqual(self.exit_status("-hda", disk, "-fda", floppy), 7)
        self.assertEqual(self.exit_status("-hda", disk, "-fda", floppy, "-boot", "a"), 9)
        self.assertEqual(self.exit_status("-hda", disk, "-fda", floppy, "-boot", "once=a"), 9)
        self.assertEqual(self.exit_status("-drive", f"file={floppy},if=floppy,format=raw", "-boot", "a"), 9)

    def test_firmware_can_be_chosen(self):
        image = self.boot_image(Code.debug_exit(3))
        self.assert_refused(["-L", self.path("."), "-bios", "none-of-them.bin"], "cannot find the firmware")
        self.assert_refused(["-bios", self.path("missing.bin")], "cannot open the firmware")
        # A ROM that ends the machine with its first instructions: at the reset vector, 16 bytes below the end.
        rom = bytearray(b"\x90" * 65536)
        rom[-16:-10] = bytes.fromhex("b005 e6f4 ebfe")
        self.assertEqual(self.exit_status("-bios", self.file("own.bin", rom), "-hda", image), 11)

    def test_the_pid_file_lives_as_long_as_the_machine(self):
        path = self.path("pid")
        session = self.start(*NO_SCREEN, "-serial", "stdio", "-hda",
                             self.boot_image(Code.print("up\n") + Code.HALT), "-pidfile", path)
        session.output.wait_for("up")
        with open(path) as file:
            self.assertEqual(int(file.read()), session.process.pid)
        self.assertEqual(session.terminate(), 0)
        self.assertFalse(os.path.exists(path))

    def test_logs_go_where_they_are_wanted(self):
        image = self.boot_image(Code.debug_exit(3))
        path = self.path("log")
        self.assertEqual(self.exit_status("-hda", image, "-d", "int,unimp_port", "-D", path), 7)
        self.assertEqual(self.last.stderr, "")
        self.assertGreater(os.path.getsize(path), 0)
        self.assertEqual(self.exit_status("-hda", image, "-d", "int"), 7)
        self.assertNotEqual(self.last.stderr, "")
        self.assert_refused(["-d", "int", "-D", self.path("no/folder")], "cannot create the log file")


if __name__ == "__main__":
    harness.main()
