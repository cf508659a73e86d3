#!/usr/bin/env python3
"""Whole guests: the lines people use for teaching kernels, several modules, the same run twice, and data that must
survive the program's sudden death."""
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess

import harness
from harness import NO_SCREEN


class TeachingKernel(harness.TestCase):
    def test_the_line_that_teaching_kernels_use(self):
        shutil.copy(self.guest("pane.img"), self.path("boot.img"))
        shutil.copy(self.guest("pane-fs.img"), self.path("fs.img"))
        program = pathlib.Path(harness.options.program).with_name("vitrine-system-i386")
        session = self.start("-serial", "mon:stdio", "-drive", "file=fs.img,index=1,media=disk,format=raw", "-drive",
                             "file=boot.img,index=0,media=disk,format=raw", "-smp", "2", "-m", "512", "-nographic",
                             program=program, command=(), cwd=self.folder)
        session.output.wait_for("processors: 2(?s:.*)^\\$ ")
        session.ask("echo tea | wc\n", r"1\s+1\s+4")
        session.type("halt\n")
        self.assertEqual(session.wait(), 0)
        self.assertEqual(session.errors.text, "")

    def test_it_finds_processors_without_acpi(self):
        session = self.start(*NO_SCREEN, "-serial", "stdio", "-m", "32", "-kernel", self.guest("pane.elf"), "-initrd",
                             self.guest("pane-fs.img"), "-append", "test", "-smp", "2", "-no-acpi")
        # Without ACPI it cannot power off.
        session.output.wait_for("processors: 2(?s:.*)all tests passed")

    def test_it_waits_for_gdb(self):
        port = harness.free_port()
        session = self.start(*NO_SCREEN, "-serial", "stdio", "-kernel", self.guest("pane.elf"), "-initrd",
                             self.guest("pane-fs.img"), "-append", "test quiet", "-gdb", f"tcp::{port}", "-S")
        with harness.connect_tcp(port) as gdb:
            gdb.sendall(b"+$?#3f")
            answer = harness.Transcript(os.dup(gdb.fileno()))
            answer.wait_for(r"\$[ST]05")
            self.assertEqual(session.output.text, "")
            gdb.sendall(b"+$c#63")
            self.assertEqual(session.wait(), 0)
            gdb.shutdown(2)
        self.assertRegex(session.output.text, "all tests passed")

    def test_two_runs_in_virtual_time_are_the_same(self):
        arguments = [*NO_SCREEN, "-serial", "stdio", "-m", "32", "-kernel", self.guest("pane.elf"), "-initrd",
                     self.guest("pane-fs.img"), "-append", "test", "--clock=virtual", "-rtc", "base=2026-01-31"]
        for processors in ("1", "2"):
            with self.subTest(processors):
                runs = [self.run_machine(*arguments, "-smp", processors) for _ in range(2)]
                self.assertEqual([run.returncode for run in runs], [0, 0])
                self.assertRegex(runs[0].stdout, "all tests passed")
                self.assertEqual(runs[0].stdout, runs[1].stdout)


class Linux(harness.TestCase):
    def test_synced_data_survives_the_programs_death(self):
        kernel, initrd = self.linux()
        if not shutil.which("genext2fs") or not shutil.which("debugfs"):
            self.skipTest("genext2fs or debugfs is missing")
        image = self.path("disk.img")
        subprocess.run(["genext2fs", "-b", "4096", "-N", "64", image], check=True, stderr=subprocess.DEVNULL)
        work = ("disks;mount+-t+ext4+/dev/sda+/mnt;seq+20000+>/mnt/numbers;sync;echo+safe-$(wc+-l+</mnt/numbers);"
                "while+true;do+sleep+1;done")
        session = self.start(*NO_SCREEN, "-serial", "stdio", "-m", "256", "-no-reboot", "-kernel", kernel, "-initrd", initrd,
                             "-append", "console=ttyS0 quiet panic=-1 initcall_blacklist=load_system_certificate_list "
                             f"vitrine.run={work}", "-hda", image)
        session.output.wait_for("safe-20000")
        session.process.send_signal(signal.SIGKILL)
        session.process.wait()
        numbers = subprocess.run(["debugfs", "-R", "cat /numbers", image], check=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL).stdout
        wanted = "".join(f"{number}\n" for number in range(1, 20001)).encode()
        self.assertEqual(hashlib.sha256(numbers).hexdigest(), hashlib.sha256(wanted).hexdigest())


if __name__ == "__main__":
    harness.main()
