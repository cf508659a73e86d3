// Options that say what is booted: firmware, kernel, order of drives.

#include <fmt/format.h>

#include <utility>

#include "cli/option_handlers.h"
#include "cli/property_list.h"

namespace vitrine::cli {
namespace {

constexpr size_t kLongestCommandLine = 4096;
constexpr size_t kLongestFirmwareFileName = 55;  // 56 bytes in the device's directory, NUL included

Result<std::string> boot_order(std::string_view property, const std::string& letters) {
  for (size_t i = 0; i < letters.size(); ++i) {
    const char letter = letters[i];
    if (letter == 'n') {
      return std::unexpected(
          Error{fmt::format("-boot {}: there is no network to boot from:", property), letters});
    }
    if (letter < 'a' || letter > 'd') {
      return std::unexpected(Error{fmt::format("-boot {}: not a boot device:", property),
                                   std::string(1, letter), 0,
                                   "a and b are floppies, c the first hard disk, d the first CD-ROM"});
    }
    if (letters.find(letter, i + 1) != std::string::npos) {
      return std::unexpected(Error{fmt::format("-boot {}: named twice:", property), std::string(1, letter)});
    }
  }
  if (letters.empty())
    return std::unexpected(Error{fmt::format("-boot {}: the order is empty", property), ""});
  return letters;
}

}  // namespace

Result<void> option_bios(RunOptions& options, std::string_view argument) {
  options.bios = argument;
  return {};
}

Result<void> option_firmware_directory(RunOptions& options, std::string_view argument) {
  options.firmware_directories.emplace_back(argument);
  return {};
}

Result<void> option_kernel(RunOptions& options, std::string_view argument) {
  options.kernel = argument;
  return {};
}

Result<void> option_initrd(RunOptions& options, std::string_view argument) {
  // "file arguments,file arguments": a doubled comma is a comma. One file is Linux's initial RAM disk,
  // several are multiboot's modules.
  options.initrd.clear();
  options.initrd_argument = argument;
  std::string part;
  const auto finish = [&] {
    const std::string file = part.substr(0, part.find(' '));
    if (!file.empty()) options.initrd.push_back({file, part});
    part.clear();
  };
  for (size_t i = 0; i < argument.size(); ++i) {
    if (argument[i] != ',') {
      part += argument[i];
    } else if (argument.substr(i + 1).starts_with(',')) {
      part += argument[i++];
    } else {
      finish();
    }
  }
  finish();
  if (options.initrd.empty()) return std::unexpected(Error{"-initrd names no file", ""});
  return {};
}

Result<void> option_append(RunOptions& options, std::string_view argument) {
  if (argument.size() > kLongestCommandLine) {
    return std::unexpected(
        Error{fmt::format("-append is longer than {} characters", kLongestCommandLine), ""});
  }
  options.kernel_command_line = argument;
  return {};
}

Result<void> option_unpack_kernel(RunOptions& options, std::string_view argument) {
  const auto value = parse_switch(argument);
  if (!value) return std::unexpected(Error{"--unpack-kernel is on or off, not", std::string(argument)});
  options.unpack_kernel = *value;
  return {};
}

Result<void> option_boot(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-boot", argument, "order"));
  if (const auto order = properties.take("order")) options.boot.order = TRY(boot_order("order", *order));
  if (const auto once = properties.take("once")) options.boot.once = TRY(boot_order("once", *once));
  if (const auto menu = TRY(properties.take_switch("menu"))) options.boot.menu = *menu;
  if (const auto strict = TRY(properties.take_switch("strict"))) options.boot.strict = *strict;
  if (const auto wait = TRY(properties.take_number("splash-time", 65535))) {
    options.boot.menu_wait_ms = static_cast<unsigned>(*wait);
  }
  return properties.nothing_left("order, once, menu, splash-time, strict");
}

Result<void> option_fw_cfg(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-fw_cfg", argument, "name"));
  FirmwareFileOptions file;
  file.name = properties.take("name").value_or("");
  const auto path = properties.take("file");
  const auto contents = properties.take("string");
  if (auto left = properties.nothing_left("name, file, string"); !left) return left;
  if (file.name.empty() || file.name.size() > kLongestFirmwareFileName) {
    return std::unexpected(Error{
        fmt::format("-fw_cfg: a name has 1 to {} characters, not", kLongestFirmwareFileName), file.name});
  }
  if (path.has_value() == contents.has_value()) {
    return std::unexpected(Error{"-fw_cfg needs one of file= and string=", file.name});
  }
  file.file = path.value_or("");
  file.contents = contents.value_or("");
  options.firmware_files.push_back(std::move(file));
  return {};
}

}  // namespace vitrine::cli
