#!/usr/bin/env python3
"""attack_test.py DIRECTORY-OF-PROGRAMS: the decoder decodes, and an attack gets nothing; with the sandbox off, the same attack
gets everything that it is after."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import make_attack

PROGRAMS = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None
SECRET = "the secret that is in no film\n"
TIMEOUT = 120


class VideoDecoder(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="vitrine-film-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        # The box may run as another user, who must reach the program, and whom the attack must not fail for that reason.
        self.scratch.chmod(0o777)
        for name in ("video-decoder", "play-film", "make-film"):
            shutil.copy(PROGRAMS / name, self.scratch)
        self.decoder = self.scratch / "video-decoder"
        self.film = self.scratch / "film"
        (self.scratch / "images").mkdir()
        subprocess.run([self.scratch / "make-film", self.film], check=True)

    # --- Ways to run the decoder: what it writes, and what is said of its end. ---

    def bare(self, film, *options):
        with open(film, "rb") as file:
            done = subprocess.run([self.decoder, *options], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  timeout=TIMEOUT)
        return done.stdout, done.returncode

    def boxed(self, film, *options, images="-"):
        """In a box; what the decoder wrote, and what play-film said."""
        done = subprocess.run([self.scratch / "play-film", self.decoder, film, images, *options], capture_output=True,
                              timeout=TIMEOUT)
        return done.stdout, done.stderr.decode()

    def nothing_around(self, film):
        return self.bare(film, "--no-sandbox")

    def sandboxed_by_itself(self, film):
        return self.bare(film)

    def in_a_box(self, film):
        return self.boxed(film, "--no-sandbox")

    def both(self, film):
        return self.boxed(film)

    def attack(self, kind, *arguments):
        path = self.scratch / f"attack-{kind}"
        path.write_bytes(make_attack.make(self.decoder, kind, *map(str, arguments)))
        return path

    # --- The decoder decodes. ---

    def check_images(self, images):
        self.assertEqual(len(images), 24)
        for number, (width, height, pixels) in enumerate(images):
            self.assertEqual((width, height), (160, 128))
            for x, y, luma in ((4 * number + 16, 64, 235), (150, 8, 166), (8, 120, 24)):
                expected = (luma - 16) * 255 / 219
                self.assertLess(abs(pixels[3 * (y * width + x)] - expected), 20, (number, x, y))

    @staticmethod
    def parse(data):
        images = []
        while data:
            magic, size, most, data = data.split(b"\n", 3)
            width, height = map(int, size.split())
            assert (magic, most) == (b"P6", b"255")
            images.append((width, height, data[:3 * width * height]))
            data = data[3 * width * height:]
        return images

    def test_decodes_in_strict_mode(self):
        for way in (self.sandboxed_by_itself, self.nothing_around):
            output, status = way(self.film)
            self.assertEqual(status, 0, way.__name__)
            self.check_images(self.parse(output))

    def test_decodes_in_a_box(self):
        for options in ([], ["--no-sandbox"]):
            _, report = self.boxed(self.film, *options, images=self.scratch / "images")
            self.assertIn("24 images; the decoder exited with status 0", report)
            images = sorted((self.scratch / "images").iterdir())
            self.check_images([self.parse(image.read_bytes())[0] for image in images])
            for image in images:
                image.unlink()

    # --- The attack. Each: with nothing around it succeeds; in each sandbox it does not. ---

    def each_way(self, attack, succeeded):
        output, _ = self.nothing_around(attack)
        self.assertTrue(succeeded(output), "with nothing around, the attack is expected to succeed")
        for way in (self.sandboxed_by_itself, self.in_a_box, self.both):
            with self.subTest(way=way.__name__):
                output, end = way(attack)
                self.assertFalse(succeeded(output), output[:200])
                if way == self.sandboxed_by_itself:
                    self.assertEqual(end, -9, "strict mode ends it at the first call")
                if way == self.both:
                    self.assertIn("was ended by", end)

    def test_reads_no_file(self):
        secret = self.scratch / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o644)
        self.each_way(self.attack("read", secret), lambda output: SECRET.encode() in output)

    def test_writes_no_file(self):
        loot = self.scratch / "loot"

        def succeeded(_):
            there = loot.exists() and loot.read_bytes().startswith(make_attack.LOOT)
            loot.unlink(missing_ok=True)
            return there

        self.each_way(self.attack("write", loot), succeeded)

    def test_starts_no_program(self):
        loot = self.scratch / "loot"

        def succeeded(_):
            there = loot.exists() and loot.read_bytes().startswith(make_attack.LOOT)
            loot.unlink(missing_ok=True)
            return there

        self.each_way(self.attack("exec", loot), succeeded)

    def test_connects_to_nobody(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.setblocking(False)

        def succeeded(_):
            try:
                peer, _ = listener.accept()
            except BlockingIOError:
                return False
            peer.close()
            return True

        self.each_way(self.attack("connect", listener.getsockname()[1]), succeeded)

    def test_runs_no_code_of_its_own(self):
        self.each_way(self.attack("code"), lambda output: make_attack.LOOT in output)


if __name__ == "__main__":
    missing = [tool for tool in ("nm", "objdump") if shutil.which(tool) is None]
    if missing:
        print(f"skipped: {missing[0]} is missing (package binutils)")
        sys.exit(77)
    unittest.main(verbosity=2)
