// The options of `vitrine run`: one row each. --help is made from it, and the manual page is checked against
// it.

#include "cli/option_handlers.h"

namespace vitrine::cli {
namespace {

using enum OptionGroup;

constexpr Option kOptions[] = {
    {"machine", "TYPE[,acpi=off]", Machine, "pc (default) or isapc; 'help' lists them", option_machine},
    {"M", "TYPE", Machine, "the same", option_machine},
    {"cpu", "MODEL[,+FEATURE][,-FEATURE]", Machine, "the processor that the guest sees; 'help' lists them",
     option_cpu},
    {"smp", "N", Machine, "number of processors", option_smp},
    {"m", "SIZE", Machine, "memory: 512 (megabytes), 512M, 1G (default 128M)", option_memory},
    {"vga", "std|none", Machine, "the display adapter", option_vga},
    {"no-acpi", "", Machine, "no ACPI tables", option_no_acpi},
    {"device", "DEVICE", Machine, "virtio-blk-pci, isa-debug-exit …; 'help' lists them and their properties",
     option_device},
    {"global", "isa-debugcon.iobase=PORT", Machine, "port of the debug console", option_global},
    {"name", "NAME", Machine, "name of the machine", option_name},
    {"engine", "NAME", Machine, "translate (default), interpret, trap, lockstep, lockstep-trap; see 'help'",
     option_engine},
    {"shadow", "POLICY", Machine,
     "how shadow page tables are kept: unsync (default), proactive, ondemand; see 'help'", option_shadow},
    {"views", "two|one", Machine, "windows of each address space: kernel's and user's (default), or one",
     option_views},
    {"fills", "first|again", Machine,
     "a page comes into a window by its first access, or once it is used again (default)", option_fills},

    {"bios", "FILE|none", Boot, "firmware instead of SeaBIOS; none: the kernel starts without", option_bios},
    {"L", "DIR", Boot, "look for firmware here first", option_firmware_directory},
    {"kernel", "FILE", Boot, "boot this bzImage or multiboot kernel", option_kernel},
    {"initrd", "FILE[ ARGS][,FILE…]", Boot, "initial RAM disk, or multiboot modules", option_initrd},
    {"append", "TEXT", Boot, "the kernel's command line", option_append},
    {"unpack-kernel", "on|off", Boot, "unpack a bzImage here and not in the guest (default on)",
     option_unpack_kernel},
    {"boot", "ORDER[,once=ORDER][,menu=on]", Boot, "a, b: floppy; c: disk; d: CD-ROM (default cad)",
     option_boot},
    {"fw_cfg", "NAME,file=FILE|string=TEXT", Boot, "a file for the firmware", option_fw_cfg},

    {"drive", "file=FILE[,PROPERTY…]", Drives,
     "if=ide|floppy|virtio|none, id=ID, index=N, media=cdrom, snapshot=on, readonly=on", option_drive},
    {"hda", "FILE", Drives, "first hard disk; also a FILE without an option", option_hda},
    {"hdb", "FILE", Drives, "second hard disk", option_hdb},
    {"hdc", "FILE", Drives, "third hard disk, in the CD-ROM's place", option_hdc},
    {"hdd", "FILE", Drives, "fourth hard disk", option_hdd},
    {"cdrom", "FILE", Drives, "CD-ROM", option_cdrom},
    {"fda", "FILE", Drives, "first floppy", option_fda},
    {"fdb", "FILE", Drives, "second floppy", option_fdb},
    {"snapshot", "", Drives, "forget all writes to disks at the end", option_snapshot},

    {"serial", "DEVICE", Characters,
     "stdio, mon:stdio, file:, pty, tcp:, unix:, null, none; up to four times", option_serial},
    {"debugcon", "DEVICE", Characters, "what the guest writes to port 0xe9", option_debugcon},
    {"monitor", "DEVICE", Characters, "where the monitor is", option_monitor},
    {"chardev", "BACKEND,id=ID[,…]", Characters, "a device that others name with chardev:ID", option_chardev},
    {"nographic", "", Characters, "serial line and monitor on this terminal (Ctrl-a h for help)",
     option_nographic},
    {"display", "none", Characters, "no window, and nothing on this terminal", option_display},
    {"parallel", "none", Characters, "there is no parallel port", option_parallel},

    {"rtc", "base=utc|localtime|DATE[,clock=host|vm]", Time, "what the real-time clock shows at power-on",
     option_rtc},
    {"clock", "real|virtual[,ns=N]", Time,
     "virtual: N nanoseconds for each instruction, the same on every run", option_clock},
    {"icount", "shift=N", Time, "the same as --clock=virtual,ns=2^N", option_icount},

    {"S", "", Running, "start paused; the monitor's 'cont' starts", option_paused},
    {"no-reboot", "", Running, "a reset ends the machine", option_no_reboot},
    {"stats", "[=table|json][,file=FILE]", Running,
     "at the end, says what happened how often and what it cost", option_stats},
    {"no-shutdown", "", Running, "power-off pauses the machine", option_no_shutdown},
    {"nodefaults", "", Running, "no device that was not asked for", option_nodefaults},
    {"sandbox", "on|off", Running, "off: a guest that breaks out has all of your rights (default on)",
     option_sandbox},
    {"files", "DIR", Running,
     "let the monitor write files beneath this directory, too; may be given several times", option_files},
    {"pidfile", "FILE", Running, "write the process number here", option_pidfile},

    {"gdb", "tcp::PORT|unix:PATH", Debugging, "listen for gdb", option_gdb},
    {"s", "", Debugging, "the same as -gdb tcp::1234", option_gdb_default},
    {"d", "ITEM,…", Debugging, "log events; 'help' lists the items", option_log},
    {"D", "FILE", Debugging, "log to this file instead of standard error", option_log_file},

    {"net", "none", Compatibility, "there is no network", option_net},
    {"nic", "none", Compatibility, "there is no network", option_nic},
    {"accel", "NAME", Compatibility, "accepted; see --engine", option_accel},
    {"enable-kvm", "", Compatibility, "accepted; see --engine", option_accel},
    {"no-hpet", "", Compatibility, "accepted: there is none", option_nothing},
    {"no-user-config", "", Compatibility, "accepted: none is read", option_nothing},
};

}  // namespace

std::span<const Option> run_options() {
  return kOptions;
}

}  // namespace vitrine::cli
