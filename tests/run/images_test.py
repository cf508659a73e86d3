#!/usr/bin/env python3
"""Disk images: what is refused and how that is said, locks, images that must not change, a full disk."""
import os
import pathlib
import pwd
import re
import resource
import shutil
import subprocess
import unittest

import harness
from harness import NO_SCREEN, QUIET, Code

READ, WRITE = 0x42, 0x43


def disk_access(function, sector=1000):
    """INT 13h, function 42h (read) or 43h (write), one sector; then debug exit with 0 or 1."""
    code = bytes([0x31, 0xC0, 0x8E, 0xD8, 0xBE, 0x80, 0x7C, 0xB4, function, 0xB0, 0, 0xB2, 0x80, 0xCD, 0x13,
                  0xB0, 0x00, 0x73, 0x02, 0xB0, 0x01, 0xBA, 0xF4, 0x00, 0xEE, 0xFA, 0xF4])
    buffer = 0x7C00 if function == WRITE else 0x8000
    packet = bytes([16, 0, 1, 0]) + buffer.to_bytes(4, "little") + sector.to_bytes(8, "little")
    return code.ljust(0x80, b"\x90") + packet


DEBUG_EXIT = ["-device", "isa-debug-exit,iobase=0xf4"]


def as_nobody():
    """An ordinary user's rights, where the test runs as root, for whom files' modes mean little."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    ranges = [line.split() for line in pathlib.Path("/proc/self/uid_map").read_text().splitlines()]
    if not any(int(first) <= nobody.pw_uid < int(first) + int(count) for first, _, count in ranges):
        raise unittest.SkipTest("root of a user namespace without a second user: modes of files mean nothing")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class Refusals(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.folder.chmod(0o755)

    def test_what_is_no_image(self):
        os.mkdir(self.path("folder"))
        for option in ("-hda", "-cdrom", "-fda"):
            with self.subTest(option):
                self.assert_refused([option, self.path("missing")], "missing.*No such file")
                self.assert_refused([option, self.path("folder")], "folder.*directory")
                self.assert_refused([option, self.file("empty")], "empty.*it is empty")
        qcow = self.file("disk.qcow2", b"QFI\xfb" + bytes(508))
        self.assert_refused(["-hda", qcow], "it is a qcow2 image: qemu-img convert")
        self.assert_refused(["-hda", self.file("disk.gz", b"\x1f\x8b\x08" + bytes(509))], "compressed by gzip")

    def test_rights(self):
        self.file("read.img", size=1 << 20, mode=0o444)
        self.file("write.img", size=1 << 20, mode=0o222)
        keywords = as_nobody()
        self.assert_refused(["-hda", self.path("read.img")], "for writing.*Permission denied.*readonly=on", **keywords)
        self.assert_refused(["-hda", self.path("write.img")], "Permission denied", **keywords)

    def test_what_is_no_kernel(self):
        os.mkdir(self.path("folder"))
        self.assert_refused(["-kernel", self.path("missing")], "missing.*No such file")
        self.assert_refused(["-kernel", self.path("folder")], "it is a directory")
        self.assert_refused(["-kernel", self.file("empty")], "it is empty")
        self.assert_refused(["-kernel", self.file("text", b"Dear kernel,\n")], "neither a bzImage nor a multiboot kernel")
        elf = {name: b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + b"\x02\0" + machine + bytes(200)
               for name, bits, machine in (("elf32", 1, b"\x03\0"), ("elf64", 2, b"\x3e\0"))}
        self.assert_refused(["-kernel", self.file("elf32", elf["elf32"])], "ELF file without a multiboot header")
        self.assert_refused(["-kernel", self.file("elf64", elf["elf64"])], "64-bit program")

    def test_memory_that_is_too_small_for_the_kernel(self):
        kernel = self.guest("pane.elf")
        module = self.file("module", size=10 << 20)
        self.assert_refused(["-m", "8", "-kernel", kernel, "-initrd", module], "memory.*the machine has 8 MiB")
        kernel, initrd = self.linux()
        self.assert_refused(["-m", "16", "-kernel", kernel, "-initrd", initrd], "memory.*the machine has 16 MiB")


class Locks(harness.TestCase):
    def test_a_second_machine_may_not_write(self):
        image = self.boot_image(Code.print("up") + Code.HALT)
        session = self.start(*NO_SCREEN, "-serial", "stdio", "-hda", image)
        session.output.wait_for("up")
        self.assert_refused(["-hda", image], "cannot lock the disk image for writing")
        self.assert_refused(["-cdrom", image], "cannot lock the disk image for reading")
        self.assertEqual(session.terminate(), 0)
        # … and afterwards it may.
        session = self.start(*NO_SCREEN, "-serial", "stdio", "-hda", image)
        session.output.wait_for("up")

    def test_readers_share(self):
        image = self.boot_image(Code.print("up") + Code.HALT)
        for _ in range(2):
            self.start(*NO_SCREEN, "-serial", "stdio", "-hda", image, "-snapshot").output.wait_for("up")

    def test_one_image_in_two_drives(self):
        image = self.boot_image(Code.HALT)
        self.assert_refused(["-hda", image, "-hdb", image], "in two drives")


class Writes(harness.TestCase):
    def run_guest(self, image, *arguments, **keywords):
        return self.run_machine(*QUIET, *DEBUG_EXIT, *arguments, "-hda", image, **keywords)

    def test_writes_arrive(self):
        image = self.boot_image(disk_access(WRITE))
        self.assertEqual(self.run_guest(image).returncode, 1)
        data = pathlib.Path(image).read_bytes()
        self.assertEqual(data[1000 * 512:1001 * 512], data[:512])

    def test_a_snapshot_leaves_the_image_alone(self):
        for arguments in (["-snapshot"], []):
            image = self.boot_image(disk_access(WRITE))
            before = pathlib.Path(image).read_bytes()
            if arguments:
                result = self.run_guest(image, *arguments)
            else:
                result = self.run_machine(*QUIET, *DEBUG_EXIT, "-drive", f"file={image},format=raw,snapshot=on")
            self.assertEqual((result.returncode, result.stderr), (1, ""))
            self.assertEqual(pathlib.Path(image).read_bytes(), before)

    def test_a_snapshot_of_a_file_that_cannot_be_written(self):
        image = self.boot_image(disk_access(WRITE))
        os.chmod(image, 0o444)
        self.folder.chmod(0o755)
        self.assertEqual(self.run_guest(image, "-snapshot", **as_nobody()).returncode, 1)

    def test_a_read_only_disk_fails_the_guests_write(self):
        image = self.boot_image(disk_access(WRITE))
        result = self.run_machine(*QUIET, *DEBUG_EXIT, "-drive", f"file={image},format=raw,readonly=on")
        self.assertEqual(result.returncode, 3)

    def test_an_odd_size_is_remarked_upon(self):
        image = self.boot_image(disk_access(READ, 2048), size=(1 << 20) + 100)
        result = self.run_guest(image)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "not a multiple of 512")
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_a_full_disk_is_the_guests_error_and_one_line_for_the_user(self):
        # A limit on the size of files stands in for a disk without room. It is set when the machine runs, since guest
        # memory is a file as well. The guest waits for a byte, then writes.
        wait = Code.print("!") + bytes.fromhex("bafd03 ec a801 74fb baf803 ec")
        body = disk_access(WRITE)
        image = self.boot_image((wait.ljust(0x20, b"\x90") + body[:0x20]).ljust(0x80, b"\x90") + body[0x80:])
        session = self.start(*NO_SCREEN, *DEBUG_EXIT, "-serial", "stdio", "-hda", image)
        session.output.wait_for("!")
        resource.prlimit(session.machine_number(), resource.RLIMIT_FSIZE, (4096, 4096))
        session.type("x")
        self.assertEqual(session.wait(), 3)
        self.assertRegex(session.errors.text, "^vitrine: cannot write to the disk image.*File too large.*\n$")

    def test_a_full_file_system_loses_nothing_that_was_acknowledged(self):
        # A real one: a small tmpfs, for which it takes root or user namespaces.
        source = pathlib.Path(__file__).resolve().parent / "guests/fill_disk.S"
        sector, image = self.path("fill.bin"), self.path("fill.img")
        subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,-Ttext=0x7c00",
                        "-Wl,--oformat=binary", str(source), "-o", sector], check=True)
        shutil.copy(sector, image)
        os.truncate(image, 8 << 20)
        os.mkdir(self.path("small"))
        namespaces = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
        mount = f"mount -t tmpfs -o size=256k none {self.path('small')}"
        if not shutil.which("unshare") or subprocess.run([*namespaces, "sh", "-c", mount], capture_output=True).returncode:
            self.skipTest("a file system cannot be mounted here: neither root nor user namespaces may")
        small = self.path("small/fill.img")
        script = f'{mount} && cp --sparse=always {image} {small} && "$@"; status=$?; cat {small} >{image}.after; exit $status'
        result = subprocess.run([*namespaces, "sh", "-c", script, "sh", harness.options.program, "run", *NO_SCREEN,
                                 *DEBUG_EXIT, "-serial", "stdio", "-hda", small], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=harness.TIMEOUT)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stderr, "^vitrine: cannot write to the disk image.*fill.img.*No space left on device.*\n$")
        refused = int(re.search("refused ([0-9a-f]{4})", result.stdout).group(1), 16)
        self.assertGreater(refused, 64)
        data = pathlib.Path(f"{image}.after").read_bytes()
        for number in range(8, refused):
            self.assertEqual(data[number * 512:(number + 1) * 512], number.to_bytes(2, "little") * 256, number)


if __name__ == "__main__":
    harness.main()
