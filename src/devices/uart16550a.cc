#include "devices/uart16550a.h"

#include <algorithm>

namespace vitrine::devices {
namespace {

enum Register : uint16_t {
  kData = 0,             // RBR, THR; divisor latch, low byte
  kInterruptEnable = 1,  // IER; divisor latch, high byte
  kIdentification = 2,   // IIR; FCR when written
  kLineControl = 3,
  kModemControl = 4,
  kLineStatus = 5,
  kModemStatus = 6,
  kScratch = 7,
};

constexpr uint8_t kIerReceived = 0x01;
constexpr uint8_t kIerTransmitter = 0x02;
constexpr uint8_t kIerLineStatus = 0x04;
constexpr uint8_t kIerModemStatus = 0x08;
constexpr uint8_t kIerImplemented = 0x0f;

constexpr uint8_t kIirNone = 0x01;
constexpr uint8_t kIirModemStatus = 0x00;
constexpr uint8_t kIirTransmitter = 0x02;
constexpr uint8_t kIirReceived = 0x04;
constexpr uint8_t kIirLineStatus = 0x06;
constexpr uint8_t kIirTimeout = 0x0c;
constexpr uint8_t kIirFifos = 0xc0;

constexpr uint8_t kFcrEnable = 0x01;
constexpr uint8_t kFcrClearReceiver = 0x02;
constexpr uint8_t kFcrTrigger = 0xc0;

constexpr uint8_t kLcrWordLength = 0x03;
constexpr uint8_t kLcrTwoStops = 0x04;
constexpr uint8_t kLcrParity = 0x08;
constexpr uint8_t kLcrBreak = 0x40;
constexpr uint8_t kLcrDivisorLatch = 0x80;

constexpr uint8_t kMcrDtr = 0x01;
constexpr uint8_t kMcrRts = 0x02;
constexpr uint8_t kMcrOut1 = 0x04;
constexpr uint8_t kMcrOut2 = 0x08;
constexpr uint8_t kMcrLoopback = 0x10;
constexpr uint8_t kMcrImplemented = 0x1f;

constexpr uint8_t kLsrDataReady = 0x01;
constexpr uint8_t kLsrOverrun = 0x02;
constexpr uint8_t kLsrFraming = 0x08;
constexpr uint8_t kLsrBreak = 0x10;
constexpr uint8_t kLsrErrors = 0x1e;
constexpr uint8_t kLsrTransmitterEmpty = 0x60;  // holding and shift register
constexpr uint8_t kLsrFifoError = 0x80;

constexpr uint8_t kMsrCts = 0x10;
constexpr uint8_t kMsrDsr = 0x20;
constexpr uint8_t kMsrRing = 0x40;
constexpr uint8_t kMsrCarrier = 0x80;
constexpr uint8_t kMsrLines = 0xf0;
constexpr uint8_t kMsrChanges = 0x0f;
constexpr unsigned kMsrChangeShift = 4;  // from a line to its change

constexpr uint64_t kCrystal = 1'843'200;  // Hz; 16 periods make a bit at divisor 1
constexpr unsigned kTimeoutCharacters = 4;

}  // namespace

Uart16550a::Uart16550a(Clock& clock, IrqLine irq, CharacterBackend* backend, Out2 out2)
    : clock_(clock), irq_(irq), backend_(backend), out2_(out2), timeout_(clock, [this] {
        timeout_interrupt_ = count_ > 0;
        update_irq();
      }) {
  if (backend_ == nullptr) return;
  carrier_ = backend_->carrier();
  update_modem_status();
  modem_status_ &= kMsrLines;  // What was there at power-on is no change.
  backend_->set_receiver(this);
}

Uart16550a::~Uart16550a() {
  if (backend_ != nullptr) backend_->set_receiver(nullptr);
}

void Uart16550a::reset() {
  interrupt_enable_ = fifo_control_ = line_control_ = modem_control_ = scratch_ = 0;
  divisor_ = 12;
  line_errors_ = 0;
  transmitter_interrupt_ = false;
  clear_receiver();
  update_modem_status();
  modem_status_ &= kMsrLines;
  update_irq();
  room_made();
}

bool Uart16550a::fifo_enabled() const {
  return (fifo_control_ & kFcrEnable) != 0;
}
bool Uart16550a::loopback() const {
  return (modem_control_ & kMcrLoopback) != 0;
}
bool Uart16550a::divisor_latch() const {
  return (line_control_ & kLcrDivisorLatch) != 0;
}

unsigned Uart16550a::trigger_level() const {
  constexpr std::array<unsigned, 4> kLevels = {1, 4, 8, 14};
  return fifo_enabled() ? kLevels[fifo_control_ >> 6] : 1;
}

Nanoseconds Uart16550a::character_time() const {
  const unsigned half_bits = 2 * (1 + 5 + (line_control_ & kLcrWordLength)) +
                             ((line_control_ & kLcrParity) != 0 ? 2 : 0) +
                             ((line_control_ & kLcrTwoStops) != 0 ? 4 : 2);
  const uint64_t periods = uint64_t{16} * std::max<uint16_t>(divisor_, 1) * half_bits;
  return scale(periods, kNanosecondsPerSecond, 2 * kCrystal);
}

uint32_t Uart16550a::read_port(uint16_t port, unsigned /*size*/) {
  uint8_t value = 0;
  switch (port & 7) {
    case kData:
      if (divisor_latch()) return divisor_ & 0xff;
      value = pop();
      // The line falls before the next byte comes: a guest that takes one byte for each edge must see the
      // edge.
      update_irq();
      if (count_ == 0) room_made();
      break;
    case kInterruptEnable: return divisor_latch() ? divisor_ >> 8 : interrupt_enable_;
    case kIdentification:
      value = interrupt_identification();
      // The reading acknowledges this interrupt, and only when it is the one that is shown.
      if ((value & 0x0f) == kIirTransmitter) transmitter_interrupt_ = false;
      break;
    case kLineControl: return line_control_;
    case kModemControl: return modem_control_;
    case kLineStatus:
      value = line_status();
      line_errors_ = 0;
      break;
    case kModemStatus:
      value = modem_status_;
      modem_status_ &= kMsrLines;
      break;
    case kScratch: return scratch_;
    default: break;
  }
  update_irq();
  return value;
}

void Uart16550a::write_port(uint16_t port, unsigned /*size*/, uint32_t wide) {
  const auto value = static_cast<uint8_t>(wide);
  switch (port & 7) {
    case kData:
      if (!divisor_latch()) return transmit(value);
      divisor_ = static_cast<uint16_t>((divisor_ & 0xff00) | value);
      break;
    case kInterruptEnable:
      if (divisor_latch()) {
        divisor_ = static_cast<uint16_t>((divisor_ & 0x00ff) | value << 8);
        break;
      }
      // Enabling the transmitter's interrupt while it is empty raises it at once.
      if ((value & ~interrupt_enable_ & kIerTransmitter) != 0) transmitter_interrupt_ = true;
      interrupt_enable_ = value & kIerImplemented;
      break;
    case kIdentification: write_fifo_control(value); break;
    case kLineControl: write_line_control(value); break;
    case kModemControl:
      modem_control_ = value & kMcrImplemented;
      update_modem_status();
      room_made();
      break;
    case kScratch: scratch_ = value; break;
    default: break;  // The status registers are for reading.
  }
  update_irq();
}

void Uart16550a::transmit(uint8_t value) {
  transmitter_interrupt_ = false;
  update_irq();
  if (loopback()) {
    push({value, 0});
  } else if (backend_ != nullptr) {
    backend_->send({&value, 1});
  }
  transmitter_interrupt_ = true;
  update_irq();
}

void Uart16550a::write_fifo_control(uint8_t value) {
  const bool was_enabled = fifo_enabled();
  fifo_control_ = (value & kFcrEnable) != 0 ? value & (kFcrEnable | kFcrTrigger) : 0;
  // A change of mode empties the FIFOs, too.
  const bool clear = fifo_enabled() != was_enabled || (fifo_enabled() && (value & kFcrClearReceiver) != 0);
  if (!clear) return;
  clear_receiver();
  room_made();
}

void Uart16550a::write_line_control(uint8_t value) {
  const bool break_begins = (value & ~line_control_ & kLcrBreak) != 0;
  line_control_ = value;
  if (break_begins && loopback()) push({0, kLsrBreak | kLsrFraming});
}

size_t Uart16550a::receive_capacity() const {
  // In loopback the wire is cut off.
  return loopback() ? 0 : depth() - std::min(count_, depth());
}

void Uart16550a::receive(std::span<const uint8_t> data) {
  if (loopback()) return;
  for (const uint8_t byte : data) push({byte, 0});
  update_irq();
}

void Uart16550a::push(Received received) {
  if (count_ >= depth()) {
    line_errors_ |= kLsrOverrun;
    // "Overrun": in FIFO mode the newest byte is lost, without FIFO the one that was not read.
    if (fifo_enabled()) return;
    count_ = 0;
  }
  fifo_[(head_ + count_) % kFifoSize] = received;
  ++count_;
  // Errors show when their byte has reached the top.
  if (count_ == 1) line_errors_ |= received.errors;
  if (!timeout_interrupt_) watch_timeout();
}

uint8_t Uart16550a::pop() {
  timeout_interrupt_ = false;
  if (count_ == 0) return 0;
  const uint8_t data = fifo_[head_].data;
  head_ = (head_ + 1) % kFifoSize;
  --count_;
  if (count_ > 0) line_errors_ |= fifo_[head_].errors;
  watch_timeout();
  return data;
}

void Uart16550a::clear_receiver() {
  head_ = count_ = 0;
  timeout_interrupt_ = false;
  timeout_.cancel();
}

void Uart16550a::watch_timeout() {
  // "FIFO Interrupt Mode Operation": four characters' time without a byte coming or going.
  if (fifo_enabled() && count_ > 0) {
    timeout_.arm(clock_.now() + kTimeoutCharacters * character_time());
  } else {
    timeout_.cancel();
  }
}

void Uart16550a::room_made() {
  if (backend_ != nullptr && receive_capacity() > 0) backend_->receiver_ready();
}

uint8_t Uart16550a::line_status() const {
  uint8_t status = kLsrTransmitterEmpty | line_errors_;
  if (count_ > 0) status |= kLsrDataReady;
  if (!fifo_enabled()) return status;
  for (unsigned i = 0; i < count_; ++i) {
    if (fifo_[(head_ + i) % kFifoSize].errors != 0) status |= kLsrFifoError;
  }
  return status;
}

uint8_t Uart16550a::interrupt_identification() const {
  const uint8_t fifos = fifo_enabled() ? kIirFifos : 0;
  const auto enabled = [this](uint8_t bit) { return (interrupt_enable_ & bit) != 0; };
  if (enabled(kIerLineStatus) && line_errors_ != 0) return fifos | kIirLineStatus;
  if (enabled(kIerReceived) && count_ >= trigger_level()) return fifos | kIirReceived;
  if (enabled(kIerReceived) && timeout_interrupt_) return fifos | kIirTimeout;
  if (enabled(kIerTransmitter) && transmitter_interrupt_) return fifos | kIirTransmitter;
  if (enabled(kIerModemStatus) && (modem_status_ & kMsrChanges) != 0) return fifos | kIirModemStatus;
  return fifos | kIirNone;
}

void Uart16550a::update_irq() {
  const bool open = out2_ == Out2::NotConnected || ((modem_control_ & kMcrOut2) != 0 && !loopback());
  irq_.set(open && (interrupt_identification() & kIirNone) == 0);
}

void Uart16550a::update_modem_status() {
  uint8_t lines = 0;
  if (loopback()) {
    if ((modem_control_ & kMcrDtr) != 0) lines |= kMsrDsr;
    if ((modem_control_ & kMcrRts) != 0) lines |= kMsrCts;
    if ((modem_control_ & kMcrOut1) != 0) lines |= kMsrRing;
    if ((modem_control_ & kMcrOut2) != 0) lines |= kMsrCarrier;
  } else if (carrier_) {
    lines = kMsrCts | kMsrDsr | kMsrCarrier;
  }
  uint8_t changed = (lines ^ modem_status_) & kMsrLines;
  if ((lines & kMsrRing) != 0) changed &= static_cast<uint8_t>(~kMsrRing);  // Only its trailing edge counts.
  modem_status_ = static_cast<uint8_t>(lines | (modem_status_ & kMsrChanges) | changed >> kMsrChangeShift);
}

void Uart16550a::carrier_changed(bool present) {
  carrier_ = present;
  update_modem_status();
  update_irq();
}

void Uart16550a::serialize(StateArchive& archive) {
  archive.section("uart16550a", 1);
  archive.fields(interrupt_enable_, fifo_control_, line_control_, modem_control_, modem_status_, scratch_,
                 divisor_);
  for (Received& received : fifo_) archive.fields(received.data, received.errors);
  archive.fields(head_, count_, line_errors_, transmitter_interrupt_, timeout_interrupt_, carrier_);
  archive.timer(timeout_);
  if (!archive.loading()) return;
  interrupt_enable_ &= kIerImplemented;
  modem_control_ &= kMcrImplemented;
  line_errors_ &= kLsrErrors;
  if (head_ >= kFifoSize || count_ > depth()) {
    archive.reject("a serial port's FIFO");
    clear_receiver();
  }
  // Whoever is at the other end now need not be who was there then.
  if (backend_ != nullptr) carrier_changed(backend_->carrier());
  room_made();
}

}  // namespace vitrine::devices
