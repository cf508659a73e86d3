#include "devices/i8042.h"

#include <utility>

#include "devices/key_names.h"

namespace vitrine::devices {
namespace {

constexpr uint16_t kDataPort = 0x60;
constexpr uint16_t kCommandPort = 0x64;

enum Status : uint8_t {
  kOutputFull = 0x01,
  kSystemFlag = 0x04,
  kLastWasCommand = 0x08,
  kUnlocked = 0x10,
  kMouseOutput = 0x20,
};

enum CommandByte : uint8_t {
  kKeyboardInterrupt = 0x01,
  kMouseInterrupt = 0x02,
  kSystem = 0x04,
  kKeyboardDisabled = 0x10,
  kMouseDisabled = 0x20,
  kTranslate = 0x40,
};

enum OutputPort : uint8_t {
  kResetHigh = 0x01,
  kA20Open = 0x02,
  kKeyboardFull = 0x10,
  kMouseFull = 0x20,
  kFixedHigh = 0xcc,
};

enum Command : uint8_t {
  kReadRam = 0x20,
  kWriteRam = 0x60,
  kPasswordTest = 0xa4,
  kDisableMouse = 0xa7,
  kEnableMouse = 0xa8,
  kTestMousePort = 0xa9,
  kSelfTest = 0xaa,
  kTestKeyboardPort = 0xab,
  kDisableKeyboard = 0xad,
  kEnableKeyboard = 0xae,
  kReadInputPort = 0xc0,
  kReadOutputPort = 0xd0,
  kWriteOutputPort = 0xd1,
  kWriteKeyboardOutput = 0xd2,
  kWriteMouseOutput = 0xd3,
  kWriteMouse = 0xd4,
  kCloseA20 = 0xdd,
  kOpenA20 = 0xdf,
  kReadTestInputs = 0xe0,
  kPulse = 0xf0,
};

constexpr uint8_t kBreak = 0xf0;
constexpr uint8_t kNoPassword = 0xf1;
constexpr uint8_t kSelfTestPassed = 0x55;
// Not locked, no manufacturing jumper, colour display, 512 KiB on the board.
constexpr uint8_t kInputPort = 0xb0;

}  // namespace

I8042::I8042(memory::PortMap& ports, Lines lines, Outputs outputs, Ps2Device* keyboard, Ps2Device* mouse)
    : ports_(ports), lines_(lines), outputs_(std::move(outputs)), keyboard_(keyboard), mouse_(mouse) {
  ports_.map(kDataPort, 1, *this);
  ports_.map(kCommandPort, 1, *this);
  if (keyboard_ != nullptr) keyboard_->set_output_listener([this] { fill(); });
  if (mouse_ != nullptr) mouse_->set_output_listener([this] { fill(); });
  ram_[0] = kKeyboardInterrupt | kMouseInterrupt;
  status_ = kUnlocked | kLastWasCommand;
  output_port_ = kResetHigh | kA20Open;
}

I8042::~I8042() {
  if (keyboard_ != nullptr) keyboard_->set_output_listener(nullptr);
  if (mouse_ != nullptr) mouse_->set_output_listener(nullptr);
  ports_.unmap(kCommandPort, 1, *this);
  ports_.unmap(kDataPort, 1, *this);
}

void I8042::reset() {
  ram_.fill(0);
  ram_[0] = kKeyboardInterrupt | kMouseInterrupt;
  status_ = kUnlocked | kLastWasCommand;
  pending_command_ = 0;
  break_prefix_ = false;
  keyboard_answers_.clear();
  mouse_answers_.clear();
  write_output_port(kResetHigh | kA20Open);
  update_interrupts();
  fill();
}

uint32_t I8042::read_port(uint16_t port, unsigned) {
  if (port == kCommandPort) return status_;
  const uint8_t value = output_;
  status_ &= static_cast<uint8_t>(~(kOutputFull | kMouseOutput));
  update_interrupts();
  fill();
  return value;
}

void I8042::write_port(uint16_t port, unsigned, uint32_t value) {
  if (port == kCommandPort) {
    status_ |= kLastWasCommand;
    write_command(static_cast<uint8_t>(value));
  } else {
    status_ &= static_cast<uint8_t>(~kLastWasCommand);
    write_data(static_cast<uint8_t>(value));
  }
}

void I8042::write_command(uint8_t command) {
  pending_command_ = 0;
  if (command >= kReadRam && command < kReadRam + 0x20) return answer(ram_[command & 0x1f]);
  if (command >= kPulse) return pulse(command);
  if (command >= kWriteRam && command < kWriteRam + 0x20) {
    pending_command_ = command;
    return;
  }
  switch (command) {
    case kPasswordTest: answer(kNoPassword); break;
    case kDisableMouse: write_command_byte(command_byte() | kMouseDisabled); break;
    case kEnableMouse: write_command_byte(static_cast<uint8_t>(command_byte() & ~kMouseDisabled)); break;
    case kTestMousePort:
    case kTestKeyboardPort: answer(0); break;
    case kSelfTest:
      status_ |= kSystemFlag;
      command_byte() |= kSystem;
      answer(kSelfTestPassed);
      break;
    case kDisableKeyboard: write_command_byte(command_byte() | kKeyboardDisabled); break;
    case kEnableKeyboard:
      write_command_byte(static_cast<uint8_t>(command_byte() & ~kKeyboardDisabled));
      break;
    case kReadInputPort: answer(kInputPort); break;
    case kReadOutputPort: answer(output_port()); break;
    case kWriteOutputPort:
    case kWriteKeyboardOutput:
    case kWriteMouseOutput:
    case kWriteMouse: pending_command_ = command; break;
    case kCloseA20: write_output_port(static_cast<uint8_t>(output_port_ & ~kA20Open)); break;
    case kOpenA20: write_output_port(output_port_ | kA20Open); break;
    case kReadTestInputs: answer(0); break;
    default: break;  // the controller's program ignores what it does not know
  }
}

void I8042::write_data(uint8_t value) {
  const uint8_t command = std::exchange(pending_command_, uint8_t{0});
  if (command != 0) {
    write_argument(command, value);
  } else {
    send_to_keyboard(value);
  }
}

void I8042::write_argument(uint8_t command, uint8_t value) {
  switch (command) {
    case kWriteRam: write_command_byte(value); break;
    case kWriteOutputPort: write_output_port(value); break;
    case kWriteKeyboardOutput: answer(value, Source::Keyboard); break;
    case kWriteMouseOutput: answer(value, Source::Mouse); break;
    case kWriteMouse: send_to_mouse(value); break;
    default: ram_[command & 0x1f] = value; break;
  }
}

void I8042::write_command_byte(uint8_t value) {
  command_byte() = value;
  status_ = static_cast<uint8_t>((status_ & ~kSystemFlag) | ((value & kSystem) != 0 ? kSystemFlag : 0));
  update_interrupts();
  fill();
}

uint8_t I8042::output_port() const {
  uint8_t value = kFixedHigh | output_port_;
  if ((status_ & kOutputFull) != 0) value |= (status_ & kMouseOutput) != 0 ? kMouseFull : kKeyboardFull;
  return value;
}

void I8042::write_output_port(uint8_t value) {
  const uint8_t old = output_port_;
  output_port_ = value & (kResetHigh | kA20Open);
  if (((old ^ output_port_) & kA20Open) != 0 && outputs_.a20) outputs_.a20((value & kA20Open) != 0);
  if ((value & kResetHigh) == 0) {
    // The machine comes out of reset with the pin high again.
    output_port_ |= kResetHigh;
    if (outputs_.reset) outputs_.reset();
  }
}

// Commands F0h–FFh pulse those of the output port's low four bits that are zero; bit 0 is the reset pin.
void I8042::pulse(uint8_t command) {
  if ((command & kResetHigh) == 0 && outputs_.reset) outputs_.reset();
}

// Writing to a device enables its interface.
void I8042::send_to_keyboard(uint8_t value) {
  command_byte() &= static_cast<uint8_t>(~kKeyboardDisabled);
  if (keyboard_ != nullptr) keyboard_->receive(value);
  fill();
}

void I8042::send_to_mouse(uint8_t value) {
  command_byte() &= static_cast<uint8_t>(~kMouseDisabled);
  if (mouse_ != nullptr) mouse_->receive(value);
  fill();
}

void I8042::answer(uint8_t value, Source source) {
  // An answer that does not fit is lost: a guest that asks and never reads.
  (void)(source == Source::Keyboard ? keyboard_answers_ : mouse_answers_).push(std::span(&value, 1));
  fill();
}

void I8042::fill() {
  if (filling_) return;
  filling_ = true;
  while ((status_ & kOutputFull) == 0 && fill_once()) {
  }
  filling_ = false;
}

// Takes one byte from whoever has one, the controller's own answers first. False when nobody has.
bool I8042::fill_once() {
  if (const auto byte = keyboard_answers_.pop()) {
    present(*byte, Source::Keyboard);
    return true;
  }
  if (const auto byte = mouse_answers_.pop()) {
    present(*byte, Source::Mouse);
    return true;
  }
  if (keyboard_ != nullptr && (command_byte() & kKeyboardDisabled) == 0) {
    if (auto byte = keyboard_->take()) {
      if ((command_byte() & kTranslate) != 0) {
        if (*byte == kBreak) {
          break_prefix_ = true;
          return true;
        }
        const uint8_t translated = translate_to_set1(*byte);
        // Only codes have a release; an acknowledgement that comes between prefix and code has none.
        if (translated < 0x80 && std::exchange(break_prefix_, false)) {
          *byte = translated | 0x80;
        } else {
          *byte = translated;
        }
      }
      present(*byte, Source::Keyboard);
      return true;
    }
  }
  if (mouse_ != nullptr && (command_byte() & kMouseDisabled) == 0) {
    if (const auto byte = mouse_->take()) {
      present(*byte, Source::Mouse);
      return true;
    }
  }
  return false;
}

void I8042::present(uint8_t value, Source source) {
  output_ = value;
  status_ |= kOutputFull;
  if (source == Source::Mouse) status_ |= kMouseOutput;
  update_interrupts();
}

void I8042::update_interrupts() {
  const bool full = (status_ & kOutputFull) != 0;
  const bool mouse = (status_ & kMouseOutput) != 0;
  lines_.keyboard.set(full && !mouse && (command_byte() & kKeyboardInterrupt) != 0);
  lines_.mouse.set(full && mouse && (command_byte() & kMouseInterrupt) != 0);
}

void I8042::serialize(StateArchive& archive) {
  archive.section("i8042", 1);
  archive.fields(ram_, status_, output_, pending_command_, output_port_, break_prefix_);
  keyboard_answers_.serialize(archive);
  mouse_answers_.serialize(archive);
  if (!archive.loading()) return;
  output_port_ = (output_port_ & kA20Open) | kResetHigh;
  update_interrupts();
}

}  // namespace vitrine::devices
