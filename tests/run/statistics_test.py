#!/usr/bin/env python3
"""What --stats, SIGUSR1 and `info stats` count: a guest that does a known number of everything, and sums."""
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile

import harness

SOURCE = pathlib.Path(__file__).resolve().parent / "counted_guest.S"
ENGINES = ["interpret", "translate", "trap", "lockstep", "lockstep-trap"]
NATIVE = ["translate", "trap"]


def setUpModule():
    global guests
    guests = pathlib.Path(tempfile.mkdtemp(prefix="vitrine-counted-"))
    for touches in (2, 6, 7):
        subprocess.run(["gcc", "-m32", "-nostdlib", "-static", f"-DTOUCHES={touches}",
                        "-Wl,-Ttext=0x100000,--build-id=none,--no-warn-rwx-segments,-e,start,-N", "-o", str(guests / f"{touches}.elf"), str(SOURCE)],
                       check=True)


def tearDownModule():
    shutil.rmtree(guests)


def total_of_parts(section):
    return sum(value for key, value in section.items() if key != "total")


def nanoseconds(section):
    return sum(row["ns"] for row in section.values())


class Statistics(harness.TestCase):
    def report(self, *arguments, touches=6, engine="translate"):
        clock = ["--clock=virtual"] if engine.startswith("lockstep") else []
        done = self.run_machine(*harness.QUIET, "-m", "16", "-vga", "none", "-nodefaults", "-bios", "none", "-kernel",
                                guests / f"{touches}.elf", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "--stats=json",
                                "--engine", engine, *clock, *arguments)
        self.assertEqual(done.returncode, 1, done.stderr)
        return json.loads(done.stderr)

    def check_sums(self, report):
        for processor in report["vcpus"]:
            for name in ("exceptions", "interrupts", "software_interrupts", "instructions"):
                self.assertEqual(processor[name]["total"], total_of_parts(processor[name]), name)
            for name in ("traps", "exits", "emulated"):
                if "native" in processor:
                    self.assertEqual(processor["native"][name]["total"], total_of_parts(processor["native"][name]), name)
            self.assertEqual(nanoseconds(processor["time"]), report["elapsed_ns"])
            self.assertEqual(nanoseconds(processor["costs"]), report["elapsed_ns"])
        self.assertEqual(nanoseconds(report["machine"]), report["elapsed_ns"])
        for name, device in report["devices"].items():
            self.assertNotEqual(name, "unnamed")
            parts = [device[key] for key in ("port_reads", "port_writes", "memory_reads", "memory_writes")]
            self.assertEqual(device["accesses"]["count"], sum(parts), name)

    def check_guest(self, report):
        processor, devices = report["vcpus"][0], report["devices"]
        self.assertEqual(processor["exceptions"], {"total": 6, "ud": 2, "pf": 4})
        self.assertEqual(processor["interrupts"], {"total": 8, "50": 8})
        self.assertEqual(processor["software_interrupts"], {"total": 3, "40": 3})
        self.assertEqual(processor["page_tables"], {"loads": 14, "switches": 5})
        for name, count in {"cpuid": 7, "in": 5, "out": 7, "int": 3, "iret": 17, "lgdt": 1, "lidt": 1}.items():
            self.assertEqual(processor["instructions"][name], count, name)
        self.assertEqual(devices["i8042"]["port_reads"], 5)
        self.assertEqual(devices["post-code"]["port_writes"], 6)
        self.assertEqual((devices["local-apic"]["memory_reads"], devices["local-apic"]["memory_writes"]), (201, 17))
        self.assertEqual(devices["isa-debug-exit"]["port_writes"], 1)

    def test_every_engine_counts_the_same(self):
        for engine in ENGINES:
            with self.subTest(engine):
                report = self.report(engine=engine)
                self.check_guest(report)
                self.check_sums(report)

    def test_native_engines_count_traps_and_fills(self):
        # An instruction that has to fill more often than seven times is the interpreter's.
        for engine in NATIVE:
            for choice in ([], ["--shadow", "ondemand"], ["--views", "one"]):
                with self.subTest(engine=engine, choice=choice):
                    few, many = (self.report(*choice, touches=touches, engine=engine) for touches in (2, 7))
                    for report in few, many:
                        self.check_guest(report)
                        self.check_sums(report)
                    a, b = (report["vcpus"][0]["native"] for report in (few, many))
                    self.assertEqual(b["shadow"]["hidden_faults"] - a["shadow"]["hidden_faults"], 5)
                    self.assertEqual(b["shadow"]["pages_filled"] - a["shadow"]["pages_filled"], 5)
                    self.assertEqual(b["traps"]["hidden_fault"] - a["traps"]["hidden_fault"], 5)
                    self.assertEqual(a["traps"]["true_fault"], 4)
                    # Once the handler has returned, the window shows the page: what uses it next does not fault.
                    self.assertEqual(a["shadow"]["prefetches"], 4)
                    self.assertEqual(a["emulated"]["cpuid"], 7)
                    self.assertEqual(a["emulated"]["in"], 5)
                    # Each of them, however often it comes, is a signal under one engine and none under the other.
                    if engine == "translate":
                        self.assertEqual(a["traps"]["privileged"], 0)
                    else:
                        self.assertGreaterEqual(a["traps"]["privileged"], 7 + 5 + 7 + 3 + 14)
                    # But for the first few: they have to become those of an instruction that is known to fault.
                    self.assertGreater(a["steady_reads"]["total"], 180)
                    self.assertGreater(a["code"]["units"], 0)
                    self.assertLess(a["code"]["used_bytes"], a["code"]["size_bytes"])

    def test_instructions_are_shared_out_where_they_are_counted(self):
        executed = {engine: self.report("--clock=virtual", engine=engine)["vcpus"][0]["executed"]
                    for engine in ("interpret", "translate", "trap")}
        self.assertEqual(executed["interpret"]["native"], 0)
        for engine in NATIVE:
            self.assertGreater(executed[engine]["native"], 1000)
            self.assertEqual(sum(executed[engine].values()), sum(executed["interpret"].values()), engine)

    def test_the_report_goes_where_it_should(self):
        path = self.path("report.json")
        machine = [*harness.QUIET, "-m", "16", "-bios", "none", "-kernel", guests / "6.elf", "-device",
                   "isa-debug-exit,iobase=0xf4,iosize=4"]
        done = self.run_machine(*machine, f"--stats=json,file={path}")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.check_guest(json.loads(pathlib.Path(path).read_text()))
        for spelling in ("--stats", "--stats=table", "-stats=table"):
            done = self.run_machine(*machine, spelling)
            self.assertRegex(done.stderr, r"(?s)^statistics\n.*vCPU 0\n.*guest code.*#pf +4\n.*i8042 +5 ")
        self.assert_refused([*machine, "--stats=xml"], "--stats is table or json, not 'xml'", status=2)
        self.assert_refused([*machine, "--stats=json,file="], "file= needs a name", status=2)
        self.assert_refused([*machine, "--stats=file=/nowhere/x"], "cannot create the file for statistics '/nowhere/x'")

    def test_a_signal_asks_for_it_and_disturbs_nobody(self):
        serial = self.path("serial")
        session = self.start("-m", "32", "-smp", "2", "-kernel", self.guest("pane.elf"), "-initrd", self.guest("pane-fs.img"),
                             "-append", "test", "-no-reboot", *harness.NO_SCREEN, "-serial", f"file:{serial}")
        for _ in range(5):
            harness.wait_until(lambda: pathlib.Path(serial).exists() and "test " in pathlib.Path(serial).read_text())
            start = len(session.errors.text)
            session.process.send_signal(signal.SIGUSR1)
            session.errors.wait_for(r"(?s)^statistics\n.*vCPU 0\n.*vCPU 1\n.*idle +[0-9.]+ m?s +[0-9.]+ %\n\Z", start)
        self.assertEqual(session.wait(), 0)
        self.assertIn("all tests passed", pathlib.Path(serial).read_text())

    def test_a_signal_disturbs_nobody_when_nobody_reads(self):
        serial = self.path("serial")
        process = subprocess.Popen([harness.options.program, "run", "-m", "32", "-kernel", self.guest("pane.elf"), "-initrd",
                                    self.guest("pane-fs.img"), "-append", "test", "-no-shutdown", *harness.NO_SCREEN, "-serial",
                                    f"file:{serial}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        shown = lambda text: text in (pathlib.Path(serial).read_text() if pathlib.Path(serial).exists() else "")
        harness.wait_until(lambda: shown("$") or shown("pane:"))
        while not shown("all tests passed"):  # The pipe is full long before.
            process.send_signal(signal.SIGUSR1)
            harness.time.sleep(0.002)
        harness.wait_until(lambda: shown("power off"))

    def test_the_monitor_shows_it(self):
        session = self.start("-display", "none", "-serial", "null", "-monitor", "stdio", "-smp", "2")
        session.output.wait_for(r"\(vitrine\) $")
        harness.wait_until(lambda: "pci-config" in session.ask("info stats\r", r"(?s)statistics.*vCPU 1.*\(vitrine\) $")[0])


if __name__ == "__main__":
    harness.main()
