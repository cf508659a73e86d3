"""What the tests of boxes share: users and kinds of host to run them as, victims, and starting the hostile programs
with and without a box around them.

usage of each test: NAME_test.py --program VITRINE --attack BOX_ATTACK [unittest's arguments]
Status 77: everything was skipped.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

TIMEOUT = 120  # Not a matter of speed: something hangs.
REFUSED, ABSENT = 10, 11  # attack.c
NOBODY = 65534
NAMESPACES = ["user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time"]

# Each is a host, told by what it lacks.
HOSTS = {
    "everything": [],
    "no namespaces": [word for name in NAMESPACES for word in ("--disable", name + "-namespace")],
    "no landlock": ["--disable", "landlock"],
    "no notification": ["--disable", "seccomp-notification"],
}

options = argparse.Namespace(program="", attack="")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--attack", required=True)
    rest = parser.parse_known_args(namespace=options)[1]
    result = unittest.main(argv=[sys.argv[0], *rest], exit=False, verbosity=2).result
    if result.wasSuccessful() and result.testsRun == len(result.skipped):
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() else 1)


# Set by no_user_namespaces.py.
NO_USER_NAMESPACES = "VITRINE_NO_USER_NAMESPACES" in os.environ


def users():
    """Who runs the boxes: root and a user if we are root, else ourselves."""
    return [0, NOBODY] if os.geteuid() == 0 else [os.geteuid()]


class TestCase(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="vitrine-box-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.chmod(0o777)
        # The user that we become may not be able to reach the build directory.
        self.vitrine = self.directory / pathlib.Path(options.program).name
        self.attack = self.directory / "attack"
        for source, target in ((options.program, self.vitrine), (options.attack, self.attack)):
            shutil.copy(source, target)
            target.chmod(0o755)
        # `vitrine-box` is the command by itself.
        self.box_command = [self.vitrine] if self.vitrine.name == "vitrine-box" else [self.vitrine, "box"]
        self.secrets = self.directory / "secrets"
        self.secrets.mkdir()
        self.secrets.chmod(0o777)
        self.secret = self.secrets / "secret"
        self.secret.write_text("secret\n")
        self.secret.chmod(0o666)

    def start(self, words, user, **keywords):
        """Starts a program in a session of its own, as a user."""
        if user != os.geteuid():
            keywords.update(user=user, group=user, extra_groups=[])
        return subprocess.Popen([str(word) for word in words], start_new_session=True, **keywords)

    def finish(self, words, user, **keywords):
        """Status and what it wrote to both outputs."""
        keywords.setdefault("stdin", subprocess.DEVNULL)
        with self.start(words, user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **keywords) as process:
            output, _ = process.communicate(timeout=TIMEOUT)
        return process.returncode, output.decode(errors="replace")

    def bare(self, name, *arguments, user, **keywords):
        """The hostile program with no defence around it."""
        return self.finish([self.attack, name, *arguments], user, **keywords)

    def box(self, box_options, name, *arguments, user, host=(), **keywords):
        """The hostile program in a box: its report, with the exit status of vitrine and the output added."""
        report = self.directory / f"report-{user}"
        report.unlink(missing_ok=True)
        words = [*self.box_command, *host, "--report", "json", "--report-file", report, *box_options, "--", self.attack,
                 name, *arguments]
        status, output = self.finish(words, user, **keywords)
        self.assertTrue(report.exists(), output)
        found = json.loads(report.read_text())
        found.update(status=status, text=output)
        return found

    def is_refused(self, user, host, box_options=()):
        """Where nobody can make a user namespace a user's box rests on Landlock: without, it must not be started, and
        neither may one that needs a namespace."""
        if not NO_USER_NAMESPACES or user == 0 or not (host == "no landlock" or "loopback" in box_options):
            return False
        report = self.box(box_options, "open", self.secret, user=user, host=HOSTS[host])
        self.assertEqual((report["verdict"], report["status"]), ("internal error", 1), report)
        return True

    def victim(self, user):
        """A process of the same user that it is no harm to end."""
        process = self.start(["sleep", "1000"], user)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def listener(self, family, address, kind=socket.SOCK_STREAM):
        sock = socket.socket(family, kind)
        self.addCleanup(sock.close)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen()
        return sock
