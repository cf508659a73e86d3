// The guest's physical address space: which addresses are RAM, ROM, a device's registers, or nothing.
//
//      placements (who put what where, with a priority)          regions (what is found: sorted, disjoint)
//      ┌───────────── RAM, priority 0 ──────────────┐
//            ┌─ VGA window, 1 ─┐  ┌─ BIOS shadow, 1 ─┐    ──►   RAM │ VGA │ RAM │ ROM │ RAM │ nothing …
//
// Placements come and go while the guest runs (PAM registers, PCI BARs, A20); each change makes the
// regions anew, raises generation() and tells every listener, which then forgets cached translations.
//
// Every write to guest memory that does not come from a vCPU's own fast path (DMA, loaders, debugger)
// goes through write() or note_write(), which tells the watcher of the page. See docs/memory.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/addresses.h"
#include "inspect/device_counters.h"
#include "memory/map_observers.h"
#include "memory/ram_block.h"
#include "memory/unmapped_listener.h"

namespace vitrine::memory {

/// A device's registers in the physical address space. Accesses are 1, 2, 4 or 8 bytes and never cross
/// the device's window; `offset` counts from the start of the device (Placement::offset included).
class MemoryDevice {
 public:
  virtual ~MemoryDevice() = default;
  /// As statistics call it; devices of one kind may share a name.
  [[nodiscard]] virtual std::string_view name() const { return "unnamed"; }
  [[nodiscard]] virtual uint64_t read_memory(uint64_t offset, unsigned size) = 0;
  virtual void write_memory(uint64_t offset, unsigned size, uint64_t value) = 0;
  /// Whether what is read there stays as it is, and reading does nothing else, until the processor that reads
  /// it writes to the device or is reset.
  [[nodiscard]] virtual bool is_steady(uint64_t /*offset*/, unsigned /*size*/) const { return false; }
};

/// What someone wants at an address range. Ranges are whole pages.
struct Placement {
  PhysicalAddress start;
  uint64_t size = 0;
  int priority = 0;  ///< The highest wins; among equals the latest.

  RamBlock* read_block = nullptr;  ///< Where reads and fetches go, if to storage.
  uint64_t read_offset = 0;        ///< Byte offset in read_block of `start`.
  RamBlock* write_block =
      nullptr;  ///< Where writes go, if to storage. Null beside a read_block: ROM, writes are lost.
  uint64_t write_offset = 0;
  MemoryDevice* device = nullptr;  ///< Reads and writes that do not go to storage.
  uint64_t offset = 0;             ///< Added to the offset within the range before the device sees it.

  [[nodiscard]] static Placement ram(PhysicalAddress start, uint64_t size, RamBlock& block, uint64_t offset,
                                     int priority = 0);
  [[nodiscard]] static Placement rom(PhysicalAddress start, uint64_t size, RamBlock& block, uint64_t offset,
                                     int priority = 0);
  [[nodiscard]] static Placement mmio(PhysicalAddress start, uint64_t size, MemoryDevice& device,
                                      uint64_t offset = 0, int priority = 0);
};

/// A run of physical addresses that are all served by the same placement, or by nothing (every pointer null).
struct Region {
  PhysicalAddress start;
  PhysicalAddress last;  ///< inclusive
  RamBlock* read_block = nullptr;
  uint64_t read_offset = 0;
  RamBlock* write_block = nullptr;
  uint64_t write_offset = 0;
  MemoryDevice* device = nullptr;
  uint64_t device_offset = 0;
  inspect::DeviceCounter* counter = nullptr;  ///< The device's.

  /// Where a byte of the region can be read, or null (a device, or nothing). `address` lies in the region.
  [[nodiscard]] MachineAddress read_pointer(PhysicalAddress address) const {
    if (read_block == nullptr) return {};
    return MachineAddress(read_block->data() + read_offset + (address.value - start.value));
  }
  /// Where a byte can be written, or null. The page may be watched: see write_page().
  [[nodiscard]] MachineAddress write_pointer(PhysicalAddress address) const {
    if (write_block == nullptr) return {};
    return MachineAddress(write_block->data() + write_offset + (address.value - start.value));
  }
  /// Index within write_block of the page that `address` lies in.
  [[nodiscard]] uint64_t write_page(PhysicalAddress address) const {
    return (write_offset + (address.value - start.value)) >> kPageShift;
  }
  [[nodiscard]] uint64_t read_page(PhysicalAddress address) const {
    return (read_offset + (address.value - start.value)) >> kPageShift;
  }
};

/// Told when what lies where has changed.
class MapListener {
 public:
  virtual ~MapListener() = default;
  virtual void physical_map_changed() = 0;
};

/// Told when a page with Watch bits is about to be written, and when a page becomes watched.
class WriteListener {
 public:
  virtual ~WriteListener() = default;
  /// Direct write pointers to this page must be given up now; from here on its writers go through
  /// note_write().
  virtual void page_watched(RamBlock& /*block*/, uint64_t /*page*/) {}
  /// Bytes offset…offset+size-1 of a page are about to change; all of them where the writer does not say
  /// which. `page` is an index within `block`. Called before the bytes change, and again for each write while
  /// a bit stays set. Returns the Watch bits that this listener still needs; a bit that none needs is
  /// cleared.
  [[nodiscard]] virtual uint8_t watched_bytes_written(RamBlock& block, uint64_t page, unsigned /*offset*/,
                                                      unsigned /*size*/, uint8_t watches) {
    watched_page_written(block, page, watches);
    return watches;
  }
  /// The same for who drops whole pages, and clears the bits himself.
  virtual void watched_page_written(RamBlock& /*block*/, uint64_t /*page*/, uint8_t /*watches*/) {}
  /// What watched_bytes_written() told of has happened, or will not: the bytes are what they are now. Once
  /// for any number of writes, before a processor goes on with translated code.
  virtual void watched_writes_finished() {}
  /// Whether this listener still needs a Watch bit that another one gives up.
  [[nodiscard]] virtual bool needs_watch(const RamBlock& /*block*/, uint64_t /*page*/,
                                         Watch /*reason*/) const {
    return false;
  }
};

using PlacementId = unsigned;

class PhysicalMap {
 public:
  /// Bits of a physical address that exist (PAE: 36).
  static constexpr unsigned kAddressBits = 36;
  static constexpr uint64_t kAddressMask = (uint64_t{1} << kAddressBits) - 1;

  PhysicalMap();
  PhysicalMap(const PhysicalMap&) = delete;
  PhysicalMap& operator=(const PhysicalMap&) = delete;

  /// The block and device must outlive the placement.
  PlacementId add(const Placement& placement);
  void remove(PlacementId id);
  /// Puts something else in a placement's stead, in one change.
  void replace(PlacementId id, const Placement& placement);

  /// Puts these in the stead of all placements, in one change. Nobody has any of the old ones' numbers.
  void assign(std::span<const Placement> placements);

  /// The A20 gate: while closed, address bit 20 reads as zero everywhere. Open at construction.
  void set_a20(bool open);
  [[nodiscard]] bool a20() const { return a20_open_; }

  /// The region that an address lies in, after the A20 gate. Never fails: unmapped space is a region of
  /// nothing. The reference is good until the next change.
  [[nodiscard]] const Region& find(PhysicalAddress address) const;
  /// The address after the A20 gate and cut to kAddressBits; what Region's functions take.
  [[nodiscard]] PhysicalAddress gated(PhysicalAddress address) const {
    return PhysicalAddress(address.value & kAddressMask & a20_mask_);
  }
  [[nodiscard]] std::span<const Region> regions() const { return regions_; }
  /// Changes with every change of the map.
  [[nodiscard]] uint64_t generation() const { return generation_; }

  void add_listener(MapListener& listener) { listeners_.push_back(&listener); }
  void remove_listener(MapListener& listener);
  void add_write_listener(WriteListener& listener) { write_listeners_.push_back(&listener); }
  void remove_write_listener(WriteListener& listener);
  /// Told of single accesses (those of processors) that nothing answers. Null: nobody.
  void set_unmapped_listener(UnmappedListener* listener) { unmapped_ = listener; }

  /// Null: nobody.
  void set_write_observer(WriteObserver* observer) { observer_ = observer; }
  void set_device_gate(DeviceGate* gate) { gate_ = gate; }

  /// Which device was accessed how often, by single accesses.
  [[nodiscard]] const inspect::DeviceCounters& accesses() const { return *accesses_; }

  // Access by anyone but a vCPU's fast path: bus masters, loaders, debuggers, and the vCPU's slow path.

  /// Any length; crosses regions. Unmapped bytes read as FFh.
  void read(PhysicalAddress address, std::span<uint8_t> data) const;
  /// Writes to ROM and to nothing are lost.
  void write(PhysicalAddress address, std::span<const uint8_t> data);
  /// One access of 1, 2, 4 or 8 bytes, as a processor makes it: a device sees it as one access when it does
  /// not cross a page.
  [[nodiscard]] uint64_t read(PhysicalAddress address, unsigned size) const;
  void write(PhysicalAddress address, unsigned size, uint64_t value);
  /// If such a read reaches a register that is MemoryDevice::is_steady(): the device's counter. Else null.
  [[nodiscard]] inspect::DeviceCounter* steady_register(PhysicalAddress address, unsigned size) const;

  /// Sets a Watch bit of a page; when it was not watched before, tells every WriteListener.
  void watch(RamBlock& block, uint64_t page, Watch reason);
  /// The caller needs a Watch bit no more: it is cleared, unless another listener does.
  void release_watch(RamBlock& block, uint64_t page, Watch reason);

  /// To be called before writing through a pointer of one's own. Cheap when nobody watches the page.
  void note_write(RamBlock& block, uint64_t page, unsigned offset = 0, unsigned size = kPageSize) {
    if (observer_ != nullptr) [[unlikely]]
      observer_->write_noted(block, page);
    if (block.watches(page) != 0) [[unlikely]]
      tell_watchers(block, page, offset, size);
  }
  /// Whoever wrote after note_write() is done with it. write() does this itself.
  void finish_writes() {
    if (writes_told_) [[unlikely]]
      tell_finished();
  }

 private:
  struct Entry {
    PlacementId id;
    Placement placement;
    inspect::DeviceCounter* counter;  // its device may be gone when others leave the map
  };
  [[nodiscard]] inspect::DeviceCounter* counter_of(const Placement& placement) const;

  void rebuild();
  void tell_watchers(RamBlock& block, uint64_t page, unsigned offset, unsigned size);
  void tell_finished();

  std::vector<Entry> entries_;  // in order of priority, then of age
  std::vector<Region> regions_;
  std::vector<MapListener*> listeners_;
  std::vector<WriteListener*> write_listeners_;
  UnmappedListener* unmapped_ = nullptr;
  std::unique_ptr<inspect::DeviceCounters> accesses_;  // apart: counting does not change a map
  inspect::DeviceCounter& nobody_;
  WriteObserver* observer_ = nullptr;
  DeviceGate* gate_ = nullptr;
  uint64_t a20_mask_ = ~uint64_t{0};
  uint64_t generation_ = 0;
  PlacementId next_id_ = 1;
  bool a20_open_ = true;
  bool writes_told_ = false;  // and not finished
};

}  // namespace vitrine::memory
