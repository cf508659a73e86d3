#include "machine/event_log.h"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace vitrine::machine {
namespace {

constexpr std::array<LogItemName, static_cast<size_t>(LogItem::Count)> kNames{{
    {LogItem::Interrupt, "int", "interrupts and exceptions, with the registers before delivery"},
    {LogItem::CpuReset, "cpu_reset", "processor state before each reset, and at a triple fault"},
    {LogItem::Exit, "exit", "why a virtual processor stopped running"},
    {LogItem::UnmappedPort, "unimp_port", "accesses to I/O ports that no device answers"},
    {LogItem::UnmappedMemory, "unimp_mem", "accesses to physical addresses that nothing answers"},
    {LogItem::Instruction, "in_asm", "each instruction, before it is executed; slow"},
    {LogItem::Trap, "trap",
     "what the monitor does: instructions emulated, fills, switches, events delivered"},
}};

constexpr bool in_order() {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (static_cast<size_t>(kNames[i].item) != i) return false;
  }
  return true;
}
static_assert(in_order(), "one row for each LogItem, in its order");

}  // namespace

std::span<const LogItemName> log_item_names() {
  return kNames;
}

void EventLog::flush() {
  const int fd = output_ ? output_.get() : STDERR_FILENO;
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t written = ::write(fd, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;  // A log that cannot be written is lost; the guest must not suffer from it.
    done += static_cast<size_t>(written);
  }
  buffer_.clear();
}

}  // namespace vitrine::machine
