"""What the speed bench compares: virtual machines that run the rows in a guest, and the host itself.

A machine stands at its prompt, idle, until it is asked for a row; so several can be up and take turns. Time is taken
between two lines of the protocol (programs/runtime.c), while the guest waits for the host: how late the host reads a
line does not count as processor time.
"""
import os
import pathlib
import re
import select
import shutil
import subprocess
import tempfile
import time

MEMORY = 256  # MiB


class Lost(Exception):
    """A machine ended, hung, or a row failed."""


def processor_seconds(pid):
    """What a process, all its threads and its living descendants have used."""
    total, pending = 0.0, [pid]
    while pending:
        process = pending.pop()
        try:
            total += time.clock_gettime(~process << 3 | 2)  # clock_getcpuclockid()
            for thread in pathlib.Path(f"/proc/{process}/task").iterdir():
                pending += map(int, (thread / "children").read_text().split())
        except OSError:
            pass  # it has just ended
    return total


class Process:
    """A program with pipes for input and output, and the lines that it writes."""

    def __init__(self, command):
        self.began = time.monotonic()
        self.child = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
        self.pending = b""
        self.lines = []

    def now(self):
        return time.monotonic(), processor_seconds(self.child.pid)

    def send(self, text):
        try:
            self.child.stdin.write(text.encode())
            self.child.stdin.flush()
        except OSError as error:
            raise Lost(f"input: {error}") from error

    def wait_for(self, pattern, limit=300.0):
        """The first line from now on in which the pattern is found, and (wall, processor) seconds when it came."""
        until = time.monotonic() + limit
        expression = re.compile(pattern)
        while time.monotonic() < until:
            while self.lines:
                line = self.lines.pop(0)
                if "@failed" in line:
                    raise Lost(line)
                if found := expression.search(line):
                    return found, self.now()
            ready, _, _ = select.select([self.child.stdout], [], [], 0.5)
            if not ready:
                continue
            data = os.read(self.child.stdout.fileno(), 65536)
            if not data:
                raise Lost(f"ended: {self.child.stderr.read().decode('latin-1').strip()[-300:]}")
            *whole, self.pending = (self.pending + data).split(b"\n")
            self.lines += [line.decode("latin-1").strip("\r") for line in whole]
        raise Lost(f"no '{pattern}' within {limit:.0f} s")

    def stop(self):
        if self.child.poll() is None:
            self.child.kill()
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            try:
                stream.close()
            except OSError:
                pass
        self.child.wait()


class Native:
    """The same programs as processes of the host."""
    name = "native"

    def __init__(self, programs, busybox):
        self.programs, self.busybox = programs, busybox

    def missing(self):
        with tempfile.TemporaryDirectory() as folder:
            probe = pathlib.Path(folder) / "probe"
            shutil.copy(self.programs / "nothing", probe)
            try:
                return None if subprocess.run([probe]).returncode == 0 else "this host does not run 32-bit programs"
            except OSError as error:
                return f"this host does not run 32-bit programs: {error}"

    def boot(self, setting, folder):
        return self

    def run(self, row, count):
        """(wall, processor) seconds and the checksum."""
        places = {"BUSYBOX": self.busybox, "NOTHING": self.programs / "nothing"}
        command = [self.programs / (row.program or row.name), str(count), *(places.get(word, word) for word in row.words)]
        if row.program.endswith(".sh"):
            command = [self.busybox, "sh", *command]
        process = Process(command)
        try:
            _, before = process.wait_for("@ready")
            process.send("\n")
            found, after = process.wait_for(r"@end (\w+) (\w+)")
            process.send("\n")
            _, _, used = os.wait4(process.child.pid, 0)
            process.child.returncode = 0
        finally:
            process.stop()
        microseconds = int(found[2], 16)  # its own account, which includes its children
        seconds = microseconds / 1e6 if microseconds else used.ru_utime + used.ru_stime
        return after[0] - before[0], seconds, found[1]

    def stop(self):
        pass


class Guest:
    """A virtual machine that runs rows in Debian's kernel."""

    def __init__(self, process):
        self.process = process
        _, self.booted = process.wait_for("@init")

    def command(self, line):
        self.process.send(line + "\n")
        found, _ = self.process.wait_for(r"@status (\d+)")
        if found[1] != "0":
            raise Lost(f"'{line}' ends with status {found[1]}")

    def run(self, row, count):
        places = {"BUSYBOX": "/bin/busybox", "NOTHING": "/rows/nothing"}
        words = [f"/rows/{row.program or row.name}", str(count), *(places.get(word, word) for word in row.words)]
        if row.program.endswith(".sh"):
            words = ["/bin/busybox", "sh", *words]
        self.process.send(" ".join(words) + "\n")
        self.process.wait_for("@ready")
        before = self.process.now()
        self.process.send("\n")
        found, after = self.process.wait_for(r"@end (\w+) (\w+)")
        self.process.send("\n")
        self.process.wait_for("@status 0")
        return after[0] - before[0], after[1] - before[1], found[1]

    def beside_ram(self):
        """MiB of the process that are not the guest's memory."""
        resident, ram, mapping = 0, 0, False
        started = self.process.child.pid
        # Vitrine's machine runs in a child of what was started.
        children = pathlib.Path(f"/proc/{started}/task/{started}/children").read_text().split()
        for line in pathlib.Path(f"/proc/{(children or [started])[0]}/smaps").read_text().splitlines():
            if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)", line):
                size = int(found[2], 16) - int(found[1], 16)
                mapping = "memfd:ram" in found[3] or (not found[3] and size == MEMORY << 20)
            elif line.startswith("Rss:"):
                resident += int(line.split()[1])
                ram += int(line.split()[1]) if mapping else 0
        return (resident - ram) / 1024

    def stop(self):
        self.process.stop()


class Virtual:
    """How a virtual machine is started; subclasses say with which program and options."""

    def __init__(self, kernel):
        self.kernel = kernel

    def start(self, options):
        return Process([*self.program, "-display", "none", "-monitor", "none", "-no-reboot", *options])

    def boot(self, setting, folder, shipped=False):
        """Boots to the prompt. `shipped`: the kernel unpacks itself, in the guest."""
        options = ["-m", MEMORY, "-serial", "stdio", "-initrd", self.kernel.initramfs, *self.kernel_options(shipped),
                   "-append", " ".join(["console=ttyS0 panic=-1 quiet", setting.options]).strip()]
        if setting.disk:
            image = pathlib.Path(folder) / f"{re.sub('[^a-z]', '-', self.name)}.img"
            shutil.copyfile(self.kernel.disk, image)
            options += ["-drive", f"file={image},format=raw,if={setting.disk}"]
        process = self.start(options)
        try:
            guest = Guest(process)
            if setting.disk == "ide":
                guest.command("libata; disks; [ -b /dev/sda ]")
            elif setting.disk == "virtio":
                guest.command("virtio /dev/vda; [ -b /dev/vda ]")
            return guest
        except Lost:
            process.stop()
            raise

    def until_sign(self, options):
        """Seconds from the start to the guest's first byte to the debug port; wall and processor."""
        process = self.start(["-m", "16", *options, "-serial", "none", *self.debug_port])
        try:
            _, (wall, used) = process.wait_for("!", 20)
            return wall - process.began, used
        finally:
            process.stop()


class Vitrine(Virtual):
    debug_port = ["-device", "isa-debugcon,iobase=0xe9,chardev=out", "-chardev", "stdio,id=out"]

    def __init__(self, kernel, binary, engine):
        super().__init__(kernel)
        self.name = engine
        # "translate:off": without the sandbox around the machine's process.
        name, _, sandbox = engine.partition(":")
        self.program = [binary, "run", "--engine", name, *(["--sandbox=" + sandbox] if sandbox else [])]

    def missing(self):
        tried = subprocess.run([str(word) for word in self.program] + ["-bios", "/nonexistent"], capture_output=True, text=True)
        return tried.stderr.strip() if "--engine" in tried.stderr else None

    def kernel_options(self, shipped):
        if shipped:
            return ["-kernel", self.kernel.bzimage, "-unpack-kernel", "off"]
        return ["-kernel", self.kernel.bzimage_stored]


class Tcg(Virtual):
    name = "tcg"
    program = ["qemu-system-i386", "-accel", "tcg", "-nic", "none"]
    debug_port = ["-debugcon", "stdio", "-global", "isa-debugcon.iobase=0xe9"]

    def missing(self):
        return None if shutil.which(self.program[0]) else f"{self.program[0]} is not installed"

    def kernel_options(self, shipped):
        if shipped:
            return ["-kernel", self.kernel.bzimage]
        options = ["-kernel", self.kernel.bzimage_to_unpacked]
        for path, address in self.kernel.segments:
            options += ["-device", f"loader,file={path},addr={address:#x},force-raw=on"]
        return options
