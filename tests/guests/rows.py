"""The rows of the ladder: what each guest is booted from, and the point at which it has done what it must.

A row's function gets a Session, starts a machine, and talks with it; it returns what was reached. It raises
GuestFailed when the guest does something else, MissingGuest when the guest is not installed.
"""
import dataclasses
import pathlib
import re
import subprocess
import tempfile
import zlib
from typing import Callable

import images
from machine import GuestFailed

TUNED = "console=ttyS0 acpi=off noapic nolapic pci=off cryptomgr.notests noisapnp edd=off nokaslr mitigations=off panic=-1"
# Without the check of built-in certificates (RSA), which is half of the boot.
QUICK = "console=ttyS0 panic=-1 initcall_blacklist=load_system_certificate_list"
SERIAL = ["-display", "none", "-serial", "stdio"]  # the guest has a serial driver of its own
CONSOLE = ["-nographic"]  # the BIOS's screen is on the serial line as well
USERLAND = r"vitrine: userland reached on (6\S*)"


@dataclasses.dataclass
class Row:
    number: str
    name: str
    guest: str
    function: Callable
    quick: bool = False  # one of the tests that every change runs


# Firmware and boot loaders.


def u_boot(session):
    rom = images.package_file(images.UBOOT, "u-boot-qemu")
    # Without a display: U-Boot gives a display BIOS segments of 64 KB, and that of the package seabios reads far beyond.
    machine = session.start("-m", "128", *SERIAL, "-vga", "none", "-bios", rom)
    machine.expect(r"=> ")
    # The automatic boot is over, or the next key ends it.
    machine.type("\r")
    machine.expect(r"=> ")
    machine.type("version\r")
    machine.expect(r"^U-Boot 20\d\d")
    machine.type("pci\r")
    machine.expect(r"00\.00\.00 +0x8086 +0x1237")
    machine.expect(r"00\.01\.01 +0x8086 +0x7010")
    machine.type("mw.b 1000000 5a 100000; crc32 1000000 100000\r")
    crc = zlib.crc32(b"\x5a" * 0x100000)
    machine.expect(rf"crc32 for 01000000 \.\.\. 010fffff ==> {crc:08x}")
    return "version, pci, crc32 at its prompt"


def seabios_no_device(session):
    machine = session.start("-m", "32", *CONSOLE)
    machine.expect(r"SeaBIOS \(version")
    machine.expect(r"No bootable device")
    return "No bootable device"


def syslinux_floppy(session):
    image = session.images.syslinux_floppy()
    machine = session.start("-m", "32", "-display", "none", "-serial", "stdio", "-boot", "a",
                            "-drive", f"file={image},if=floppy,format=raw,snapshot=on")
    machine.expect(r"boot: ")
    machine.type("memtest\r")
    machine.expect(r"Memtest86\+")
    machine.expect(r"Status: +Testing")
    return "boot:, memtest86+ loaded from the floppy"


def grub_console(session, *options):
    machine = session.start("-m", "64", *CONSOLE, *options)
    machine.expect(r"GNU GRUB +version 2")
    machine.expect(r"command-line")
    machine.type("c")
    machine.expect(r"grub> ")
    machine.type("lsmmap\r")
    machine.expect(r"base_addr = 0x100000, length = 0x3e[def][0-9a-f]{4}, \s*available RAM")
    machine.expect(r"grub> ")
    return machine


def grub_floppy(session):
    image = images.package_file(images.GRUB_FLOPPY, "grub-rescue-pc")
    grub_console(session, "-boot", "a", "-drive", f"file={image},if=floppy,format=raw,snapshot=on")
    return "menu, lsmmap at its prompt"


def grub_cdrom(session):
    image = images.package_file(images.GRUB_CDROM, "grub-rescue-pc")
    machine = grub_console(session, "-boot", "d", "-drive", f"file={image},media=cdrom,readonly=on")
    # In two parts: the BIOS holds 15 keys.
    machine.type("ls (cd)")
    machine.expect(r"ls \(cd\)")
    machine.type("/boot/grub\r")
    machine.expect(r"i386-pc/")
    return "menu, lsmmap, ls (cd)"


def grub_disk(session, interface="ide"):
    image = images.package_file(images.GRUB_CDROM, "grub-rescue-pc")
    machine = session.start("-m", "64", "-display", "none", "-serial", "null", "-boot", "c",
                            "-drive", f"file={image},format=raw,if={interface},snapshot=on")
    machine.expect_screen(r"GNU GRUB +version 2")
    machine.expect_screen(r"command-line")
    machine.press("c")
    machine.expect_screen(r"grub>")
    machine.press(*"lsmmap", "ret")
    machine.expect_screen(r"base_addr = 0x100000, length = 0x3e[def][0-9a-f]{4}, available RAM")
    machine.press(*"ls", "ret")
    machine.expect_screen(r"\(hd0\)")
    return "menu and prompt on the VGA screen, with the keyboard"


def grub_virtio(session):
    """The firmware's own driver: SeaBIOS has one."""
    return grub_disk(session, "virtio")


def ipxe(session):
    kernel = images.package_file(images.IPXE, "ipxe")
    machine = session.start("-m", "64", *CONSOLE, "-kernel", kernel)
    machine.expect(r"Features:.*bzImage.*Menu")
    return "Features:"


def mach(session):
    machine = session.start("-m", "64", *SERIAL, "-kernel", session.images.mach(), "-append", "console=com0")
    machine.expect(r"GNU Mach 1\.8")
    # There is nothing for it to start: this panic says that it has got as far as that.
    machine.expect(r"No bootstrap code")
    return "panic: No bootstrap code (as expected)"


def memtest(session):
    kernel = images.package_file(images.MEMTEST, "memtest86+")
    machine = session.start("-m", "8", *SERIAL, "-kernel", kernel, "-append", "console=ttyS0,115200")
    machine.expect(r"Memtest86\+")
    match = machine.expect(r"Pass: +([1-9]\d*) +Errors: +(\d+)|Errors: +([1-9]\d*)")
    if match.group(2) != "0":
        raise GuestFailed("memory errors: " + match.group(0))
    return "a pass of all tests, no errors"


# Linux.


def boots_to_userland(session, *options, kernel=None, initramfs=None, commands="true", command_line="console=ttyS0 panic=-1", end=True):
    """Debian's kernel and the initramfs; `commands` run in it. Gives the machine, after they have ended."""
    word = commands.replace(" ", "+")
    machine = session.start(*options, *SERIAL, "-no-reboot", "-kernel", kernel or session.images.linux(),
                            "-initrd", initramfs or session.images.initramfs(), "-append", f"{command_line} vitrine.run={word}")
    machine.expect(USERLAND)
    if end:
        machine.expect(r"vitrine: status 0")
        machine.expect_end()
    return machine


def linux_direct(session):
    # QEMU has no start without a BIOS: there it is the same kernel and command line, unpacked by the guest.
    options = [] if session.is_qemu else ["-bios", "none"]
    # Without ACPI the kernel cannot switch off, but it can reset.
    machine = boots_to_userland(session, "-m", "64", *options, command_line=TUNED, commands="reboot -f", end=False)
    machine.expect_end()
    return "/init, no BIOS, unpacked on the host"


def linux_shipped(session):
    options = [] if session.is_qemu else ["--unpack-kernel", "off"]
    boots_to_userland(session, "-m", "128", *options)
    return "/init, unpacks itself"


def linux_default(session):
    boots_to_userland(session, "-m", "128")
    return "/init with ACPI and APICs"


def linux_two_processors(session):
    machine = boots_to_userland(session, "-m", "128", "-smp", "2", commands="echo processors=$(nproc)", end=False)
    machine.expect(r"processors=2\b")
    machine.expect(r"vitrine: status 0")
    machine.expect_end()
    return "nproc prints 2"


def linux_pae(session):
    machine = boots_to_userland(session, "-m", "128", kernel=session.images.linux_pae(),
                                commands="grep -o -w -m1 pae /proc/cpuinfo; grep DirectMap2M /proc/meminfo", end=False)
    machine.expect(r"^pae")
    machine.expect(r"DirectMap2M: +\d+ kB")
    machine.expect(r"vitrine: status 0")
    machine.expect_end()
    return "/init with PAE paging"


def installer(session):
    kernel, initrd = session.images.installer()
    machine = session.start("-m", "512", *SERIAL, "-no-reboot", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 panic=-1")
    machine.expect(r"Select a language")
    machine.expect(r"activates buttons")
    machine.type("\r")
    machine.expect(r"Select your location")
    return "its first two questions"


def linux_disk(session):
    name = "ext2-qemu.img" if session.is_qemu else "ext2.img"
    image, digest = session.images.ext2_disk(name)
    commands = ";".join([
        "disks", "mount -t ext4 /dev/sda /mnt", "sha256sum /mnt/data",
        "dd if=/mnt/data of=/mnt/copy bs=64k", "dd if=/bin/busybox of=/mnt/busybox bs=4k", "umount /mnt",
        "echo 3 >/proc/sys/vm/drop_caches", "mount -t ext4 /dev/sda /mnt", "sha256sum /mnt/copy", "umount /mnt"])
    machine = boots_to_userland(session, "-m", "128", "-drive", f"file={image},format=raw,if=ide", commands=commands, end=False)
    machine.expect(rf"^{digest}  /mnt/data")
    machine.expect(rf"^{digest}  /mnt/copy")
    machine.expect(r"vitrine: status 0")
    machine.expect_end()
    wrong = session.images.check_ext2(image, "copy", digest)
    if wrong:
        raise GuestFailed(wrong)
    return "read, written, checksums right on both sides"


def linux_virtio(session):
    """Virtio devices, one disk for each kind of driver: copied from one to the other, a reset between, compared; random
    numbers; a talk on the console; memory given back; power off."""
    suffix = "-qemu.img" if session.is_qemu else ".img"
    first, digest = session.images.ext2_disk("ext2-modern" + suffix)
    second, _ = session.images.ext2_disk("ext2-legacy" + suffix)
    random = ["dd if=/dev/hwrng of=/random bs=256 count=16", "sha256sum /random", "wc -c /random"]
    commands = "; ".join([
        "virtio /dev/vdb", "mkdir /old", "mount -t ext4 /dev/vda /mnt", "mount -t ext4 /dev/vdb /old",
        "if [ -e /old/copy ]", "then sha256sum /old/copy", "dd if=/old/copy of=/mnt/copy bs=64k", "umount /mnt", "umount /old",
        "else sha256sum /mnt/data", "dd if=/mnt/data of=/old/copy bs=64k", "umount /mnt", "umount /old", "reboot -f", "fi",
        "cat /sys/class/misc/hw_random/rng_current", *random, *random,
        "echo hello from the guest >/dev/hvc0", "read line </dev/hvc0", "echo heard: $line"])
    with tempfile.TemporaryDirectory(prefix="vitrine-hvc-") as folder:
        # The legacy disk with the interrupt pin, the other with messages.
        machine = session.start(
            "-m", "128", *SERIAL, "-kernel", session.images.linux(), "-initrd", session.images.initramfs(),
            "-append", f"{QUICK} vitrine.run={commands.replace(' ', '+')}",
            "-drive", f"file={first},format=raw,if=none,id=new", "-device", "virtio-blk-pci,drive=new,disable-legacy=on",
            "-drive", f"file={second},format=raw,if=none,id=old", "-device", "virtio-blk-pci,drive=old,disable-modern=on,vectors=0",
            "-device", "virtio-rng-pci", "-device", "virtio-balloon-pci",
            "-chardev", f"socket,path={folder}/hvc0,server=on,wait=off,id=hvc",
            "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=hvc")
        # From the start on: what is said when nobody listens is lost.
        with machine.connect(f"{folder}/hvc0") as console:
            machine.expect(USERLAND)
            machine.expect(rf"^{digest}  /mnt/data")
            machine.expect(USERLAND)
            machine.expect(rf"^{digest}  /old/copy")
            machine.expect(r"^virtio_rng")
            numbers = []
            for _ in range(2):
                numbers.append(machine.expect(r"^([0-9a-f]{64})  /random").group(1))
                machine.expect(r"^4096 /random")
            if numbers[0] == numbers[1]:
                raise GuestFailed("/dev/hwrng repeats itself")
            heard = b""
            while b"hello from the guest" not in heard:
                heard += console.recv(1000)
            machine.monitor("balloon 80")
            while "actual=80" not in machine.monitor("info balloon"):
                machine.rest()
            console.sendall(b"hello from outside\n")
            machine.expect(r"^heard: hello from outside")
            machine.expect(r"vitrine: status 0")
            machine.expect_end()
    for image in first, second:
        wrong = session.images.check_ext2(image, "copy", digest)
        if wrong:
            raise GuestFailed(f"{image}: {wrong}")
    return "modern and legacy disk, reset between, right on both sides; hwrng, hvc0, balloon"


def linux_killed(session):
    """What the guest was told is on the disk is there when the program has been killed."""
    image, digest = session.images.ext2_disk("ext2-killed-qemu.img" if session.is_qemu else "ext2-killed.img")
    disk = ["-drive", f"file={image},format=raw,if=ide"]
    commands = ";".join(["disks", "mount -t ext4 /dev/sda /mnt", "dd if=/mnt/data of=/mnt/copy bs=64k", "sync",
                         "echo on the disk", "while true; do sleep 1; done"])
    machine = boots_to_userland(session, "-m", "128", *disk, commands=commands, command_line=QUICK, end=False)
    machine.expect(r"^on the disk")
    machine.kill()
    wrong = session.images.check_ext2(image, "copy", digest, clean=False)
    if wrong:
        raise GuestFailed(wrong)
    commands = ";".join(["disks", "mount -t ext4 /dev/sda /mnt", "sha256sum /mnt/copy", "umount /mnt"])
    machine = boots_to_userland(session, "-m", "128", *disk, commands=commands, command_line=QUICK, end=False)
    machine.expect(rf"^{digest}  /mnt/copy")
    machine.expect(r"vitrine: status 0")
    machine.expect_end()
    return "killed after sync: right on both sides"


def linux_avx(session):
    with open("/proc/cpuinfo", encoding="ascii") as file:
        if not re.search(r"\bavx2\b", file.read()):
            raise images.MissingGuest("this host's processor has no AVX2")
    machine = boots_to_userland(session, "-m", "128", "-cpu", "max", initramfs=session.images.ymm_initramfs(),
                                command_line=TUNED, commands="grep -q avx2 /proc/cpuinfo && ymm_state", end=False)
    machine.expect(r"YMM registers were kept")
    machine.expect(r"vitrine: status 0")
    return "three processes keep their YMM registers"


def linux_virtual_time(session):
    """Two boots in virtual time, one interpreted, write the same bytes, kernel's time stamps included."""
    if session.is_qemu:
        raise images.MissingGuest("QEMU's virtual time is another matter")
    outputs = []
    for engine in [], ["--engine=interpret"]:
        machine = boots_to_userland(session, *engine, "-m", "128", "--clock=virtual", "-rtc", "base=2026-01-31", command_line=QUICK)
        outputs.append(machine.output())
    if outputs[0] != outputs[1]:
        lines = zip(outputs[0].splitlines(), outputs[1].splitlines())
        raise GuestFailed("\n".join(next(([a, b] for a, b in lines if a != b), ["the lengths differ"])))
    return f"two boots, the same {len(outputs[0])} bytes"


def isolinux_cdrom(session):
    image = session.images.isolinux_cdrom("console=ttyS0 panic=-1 vitrine.run=disks;sha256sum+/dev/sr0")
    machine = session.start("-m", "128", *SERIAL, "-no-reboot", "-boot", "d", "-cdrom", image)
    machine.expect(r"boot: ")
    machine.type("linux\r")
    machine.expect(USERLAND)
    digest = subprocess.run(["sha256sum", image], capture_output=True, check=True).stdout.decode().split()[0]
    machine.expect(rf"^{digest}  /dev/sr0")
    machine.expect(r"vitrine: status 0")
    machine.expect_end()
    return "boot:, Linux from the CD, which it reads"


# The teaching kernel.


def teaching(session, *options):
    machine = session.start("-m", "64", *SERIAL, "-no-reboot", *options)
    match = machine.expect(r"^all tests passed|^\d+ tests? failed|panic")
    if match.group(0) != "all tests passed":
        raise GuestFailed(machine.tail(40))
    machine.expect_end()
    return "all tests passed"


def built(session, name):
    path = pathlib.Path(session.built_guests, name)
    if not path.exists():
        raise images.MissingGuest(f"{path} (cmake --build … --target guests)")
    return str(path)


def pane_memory(session):
    return teaching(session, "-kernel", built(session, "pane.elf"), "-append", "test", "-initrd", built(session, "pane-fs.img"))


def pane_ide(session):
    image = built(session, "pane-fs.img")
    return teaching(session, "-kernel", built(session, "pane.elf"), "-append", "test",
                    "-drive", f"file={image},format=raw,snapshot=on")


def pane_two_processors(session):
    image = built(session, "pane-fs.img")
    return teaching(session, "-smp", "2", "-kernel", built(session, "pane.elf"), "-append", "test",
                    "-drive", f"file={image},format=raw,snapshot=on")


def pane_disk_boot(session):
    image = built(session, "pane-test.img")
    return teaching(session, "-drive", f"file={image},format=raw,snapshot=on")


# The kernel that asks the monitor has to have asked it, and to do without one.


def pane_paravirtual(session, *options):
    image = built(session, "pane-fs.img")
    machine = session.start("-m", "64", *SERIAL, "-no-reboot", *options, "-kernel", built(session, "pane-pv.elf"),
                            "-append", "test", "-drive", f"file={image},format=raw,snapshot=on")
    machine.expect(r"^paravirtual: asking the monitor")
    match = machine.expect(r"^all tests passed|^\d+ tests? failed|panic")
    if match.group(0) != "all tests passed":
        raise GuestFailed(machine.tail(40))
    machine.expect_end()
    return "all tests passed"


def pane_paravirtual_two_processors(session):
    return pane_paravirtual(session, "-smp", "2")


def pane_paravirtual_alone(session):
    return teaching(session, "-cpu", "max,-hypercalls", "-kernel", built(session, "pane-pv.elf"), "-append", "test",
                    "-initrd", built(session, "pane-fs.img"))


ROWS = [
    Row("0", "seabios", "SeaBIOS without a disk", seabios_no_device, quick=True),
    Row("1", "u-boot", "U-Boot ROM", u_boot, quick=True),
    Row("2", "linux-direct", "Debian's kernel, direct entry", linux_direct, quick=True),
    Row("3", "syslinux", "syslinux floppy", syslinux_floppy, quick=True),
    Row("4a", "grub-floppy", "GRUB rescue, floppy", grub_floppy, quick=True),
    Row("4b", "grub-cdrom", "GRUB rescue, CD", grub_cdrom, quick=True),
    Row("4c", "grub-disk", "GRUB rescue, the CD as a disk", grub_disk, quick=True),
    Row("4d", "grub-virtio", "GRUB rescue, the CD as a virtio disk", grub_virtio, quick=True),
    Row("5", "mach", "GNU Mach, multiboot", mach, quick=True),
    Row("6", "ipxe", "iPXE", ipxe, quick=True),
    Row("7a", "linux-shipped", "Debian's bzImage as shipped", linux_shipped),
    Row("7b", "linux-default", "… unpacked, default command line", linux_default),
    Row("7c", "linux-smp", "… two processors", linux_two_processors, quick=True),
    Row("7d", "linux-virtual", "… twice in virtual time", linux_virtual_time, quick=True),
    Row("7e", "linux-avx", "… programs that use AVX2", linux_avx, quick=True),
    Row("8a", "linux-disk", "… with an ext2 disk", linux_disk),
    Row("8b", "linux-killed", "… with an ext2 disk, killed", linux_killed),
    Row("8c", "linux-virtio", "… with virtio devices", linux_virtio, quick=True),
    Row("9", "isolinux", "isolinux CD with Debian's kernel", isolinux_cdrom),
    Row("10", "linux-pae", "Debian's PAE kernel", linux_pae),
    Row("11", "memtest", "memtest86+, 8 MB", memtest),
    Row("12", "installer", "Debian's installer, from the network's initrd", installer),
    Row("p1", "pane-memory", "teaching kernel, disk in memory", pane_memory, quick=True),
    Row("p2", "pane-ide", "teaching kernel, IDE disk", pane_ide, quick=True),
    Row("p3", "pane-smp", "teaching kernel, two processors", pane_two_processors, quick=True),
    Row("p4", "pane-disk-boot", "teaching kernel, boots from its disk", pane_disk_boot, quick=True),
    Row("p5", "pane-pv", "teaching kernel, asks the monitor", pane_paravirtual, quick=True),
    Row("p6", "pane-pv-smp", "… two processors", pane_paravirtual_two_processors, quick=True),
    Row("p7", "pane-pv-alone", "… finds nobody to ask", pane_paravirtual_alone, quick=True),
]
