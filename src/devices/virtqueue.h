// A split virtqueue: how a driver hands buffers to a virtio device and gets them back. See docs/virtio.md.
//
//   driver ─► descriptors (address, length, flags, next) ◄───── chains
//          ─► available ring (heads of chains)  ──pop()──►  device  ──push()──►  used ring (heads, lengths)
//
// Documentation: OASIS "Virtual I/O Device (VIRTIO) Version 1.1", "Split Virtqueues"; for the legacy layout
// its "Legacy Interfaces: A Note on Virtqueue Layout".
// Implemented: indirect descriptors, event index. Missing: packed virtqueues, in-order use.
//
// All of it lies in guest memory and is the guest's to break. Whatever makes no sense (an index out of range,
// a loop, a table where there is no memory) breaks the queue: broken() from then on, until it is reset.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/state_archive.h"
#include "devices/dma_memory.h"

namespace vitrine::devices {

/// One chain of buffers: first those that the device reads, then those that it writes.
class VirtqueueChain {
 public:
  struct Buffer {
    uint64_t address = 0;
    uint32_t size = 0;
  };
  using Buffers = std::vector<Buffer>;

  [[nodiscard]] uint16_t head() const { return head_; }
  [[nodiscard]] uint64_t readable_size() const { return readable_size_; }
  [[nodiscard]] uint64_t writable_size() const { return writable_size_; }
  [[nodiscard]] const Buffers& readable() const { return readable_; }
  [[nodiscard]] const Buffers& writable() const { return writable_; }

  /// `data.size()` bytes of the readable part from `offset`. False: there are fewer, or no memory is there.
  [[nodiscard]] bool read(const DmaMemory& memory, uint64_t offset, std::span<uint8_t> data) const;
  [[nodiscard]] bool write(DmaMemory& memory, uint64_t offset, std::span<const uint8_t> data) const;

  /// The same bytes in place, piece by piece, appended to `pieces`.
  [[nodiscard]] bool find_readable(const DmaMemory& memory, uint64_t offset, uint64_t size,
                                   std::vector<std::span<const uint8_t>>& pieces) const;
  [[nodiscard]] bool find_writable(DmaMemory& memory, uint64_t offset, uint64_t size,
                                   std::vector<std::span<uint8_t>>& pieces) const;

 private:
  friend class Virtqueue;
  void clear(uint16_t head);
  void add(const Buffer& buffer, bool device_writes);
  /// Calls `take(address, size)`, which says how many bytes it took, for each part of a range.
  template <typename Take>
  [[nodiscard]] static bool for_each(const Buffers& buffers, uint64_t offset, uint64_t size, Take take);

  uint16_t head_ = 0;
  uint64_t readable_size_ = 0;
  uint64_t writable_size_ = 0;
  Buffers readable_;
  Buffers writable_;
};

class Virtqueue final : public Serializable {
 public:
  /// The longest chain: more than a driver makes, so that a table cannot keep us busy.
  static constexpr unsigned kMostBuffers = 1024;
  /// What "Legacy Interfaces: A Note on Virtqueue Layout" aligns the used ring to.
  static constexpr uint64_t kLegacyAlignment = 4096;

  struct Rings {
    uint64_t descriptors = 0;
    uint64_t available = 0;
    uint64_t used = 0;
  };
  /// What was negotiated.
  struct Features {
    bool indirect = false;
    bool event_index = false;
  };

  /// `most`: entries, a power of two.
  explicit Virtqueue(uint16_t most) : most_(most), size_(most) {}

  /// As after a reset of the device.
  void reset();
  [[nodiscard]] uint16_t size() const { return size_; }
  [[nodiscard]] uint16_t most() const { return most_; }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] const Rings& rings() const { return rings_; }

  // Until the queue is enabled; later these do nothing.
  /// False: not a power of two, or too many.
  [[nodiscard]] bool set_size(uint16_t size);
  void set_rings(const Rings& rings);
  /// Rings at addresses that are not aligned make a queue that is broken from the start.
  void enable();
  /// The legacy way: all in one piece from a page; at page 0 is none.
  void place_legacy(uint32_t page);
  [[nodiscard]] uint32_t legacy_page() const;

  /// The next chain that the driver has made available. False: there is none, or the queue is broken now.
  [[nodiscard]] bool pop(DmaMemory& memory, Features features, VirtqueueChain& chain);
  /// Gives a chain back, `written` bytes of its writable part filled.
  void push(DmaMemory& memory, const VirtqueueChain& chain, uint32_t written);
  /// Puts back the chain that was popped last.
  void unpop() { --next_available_; }

  /// To be called when pop() has found nothing: asks to be notified of the next chain. True: there is one
  /// already, for which nobody is going to notify.
  [[nodiscard]] bool await_more(DmaMemory& memory, Features features);
  /// Whether the driver wants an interrupt for what was pushed since the last call.
  [[nodiscard]] bool interrupt_wanted(DmaMemory& memory, Features features);

  void serialize(StateArchive& archive) override;

 private:
  struct Descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t flags;
    uint16_t next;
  };

  [[nodiscard]] bool aligned() const;
  [[nodiscard]] bool collect(DmaMemory& memory, Features features, VirtqueueChain& chain) const;
  [[nodiscard]] static bool load(const DmaMemory& memory, uint64_t table, uint16_t index,
                                 Descriptor& descriptor);
  [[nodiscard]] uint64_t used_event() const { return rings_.available + 4 + 2 * uint64_t{size_}; }
  [[nodiscard]] uint64_t available_event() const { return rings_.used + 4 + 8 * uint64_t{size_}; }
  bool fail() {
    broken_ = true;
    return false;
  }

  uint16_t most_;
  uint16_t size_;
  bool ready_ = false;
  bool broken_ = false;
  bool used_unannounced_ = false;  // something was pushed since interrupt_wanted()
  Rings rings_;
  uint16_t next_available_ = 0;
  uint16_t next_used_ = 0;
  uint16_t announced_used_ = 0;  // next_used_ at the last interrupt_wanted()
};

}  // namespace vitrine::devices
