// The firmware configuration device: how the machine's builder tells the BIOS about memory, processors, the
// boot order, option ROMs and tables. Items are numbered; files are items with a name, listed in a directory.
//
// Documentation: QEMU, "Firmware Configuration (fw_cfg) Device" (docs/specs/fw_cfg).
// Implemented: selector (510h), data (511h), DMA (514h, big endian): read, skip, select; signature, ID,
// directory. Missing: items that the guest may write (a DMA write ends in an error), vmcoreinfo. Ignored:
// writes to the data port. Reads past an item's end give zeros; a DMA read more than kMaxPadding past it is
//   an error, so that no request takes unbounded time.
// Contents are configuration: the builder adds them again before a state is restored.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/addresses.h"
#include "base/result.h"
#include "base/shared_bytes.h"
#include "base/state_archive.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class FwCfg : public memory::PortDevice, public Serializable {
 public:
  /// Numbers of the items that are set here. What SeaBIOS 1.16 does with each is said at the setter.
  enum Key : uint16_t {
    kSignature = 0x00,
    kId = 0x01,
    kRamSize = 0x03,
    kProcessors = 0x05,
    kNuma = 0x0d,
    kBootMenu = 0x0e,
    kMaxProcessors = 0x0f,
    kDirectory = 0x19,
    kFirstFile = 0x20,
    kIrq0Override = 0x8002,
  };
  static constexpr uint32_t kMaxPadding = 1 << 20;
  static constexpr size_t kMaxFiles = 256;
  static constexpr size_t kMaxNameLength = 55;

  /// One range of `etc/e820`.
  struct MemoryRange {
    uint64_t start = 0;
    uint64_t size = 0;
    uint32_t type = 1;  ///< 1 usable, 2 reserved, as INT 15h E820h has it.
  };

  /// Answers at 510h–511h and 514h–51Bh. Both maps must outlive the device.
  FwCfg(memory::PortMap& ports, memory::PhysicalMap& memory);
  ~FwCfg() override;

  // Items; a second one of the same number takes the place of the first.
  void add_item(uint16_t key, SharedBytes bytes);
  void add_u16(uint16_t key, uint16_t value);
  void add_u32(uint16_t key, uint32_t value);
  void add_u64(uint16_t key, uint64_t value);
  // Files; the same. Fails on names that are empty or longer than kMaxNameLength, and when there are
  // kMaxFiles.
  [[nodiscard]] Result<void> add_file(std::string_view name, SharedBytes bytes);
  /// A file's contents, or nothing.
  [[nodiscard]] std::span<const uint8_t> file(std::string_view name) const;

  // What SeaBIOS reads.
  /// Items RAM size and the file `etc/e820`, from which SeaBIOS makes its memory map (without: from CMOS).
  void set_memory(uint64_t ram_size, std::span<const MemoryRange> ranges);
  /// Processors present at boot (informative: SeaBIOS counts those that answer and reads CMOS 5Fh) and
  /// possible. `possible` sizes the processor tables. NUMA: none.
  void set_processors(uint16_t present, uint16_t possible);
  /// Whether the boot menu is offered: 1 yes, 0 no.
  void set_boot_menu(uint16_t offered);
  /// Interrupt 0 arrives at pin 2 of the I/O APIC: SeaBIOS says so in its tables.
  void set_irq0_override(uint8_t overridden);
  /// `bootorder`: one Open Firmware path a line.
  [[nodiscard]] Result<void> set_boot_order(std::span<const std::string> paths);
  /// `etc/system-states`: which of S0–S5 exist. S3 does not.
  void set_system_states();

  /// RST#: the selector goes back to the signature.
  void reset();

  [[nodiscard]] std::string_view name() const override { return "fw_cfg"; }
  uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  void serialize(StateArchive& archive) override;

 private:
  struct File {
    std::string name;
    uint16_t key;
  };

  [[nodiscard]] Result<uint16_t> file_key(std::string_view name);
  void rebuild_directory();
  void select(uint16_t key);
  [[nodiscard]] std::span<const uint8_t> rest() const;
  void run_dma(PhysicalAddress descriptor);
  /// The control word to leave behind: zero, or the error bit.
  [[nodiscard]] uint32_t transfer(uint32_t control, uint32_t length, PhysicalAddress address);

  memory::PortMap& ports_;
  memory::PhysicalMap& memory_;
  std::map<uint16_t, SharedBytes> items_;
  std::vector<File> files_;
  uint16_t selected_ = 0;
  uint32_t offset_ = 0;
  uint32_t dma_high_ = 0;
};

}  // namespace vitrine::devices
