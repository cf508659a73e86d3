// One terminal shared by several users, of whom one has the focus: what is typed goes there; what any of them
// sends is shown. Ctrl-a is the escape: Ctrl-a h lists what can follow.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/character_backend.h"

namespace vitrine::machine {

/// How a user of a multiplexed terminal sees its carrier.
enum class FrontEndRole : uint8_t {
  Line,     ///< A serial line: somebody is always there.
  Monitor,  ///< Somebody is there while it has the focus.
};

class ConsoleMultiplexer final : private devices::CharacterReceiver {
 public:
  struct Actions {
    std::function<void()> quit;         ///< Ctrl-a x
    std::function<void()> flush_disks;  ///< Ctrl-a s
  };

  /// The terminal must outlive the multiplexer.
  ConsoleMultiplexer(devices::CharacterBackend& terminal, Actions actions);
  ~ConsoleMultiplexer() override;
  ConsoleMultiplexer(const ConsoleMultiplexer&) = delete;
  ConsoleMultiplexer& operator=(const ConsoleMultiplexer&) = delete;

  /// Another user; the first has the focus. Lives as long as the multiplexer.
  [[nodiscard]] devices::CharacterBackend& add_front_end(FrontEndRole role);

 private:
  class FrontEnd;

  [[nodiscard]] size_t receive_capacity() const override;
  void receive(std::span<const uint8_t> data) override;
  void carrier_changed(bool present) override;
  void receive_break() override;

  void escape(uint8_t command);
  void change_focus();
  void print(std::string_view text);

  devices::CharacterBackend& terminal_;
  Actions actions_;
  std::vector<std::unique_ptr<FrontEnd>> front_ends_;
  size_t focus_ = 0;
  bool escaped_ = false;  // the byte before was Ctrl-a
};

}  // namespace vitrine::machine
