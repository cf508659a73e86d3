// What every device on an ATA channel has: the command block registers, the BSY/DRQ/interrupt sequence of the
// data-in, data-out and DMA protocols, resets. Disks (AtaDisk) and CD-ROM drives (AtapiCdrom) add the
// commands.
//
// Documentation: ATA/ATAPI-6 (T13/1410D), "Interface register definitions and descriptions", "Device
// protocols".
//
//   write_command ─► Busy ─timer─► step() ─┬─► DataIn   ─all read─────► data_in_done()  ─► Busy or complete()
//                                          ├─► DataOut  ─all written──► data_out_done() ─► Busy
//                                          ├─► DmaWait  ─engine started─► Busy
//                                          └─► complete() or fail()
//
// A command is carried out a little after it was written, so that its interrupt finds a driver that has
// returned from the write; only a command that begins by taking data from the host asks for it at once, as
// drivers expect which write their data without looking at the status.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/ata_dma_engine.h"
#include "devices/ata_registers.h"

namespace vitrine::devices {

/// The channel, as its devices see it.
class AtaChannelLink {
 public:
  virtual ~AtaChannelLink() = default;
  /// A device's interrupt_pending() may have changed.
  virtual void interrupt_changed() = 0;
  /// Null when the channel has no bus master.
  [[nodiscard]] virtual AtaDmaEngine* dma_engine() = 0;
};

enum class AtaByteHalf : uint8_t { Current, Previous };

class AtaDevice : public Serializable {
 public:
  explicit AtaDevice(Clock& clock);
  AtaDevice(const AtaDevice&) = delete;
  AtaDevice& operator=(const AtaDevice&) = delete;

  /// Called once by the channel, with the position (0 or 1) that the device is in.
  void connect(AtaChannelLink& link, unsigned position);
  /// Told of failures of the host's file, each only once in a row.
  void set_error_callback(std::function<void(const Error&)> callback) { report_ = std::move(callback); }

  // The command block. Status and command have their own functions; the DEV bit is the channel's.
  [[nodiscard]] uint8_t read_register(AtaRegister which, AtaByteHalf half) const;
  void write_register(AtaRegister which, uint8_t value);
  [[nodiscard]] uint8_t status() const { return status_; }
  /// Reading the status register proper: takes the interrupt back.
  uint8_t acknowledge_status();
  void write_command(uint8_t command);
  [[nodiscard]] bool busy() const { return (status_ & AtaStatus::kBusy) != 0; }
  [[nodiscard]] bool interrupt_pending() const { return interrupt_; }

  /// The data register: `size` is 1, 2 or 4. A byte access takes a whole word, as the 16-bit bus does.
  [[nodiscard]] uint32_t read_data(unsigned size);
  void write_data(unsigned size, uint32_t value);
  /// The same for a string instruction: as many accesses as lie wholly in the current block. Gives the bytes
  /// moved; none for byte accesses, which take a word each.
  [[nodiscard]] size_t read_data_block(unsigned size, std::span<uint8_t> data);
  [[nodiscard]] size_t write_data_block(unsigned size, std::span<const uint8_t> data);

  /// The system's reset line: everything as after power-on, ready at once.
  void hardware_reset();
  /// SRST set, and cleared again.
  void hold_reset();
  void release_reset();
  /// EXECUTE DEVICE DIAGNOSTIC, which both devices of a channel carry out.
  void diagnose();
  /// The guest has started the DMA engine.
  void dma_started();

  void serialize(StateArchive& archive) override;

 protected:
  static constexpr size_t kBufferSize = 65536;
  static constexpr uint8_t kReadyStatus = AtaStatus::kReady | AtaStatus::kSeekComplete;

  enum class Phase : uint8_t { Idle, Busy, DataIn, DataOut, DmaWait, Reset };
  enum class Notify : uint8_t { Silent, Interrupt };
  struct Registers {
    uint8_t features = 0;
    uint8_t sector_count = 0;
    uint8_t lba_low = 0;
    uint8_t lba_mid = 0;
    uint8_t lba_high = 0;
  };

  // For the device type.
  virtual void start_command(uint8_t command) = 0;
  /// The time after enter_busy() has passed.
  virtual void step() = 0;
  virtual void data_in_done() = 0;
  virtual void data_out_done() = 0;
  /// Drops what was going on and posts the signature; `status` and `error` are the base's.
  virtual void reset_device() = 0;
  /// Power-on values of what a soft reset keeps.
  virtual void power_on() = 0;
  [[nodiscard]] virtual uint8_t status_after_reset() const = 0;
  virtual void serialize_device(StateArchive& archive) = 0;

  void enter_busy();
  void begin_data_in(size_t bytes, Notify notify);
  void begin_data_out(size_t bytes, Notify notify);
  void wait_for_dma();
  void complete(Notify notify);
  void fail(uint8_t error, uint8_t status_bits = 0);
  void raise_interrupt();
  void set_signature(uint8_t lba_mid, uint8_t lba_high);
  [[nodiscard]] AtaDmaEngine* dma_engine() { return link_ == nullptr ? nullptr : link_->dma_engine(); }
  void fall_asleep() { sleeping_ = true; }
  [[nodiscard]] unsigned position_on_channel() const { return channel_position_; }
  void host_failed(const Error& error);

  // The block that is being moved; DMA fills and empties it, too.
  std::vector<uint8_t> buffer_;
  uint32_t length_ = 0;
  uint32_t position_ = 0;

  Registers registers_;
  Registers previous_;  // LBA48: what was in each register before the last write
  uint8_t device_ = 0;

 private:
  void timer_fired();
  void block_moved();
  /// What a string instruction with room for `room` bytes can move in one go.
  [[nodiscard]] size_t block_left(unsigned size, size_t room) const;

  Clock& clock_;
  Timer timer_;
  AtaChannelLink* link_ = nullptr;
  std::function<void(const Error&)> report_;
  std::string last_report_;
  unsigned channel_position_ = 0;
  Phase phase_ = Phase::Idle;
  uint8_t status_ = 0;
  uint8_t error_ = 0;
  bool interrupt_ = false;
  bool interrupt_after_reset_ = false;  // a diagnostic ends with an interrupt, a reset does not
  bool sleeping_ = false;
};

}  // namespace vitrine::devices
