"""Makes what the speed bench runs: the programs, the initramfs that holds them, a disk, a ROM, and Debian's kernel in
the forms that QEMU and Vitrine can start without anybody's unpacking it."""
import lzma
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCES = HERE / "programs"
FLAGS = ("-m32 -O2 -static -nostdlib -ffreestanding -std=gnu17 -fno-pie -no-pie -fno-stack-protector -fcf-protection=none "
         "-fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -fno-math-errno -Wall -Wextra -Wshadow "
         "-Werror").split()
SSE_FLAGS = ["-msse2", "-mfpmath=sse"]

INIT = """#!/bin/sh
# Runs each line that comes over the serial line, and says how it ended.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
. /bin/.functions
# insmod does not read the kernel's command line: hand libata its option, before `disks` loads the rest.
libata() {
  for module in scsi_common scsi_mod; do insmod /lib/modules/$module.ko; done
  insmod /lib/modules/libata.ko $(tr ' ' '\\n' </proc/cmdline | busybox sed -n 's/^libata\\.//p')
}
busybox stty -echo
echo @init
while read -r line; do
  eval "$line"
  echo "@status $?"
done
"""


def compile_program(source, target, flags=()):
    runtime = [] if source.stem == "nothing" else [SOURCES / "runtime.c"]
    inputs = [source, *runtime, *SOURCES.glob("*.h"), pathlib.Path(__file__)]
    if target.exists() and all(path.stat().st_mtime < target.stat().st_mtime for path in inputs):
        return
    subprocess.run(["gcc", *FLAGS, *flags, "-o", target, source, *runtime, "-lgcc"], check=True)


def make_programs(folder, sse):
    """`sse`: the programs that are built for SSE2 too, as NAME_sse."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCES.glob("*.c")):
        if source.stem == "runtime":
            continue
        compile_program(source, folder / source.stem)
        if source.stem in sse:
            compile_program(source, folder / f"{source.stem}_sse", SSE_FLAGS)
    shutil.copy(SOURCES / "shell_loop.sh", folder)
    return folder


def make_initramfs(programs, guests, folder):
    target = folder / "initramfs.cpio.gz"
    with tempfile.TemporaryDirectory(dir=folder) as name:  # two runs at a time do not get in each other's way
        overlay, fresh = pathlib.Path(name) / "overlay", pathlib.Path(name) / "initramfs"
        shutil.copytree(programs, overlay / "rows")
        (overlay / "init").write_text(INIT)
        (overlay / "init").chmod(0o755)
        subprocess.run([ROOT / "scripts/make-initramfs", guests, overlay, fresh], check=True)
        fresh.replace(target)
    return target


def make_disk(path):
    """24 MiB; in the first 16, each word of 32 bits holds its own offset (programs/disk.c)."""
    if not path.exists():
        with open(path, "wb") as file:
            file.write(struct.pack("<4194304I", *range(0, 16 << 20, 4)))
            file.truncate(24 << 20)
    return path


# Writes '!' and a line feed to the debug port 0xe9, where SeaBIOS writes nothing, then halts.
SIGN = bytes.fromhex("b021 e6e9 b00a e6e9 f4 ebfd".replace(" ", ""))


def make_rom(path):
    """64 KiB whose first instructions give the sign."""
    rom = bytearray(0x10000)
    rom[:len(SIGN)] = SIGN
    rom[0xFFF0:0xFFF5] = bytes.fromhex("ea000000f0")  # jmp 0xf000:0
    path.write_bytes(rom)
    return path


def make_boot_sector(path):
    """A disk of 1 MiB whose boot sector gives the sign."""
    image = bytearray(1 << 20)
    image[:len(SIGN)] = SIGN
    image[510:512] = b"\x55\xaa"
    path.write_bytes(image)
    return path


def unpacked(bzimage):
    """The ELF file in a bzImage, the image's bytes, and the same with the ELF file stored in it (the header's fields:
    Linux's Documentation/x86/boot.rst)."""
    image = bytearray(bzimage.read_bytes())
    protected_part = (image[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = protected_part + offset
    payload = bytes(image[start:start + length])
    elf = lzma.decompress(payload[:-4] if payload[:6] == b"\xfd7zXZ\0" else payload)
    stored = image[:start] + elf + bytes(-(offset + len(elf)) % 16)
    struct.pack_into("<I", stored, 0x24C, len(elf))
    struct.pack_into("<I", stored, 0x1F4, (len(stored) - protected_part) // 16)
    return elf, image, stored


class Kernel:
    """Debian's kernel and the files beside it."""

    def __init__(self, guests, initramfs, disk, folder):
        self.bzimage, self.initramfs, self.disk = guests / "vmlinuz-686", initramfs, disk
        elf, image, stored = unpacked(self.bzimage)
        entry, headers = struct.unpack_from("<II", elf, 24)
        self.segments = []
        for index in range(struct.unpack_from("<H", elf, 44)[0]):
            kind, offset, _, physical, size = struct.unpack_from("<IIIII", elf, headers + index * 32)
            if kind == 1:  # PT_LOAD
                path = folder / f"segment-{index}"
                path.write_bytes(elf[offset:offset + size])
                self.segments.append((path, physical))
        # The set-up code jumps to code32_start when it has filled in the boot parameters: here, to the kernel itself.
        struct.pack_into("<I", image, 0x214, entry)
        self.bzimage_to_unpacked = folder / "bzimage-to-unpacked"
        self.bzimage_to_unpacked.write_bytes(image)
        self.bzimage_stored = folder / "bzimage-stored"
        self.bzimage_stored.write_bytes(stored)


def prepare(build, sse):
    """Everything; returns (programs, kernel, options by row of the start, busybox)."""
    subprocess.run([ROOT / "scripts/fetch-linux", "--quiet"], check=True)
    guests, folder = ROOT / ".cache/guests", build / "bench-native"
    programs = make_programs(folder / "rows", sse)
    initramfs = make_initramfs(programs, guests, folder)
    kernel = Kernel(guests, initramfs, make_disk(folder / "disk.img"), folder)
    os.chmod(guests / "busybox", 0o755)
    starts = {"start_ms": ["-bios", make_rom(folder / "first.rom")],
              "boot_sector_ms": ["-drive", f"file={make_boot_sector(folder / 'first.img')},format=raw,snapshot=on"]}
    return programs, kernel, starts, guests / "busybox"
