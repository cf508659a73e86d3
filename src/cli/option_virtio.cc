// -device with a virtio device. Which drive or character device is meant is decided when all are known: see
// option_completion.cc.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cli/option_handlers.h"
#include "cli/property_list.h"

namespace vitrine::cli {
namespace {

using devices::VirtioId;
using devices::VirtioInterfaces;

struct DeviceRow {
  std::string_view name;  ///< "-pci" and what follows may be left out.
  VirtioId type;
  std::string_view properties;  ///< Its own, for help…
  std::string_view names;       ///< …and for messages; ends in a comma.
  std::string_view help;
};
constexpr DeviceRow kDevices[] = {
    {"virtio-blk", VirtioId::Block, "drive=ID[,serial=TEXT]", "drive, serial, ",
     "a disk: the -drive with if=none,id=ID"},
    {"virtio-rng", VirtioId::Entropy, "", "", "random numbers, the host's"},
    {"virtio-serial", VirtioId::Console, "", "", "for a virtconsole"},
    {"virtio-balloon", VirtioId::Balloon, "deflate-on-oom=on,free-page-reporting=on",
     "deflate-on-oom, free-page-reporting, ", "gives memory back to the host (monitor: balloon MEGABYTES)"},
};

constexpr std::string_view kConsolePort = "virtconsole";
constexpr size_t kLongestSerial = 20;

/// "virtio-blk-pci-transitional" → "virtio-blk", and which drivers its name says are to find it.
std::pair<std::string_view, std::optional<VirtioInterfaces>> split_name(std::string_view driver) {
  std::optional<VirtioInterfaces> interfaces;
  const auto cut = [&](std::string_view suffix) {
    if (!driver.ends_with(suffix)) return false;
    driver.remove_suffix(suffix.size());
    return true;
  };
  if (cut("-pci-non-transitional")) {
    interfaces = VirtioInterfaces::Modern;
  } else if (cut("-pci-transitional")) {
    interfaces = VirtioInterfaces::Both;
  } else {
    cut("-pci");
  }
  return {driver, interfaces};
}

const DeviceRow* find_device(std::string_view driver) {
  const auto it = std::ranges::find(kDevices, split_name(driver).first, &DeviceRow::name);
  return it == std::end(kDevices) ? nullptr : &*it;
}

Result<void> set_interfaces(VirtioOptions& device, PropertyList& properties) {
  bool no_legacy = false;
  if (const auto value = properties.take("disable-legacy"); value && *value != "auto") {
    const auto on = parse_switch(*value);
    if (!on)
      return std::unexpected(Error{device.option + ": disable-legacy is on, off or auto, not", *value});
    no_legacy = *on;
  }
  const bool no_modern = TRY(properties.take_switch("disable-modern")).value_or(false);
  if (no_legacy && no_modern) {
    return std::unexpected(
        Error{device.option + ": with disable-legacy and disable-modern no driver is left", device.id});
  }
  if (no_legacy) device.interfaces = VirtioInterfaces::Modern;
  if (no_modern) device.interfaces = VirtioInterfaces::Legacy;
  return {};
}

Result<void> set_block_properties(VirtioOptions& device, PropertyList& properties) {
  device.drive_id = properties.take("drive").value_or("");
  device.serial = properties.take("serial").value_or("");
  if (device.drive_id.empty()) {
    return std::unexpected(Error{device.option + " needs drive=ID, of a -drive with if=none", ""});
  }
  if (device.serial.size() > kLongestSerial) {
    return std::unexpected(Error{
        fmt::format("{}: serial has {} characters at most:", device.option, kLongestSerial), device.serial});
  }
  return {};
}

Result<void> set_balloon_properties(const RunOptions& options, VirtioOptions& device,
                                    PropertyList& properties) {
  if (std::ranges::find(options.virtio, VirtioId::Balloon, &VirtioOptions::type) != options.virtio.end()) {
    return std::unexpected(Error{device.option + " is given twice", ""});
  }
  device.deflate_on_out_of_memory = TRY(properties.take_switch("deflate-on-oom")).value_or(false);
  device.free_page_reporting = TRY(properties.take_switch("free-page-reporting")).value_or(false);
  return {};
}

/// The console's end: at the controller that `bus` names, or the last that is free, or at one of its own.
Result<void> add_console_port(RunOptions& options, PropertyList& properties) {
  const auto chardev = properties.take("chardev");
  if (!chardev) return std::unexpected(Error{"-device virtconsole needs chardev=ID", ""});
  (void)properties.take("id");
  (void)properties.take("name");
  const std::string bus = properties.take("bus").value_or("");
  if (auto left = properties.nothing_left("chardev, bus, id, name"); !left) return left;
  VirtioOptions* controller = nullptr;
  for (VirtioOptions& device : options.virtio) {
    const bool named = bus.empty() ? !device.console : bus == device.id + ".0";
    if (device.type == VirtioId::Console && named) controller = &device;
  }
  if (controller == nullptr && !bus.empty()) {
    return std::unexpected(Error{"-device virtconsole: there is no bus", bus, 0,
                                 "-device virtio-serial-pci,id=NAME makes NAME.0"});
  }
  if (controller != nullptr && controller->console) {
    return std::unexpected(Error{"-device virtconsole: there is a console already at", bus, 0,
                                 "a virtio-serial-pci has one: add another"});
  }
  if (controller == nullptr) {
    VirtioOptions device;
    device.option = "-device virtconsole";
    device.type = VirtioId::Console;
    controller = &options.virtio.emplace_back(std::move(device));
  }
  CharacterOptions console;
  console.kind = CharacterOptions::Kind::Reference;
  console.id = *chardev;
  console.text = "chardev:" + *chardev;
  controller->console = std::move(console);
  return {};
}

}  // namespace

bool is_virtio_device(std::string_view driver) {
  return driver == kConsolePort || find_device(driver) != nullptr;
}

Result<void> add_virtio_device(RunOptions& options, std::string_view driver, PropertyList& properties) {
  if (driver == kConsolePort) return add_console_port(options, properties);
  const DeviceRow& row = *find_device(driver);
  VirtioOptions device;
  device.option = fmt::format("-device {}", driver);
  device.type = row.type;
  device.id = properties.take("id").value_or("");
  device.interfaces = split_name(driver).second.value_or(VirtioInterfaces::Both);
  if (auto set = set_interfaces(device, properties); !set) return set;
  // How many there are follows from the queues.
  if (TRY(properties.take_number("vectors", 2048)).value_or(1) == 0) {
    device.interrupts = machine::Interrupts::Pin;
  }
  if (row.type == VirtioId::Block) {
    if (auto set = set_block_properties(device, properties); !set) return set;
  } else if (row.type == VirtioId::Balloon) {
    if (auto set = set_balloon_properties(options, device, properties); !set) return set;
  }
  if (auto left =
          properties.nothing_left(fmt::format("{}id, disable-legacy, disable-modern, vectors", row.names));
      !left) {
    return left;
  }
  options.virtio.push_back(std::move(device));
  return {};
}

std::string virtio_help() {
  std::string text;
  const auto add = [&](std::string left, std::string_view right) {
    text += left.size() <= 38 ? fmt::format("{:<38} {}\n", left, right)
                              : fmt::format("{}\n{:38} {}\n", left, "", right);
  };
  for (const DeviceRow& row : kDevices) {
    add(fmt::format("{}-pci{}{}", row.name, row.properties.empty() ? "" : ",", row.properties), row.help);
  }
  add(fmt::format("{},chardev=ID", kConsolePort),
      "the guest's hvc0, at the virtio-serial-pci before it or its own");
  add("  …,disable-legacy=on|disable-modern=on", "of virtio devices: drivers that do not find them");
  add("  …,vectors=0", "of virtio devices: no MSI-X");
  return text;
}

}  // namespace vitrine::cli
