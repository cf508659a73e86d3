#!/usr/bin/env python3
"""The monitor, as somebody uses it who looks into a running machine."""
import os
import struct
import zlib

import harness
from harness import Code

PROMPT = r"\(vitrine\) $"


def picture_of(path):
    """Width, height and the pixels' rows (RGB) of a PNG file as this program writes them: no interlacing, 8 bits. Checks
    its parts."""
    with open(path, "rb") as file:
        data = file.read()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    position, compressed, header, names = 8, b"", None, []
    while position < len(data):
        size, name = struct.unpack(">I4s", data[position:position + 8])
        body = data[position + 8:position + 8 + size]
        assert zlib.crc32(name + body) == struct.unpack(">I", data[position + 8 + size:position + 12 + size])[0]
        names.append(name)
        header = struct.unpack(">IIBBBBB", body) if name == b"IHDR" else header
        compressed += body if name == b"IDAT" else b""
        position += 12 + size
    assert names[0] == b"IHDR" and names[-1] == b"IEND"
    width, height, depth, colour, *_ = header
    assert (depth, colour) == (8, 2)
    raw = zlib.decompress(compressed)
    assert len(raw) == height * (1 + 3 * width)
    return width, height, raw


class Monitor(harness.TestCase):
    def machine(self, *arguments):
        session = self.start("-display", "none", "-serial", "null", "-monitor", "stdio", *arguments)
        session.output.wait_for(PROMPT)
        return session

    def command(self, session, line):
        """What the monitor answers."""
        start = len(session.output.text)
        session.type(line + "\r")
        session.output.wait_for(PROMPT, start)
        text = session.output.text[start:].replace("\r", "")
        return text.partition("\n")[2].removesuffix("(vitrine) ")

    def teaching_kernel(self, *arguments):
        session = self.machine("-m", "32", "-kernel", self.guest("pane.elf"), "-initrd", self.guest("pane-fs.img"), *arguments)
        harness.wait_until(lambda: "\n$" in self.command(session, "info screen"))
        return session

    def test_it_knows_the_machine(self):
        session = self.teaching_kernel("-name", "glass", "-smp", "2")
        expected = {
            "registers": r"EAX=[0-9a-f]{8} (?s:.*)CR3=[0-9a-f]{8}", "cpus": r"(?s:\* CPU #0: .*CPU #1: )",
            "mem": r"[0-9a-f]{8}-[0-9a-f]{8} [0-9a-f]{8} ", "tlb": r"[0-9a-f]{8}: ", "map": "RAM ram at 0x0",
            "p2m": r"000000000-[0-9a-f]{9} [0-9a-f]{12}-", "spaces": r"\* CR3 [0-9a-f]{8}, \d+ page tables",
            "shadow 0xc0100000": r"physical 000100000: machine (?s:.*)shadow   kernel [0-9a-f]{12}: r",
            "screen": "pane: a small Unix", "pic": "pic0: irr=", "irq": r"(?:pic|ioapic|lapic) +\d+: \d", "pci": "8086:1237",
            "block": ".", "chardev": ".", "status": "VM status: running", "name": "glass", "version": r"Vitrine \d",
            "network": "no network", "snapshots": "cannot be saved", "gdb": ".", "roms": ".",
        }
        for subject, pattern in expected.items():
            with self.subTest(subject):
                self.assertRegex(self.command(session, "info " + subject), pattern)
        for line, pattern in {
            "help": "screendump", "info": "registers", "help info": "registers", "frobnicate": "no command 'frobnicate'",
            "info frobnicate": "no information on 'frobnicate'", "savevm x": "cannot be saved", "p 1 +": ".",
            "p/d 6 * 7": "^42$", "p/x $eip": "0x[0-9a-f]+", "xp/2bx 0xfffffff0": "0xea", "x/i $eip": "0x[0-9a-f]{8}|: ",
            "x/4xw 0xc0100000": "c0100000: 0x[0-9a-f]{8} ", "x 0x0": "[Cc]annot|not mapped|no ", "cpu 1": "^$", "cpu 7": "0 to 1",
            "gva2gpa 0xc0100000": "100000", "info registers -a": "CPU#1", "i/b 0x64": "0x", "": "^$",
        }.items():
            with self.subTest(line):
                self.assertRegex(self.command(session, line), pattern)

    def test_memory_can_be_saved(self):
        session = self.machine("-S")
        self.assertEqual(self.command(session, f"pmemsave 0xfffffff0 16 {self.path('saved')}"), "")
        self.assertEqual(os.path.getsize(self.path("saved")), 16)
        self.assertRegex(self.command(session, f"pmemsave 0 16 {self.path('no/folder')}"), "No such file")

    def test_a_picture_of_the_screen(self):
        session = self.teaching_kernel()
        self.assertEqual(self.command(session, f"screendump {self.path('screen.png')}"), "")
        width, height, raw = picture_of(self.path("screen.png"))
        self.assertEqual((width, height), (720, 400))
        self.assertGreater(sum(byte != 0 for byte in raw), 1000)
        self.assertRegex(self.command(session, f"screendump {self.path('no/folder.png')}"), "No such file")

    def test_keys_reach_the_guest(self):
        session = self.teaching_kernel()
        for key in ("e", "c", "h", "o", "spc", "shift-a", "minus", "1", "ret"):
            self.assertEqual(self.command(session, f"sendkey {key} 20"), "")
        harness.wait_until(lambda: "$ echo A-1\nA-1\n" in
                           "\n".join(line.rstrip() for line in self.command(session, "info screen").split("\n")))
        self.assertRegex(self.command(session, "sendkey hyper-x"), "hyper")

    def test_stop_cont_reset_and_the_power_button(self):
        session = self.machine("-S", "-hda", self.boot_image(Code.HALT))
        self.assertRegex(self.command(session, "info status"), "paused")
        self.assertRegex(self.command(session, "info registers"), "EIP=0000fff0")
        self.command(session, "cont")
        self.assertRegex(self.command(session, "info status"), "running")
        harness.wait_until(lambda: "EIP=00007c0" in self.command(session, "info registers"))
        self.command(session, "stop")
        self.assertRegex(self.command(session, "info status"), "paused")
        self.command(session, "cont")
        self.command(session, "system_reset")
        harness.wait_until(lambda: "EIP=00007c0" in self.command(session, "info registers"))
        self.command(session, "system_powerdown")
        session.type("quit\r")
        self.assertEqual(session.wait(), 0)

    def test_on_a_socket(self):
        path = self.path("monitor")
        session = self.start("-display", "none", "-serial", "null", "-monitor", f"unix:{path},server,nowait", "-S")
        for _ in range(2):
            peer = harness.connect_unix(path)
            text = harness.Transcript(os.dup(peer.fileno()))
            text.wait_for(PROMPT)
            peer.sendall(b"info version\n")
            text.wait_for(r"Vitrine \d")
            peer.shutdown(2)
            peer.close()
        with harness.connect_unix(path) as peer:
            peer.sendall(b"quit\n")
            self.assertEqual(session.wait(), 0)


if __name__ == "__main__":
    harness.main()
