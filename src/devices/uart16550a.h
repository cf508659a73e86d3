// A serial port.
//
// Documentation: National Semiconductor PC16550D data sheet.
// Ports: eight from the base that the builder maps it at (3F8h, 2F8h, …), one byte wide.
// Implemented: 16450 and FIFO mode, trigger levels, character timeout, all interrupts and their priorities,
// loopback,
//   modem status and its changes, break, scratch register, divisor latch.
// Missing: parity and framing errors do not happen by themselves. A break on the wire is not sent outside.
// Ignored bits: FCR.DMA mode, IER 7–4, LCR's word length (all eight bits travel), the test bits of LSR and
// MSR when
//   written.
//
// A byte written is sent at once: the transmitter is always empty, and its interrupt comes anew with each
// byte. A byte is taken from outside only when there is room, so nothing is lost and no baud rate is kept;
// the rate counts for the character timeout alone.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/character_backend.h"
#include "devices/irq_line.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class Uart16550a final : public memory::PortDevice, public CharacterReceiver, public Serializable {
 public:
  static constexpr unsigned kPorts = 8;
  static constexpr unsigned kFifoSize = 16;

  /// Whether the pin OUT2 opens the way of the interrupt, as on IBM's serial adapter, or leads nowhere, as in
  /// the machine that ours is modelled on (and some teaching systems never set it).
  enum class Out2 : uint8_t { NotConnected, GatesInterrupt };

  /// `backend` may be null: nothing is plugged in. It must outlive the port.
  Uart16550a(Clock& clock, IrqLine irq, CharacterBackend* backend, Out2 out2 = Out2::NotConnected);
  ~Uart16550a() override;

  void reset();
  [[nodiscard]] std::string_view name() const override { return "uart16550a"; }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;

  [[nodiscard]] size_t receive_capacity() const override;
  void receive(std::span<const uint8_t> data) override;
  void carrier_changed(bool present) override;

  void serialize(StateArchive& archive) override;

 private:
  struct Received {
    uint8_t data;
    uint8_t errors;  // in LSR's places
  };

  [[nodiscard]] bool fifo_enabled() const;
  [[nodiscard]] bool loopback() const;
  [[nodiscard]] bool divisor_latch() const;
  [[nodiscard]] unsigned depth() const { return fifo_enabled() ? kFifoSize : 1; }
  [[nodiscard]] unsigned trigger_level() const;
  [[nodiscard]] Nanoseconds character_time() const;

  void push(Received received);
  [[nodiscard]] uint8_t pop();
  void clear_receiver();
  void transmit(uint8_t value);
  void write_fifo_control(uint8_t value);
  void write_line_control(uint8_t value);
  [[nodiscard]] uint8_t line_status() const;
  [[nodiscard]] uint8_t interrupt_identification() const;
  void watch_timeout();
  void update_modem_status();
  void update_irq();
  void room_made();

  Clock& clock_;
  IrqLine irq_;
  CharacterBackend* backend_;
  Out2 out2_;
  Timer timeout_;

  uint8_t interrupt_enable_ = 0;
  uint8_t fifo_control_ = 0;
  uint8_t line_control_ = 0;
  uint8_t modem_control_ = 0;
  uint8_t modem_status_ = 0;
  uint8_t scratch_ = 0;
  uint16_t divisor_ = 12;
  std::array<Received, kFifoSize> fifo_{};
  unsigned head_ = 0;
  unsigned count_ = 0;
  uint8_t line_errors_ = 0;  // LSR bits that reading it clears
  bool transmitter_interrupt_ = false;
  bool timeout_interrupt_ = false;
  bool carrier_ = false;
};

}  // namespace vitrine::devices
