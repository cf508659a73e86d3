// The two 8237A DMA controllers of a PC with their page registers: eight channels by which an ISA device
// moves bytes to and from memory without the processor. Channels 0-3 move bytes, 5-7 words, 4 joins the two
// chips.
//
// A device asks for a transfer with device_to_memory() or memory_to_device(); programming is the guest's.
// Ports: 00h-0Fh, 81h-8Fh (80h is the POST port's, and not decoded here), C0h-DFh; all of byte width.
//
// Documentation: Intel 8237A data sheet, "Register Description"; IBM PC/AT Technical Reference, "DMA".
// Implemented: read, write and verify transfers, autoinitialise, address increment and decrement, masks,
// status and terminal count, first/last flip-flop, software requests as far as they show in the status, the
// controller's disable bit. Single, demand and block mode differ only in who holds the bus between bytes: to
// a device all three are alike. Missing: memory-to-memory transfers (a PC cannot use them); the mask of
// channel 4 does not hold back channels 0-3. Ignored: timing, priority and polarity bits of the command
// register. A transfer in the direction opposite to the one that the guest programmed counts as a verify:
// addresses move on, no byte does.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/state_archive.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::devices {

/// What became of a device's request.
struct DmaTransfer {
  size_t bytes = 0;  ///< Counted by the channel. 0 and no terminal count: the channel is not ready.
  bool terminal_count = false;  ///< The channel's count ran out with the last of these bytes.
};

class Dma8237a : public memory::PortDevice, public Serializable {
 public:
  static constexpr unsigned kChannels = 8;

  explicit Dma8237a(memory::PhysicalMap& memory) : memory_(memory) { reset(); }

  /// The system's reset line.
  void reset();

  /// A request by the device on `channel` (0-3, 5-7) to put `data` into memory, until the data or the count
  /// ends. Channels 5-7 move whole words: an odd last byte stays behind.
  DmaTransfer device_to_memory(unsigned channel, std::span<const uint8_t> data);
  /// The same from memory to the device. Bytes of `data` that a verify transfer counted become zeros.
  DmaTransfer memory_to_device(unsigned channel, std::span<uint8_t> data);
  /// Whether a request on the channel would be served now.
  [[nodiscard]] bool ready(unsigned channel) const;

  [[nodiscard]] std::string_view name() const override { return "dma8237a"; }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  void serialize(StateArchive& archive) override;

 private:
  enum class Kind : uint8_t { Verify = 0, ToMemory = 1, FromMemory = 2, Illegal = 3 };

  struct Channel {
    uint16_t base_address = 0;
    uint16_t base_count = 0;
    uint16_t address = 0;
    uint16_t count = 0;
    uint8_t mode = 0;

    [[nodiscard]] Kind kind() const { return static_cast<Kind>(mode >> 2 & 3); }
    [[nodiscard]] bool autoinitialise() const { return (mode & 0x10) != 0; }
    [[nodiscard]] bool decrement() const { return (mode & 0x20) != 0; }
    [[nodiscard]] bool cascade() const { return (mode >> 6) == 3; }
  };

  struct Chip {
    uint8_t command = 0;
    uint8_t status = 0;   // low half: terminal counts reached
    uint8_t request = 0;  // software requests
    uint8_t mask = 0xf;
    bool last = false;  // first/last flip-flop: the next byte is the high one

    void master_clear();
  };

  struct Run {
    PhysicalAddress start;  // of the lowest byte
    size_t bytes = 0;
  };

  /// Moves up to `size` bytes; `move(run, offset)` does the copying of one run in ascending order.
  template <typename Move>
  DmaTransfer transfer(unsigned channel, size_t size, Move move);
  [[nodiscard]] Run next_run(unsigned channel, size_t size) const;
  /// Counts a run; true at terminal count.
  bool advance(unsigned channel, size_t units);

  [[nodiscard]] uint8_t read_chip(unsigned chip, unsigned index);
  void write_chip(unsigned chip, unsigned index, uint8_t value);
  void write_counter(unsigned chip, unsigned index, uint8_t value);
  [[nodiscard]] uint8_t read_counter(unsigned chip, unsigned index);

  memory::PhysicalMap& memory_;
  std::array<Channel, kChannels> channels_{};
  std::array<Chip, 2> chips_{};
  std::array<uint8_t, 16> pages_{};  // by port - 80h
};

}  // namespace vitrine::devices
