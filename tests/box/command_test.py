#!/usr/bin/env python3
"""The command line of `vitrine box` as a user meets it."""
import json
import shutil
import subprocess
import time

import harness


class Command(harness.TestCase):
    def vitrine_box(self, *words, user=None, **keywords):
        return self.finish([*self.box_command, *words], harness.users()[-1] if user is None else user, **keywords)

    def test_echo_needs_no_options(self):
        for user in harness.users():
            for host, words in harness.HOSTS.items():
                with self.subTest(user=user, host=host):
                    self.assertEqual(self.vitrine_box(*words, "--", "/bin/echo", "hi", user=user), (0, "hi\n"))

    def test_wrong_command_lines(self):
        for words, message in ((["--memroy", "1M", "x"], "did you mean --memory"), ([], "no program"),
                               (["--ro"], "needs an argument"), (["--net", "all", "x"], "none or loopback")):
            status, text = self.vitrine_box(*words)
            self.assertEqual(status, 2, text)
            self.assertIn(message, text)

    def test_what_cannot_be_started(self):
        for words, message in ((["/no/such"], "/no/such"), (["no-such-program"], "no-such-program"),
                               (["--ro", "/no/such", "--", "true"], "/no/such"), (["/etc/passwd"], "/etc/passwd"),
                               (["--stdin", "/no/such", "true"], "/no/such"), (["--ro", "/", "true"], "'/'"),
                               (["--disable", "seccomp-filter", "true"], "system-calls"),
                               (["--disable", "landlock", "--disable", "mount-namespace", "true"], "files"),
                               (["--disable", "network-namespace", "--net", "loopback", "true"], "loopback"),
                               (["--disable", "mount-namespace", "--tmp", "1M", "true"], "temporary"),
                               (["--jit", "--require", "code", "true"], "code")):
            status, text = self.vitrine_box(*words)
            self.assertEqual(status, 1, text)
            self.assertIn(message, text)

    def test_the_box_needs_no_other_program(self):
        # A copy stands alone in its directory: what is not the box cannot be there, and says where it belongs.
        alone = self.vitrine.with_name("vitrine")
        if alone != self.vitrine:
            shutil.copy(self.vitrine, alone)
        status, text = self.finish([alone, "doctor"], harness.users()[-1])
        self.assertEqual(status, 1, text)
        self.assertIn(f"{self.directory}/vitrine-system-i386", text)
        self.assertEqual(self.finish([alone, "box", "--", "/bin/echo", "hi"], harness.users()[-1]), (0, "hi\n"))

    def test_exit_statuses(self):
        for words, status, message in ((["false"], 3, "runtime error (status 1)"),
                                       (["sh", "-c", "kill -SEGV $$"], 3, "SIGSEGV"),
                                       (["--strict", "sh", "-c", "(true)"], 7, "violation"),
                                       (["--wall", "50ms", "sleep", "100"], 4, "wall-time")):
            self.assertEqual(self.vitrine_box(*words)[0], status)
            self.assertIn(message, self.vitrine_box(*words)[1])

    def test_report_names_call_right_and_option(self):
        status, text = self.vitrine_box("--report", "json", "--", "sh", "-c", "(true)")
        self.assertEqual(status, 3, text)
        report = json.loads(text[text.index("{"):])
        denied = report["denied_calls"][0]
        self.assertEqual((denied["call"], denied["granted_by"]), ("clone", "--processes N"))
        self.assertGreater(report["cpu_seconds"], 0)
        self.assertGreater(report["peak_memory_bytes"], 0)
        held = {row["guarantee"]: row for row in report["guarantees"]}
        self.assertIn("seccomp-filter", held["system-calls"]["rests_on"])

    def test_report_says_what_rests_on_what(self):
        for host, mechanism in (("everything", "mount-namespace"), ("no namespaces", "landlock")):
            status, text = self.vitrine_box(*harness.HOSTS[host], "--explain", "--report", "json", "--", "true")
            self.assertEqual(status, 0, text)
            files = [row for row in json.loads(text)["guarantees"] if row["guarantee"] == "files"][0]
            self.assertIn(mechanism, files["rests_on"])
            self.assertEqual("mount-namespace" in files["rests_on"], host == "everything")

    def test_descriptors_and_standard_streams(self):
        (self.directory / "in").write_text("from outside\n")
        out = self.directory / "out"
        status, text = self.vitrine_box("--stdin", self.directory / "in", "--stdout", out, "--fd",
                                        f"7={self.directory / 'more'}:w", "--", "sh", "-c", "read x; echo $x; echo seven >&7")
        self.assertEqual((status, text), (0, ""))
        self.assertEqual(out.read_text(), "from outside\n")
        self.assertEqual((self.directory / "more").read_text(), "seven\n")

    def test_environment_is_clean(self):
        environment = {"SECRET": "x", "WANTED": "y", "PATH": "/usr/bin:/bin"}
        status, text = self.vitrine_box("--env", "WANTED", "--env", "OTHER=z", "--", "env", env=environment)
        self.assertEqual(status, 0, text)
        self.assertEqual(sorted(text.split()), ["HOME=/", "LANG=C.UTF-8", "OTHER=z", "PATH=/usr/local/bin:/usr/bin:/bin",
                                                "WANTED=y"])

    def test_temporary_files(self):
        status, text = self.vitrine_box("--tmp", "64K", "--", "sh", "-c", "echo kept >/tmp/x && read y </tmp/x && echo $y")
        self.assertEqual((status, text), (0, "kept\n"))
        status, text = self.vitrine_box("--tmp", "64K", "--", "dd", "if=/dev/zero", "of=/tmp/x", "bs=128k", "count=1")
        self.assertEqual(status, 3, text)

    def test_script(self):
        script = self.directory / "script"
        script.write_text("#!/bin/sh -e\necho $1\n")
        script.chmod(0o755)
        self.assertEqual(self.vitrine_box(script, "word"), (0, "word\n"))

    def test_time_since_boot_is_its_own(self):
        program = "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME))"
        for user in harness.users():
            if harness.NO_USER_NAMESPACES and user != 0:
                continue
            with self.subTest(user=user):
                host = time.clock_gettime(time.CLOCK_BOOTTIME)
                for options, is_own in (([], True), (["--disable", "time-namespace"], False)):
                    status, text = self.vitrine_box(*options, "--", "python3", "-c", program, user=user)
                    self.assertEqual(status, 0, text)
                    self.assertEqual(float(text) < host, is_own, text)

    def test_other_programs(self):
        words = ["--processes", "4", "--ro", "/usr", "--ro", "/bin", "--exec", "--", "sh", "-c", "ls -d /usr | cat"]
        self.assertEqual(self.vitrine_box(*words), (0, "/usr\n"))

    def test_loopback(self):
        program = ("import socket; s = socket.create_server(('127.0.0.1', 0)); "
                   "c = socket.create_connection(s.getsockname()); c.send(b'x'); print(s.accept()[0].recv(1))")
        self.assertEqual(self.vitrine_box("--net", "loopback", "--", "python3", "-c", program), (0, "b'x'\n"))
        self.assertEqual(self.vitrine_box("--", "python3", "-c", program)[0], 3)

    def test_learned_options_are_enough(self):
        words = ["sh", "-c", "cat /etc/hostname; :"]
        status, text = self.vitrine_box("--processes", "4", "--exec", "--ro", "/usr/bin", "--learn", "--", *words)
        self.assertNotEqual(text.find("--ro /etc/hostname"), -1, text)
        status, text = self.vitrine_box("--learn", "--", *words)
        self.assertIn("--ro /usr/bin/cat", text)

    def test_profile(self):
        profile = self.directory / "judge.toml"
        profile.write_text('wall = "50ms"\nro = ["/etc/hostname"]\n')
        self.assertEqual(self.vitrine_box("--profile", profile, "--", "sleep", "100")[0], 4)
        self.assertEqual(self.vitrine_box("--profile", profile, "--", "cat", "/etc/hostname")[0], 0)
        profile.write_text("wal = 1\n")
        status, text = self.vitrine_box("--profile", profile, "--", "true")
        self.assertEqual(status, 2)
        self.assertIn("did you mean --wall", text)
        self.assertIn("judge.toml:1", text)

    def test_closed_output_is_no_hang(self):
        process = self.start([*self.box_command, "--output", "1G", "--", "yes"], harness.users()[-1], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        process.stdout.read(10)
        process.stdout.close()
        self.assertEqual(process.wait(timeout=harness.TIMEOUT), 3)


if __name__ == "__main__":
    harness.main()
