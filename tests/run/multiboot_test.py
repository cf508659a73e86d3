#!/usr/bin/env python3
"""Multiboot modules: several files with arguments in one -initrd, commas doubled, as QEMU takes them."""
import pathlib
import shutil
import subprocess
import unittest

import harness
from harness import NO_SCREEN

SOURCE = pathlib.Path(__file__).resolve().parent / "guests/modules.S"


class Modules(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.kernel = self.path("modules.elf")
        self.build(0x100000)
        self.file("a", b"first")
        self.file("b", b"x" * 5000 + b"!")
        self.file("c,d", b"comma")
        self.file("e f", b"space")

    def build(self, address):
        subprocess.run(["gcc", "-m32", "-nostdlib", "-static", f"-Wl,--build-id=none,-Ttext={address:#x}", "-no-pie",
                        str(SOURCE), "-o", self.kernel], check=True)

    def boot(self, *arguments, program=None, command=("run",), **keywords):
        result = self.run_machine(*NO_SCREEN, "-m", "16", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4",
                                  "-kernel", self.kernel, *arguments, cwd=self.folder, **keywords)
        self.assertEqual((result.returncode, result.stderr), (1, ""), result.stdout)
        return result.stdout.splitlines()

    def test_none(self):
        self.assertEqual(self.boot("-append", "one two"), [f"{self.kernel} one two"])

    def test_each_has_its_file_and_its_arguments(self):
        lines = self.boot("-initrd", "a arg=1  two,b,a again")
        self.assertEqual(lines[1:], ["a arg=1  two=first", "b=" + "x" * 5000 + "!", "a again=first"])

    def test_a_doubled_comma_is_a_comma(self):
        self.assertEqual(self.boot("-initrd", "c,,d x=1,,2,a")[1:], ["c,d x=1,2=comma", "a=first"])

    def test_the_name_of_a_file_is_taken_as_it_is(self):
        self.assertEqual(self.boot("-initrd", "c,d")[1:], ["c,d=comma"])
        self.assertEqual(self.boot("-initrd", "e f")[1:], ["e f=space"])

    def test_a_kernel_in_low_memory_is_whole(self):
        for address in 0x7a00, 0x8000, 0x9000:
            self.build(address)
            self.assertEqual(self.boot("-initrd", "a 1,b 2")[1:], ["a 1=first", "b 2=" + "x" * 5000 + "!"])

    def test_without_firmware(self):
        self.assertEqual(self.boot("-bios", "none", "-initrd", "a 1,b 2")[1:], ["a 1=first", "b 2=" + "x" * 5000 + "!"])

    def test_as_qemu_does(self):
        if not shutil.which("qemu-system-i386"):
            self.skipTest("qemu-system-i386 is not installed")
        words = "a arg=1  two,c,,d x=1,,2,b"
        result = subprocess.run(["qemu-system-i386", "-display", "none", "-monitor", "none", "-m", "16", "-serial", "stdio",
                                 "-device", "isa-debug-exit,iobase=0xf4", "-kernel", self.kernel, "-initrd", words],
                                cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(self.boot("-initrd", words), [line.rstrip() for line in result.stdout.splitlines()])

    def test_a_missing_one_is_named(self):
        self.assert_refused(["-kernel", self.kernel, "-initrd", self.path("a") + ",nothing x"], "'nothing'.*No such file")


if __name__ == "__main__":
    harness.main()
