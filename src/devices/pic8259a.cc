#include "devices/pic8259a.h"

namespace vitrine::devices {
namespace {

constexpr unsigned kCascadeInput = 2;

// ICW1 and ICW4.
constexpr uint8_t kIcw1Icw4Follows = 0x01;
constexpr uint8_t kIcw1Single = 0x02;
constexpr uint8_t kIcw1LevelTriggered = 0x08;
constexpr uint8_t kIcw1 = 0x10;
constexpr uint8_t kIcw4AutoEoi = 0x02;
constexpr uint8_t kIcw4SpecialFullyNested = 0x10;
// OCW3.
constexpr uint8_t kOcw3 = 0x08;
constexpr uint8_t kOcw3ReadIsr = 0x01;
constexpr uint8_t kOcw3ReadCommand = 0x02;
constexpr uint8_t kOcw3Poll = 0x04;
constexpr uint8_t kOcw3SpecialMask = 0x20;
constexpr uint8_t kOcw3SpecialMaskCommand = 0x40;

// PIIX3, "ELCR1/ELCR2": lines 0, 1, 2, 8 and 13 are edge-triggered always.
constexpr uint8_t kLevelCapableMaster = 0xf8;
constexpr uint8_t kLevelCapableSlave = 0xde;

constexpr uint8_t bit(unsigned input) {
  return static_cast<uint8_t>(1u << input);
}

}  // namespace

void Pic8259a::reset() {
  const uint8_t lines = lines_;  // The devices' wires do not change with our reset.
  *this = Pic8259a(role_);
  lines_ = lines;
}

void Pic8259a::set_input(unsigned input, bool level) {
  const uint8_t mask = bit(input & 7);
  const bool rising = level && (lines_ & mask) == 0;
  lines_ = static_cast<uint8_t>(level ? lines_ | mask : lines_ & ~mask);
  if ((level_triggered() & mask) != 0) {
    irr_ = static_cast<uint8_t>(level ? irr_ | mask : irr_ & ~mask);
  } else if (rising) {
    irr_ |= mask;
  }
}

void Pic8259a::withdraw_input(unsigned input) {
  set_input(input, false);
  irr_ &= static_cast<uint8_t>(~bit(input & 7));
}

std::optional<unsigned> Pic8259a::highest_of(uint8_t bits) const {
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned input = (lowest_priority_ + 1 + i) & 7;
    if ((bits & bit(input)) != 0) return input;
  }
  return std::nullopt;
}

std::optional<unsigned> Pic8259a::highest_request() const {
  const auto request = highest_of(static_cast<uint8_t>(irr_ & ~imr_));
  if (!request) return std::nullopt;
  // "Special Mask Mode": a level that is masked does not hold back the others.
  const auto in_service = highest_of(special_mask_ ? static_cast<uint8_t>(isr_ & ~imr_) : isr_);
  if (!in_service || rank(*request) < rank(*in_service)) return request;
  // "The Special Fully Nested Mode": the slave's own, higher requests are not locked out by one in service.
  const bool slave_again =
      special_fully_nested_ && role_ == Role::Master && !single_ && *request == kCascadeInput;
  if (slave_again && *request == *in_service) return request;
  return std::nullopt;
}

std::optional<unsigned> Pic8259a::acknowledge() {
  const auto input = highest_request();
  if (!input) return std::nullopt;
  if ((level_triggered() & bit(*input)) == 0) irr_ &= static_cast<uint8_t>(~bit(*input));
  if (!auto_eoi_) {
    isr_ |= bit(*input);
  } else if (rotate_in_auto_eoi_) {
    lowest_priority_ = static_cast<uint8_t>(*input);
  }
  return input;
}

uint8_t Pic8259a::poll() {
  poll_ = false;
  const auto input = acknowledge();
  return input ? static_cast<uint8_t>(0x80 | *input) : 0;
}

uint8_t Pic8259a::read(Address address) {
  // "Poll Command": the next read, at either address, is the acknowledgement.
  if (poll_) return poll();
  if (address == Address::Data) return imr_;
  return read_isr_ ? isr_ : irr_;
}

void Pic8259a::write(Address address, uint8_t value) {
  if (address == Address::Data) {
    write_data(value);
  } else if ((value & kIcw1) != 0) {
    write_icw1(value);
  } else if ((value & kOcw3) != 0) {
    write_ocw3(value);
  } else {
    write_ocw2(value);
  }
}

void Pic8259a::write_icw1(uint8_t value) {
  // "Initialization Command Words 1 and 2": the edge sense circuit is reset, so a line that is high already
  // must fall and rise again; IMR and special mask are cleared; IR7 has the lowest priority; IRR is read.
  const Pic8259a old = *this;
  *this = Pic8259a(role_);
  lines_ = old.lines_;
  elcr_ = old.elcr_;
  vector_base_ = old.vector_base_;
  icw4_follows_ = (value & kIcw1Icw4Follows) != 0;
  single_ = (value & kIcw1Single) != 0;
  ltim_ = (value & kIcw1LevelTriggered) != 0;
  irr_ = lines_ & level_triggered();
  expect_ = Expect::Icw2;
}

void Pic8259a::write_data(uint8_t value) {
  switch (expect_) {
    case Expect::Operation: imr_ = value; break;
    case Expect::Icw2:
      vector_base_ = value & 0xf8;
      expect_ = !single_ ? Expect::Icw3 : icw4_follows_ ? Expect::Icw4 : Expect::Operation;
      break;
    case Expect::Icw3: expect_ = icw4_follows_ ? Expect::Icw4 : Expect::Operation; break;
    case Expect::Icw4:
      auto_eoi_ = (value & kIcw4AutoEoi) != 0;
      special_fully_nested_ = (value & kIcw4SpecialFullyNested) != 0;
      expect_ = Expect::Operation;
      break;
  }
}

void Pic8259a::write_ocw2(uint8_t value) {
  const bool rotate = (value & 0x80) != 0;
  const bool specific = (value & 0x40) != 0;
  const bool eoi = (value & 0x20) != 0;
  if (!eoi) {
    if (!specific) {
      rotate_in_auto_eoi_ = rotate;
    } else if (rotate) {
      lowest_priority_ = value & 7;
    }
    return;
  }
  std::optional<unsigned> input = value & 7;
  // In special mask mode a non-specific EOI does not end a level that is masked.
  if (!specific) input = highest_of(special_mask_ ? static_cast<uint8_t>(isr_ & ~imr_) : isr_);
  if (!input) return;
  isr_ &= static_cast<uint8_t>(~bit(*input));
  if (rotate) lowest_priority_ = static_cast<uint8_t>(*input);
}

void Pic8259a::write_ocw3(uint8_t value) {
  poll_ = (value & kOcw3Poll) != 0;
  if ((value & kOcw3ReadCommand) != 0) read_isr_ = (value & kOcw3ReadIsr) != 0;
  if ((value & kOcw3SpecialMaskCommand) != 0) special_mask_ = (value & kOcw3SpecialMask) != 0;
}

void Pic8259a::set_level_control(uint8_t value) {
  elcr_ = value & (role_ == Role::Master ? kLevelCapableMaster : kLevelCapableSlave);
  // A request of a level-triggered line is its level, nothing latched.
  const uint8_t levels = level_triggered();
  irr_ = static_cast<uint8_t>((irr_ & ~levels) | (lines_ & levels));
}

Pic8259a::Snapshot Pic8259a::snapshot() const {
  return {irr_,
          imr_,
          isr_,
          level_triggered(),
          vector_base_,
          lowest_priority_,
          auto_eoi_,
          special_mask_,
          special_fully_nested_,
          output()};
}

void Pic8259a::serialize(StateArchive& archive) {
  archive.section("pic8259a", 1);
  archive.fields(lines_, irr_, imr_, isr_, elcr_, vector_base_, lowest_priority_, expect_);
  archive.fields(icw4_follows_, single_, ltim_, auto_eoi_, rotate_in_auto_eoi_, special_mask_,
                 special_fully_nested_, read_isr_, poll_);
  if (lowest_priority_ > 7 || expect_ > Expect::Icw4) archive.reject("the interrupt controller's state");
  lowest_priority_ &= 7;
  if (expect_ > Expect::Icw4) expect_ = Expect::Operation;
}

void PicPair::reset() {
  master_.reset();
  slave_.reset();
  update();
}

void PicPair::update() {
  if (slave_.output()) {
    master_.set_input(kCascadeInput, true);
  } else {
    master_.withdraw_input(kCascadeInput);
  }
  intr_.set(master_.output());
}

void PicPair::set_irq_line(unsigned line, bool level) {
  if (line >= kLines || line == kCascadeInput) return;
  if (line < 8) {
    master_.set_input(line, level);
  } else {
    slave_.set_input(line - 8, level);
  }
  update();
}

uint32_t PicPair::read_port(uint16_t port, unsigned /*size*/) {
  if (port == 0x4d0) return master_.level_control();
  if (port == 0x4d1) return slave_.level_control();
  const auto address = (port & 1) != 0 ? Pic8259a::Address::Data : Pic8259a::Address::Command;
  const bool slave = (port & 0x80) != 0;
  Pic8259a& chip = slave ? slave_ : master_;
  const bool poll = chip.polling();
  const uint8_t value = chip.read(address);
  if (!poll) return value;
  // A poll acknowledges: the slave's output falls before the next request raises it.
  if (slave) master_.withdraw_input(kCascadeInput);
  update();
  return value;
}

void PicPair::write_port(uint16_t port, unsigned /*size*/, uint32_t value) {
  const auto byte = static_cast<uint8_t>(value);
  const auto address = (port & 1) != 0 ? Pic8259a::Address::Data : Pic8259a::Address::Command;
  if (port == 0x4d0) {
    master_.set_level_control(byte);
  } else if (port == 0x4d1) {
    slave_.set_level_control(byte);
  } else if ((port & 0x80) != 0) {
    slave_.write(address, byte);
  } else {
    master_.write(address, byte);
  }
  update();
}

uint8_t PicPair::acknowledge() {
  const auto input = master_.acknowledge();
  unsigned line = input.value_or(7);
  uint8_t vector = static_cast<uint8_t>(master_.vector_base() + line);
  bool spurious = !input;
  if (input == kCascadeInput) {
    const auto second = slave_.acknowledge();
    line = 8 + second.value_or(7);
    vector = static_cast<uint8_t>(slave_.vector_base() + line - 8);
    spurious = !second;
    // The slave's INT falls with the acknowledgement, so that a request still waiting makes a new edge.
    master_.withdraw_input(kCascadeInput);
  }
  if (spurious) {
    ++spurious_;
  } else {
    ++delivered_[line];
  }
  update();
  return vector;
}

void PicPair::serialize(StateArchive& archive) {
  archive.section("pic pair", 1);
  master_.serialize(archive);
  slave_.serialize(archive);
  archive.field(delivered_);
  archive.field(spurious_);
  if (archive.loading()) intr_.set(master_.output());
}

}  // namespace vitrine::devices
