"""Finds the guests by package name and makes the images they boot from, in .cache/guests/ladder.

Nothing is installed here; what is missing is named (MissingGuest), and the row that needs it is skipped.
"""
import contextlib
import fcntl
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
CACHE = TREE / ".cache" / "guests"

UBOOT = "/usr/lib/u-boot/qemu-x86/u-boot.rom"
GRUB_FLOPPY = "/usr/lib/grub-rescue/grub-rescue-floppy.img"
GRUB_CDROM = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
IPXE = "/boot/ipxe.lkrn"
MEMTEST = "/boot/memtest86+ia32.bin"
ISOLINUX = "/usr/lib/ISOLINUX/isolinux.bin"
LDLINUX = "/usr/lib/syslinux/modules/bios/ldlinux.c32"


class MissingGuest(Exception):
    """A package (or what is made from it) is not here."""


class ImageFailed(Exception):
    """A tool that makes an image failed."""


def package_file(path, package):
    if not os.access(path, os.R_OK):
        raise MissingGuest(f"package {package} ({path})")
    return path


def tool(name, package):
    # A user's PATH may lack the folders of the file system tools.
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise MissingGuest(f"package {package} ({name})")
    return found


def command(*words, **keywords):
    done = subprocess.run([str(word) for word in words], capture_output=True, check=False, **keywords)
    if done.returncode:
        raise ImageFailed(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stderr.decode('utf-8', 'replace')}")
    return done.stdout


class Images:
    def __init__(self, fetch):
        self._fetch = fetch
        self._temporary = None
        folder = CACHE / "ladder"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            pass
        if not os.access(folder, os.W_OK):
            self._temporary = tempfile.TemporaryDirectory(prefix="vitrine-images-")
            folder = pathlib.Path(self._temporary.name)
        self.folder = folder

    def close(self):
        if self._temporary:
            self._temporary.cleanup()

    @contextlib.contextmanager
    def _making(self, name):
        """A new file that becomes `name` when it is complete, so that others never see half of it."""
        handle, path = tempfile.mkstemp(prefix=name + ".", dir=self.folder)
        os.close(handle)
        try:
            yield path
            os.replace(path, self.folder / name)
        finally:
            pathlib.Path(path).unlink(missing_ok=True)

    # What scripts/fetch-linux brings.

    def _fetched(self, name, *options):
        path = CACHE / name
        if not path.exists() and self._fetch:
            CACHE.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "fetching", "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.exists():
                    subprocess.run([TREE / "scripts" / "fetch-linux", "--quiet", *options], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if not path.exists():
            raise MissingGuest(f".cache/guests/{name} (scripts/fetch-linux {' '.join(options)})".replace(" )", ")"))
        return str(path)

    def linux(self):
        return self._fetched("vmlinuz-686")

    def linux_pae(self):
        return self._fetched("vmlinuz-686-pae", "--pae")

    def initramfs(self):
        path = self._fetched("initramfs.cpio.gz")
        script = TREE / "scripts" / "make-initramfs"
        with open(self.folder / "making-initramfs", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if script.stat().st_mtime > os.stat(path).st_mtime and os.access(CACHE, os.W_OK):
                command(script, CACHE)
        return path

    def mach(self):
        packed = self._fetched("gnumach.gz", "--mach")
        with self._making("gnumach") as path, gzip.open(packed) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)
        return str(self.folder / "gnumach")

    def installer(self):
        """Debian's installer: the kernel and its initrd."""
        return self._fetched("installer-vmlinuz", "--installer"), self._fetched("installer-initrd.gz", "--installer")

    # What is made here.

    def syslinux_floppy(self):
        """A FAT floppy with syslinux on the serial line, and memtest86+ as the kernel to choose."""
        mformat, mcopy = tool("mformat", "mtools"), tool("mcopy", "mtools")
        syslinux = tool("syslinux", "syslinux")
        kernel = package_file(MEMTEST, "memtest86+")
        environment = dict(os.environ, MTOOLS_SKIP_CHECK="1")
        with self._making("syslinux.img") as path:
            os.truncate(path, 1440 * 1024)
            command(mformat, "-i", path, "-f", "1440", "::", env=environment)
            command(syslinux, "--install", path, env=environment)
            configuration = "SERIAL 0 115200\nPROMPT 1\nTIMEOUT 0\nDEFAULT none\n" \
                "LABEL memtest\n  KERNEL memtest\n  APPEND console=ttyS0,115200\n"
            command(mcopy, "-i", path, "-", "::syslinux.cfg", input=configuration.encode(), env=environment)
            command(mcopy, "-i", path, kernel, "::memtest", env=environment)
        return str(self.folder / "syslinux.img")

    def ymm_initramfs(self):
        """The initramfs with ymm_state, compiled for AVX2."""
        guests = pathlib.Path(self.initramfs()).parent
        with tempfile.TemporaryDirectory(dir=self.folder) as overlay:
            (pathlib.Path(overlay) / "bin").mkdir()
            command(tool("gcc", "gcc-multilib"), "-m32", "-O2", "-mavx2", "-mfma", "-static",
                    "-o", f"{overlay}/bin/ymm_state", TREE / "tests/guests/ymm_state.c")
            with self._making("ymm.cpio.gz") as path:
                command(TREE / "scripts/make-initramfs", guests, overlay, path)
        return str(self.folder / "ymm.cpio.gz")

    def isolinux_cdrom(self, command_line, name="isolinux.iso", prompt=True):
        """An El Torito CD with isolinux, Debian's kernel and the initramfs. Without a prompt it boots at once."""
        xorriso = tool("xorriso", "xorriso")
        with tempfile.TemporaryDirectory(dir=self.folder) as root:
            shutil.copy(package_file(ISOLINUX, "isolinux"), root)
            shutil.copy(package_file(LDLINUX, "syslinux-common"), root)
            shutil.copy(self.linux(), root + "/vmlinuz")
            shutil.copy(self.initramfs(), root + "/initramfs.gz")
            with open(root + "/isolinux.cfg", "w", encoding="ascii") as file:
                file.write(f"SERIAL 0 115200\nPROMPT {int(prompt)}\nTIMEOUT 0\nDEFAULT linux\nLABEL linux\n  KERNEL vmlinuz\n"
                           f"  APPEND initrd=initramfs.gz {command_line}\n")
            with self._making(name) as path:
                command(xorriso, "-as", "mkisofs", "-quiet", "-o", path, "-b", "isolinux.bin", "-c", "boot.cat",
                        "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", root)
        return str(self.folder / name)

    def ext2_disk(self, name):
        """An ext2 disk of 16 MB with 3 MB of patterned data. Gives its path and the data's SHA-256."""
        genext2fs = tool("genext2fs", "genext2fs")
        data = b"".join(hashlib.sha512(number.to_bytes(4, "little")).digest() for number in range(48 * 1024))
        with tempfile.TemporaryDirectory(dir=self.folder) as root:
            pathlib.Path(root, "data").write_bytes(data)
            with self._making(name) as path:
                command(genext2fs, "-B", "1024", "-b", "16384", "-d", root, path)
        return str(self.folder / name), hashlib.sha256(data).hexdigest()

    def check_ext2(self, path, file, digest, clean=True):
        """Why the file system, or a file on it, is not as it must be; None: all is well. `clean`: it was unmounted."""
        checked = subprocess.run([tool("e2fsck", "e2fsprogs"), "-fn", path], capture_output=True, check=False)
        if clean and checked.returncode:
            return "e2fsck: " + checked.stdout.decode("utf-8", "replace")
        contents = command(tool("debugfs", "e2fsprogs"), "-R", f"cat {file}", path)
        if hashlib.sha256(contents).hexdigest() != digest:
            return f"{file} on the disk is not what the guest wrote ({len(contents)} bytes)"
        return None
