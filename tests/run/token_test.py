#!/usr/bin/env python3
"""vitrine token as its users meet it: a service, and others who hold tokens."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import harness


class Tokens(harness.TestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory(prefix="vitrine-token-")
        self.addCleanup(directory.cleanup)
        self.scratch = pathlib.Path(directory.name)
        os.chmod(self.scratch, 0o755)
        self.file = self.scratch / "file"
        self.file.write_text("contents\n")
        self.audit = self.scratch / "audit"
        self.environment = {**os.environ, "VITRINE_TOKENS": str(self.scratch / "socket")}

    def serve(self, *options):
        server = subprocess.Popen([harness.options.program, "token", "serve", "--audit", self.audit, *options],
                                  env=self.environment, stderr=subprocess.PIPE, text=True)
        self.addCleanup(server.wait)
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.terminate)
        self.assertIn("tokens are served at", server.stderr.readline())
        return server

    def token(self, *arguments, status=0, program=None, **keywords):
        result = subprocess.run([program or harness.options.program, "token", *map(str, arguments)], env=self.environment,
                                capture_output=True, text=True, timeout=harness.TIMEOUT, **keywords)
        self.assertEqual(result.returncode, status, result.stderr)
        return (result.stdout if status == 0 else result.stderr).strip()

    def test_a_token_is_a_file_for_whoever_knows_it(self):
        self.serve()
        token = self.token("mint", self.file)
        self.assertRegex(token, "^[0-9a-f]{32}$")
        self.assertEqual(self.token("redeem", token, "--", "cat", "{}"), "contents")
        self.assertEqual(self.token("redeem", "--fd", 0, token, "--", "cat"), "contents")
        self.assertEqual(self.token("redeem", "--fd=7", token, "--", "sh", "-c", "cat <&{fd}"), "contents")
        self.assertEqual(self.token("redeem", token, "--", "sh", "-c", "exit 5", status=5), "")
        self.assertIn("no such token", self.token("redeem", "0" * 32, "--", "cat", status=1))

    def test_tokens_need_not_be_on_the_command_line(self):
        self.serve()
        (self.scratch / "token").write_text(self.token("mint", self.file) + "\n")
        self.assertEqual(self.token("redeem", f"@{self.scratch}/token", "--", "cat", "{}"), "contents")
        text = (self.scratch / "token").read_text()
        self.assertEqual(self.token("redeem", "-", "--", "cat", "{}", input=text), "contents")

    def test_rights_only_narrow_and_the_kernel_holds_them(self):
        self.serve()
        writer = self.token("mint", "--rights", "read,write", self.file)
        reader = self.token("narrow", "--rights=read", writer)
        self.token("redeem", writer, "--", "sh", "-c", "echo more >&3")
        self.token("redeem", reader, "--", "sh", "-c", "echo more >&3", status=1)
        self.assertEqual(self.file.read_text(), "more\nnts\n")
        self.assertIn("has not the rights 'write", self.token("narrow", "--rights", "read,write", reader, status=1))
        self.assertIn("the kernel cannot take away", self.token("mint", "--rights", "append", self.file, status=1))

    def test_revoking_ends_everything_derived(self):
        self.serve()
        first = self.token("mint", "--name", "the film", self.file)
        second = self.token("narrow", "--expires", 1000, first)
        records = json.loads(self.token("list", "--json"))
        self.assertEqual([record["parent"] for record in records], [0, 1])
        self.assertEqual(records[0]["name"], "the film")
        self.assertEqual(records[0]["expires_in_ms"], None)
        self.assertLessEqual(records[1]["expires_in_ms"], 1000000)
        self.assertNotIn(first, self.token("list"))
        self.assertEqual(self.token("revoke", "--number", 1), "2 tokens revoked")
        self.assertIn("no such token", self.token("redeem", second, "--", "cat", "{}", status=1))

    def test_time_is_over_at_some_time(self):
        self.serve()
        token = self.token("mint", "--expires", 1, self.file)
        harness.wait_until(lambda: json.loads(self.token("list", "--json")) == [])
        self.assertIn("no such token", self.token("redeem", token, "--", "cat", "{}", status=1))

    def test_a_directory_is_what_lies_beneath_it(self):
        self.serve()
        (self.scratch / "films").mkdir()
        (self.scratch / "films/film").write_text("film")
        token = self.token("mint", self.scratch / "films")
        self.assertEqual(self.token("redeem", token, "--path", "film", "--", "cat", "{}"), "film")
        self.assertIn("leads out", self.token("redeem", token, "--path", "../file", "--", "cat", "{}", status=1))
        self.assertIn("beneath a directory", self.token("redeem", token, "--", "cat", "{}", status=1))

    def test_a_machine_has_a_disk_by_token(self):
        self.serve()
        (self.scratch / "disks").mkdir()
        # A boot sector that reads its own disk by way of the BIOS and leaves with status 2 * 5 + 1.
        code = bytes.fromhex("b005e6f4f4")
        sector = code + bytes(510 - len(code)) + b"\x55\xaa"
        (self.scratch / "disks/disk").write_bytes(sector + bytes(64 * 512))
        directory = self.token("mint", "--rights", "lookup,read,write", self.scratch / "disks")
        disk = self.token("mint", self.scratch / "disks/disk")
        exit_device = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        for name, options in ((f"token:{directory}/disk", []), (f"token:{disk}", ["-snapshot"])):
            result = subprocess.run([harness.options.program, "run", *harness.QUIET, *exit_device, *options, "-drive",
                                     f"file={name}"], env=self.environment, capture_output=True, text=True,
                                    timeout=harness.TIMEOUT)
            self.assertEqual(result.returncode, 11, result.stderr)
        # To write, a right is missing; and the message does not show the token.
        result = subprocess.run([harness.options.program, "run", *harness.QUIET, "-drive", f"file=token:{disk}"],
                                env=self.environment, capture_output=True, text=True, timeout=harness.TIMEOUT)
        self.assertEqual(result.returncode, 1)
        self.assertIn("has not the rights 'write", result.stderr)
        self.assertNotIn(disk, result.stderr)

    def test_a_box_has_a_file_by_token(self):
        self.serve()
        token = self.token("mint", self.file)
        # The box may run as another user: the descriptor is all that it has.
        self.file.chmod(0o600)
        result = subprocess.run([harness.options.program, "box", "--stdin", f"token:{token}", "--", "cat"],
                                env=self.environment, capture_output=True, text=True, timeout=harness.TIMEOUT)
        self.assertEqual((result.returncode, result.stdout), (0, "contents\n"), result.stderr)
        result = subprocess.run([harness.options.program, "box", "--fd", f"3=token:{token}:rw", "--", "cat"],
                                env=self.environment, capture_output=True, text=True, timeout=harness.TIMEOUT)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("has not the rights 'write", result.stderr)

    def box(self, *options):
        return subprocess.run([harness.options.program, "box", *map(str, options)], env=self.environment, capture_output=True,
                              text=True, timeout=harness.TIMEOUT)

    def test_a_box_has_a_directory_by_token(self):
        server = self.serve()
        films = self.scratch / "films"
        films.mkdir()
        films.chmod(0o777)
        (films / "film").write_text("film\n")
        every = "lookup,list,read,write,create,remove,handle"
        writable = self.token("mint", "--rights", every, films)
        token = self.token("narrow", "--rights", "lookup,list,read,handle", writable)
        can_place = self.box("--explain", "--require", "files", "--ro", f"/data=token:{token}", "--", "cat")
        if "another place in the box" in can_place.stderr:
            self.skipTest(can_place.stderr)
        self.assertIn("/data  (a directory by token)", can_place.stdout)
        read = self.box("--ro", f"/data=token:{token}", "--", "cat", "/data/film")
        self.assertEqual((read.returncode, read.stdout), (0, "film\n"), read.stderr)
        # It has its place, not its name; nothing beside it; and may be where the program starts.
        self.assertNotEqual(self.box("--ro", f"/data=token:{token}", "--", "cat", films / "film").returncode, 0)
        self.assertNotEqual(self.box("--ro", f"/data=token:{token}", "--", "cat", "/data/../file").returncode, 0)
        self.assertEqual(self.box("--ro", f"/data=token:{token}", "--dir", "/data", "--", "cat", "film").stdout, "film\n")
        # Read-only is read-only, with a token that could do more as well.
        for each in (token, writable):
            self.assertNotEqual(self.box("--ro", f"/data=token:{each}", "--", "cp", "/data/film", "/data/copy").returncode, 0)
        self.assertFalse((films / "copy").exists())
        self.assertEqual(self.box("--rw", f"/data=token:{writable}", "--", "cp", "/data/film", "/data/copy").returncode, 0)
        self.assertEqual((films / "copy").read_text(), "film\n")

        # What a token does not give is refused, and the message does not show the token.
        def refused(says, *options):
            result = self.box(*options, "--", "cat")
            self.assertIn(result.returncode, (1, 2))
            self.assertIn(says, result.stderr)
            for secret in (token, writable, file):
                self.assertNotIn(secret, result.stderr)
        file = self.token("mint", self.file)
        refused("has not the rights 'write,create,remove'", "--rw", f"/data=token:{token}")
        refused("has not the rights", "--ro", f"/data=token:{file}")
        refused("has not the rights 'handle'",
                "--ro", f"/data=token:{self.token('narrow', '--rights', 'lookup,list,read', token)}")
        refused("two grants have the place", "--ro", f"/data=token:{token}", "--ro", f"/data=token:{token}")
        refused("not a place", "--ro", f"/data/../x=token:{token}")
        refused("no name in the box", "--ro", f"token:{token}")
        refused("an absolute path", "--ro", f"data=token:{token}")
        refused("another place in the box", "--disable", "mount-namespace", "--ro", f"/data=token:{token}")
        short = self.token("narrow", "--expires", 1, token)
        harness.wait_until(lambda: len(json.loads(self.token("list", "--json"))) == 4)
        refused("no such token", "--ro", f"/data=token:{short}")
        self.token("revoke", "--number", 1)
        refused("no such token", "--ro", f"/data=token:{token}")
        server.terminate()
        server.wait()
        refused("nobody serves there", "--ro", f"/data=token:{token}")

    def test_others_redeem_but_do_not_mint_or_list(self):
        if os.geteuid() != 0:
            self.skipTest("another user can be had as root only")
        nobody = pwd.getpwnam("nobody").pw_uid
        self.file.chmod(0o600)
        self.serve("--mode", "0666")
        token = self.token("mint", self.file)

        def become():
            os.setgroups([])
            os.setuid(nobody)

        # The user must be able to reach the program. That of all commands has them under any name but its own.
        program = self.scratch / "vitrine"
        shutil.copy(pathlib.Path(harness.options.program).with_name("vitrine-system-i386"), program)
        for arguments, word in ((["list"], "not allowed"), (["mint", "/dev/null"], "not allowed"),
                                (["revoke", token], "not allowed")):
            self.assertIn(word, self.token(*arguments, status=1, preexec_fn=become, program=program))
        # The file is root's alone; its descriptor works.
        self.assertEqual(self.token("redeem", "--fd", 0, token, "--", "cat", preexec_fn=become, program=program), "contents")

    def test_the_audit_log_has_every_request_and_no_token(self):
        self.serve()
        token = self.token("mint", self.file)
        self.token("redeem", token, "--", "true")
        self.token("redeem", "1" * 32, "--", "true", status=1)
        lines = [json.loads(line) for line in self.audit.read_text().splitlines()]
        self.assertEqual([line["operation"] for line in lines], ["mint", "redeem", "redeem"])
        self.assertEqual([line["outcome"] for line in lines], ["done", "done", "refused"])
        self.assertEqual(lines[0]["user"], os.getuid())
        self.assertNotIn(token, self.audit.read_text())

    def test_without_its_log_the_service_refuses(self):
        self.audit = "/dev/full"
        self.serve()
        self.token("mint", self.file, status=1)
        self.assertIn("audit log", self.token("list", status=1))

    def test_the_service_is_closed_to_others_and_leaves_nothing(self):
        server = self.serve()
        path = self.scratch / "socket"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(peer.close)
        peer.connect(str(path))
        peer.send(b"nonsense")
        self.assertEqual(peer.recv(100), b"")
        self.token("list")
        self.assertIn("something is there already", self.token("serve", status=1))
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(harness.TIMEOUT), 0)
        self.assertFalse(path.exists())
        self.assertIn("nobody serves there", self.token("list", status=1))

    def test_wrong_command_lines_are_refused_by_name(self):
        for arguments, word in (([], "subcommand is missing"), (["mnt"], "no subcommand 'mnt'"),
                                (["mint", "--right", "read", "x"], "did you mean --rights"),
                                (["mint", "--rights", "reed", "x"], "no right 'reed'"),
                                (["mint", "--json", "x"], "no option '--json'"), (["mint", "--rights"], "needs an argument"),
                                (["list", "--json=yes"], "takes no argument"), (["list", "x"], "one word too many"),
                                (["mint", "--expires", "soon", "x"], "not a number"),
                                (["list", "--", "cat"], "starts no program")):
            self.assertIn(word, self.token(*arguments, status=2))
        for arguments, word in ((["mint"], "a file's name"), (["redeem", "x", "--", "cat"], "32 hexadecimal"),
                                (["redeem", "x"], "needs a program"), (["mint", "/nowhere"], "cannot open"),
                                (["mint", "--fd", 99], "no descriptor '99'"), (["revoke"], "a token, or --number")):
            self.assertIn(word, self.token(*arguments, status=1))
        self.assertIn("Subcommands:", self.token("--help"))


if __name__ == "__main__":
    harness.main()
