// The terminal in raw mode while a machine uses it, and in its old mode again whenever Vitrine ends, is
// stopped (SIGTSTP), or dies of a signal. Only SIGKILL can leave it raw.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"

namespace vitrine::cli {

/// Whether Ctrl-C, Ctrl-Z and Ctrl-\ make signals or are bytes for the guest.
enum class TerminalSignals : uint8_t { Keep, PassToGuest };

class RawTerminal {
 public:
  /// Null when `fd` is no terminal: then nothing needs to be done. One at a time in a process: signal
  /// handlers restore it. `fd` must stay open as long as the object lives.
  [[nodiscard]] static Result<std::unique_ptr<RawTerminal>> enter(int fd, TerminalSignals signals);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  RawTerminal() = default;
};

}  // namespace vitrine::cli
