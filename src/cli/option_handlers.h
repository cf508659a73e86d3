// The handlers of the option table, by subject. Each takes one option's argument into RunOptions.
#pragma once

#include <string>
#include <string_view>

#include "cli/options.h"

namespace vitrine::cli {

using OptionHandler = Result<void>(RunOptions& options, std::string_view argument);

// option_machine.cc
OptionHandler option_machine, option_accel, option_engine, option_shadow, option_views, option_fills,
    option_cpu, option_smp, option_memory, option_name, option_vga, option_no_acpi, option_device,
    option_global, option_nic, option_net, option_display;
// option_boot.cc
OptionHandler option_bios, option_firmware_directory, option_kernel, option_initrd, option_append,
    option_unpack_kernel, option_boot, option_fw_cfg;
// option_drive.cc
OptionHandler option_drive, option_hda, option_hdb, option_hdc, option_hdd, option_fda, option_fdb,
    option_cdrom, option_snapshot;
// option_character.cc
OptionHandler option_serial, option_parallel, option_debugcon, option_monitor, option_chardev,
    option_nographic, option_gdb, option_gdb_default;
// option_running.cc
OptionHandler option_rtc, option_clock, option_icount, option_nodefaults, option_no_reboot, option_stats,
    option_no_shutdown, option_paused, option_log, option_log_file, option_pidfile, option_sandbox,
    option_files, option_nothing;

// option_virtio.cc
class PropertyList;
/// Whether -device's driver is one of virtio's.
[[nodiscard]] bool is_virtio_device(std::string_view driver);
[[nodiscard]] Result<void> add_virtio_device(RunOptions& options, std::string_view driver,
                                             PropertyList& properties);
/// One line each, for -device help.
[[nodiscard]] std::string virtio_help();

/// A character device in the spelling of -serial: "stdio", "file:x", "tcp::4444,server,nowait".
[[nodiscard]] Result<CharacterOptions> parse_character_device(std::string_view option, std::string_view text);

}  // namespace vitrine::cli
