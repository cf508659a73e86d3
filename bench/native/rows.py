"""The rows of the speed bench: what is run, in which group, and the bar that each group has to reach."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    group: str
    program: str = ""           # the executable's name; the row's own if empty
    words: tuple = ()           # further words on its command line
    unit: str = "ms"            # of one repetition: ms or us
    step: int = 1               # the number of repetitions is a multiple of this
    native: bool = True         # there is a native process to compare with
    limit: int = 0              # at most so many repetitions (0: none)
    bytes: int = 0              # in one repetition: the table shows MB/s as well


INTEGER = [Row(name, "integer") for name in (
    "integer_mix", "sort", "fibonacci", "ackermann", "sieve", "hash_table", "pointer_chase", "virtual_dispatch", "strings",
    "compress", "bytecode_switch", "bytecode_goto", "sha256", "parser")]
FLOAT_PROGRAMS = ("matrix_float", "matrix_double", "nbody_float", "nbody_double", "mandelbrot")
FLOAT = [Row(name, "float") for name in FLOAT_PROGRAMS]
SSE = [Row(name + "_sse", "sse") for name in FLOAT_PROGRAMS]

# BUSYBOX is replaced by where the system has it, NOTHING likewise.
PROCESS = [
    Row("fork_exit", "process", unit="us"),
    Row("fork_write", "process", unit="us"),
    Row("fork_exec", "process", words=("NOTHING",), unit="us"),
    Row("fork_exec_busybox", "process", program="fork_exec", words=("BUSYBOX", "true"), unit="us"),
    Row("shell_loop", "process", program="shell_loop.sh", words=("BUSYBOX",), unit="us", step=300),
    Row("pipe_ping_pong", "process", unit="us"),
    Row("context_switch_2", "process", program="context_switch", words=("2",), unit="us", step=64),
    Row("context_switch_8", "process", program="context_switch", words=("8",), unit="us", step=64),
    Row("context_switch_32", "process", program="context_switch", words=("32",), unit="us", step=64),
    Row("signal", "process", unit="us"),
    Row("page_fault", "process", unit="us", step=1024),
    Row("page_fault_write", "process", unit="us", step=1024),
    Row("map_unmap", "process", unit="us"),
]
SYSTEM = [
    Row("getppid", "system", unit="us"),
    Row("getppid_int80", "system", unit="us"),
    Row("timer_interrupt", "system", unit="us", limit=500),
]
SERIAL = [Row("serial_output", "io", unit="us", native=False, limit=4096, bytes=64)]
PIECE = 64 << 10


def disk_rows(kind, device):
    return [Row(f"disk_{way}_{kind}", "io", program="disk", words=(way, device), unit="us", native=False, bytes=PIECE)
            for way in ("read", "write")]


DISK_DMA = disk_rows("dma", "/dev/sda")
DISK_PIO = disk_rows("pio", "/dev/sda")
DISK_VIRTIO = disk_rows("virtio", "/dev/vda")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One way to boot the kernel, and the rows that run there."""
    name: str
    options: str                # added to the kernel's command line
    rows: tuple
    disk: str = ""              # what it is attached to: ide or virtio


SETTINGS = [
    Setting("default", "", tuple(INTEGER + FLOAT + SSE + PROCESS + SYSTEM + SERIAL)),
    Setting("mitigations=off", "mitigations=off", tuple(PROCESS + SYSTEM)),
    Setting("disk, DMA", "", tuple(DISK_DMA), disk="ide"),
    Setting("disk, PIO", "libata.dma=0", tuple(DISK_PIO), disk="ide"),
    Setting("disk, virtio", "", tuple(DISK_VIRTIO), disk="virtio"),
]


@dataclasses.dataclass(frozen=True)
class Bar:
    """What a group has to reach. `native`: our time over native; `tcg`: TCG's time over ours. None: no bar."""
    native_mean: float = None
    native_worst: float = None
    tcg_mean: float = None
    tcg_worst: float = None


# The bar on native time holds for all computation together: the report adds the group "computation".
BARS = {
    "computation": Bar(native_mean=1.15, native_worst=1.5, tcg_worst=1),
    "integer": Bar(tcg_mean=3.5),
    "float": Bar(tcg_mean=15),
    "sse": Bar(),
    "process": Bar(tcg_mean=2, tcg_worst=1),
    "system": Bar(tcg_worst=1),
    "io": Bar(tcg_worst=1),
    "boot": Bar(tcg_worst=3),
    "teaching": Bar(tcg_worst=3),
}
LIMITS = {"start_ms": 20, "boot_sector_ms": 150, "beside_ram_mib": 64}
