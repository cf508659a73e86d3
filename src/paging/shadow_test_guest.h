// A guest for the tests of the shadow windows: RAM, page tables in it, and a probe that tells what a window
// shows without faulting.
#pragma once

#include <gtest/gtest.h>
#include <sys/uio.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "memory/physical_map.h"
#include "paging/shadow_spaces.h"
#include "x86/control_registers.h"
#include "x86/page_entries.h"

namespace vitrine::paging {

/// A byte of this process, or nothing where it may not be read.
inline std::optional<uint8_t> probe_read(MachineAddress where) {
  uint8_t byte = 0;
  iovec local{&byte, 1};
  iovec remote{where.value, 1};
  if (::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) != 1) return std::nullopt;
  return byte;
}

/// Whether the byte was written.
inline bool probe_write(MachineAddress where, uint8_t byte) {
  iovec local{&byte, 1};
  iovec remote{where.value, 1};
  return ::process_vm_writev(::getpid(), &local, 1, &remote, 1, 0) == 1;
}

class ShadowGuest : public testing::Test, public ShadowListener {
 protected:
  static constexpr uint64_t kRamSize = 64 << 20;
  static constexpr uint32_t kDirectory = 0x1000;
  static constexpr uint32_t kTables = 0x100000;  // table i at kTables + i * 4096

  ShadowGuest() : ram_(memory::RamBlock::create("ram", kRamSize).value()) {
    memory_.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram_, 0));
    registers_.cr0 = x86::kCr0Pe | x86::kCr0Pg | x86::kCr0Wp;
    registers_.cr3 = kDirectory;
    registers_.cr4 = x86::kCr4Pse | x86::kCr4Pge;
  }

  void start(const ShadowSpaces::Options& options = {}) {
    spaces_ = ShadowSpaces::create(memory_, options).value();
    spaces_->set_listener(this);
    spaces_->load(registers_);
  }
  void entries_dropped(ShadowWindow&, VirtualAddress first, uint64_t pages) override {
    ++told_;
    last_told_ = {first.value >> kPageShift, static_cast<uint32_t>(pages)};
  }

  void put(uint64_t address, uint32_t value) { memory_.write(PhysicalAddress(address), 4, value); }
  void put64(uint64_t address, uint64_t value) { memory_.write(PhysicalAddress(address), 8, value); }
  uint32_t get(uint64_t address) { return static_cast<uint32_t>(memory_.read(PhysicalAddress(address), 4)); }
  static uint32_t table(uint32_t address) { return kTables + (address >> 22) * kPageSize; }
  static uint32_t entry_at(uint32_t address) { return table(address) + (address >> 12 & 1023) * 4; }

  /// 32-bit paging: a 4 KiB page, with a table where there is none yet.
  void map(uint32_t address, uint32_t frame, uint32_t flags) {
    put(registers_.cr3 + (address >> 22) * 4, table(address) | 7 | x86::kPageAccessed);
    put(entry_at(address), frame | flags);
  }

  FillOutcome fill(uint32_t address, AccessKind kind, Privilege privilege = Privilege::Supervisor) {
    last_ = spaces_->fill(VirtualAddress(address), kind, privilege);
    return last_.outcome;
  }
  [[nodiscard]] MachineAddress at(uint32_t address, Privilege privilege = Privilege::Supervisor) {
    return spaces_->window(privilege).base() + address;
  }
  std::optional<uint8_t> read(uint32_t address, Privilege privilege = Privilege::Supervisor) {
    return probe_read(at(address, privilege));
  }
  bool write(uint32_t address, uint8_t value, Privilege privilege = Privilege::Supervisor) {
    return probe_write(at(address, privilege), value);
  }

  std::unique_ptr<memory::RamBlock> ram_;
  memory::PhysicalMap memory_;
  PagingRegisters registers_;
  std::unique_ptr<ShadowSpaces> spaces_;
  FillResult last_;
  int told_ = 0;
  PageRun last_told_;
};

}  // namespace vitrine::paging
