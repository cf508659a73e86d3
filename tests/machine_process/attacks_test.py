#!/usr/bin/env python3
"""Every way out that we know, tried from inside a machine process, where a guest that has broken out of its machine
would be: as root and as a user, on hosts with everything, without namespaces, without Landlock, without
notification. Each attack also runs in a machine with --sandbox=off, where it must succeed: otherwise it would show
nothing."""
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

import machine_harness as harness
from machine_harness import ABSENT, ENGINES, HOSTS, KILLED, REFUSED, engine_options
from shared_attacks import SharedAttacks  # beside the box's harness


class Attacks(SharedAttacks, harness.TestCase):
    def assert_stopped(self, name, arguments=lambda user: [], call=None, hosts=HOSTS, control=None, **keywords):
        """`arguments`: made anew for each run. `call`: the system call for which the machine is killed; none: it fails
        and the machine goes on. `control`: the words with --sandbox=off, where they are others."""
        for user in harness.users():
            if control != []:
                words = [name, *arguments(user)] if control is None else control
                status, text = self.machine(*words, user=user, sandbox="off", **keywords)
                if status == ABSENT:
                    self.skipTest(f"{name}: this host has nothing of the kind")
                self.assertEqual(status, 0, f"with --sandbox=off {name} must succeed: {text}")
            for host in hosts:
                with self.subTest(name=name, user=user, host=host):
                    status, text = self.machine(name, *arguments(user), user=user, host=HOSTS[host], **keywords)
                    self.assert_outcome(status, text, call, host)

    def assert_outcome(self, status, text, call, host):
        if call is None:
            self.assertEqual(status, REFUSED, text)
        elif host == "no notification":
            self.assertEqual(status, 128 + signal.SIGSYS, text)
            self.assertIn("made a system call that its sandbox does not allow", text)
        else:
            self.assertEqual(status, KILLED, text)
            self.assertIn(f"it tried {call}, which its sandbox does not allow", text)

    def fresh(self, name):
        def path(user):
            new = self.secrets / f"{name}-{user}-{os.urandom(4).hex()}"
            return [new]
        return path

    # Files

    def test_open(self):
        self.assert_stopped("open", lambda user: [self.secret], call="openat")

    def test_open_as_the_c_library_does(self):
        self.assert_stopped("open-quietly", lambda user: [self.secret])

    def test_open_in_every_engine(self):
        for engine in ENGINES:
            self.assert_stopped("open", lambda user: [self.secret], call="openat", hosts=["everything"],
                                machine=engine_options(engine))

    def test_open_with_two_processors(self):
        self.assert_stopped("open", lambda user: [self.secret], call="openat", hosts=["everything"], machine=["-smp", "2"])

    def test_create(self):
        self.assert_stopped("create", self.fresh("new"), call="openat")

    def test_look_at_a_name(self):
        self.assert_stopped("look", lambda user: [self.secret])

    def test_proc_of_others(self):
        self.assert_stopped("open", lambda user: [f"/proc/{self.victim(user).pid}/environ"], call="openat")

    def test_environment(self):
        self.assert_stopped("environment", lambda user: ["VITRINE_TEST_", "SECRET=x"],
                            env={**os.environ, "VITRINE_TEST_SECRET": "x"})

    # The network and sockets

    def smuggle(self, name, call, send):
        """With somebody at the other end of the serial line."""
        path = self.directory / "serial"
        for user in harness.users():
            for sandbox, host in [("off", "everything"), *(("on", host) for host in HOSTS)]:
                path.unlink(missing_ok=True)
                listener = self.listener(socket.AF_UNIX, str(path))
                path.chmod(0o777)
                received = []

                def peer():
                    connection, _ = listener.accept()
                    with connection:
                        if send:
                            with open(self.secret) as file:
                                socket.send_fds(connection, [b"x"], [file.fileno()])
                        try:
                            for descriptor in socket.recv_fds(connection, 64, 4)[1]:
                                received.append(os.readlink(f"/proc/self/fd/{descriptor}"))
                                os.close(descriptor)
                        except ConnectionResetError:
                            pass

                thread = threading.Thread(target=peer)
                thread.start()
                with self.subTest(name=name, user=user, sandbox=sandbox, host=host):
                    status, text = self.machine(name, user=user, sandbox=sandbox, host=HOSTS[host],
                                                machine=["-serial", f"unix:{path}"])
                    thread.join()
                    if sandbox == "off":
                        self.assertEqual((status, len(received)), (0, 0 if send else 1), text)
                    else:
                        self.assert_outcome(status, text, call, host)
                        self.assertEqual(received, [])

    def test_descriptors_for_an_accomplice(self):
        self.smuggle("smuggle-out", "sendmsg", send=False)

    def test_descriptors_from_an_accomplice(self):
        self.smuggle("smuggle-in", "recvmsg", send=True)

    def test_another_socket_in_the_channels_place(self):
        for name in ("take-channel", "take-channel-long"):
            self.assert_stopped(name, call="close", control=[name, "own"])

    # Other processes

    def test_exec(self):
        self.assert_stopped("exec", lambda user: ["/bin/true"], call="execve")

    def test_ptrace_of_the_supervisor(self):
        for user in harness.users():
            words = [self.attack, *harness.MACHINE, "-kernel", self.kernel, "--sandbox=off", "--", "ptrace-supervisor", "own"]
            status, text = self.finish(["sh", "-c", '"$@"; exit $?', "sh", *words], user, cwd=self.directory)
            if status == REFUSED:
                self.skipTest(f"this host lets nobody trace what started it: {text}")
            self.assertEqual(status, 0, text)
            for host in HOSTS:
                with self.subTest(user=user, host=host):
                    status, text = self.machine("ptrace-supervisor", user=user, host=HOSTS[host])
                    self.assert_outcome(status, text, "ptrace", host)

    def test_kill(self):
        self.assert_stopped("kill", self.pid, call="kill")

    def test_kill_a_thread(self):
        self.assert_stopped("tgkill", self.pid, call="tgkill")

    def test_kill_by_the_kernel(self):
        self.assert_stopped("owner", self.pid, call="pipe2")

    def test_fork_bomb(self):
        self.assert_stopped("fork-bomb", lambda user: [10], call="clone")

    def test_thread(self):
        self.assert_stopped("thread", call="clone")

    def test_unkillable_grandchild(self):
        for user in harness.users():
            lock = self.fresh("lock")(user)[0]
            status, text = self.machine("survive", lock, user=user, sandbox="off")
            self.assertEqual(status, 0, text)
            os.kill(int(lock.read_text()), signal.SIGKILL)  # It lives.
        self.assert_stopped("survive", self.fresh("lock"), call="openat", control=[])

    # The kernel

    # A machine has threads, which keep it from a user namespace by themselves; not its children.

    def test_mount(self):
        self.assert_stopped("mount", call="unshare", control=["in-child", "mount"])

    def test_user_namespace(self):
        self.assert_stopped("userns", call="unshare", control=["in-child", "userns"])

    def test_user_namespace_of_a_child(self):
        self.assert_stopped("in-child", lambda user: ["userns"], call="clone")

    def test_user_namespace_by_clone(self):
        self.assert_stopped("clone-userns", call="clone")

    def test_io_uring(self):
        self.assert_stopped("io-uring", call="io_uring_setup")

    def other_entry(self, name, entry):
        absent = False
        for user in harness.users():
            status, text = self.machine(name, user=user, sandbox="off")
            absent |= status == ABSENT
            if status != ABSENT:
                self.assertEqual(status, 0, text)
            for host in HOSTS:
                with self.subTest(name=name, user=user, host=host):
                    status, text = self.machine(name, user=user, host=HOSTS[host])
                    self.assert_outcome(status, text, f"getpid by the {entry} entry", host)
        if absent:
            self.skipTest(f"{name}: stopped in every machine, but this kernel has no such entry: nothing shows that it would work")

    def test_32_bit_entry(self):
        self.other_entry("int80", "32-bit")

    def test_x32_entry(self):
        self.other_entry("x32", "x32")

    # Code

    def test_map_executable(self):
        for engine in ENGINES:
            self.assert_stopped("map-executable", call="mmap", machine=engine_options(engine))

    def test_map_memory_file_in_lockstep(self):
        # There memory is made twice, and before the guest runs as well.
        self.assert_stopped("map-memfd", call="memfd_create", machine=engine_options("lockstep"))

    def test_write_the_program(self):
        self.protect("write-code")

    def test_protect_executable(self):
        self.protect("protect-executable")

    def protect(self, name):
        """Where the kernel refuses it, it fails; elsewhere the filter kills."""
        for host, options in HOSTS.items():
            refused = harness.denies_write_execute() and "deny-write-execute" not in options
            self.assert_stopped(name, call=None if refused else "mprotect", hosts=[host])

    # Memory that no limit counts

    def test_shared_memory(self):
        self.assert_stopped("shared-memory", lambda user: [8], call="mmap")

    def bomb(self, name, size):
        for user in harness.users():
            status, text = self.machine(name, size, 0, user=user, sandbox="off")
            self.assertEqual(status, 0, f"with --sandbox=off {name} must succeed: {text}")
            for host in HOSTS:
                with self.subTest(name=name, user=user, host=host):
                    # Longer than a supervisor can need to look.
                    status, text = self.machine(name, size, harness.TIMEOUT // 2, user=user, host=HOSTS[host])
                    self.assertEqual(status, KILLED, text)
                    self.assertIn("beside its guest's memory it holds more than", text)

    # The bound is 1 GiB and twice the guest's memory.

    def test_memory_bomb(self):
        self.bomb("memory-bomb", 1200)

    def test_page_table_bomb(self):
        self.bomb("page-table-bomb", 1200)

    def test_memory_files_that_grow(self):
        self.assert_stopped("grow-memory", control=["grow-memory", "own"])

    def test_overlays_in_memory_that_grow(self):
        image = self.directory / "disk.img"
        image.write_bytes(bytes(1 << 20))
        image.chmod(0o644)
        for place in ("/no/such/directory", "/dev/shm"):
            self.assert_stopped("grow-memory", control=["grow-memory", "own"], machine=["-hda", image, "-snapshot"],
                                env={**os.environ, "TMPDIR": place})

    # Terminals

    def test_type_into_the_terminal(self):
        keywords = self.terminal()
        for user in harness.users():
            status, text = self.machine("terminal", user=user, sandbox="off", **keywords)
            if status != 0:
                self.skipTest(f"this host lets nobody type into a terminal: {text}")
            for host in HOSTS:
                with self.subTest(user=user, host=host):
                    status, text = self.machine("terminal", user=user, host=HOSTS[host], **keywords)
                    self.assert_outcome(status, text, "ioctl", host)

    # The supervisor

    def assert_killed(self, name, why):
        for user in harness.users():
            # Where somebody else has the other end, who does not look at what comes.
            status, text = self.machine(name, "own", user=user, sandbox="off")
            self.assertEqual(status, 0, f"with --sandbox=off {name} must succeed: {text}")
            with self.subTest(name=name, user=user):
                status, text = self.machine(name, user=user)
                self.assertEqual(status, KILLED, text)
                self.assertIn(why, text)

    def test_lies(self):
        self.assert_killed("lie", "sent its supervisor what no machine sends")

    def test_descriptors_that_the_supervisor_did_not_ask_for(self):
        self.assert_killed("give-descriptor", "sent its supervisor what no machine sends")

    def test_flood_of_requests(self):
        self.assert_killed("flood-requests", "does not take the answers")

    def test_flood_of_output(self):
        for user in harness.users():
            for sandbox in ("off", "on"):
                words = [self.attack, *harness.MACHINE, "-kernel", self.kernel, "--sandbox=" + sandbox, "--", "flood-output", 64]
                with self.start(words, user, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.directory) as process:
                    time.sleep(0.5)  # Nobody reads.
                    process.send_signal(signal.SIGTERM)
                    time.sleep(1.5)
                    process.send_signal(signal.SIGTERM)
                    if sandbox == "off":
                        time.sleep(0.5)
                        self.assertIsNone(process.poll(), "with --sandbox=off nobody ends it")
                        process.kill()
                    process.stderr.read()
                    self.assertEqual(process.wait(harness.TIMEOUT), KILLED if sandbox == "on" else -signal.SIGKILL)

    def test_files_that_the_supervisor_creates(self):
        outside = "/var/tmp/vitrine-outside-" + os.urandom(4).hex()
        (self.directory / "letter").write_text("dear reader")
        (self.directory / "letter").chmod(0o666)
        (self.directory / "link").symlink_to(outside)
        for user in harness.users():
            for path in (outside, "/etc/cron.d/x", "../../" + outside, ".profile", "letter", "link", "/dev/null"):
                with self.subTest(user=user, path=path):
                    status, text = self.machine("ask", path, user=user)
                    self.assertEqual(status, REFUSED, text)
                    self.assertFalse(os.path.exists(outside))
            status, text = self.machine("ask", f"new-{user}", user=user)
            self.assertEqual(status, 0, text)
            self.assertEqual((self.directory / f"new-{user}").read_text(), "hostile")
        self.assertEqual((self.directory / "letter").read_text(), "dear reader")

    def test_more_directories_by_name(self):
        with self.subTest("--files"):
            folder = "/var/tmp/vitrine-files-" + os.urandom(4).hex()
            os.mkdir(folder)
            self.addCleanup(os.rmdir, folder)
            os.chmod(folder, 0o777)
            user = harness.users()[-1]
            self.assertEqual(self.machine("ask", folder + "/x", user=user)[0], REFUSED)
            self.assertEqual(self.machine("ask", folder + "/x", user=user, machine=["--files", folder])[0], 0)
            os.unlink(folder + "/x")


if __name__ == "__main__":
    harness.main()
