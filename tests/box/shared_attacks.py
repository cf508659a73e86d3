"""Attacks that a box and a machine process stop by the same system call. Whoever inherits says with
assert_stopped(name, arguments, call=…) how they are tried in both places, and what must come of it."""
import os
import pty
import socket
import termios


class SharedAttacks:
    def pid(self, user):
        return [self.victim(user).pid]

    def terminal(self):
        """Keywords for a process that has a terminal of its own."""
        main, terminal = pty.openpty()
        self.addCleanup(os.close, main)
        self.addCleanup(os.close, terminal)
        os.chmod(os.ttyname(terminal), 0o666)

        def own_terminal():
            import fcntl
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        return dict(stdin=terminal, preexec_fn=own_terminal)

    # Files

    def test_smuggled_descriptor(self):
        descriptor = os.open(self.secret, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        high = 500
        os.dup2(descriptor, high)
        self.addCleanup(os.close, high)
        self.assert_stopped("descriptors", pass_fds=[descriptor, high])

    # The network and sockets

    def test_connect(self):
        port = self.listener(socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1]
        self.assert_stopped("connect", lambda user: [port], call="socket")

    def test_bind(self):
        self.assert_stopped("bind", call="socket")

    def test_abstract_socket(self):
        name = "vitrine-" + os.urandom(8).hex()
        self.listener(socket.AF_UNIX, "\0" + name)
        self.assert_stopped("unix", lambda user: ["@" + name], call="socket")

    def test_datagram_to_an_abstract_socket(self):
        name = "vitrine-" + os.urandom(8).hex()
        self.listener(socket.AF_UNIX, "\0" + name, socket.SOCK_DGRAM)
        self.assert_stopped("datagram", lambda user: ["@" + name], call="socketpair")

    # Other processes

    def test_ptrace(self):
        self.assert_stopped("ptrace", self.pid, call="ptrace")

    def test_kill_by_descriptor(self):
        self.assert_stopped("pidfd", self.pid, call="pidfd_open")

    def test_limits_of_others(self):
        self.assert_stopped("prlimit", self.pid, call="prlimit64")

    def test_fork(self):
        self.assert_stopped("fork", call="clone")

    def test_clone3(self):
        # The C library must be able to fall back: ENOSYS, and no violation in strict mode.
        self.assert_stopped("clone3")

    def test_shared_memory_of_system_v(self):
        self.assert_stopped("shm", call="shmget")

    def test_keyring(self):
        self.assert_stopped("keyring", call="add_key")

    # Code

    def test_protect_executable(self):
        self.assert_stopped("protect-executable", call="mprotect")

    def test_map_memory_file(self):
        self.assert_stopped("map-memfd", call="memfd_create")
