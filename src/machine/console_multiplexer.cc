#include "machine/console_multiplexer.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace vitrine::machine {
namespace {

constexpr uint8_t kControlA = 0x01;

/// How much typed ahead is kept for a user that does not read.
constexpr size_t kTypeAheadLimit = 4096;

constexpr std::string_view kHelp =
    "\r\n"
    "Ctrl-a h       this list\r\n"
    "Ctrl-a x       end the machine\r\n"
    "Ctrl-a c       switch between the serial line and the monitor\r\n"
    "Ctrl-a b       send a break on the serial line\r\n"
    "Ctrl-a s       write what the disks have cached\r\n"
    "Ctrl-a Ctrl-a  send Ctrl-a\r\n";

std::span<const uint8_t> bytes_of(std::string_view text) {
  // SAFETY: characters are bytes.
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

/// One user's view of the terminal.
class ConsoleMultiplexer::FrontEnd final : public devices::CharacterBackend {
 public:
  FrontEnd(ConsoleMultiplexer& owner, size_t index, FrontEndRole role)
      : owner_(owner), index_(index), role_(role) {}

  void send(std::span<const uint8_t> data) override { owner_.terminal_.send(data); }
  void set_receiver(devices::CharacterReceiver* receiver) override {
    receiver_ = receiver;
    deliver();
  }
  void receiver_ready() override {
    deliver();
    owner_.terminal_.receiver_ready();
  }
  [[nodiscard]] bool carrier() const override {
    return role_ == FrontEndRole::Line || (owner_.focus_ == index_ && owner_.terminal_.carrier());
  }

  [[nodiscard]] size_t room() const { return kTypeAheadLimit - std::min(kTypeAheadLimit, typed_.size()); }
  void type(uint8_t byte) {
    if (room() > 0) typed_ += static_cast<char>(byte);
  }
  void deliver() {
    if (delivering_) return;  // a receiver may call receiver_ready() from inside receive()
    delivering_ = true;
    while (receiver_ != nullptr && !typed_.empty()) {
      const size_t count = std::min(receiver_->receive_capacity(), typed_.size());
      if (count == 0) break;
      const std::string part = typed_.substr(0, count);
      typed_.erase(0, count);
      receiver_->receive(bytes_of(part));
    }
    delivering_ = false;
  }
  void tell_focus(bool focused) {
    if (role_ == FrontEndRole::Monitor && receiver_ != nullptr) receiver_->carrier_changed(focused);
  }
  void tell_break() {
    if (receiver_ != nullptr) receiver_->receive_break();
  }

 private:
  ConsoleMultiplexer& owner_;
  size_t index_;
  FrontEndRole role_;
  devices::CharacterReceiver* receiver_ = nullptr;
  std::string typed_;
  bool delivering_ = false;
};

ConsoleMultiplexer::ConsoleMultiplexer(devices::CharacterBackend& terminal, Actions actions)
    : terminal_(terminal), actions_(std::move(actions)) {
  terminal_.set_receiver(this);
}

ConsoleMultiplexer::~ConsoleMultiplexer() {
  terminal_.set_receiver(nullptr);
}

devices::CharacterBackend& ConsoleMultiplexer::add_front_end(FrontEndRole role) {
  front_ends_.push_back(std::make_unique<FrontEnd>(*this, front_ends_.size(), role));
  terminal_.receiver_ready();
  return *front_ends_.back();
}

size_t ConsoleMultiplexer::receive_capacity() const {
  return front_ends_.empty() ? 0 : front_ends_[focus_]->room();
}

void ConsoleMultiplexer::receive(std::span<const uint8_t> data) {
  for (const uint8_t byte : data) {
    if (escaped_) {
      escaped_ = false;
      escape(byte);
    } else if (byte == kControlA) {
      escaped_ = true;
    } else {
      front_ends_[focus_]->type(byte);
    }
  }
  front_ends_[focus_]->deliver();
}

void ConsoleMultiplexer::carrier_changed(bool present) {
  if (!front_ends_.empty()) front_ends_[focus_]->tell_focus(present);
}

void ConsoleMultiplexer::receive_break() {
  if (!front_ends_.empty()) front_ends_[focus_]->tell_break();
}

void ConsoleMultiplexer::escape(uint8_t command) {
  switch (command) {
    case 'h':
    case '?': print(kHelp); return;
    case 'x':
      print("\r\nvitrine: ended by Ctrl-a x\r\n");
      actions_.quit();
      return;
    case 'c': change_focus(); return;
    case 'b': front_ends_[focus_]->tell_break(); return;
    case 's': actions_.flush_disks(); return;
    case kControlA: front_ends_[focus_]->type(kControlA); return;
    default: return;  // an escape that means nothing is not passed on
  }
}

void ConsoleMultiplexer::change_focus() {
  front_ends_[focus_]->deliver();  // what was typed before the switch belongs to the old user
  front_ends_[focus_]->tell_focus(false);
  focus_ = (focus_ + 1) % front_ends_.size();
  front_ends_[focus_]->tell_focus(true);
}

void ConsoleMultiplexer::print(std::string_view text) {
  terminal_.send(bytes_of(text));
}

}  // namespace vitrine::machine
