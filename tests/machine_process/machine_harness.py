"""What the tests of the machine process share: users and kinds of host, and machines with hostile code in place of a
guest, confined and not.

usage of each test: NAME_test.py --program VITRINE --attack MACHINE_ATTACK [unittest's arguments]
Status 77: everything was skipped.
"""
import functools
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "box"))
import harness as box  # noqa: E402

ABSENT, REFUSED, KILLED = box.ABSENT, box.REFUSED, 128 + 9
main, users, options, TIMEOUT = box.main, box.users, box.options, box.TIMEOUT

NAMESPACES = ["user", "mount", "pid", "network", "ipc", "uts", "cgroup"]
WITHOUT_NAMESPACES = [word for name in NAMESPACES for word in ("--without", name + "-namespace")]
# Each is a host, told by what it lacks.
HOSTS = {
    "everything": [],
    "no namespaces": WITHOUT_NAMESPACES,
    "the filter alone": [*WITHOUT_NAMESPACES, "--without", "landlock", "--without", "deny-write-execute"],
    "no notification": ["--without", "seccomp-notification"],
}
ENGINES = ["translate", "interpret", "trap", "lockstep"]
MACHINE = ["-display", "none", "-monitor", "none", "-serial", "null", "-bios", "none", "-m", "16"]


@functools.cache
def denies_write_execute():
    """Whether this host's kernel itself refuses what would make memory executable (PR_SET_MDWE)."""
    told = subprocess.run([options.program, "doctor", "--json"], stdout=subprocess.PIPE, check=False).stdout
    return json.loads(told)["mechanisms"]["deny-write-execute"]["available"]


def engine_options(engine):
    return ["--engine", engine, *(["--clock=virtual"] if engine == "lockstep" else [])]


class TestCase(box.TestCase):
    def setUp(self):
        super().setUp()
        # `vitrine run` is the program beside it.
        system = shutil.copy(pathlib.Path(options.program).with_name("vitrine-system-i386"), self.directory)
        pathlib.Path(system).chmod(0o755)
        # A kernel that is never started: a multiboot header and nothing else.
        self.kernel = self.directory / "kernel"
        magic, flags = 0x1BADB002, 0x10000
        words = [magic, flags, -(magic + flags) & 0xFFFFFFFF, 0x100000, 0x100000, 0x100100, 0x100100, 0x100020]
        self.kernel.write_bytes(b"".join(word.to_bytes(4, "little") for word in words).ljust(0x100, b"\xf4"))
        self.kernel.chmod(0o644)

    def machine(self, name, *arguments, user, sandbox="on", host=(), machine=(), **keywords):
        """The hostile code in a machine process: status and what was written."""
        words = [self.attack, *host, *MACHINE, "-kernel", self.kernel, "--sandbox=" + sandbox, *machine, "--", name,
                 *arguments]
        keywords.setdefault("cwd", self.directory)
        return self.finish(words, user, **keywords)
