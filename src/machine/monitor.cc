#include "machine/monitor.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "machine/monitor_commands.h"
#include "x86/registers.h"

namespace vitrine::machine {
namespace {

constexpr size_t kLineLimit = 1024;
constexpr size_t kHistoryLimit = 100;
constexpr size_t kKeyEventLimit = 4096;

constexpr uint8_t kControlC = 0x03, kControlH = 0x08, kControlL = 0x0c, kControlN = 0x0e, kControlP = 0x10,
                  kControlU = 0x15, kControlW = 0x17, kEscape = 0x1b, kDelete = 0x7f;

std::optional<uint64_t> register_value(const cpu::CpuState& state, std::string_view name) {
  static constexpr std::array<std::string_view, x86::kGprCount> kGprs = {"eax", "ecx", "edx", "ebx",
                                                                         "esp", "ebp", "esi", "edi"};
  static constexpr std::array<std::string_view, x86::kSegmentCount> kSegments = {"es", "cs", "ss",
                                                                                 "ds", "fs", "gs"};
  if (const auto* it = std::ranges::find(kGprs, name); it != kGprs.end()) {
    return state.gpr[static_cast<size_t>(it - kGprs.begin())];
  }
  if (const auto* it = std::ranges::find(kSegments, name); it != kSegments.end()) {
    return state.segments[static_cast<size_t>(it - kSegments.begin())].selector;
  }
  if (name == "eip" || name == "pc") return state.eip;
  if (name == "sp") return state.gpr[x86::kEsp];
  if (name == "fp") return state.gpr[x86::kEbp];
  if (name == "eflags") return state.eflags;
  if (name == "cr0") return state.cr0;
  if (name == "cr2") return state.cr2;
  if (name == "cr3") return state.cr3;
  if (name == "cr4") return state.cr4;
  return std::nullopt;
}

}  // namespace

MonitorSession::MonitorSession(MonitorTarget& target, FileService& files)
    : target_(target), files_(files), key_timer_(target.clock(), [this] { run_key_events(); }) {}

RegisterLookup MonitorSession::registers() const {
  return [this](std::string_view name) { return register_value(cpu_state(), name); };
}

Result<uint64_t> MonitorSession::evaluate(std::string_view expression) const {
  return evaluate_expression(expression, registers());
}

Result<void> MonitorSession::send_keys(const std::vector<devices::Key>& chord, Nanoseconds hold) {
  if (key_events_.size() + 2 * chord.size() > kKeyEventLimit) {
    return std::unexpected(Error{"too many keys are waiting to be typed", ""});
  }
  const Nanoseconds now = target_.clock().now();
  const Nanoseconds start = key_events_.empty() ? now : key_events_.back().time + hold;
  for (const devices::Key key : chord) key_events_.push_back({start, key, devices::KeyAction::Press});
  for (auto it = chord.rbegin(); it != chord.rend(); ++it)
    key_events_.push_back({start + hold, *it, devices::KeyAction::Release});
  run_key_events();
  return {};
}

void MonitorSession::run_key_events() {
  const Nanoseconds now = target_.clock().now();
  while (!key_events_.empty() && key_events_.front().time <= now) {
    target_.key_event(key_events_.front().key, key_events_.front().action);
    key_events_.pop_front();
  }
  if (!key_events_.empty()) key_timer_.arm(key_events_.front().time);
}

Monitor::Monitor(devices::CharacterBackend& terminal, MonitorTarget& target, FileService& files)
    : terminal_(terminal), session_(target, files) {
  terminal_.set_receiver(this);
  if (terminal_.carrier()) greet();
}

Monitor::~Monitor() {
  terminal_.set_receiver(nullptr);
}

std::string Monitor::execute(std::string_view line) {
  execute_monitor_command(session_, line);
  return session_.take_output();
}

void Monitor::greet() {
  if (!greeted_) show("Vitrine monitor: 'help' lists the commands\n");
  greeted_ = true;
  show(kPrompt);
  show(line_);
}

void Monitor::carrier_changed(bool present) {
  if (present) greet();
}

void Monitor::receive(std::span<const uint8_t> data) {
  for (const uint8_t byte : data) type(byte);
}

void Monitor::type(uint8_t byte) {
  const bool second_half = byte == '\n' && after_return_;
  after_return_ = byte == '\r';
  if (second_half) return;
  if (escape_ != Escape::None) return escape_sequence(byte);
  switch (byte) {
    case '\r':
    case '\n': return finish_line();
    case kControlH:
    case kDelete:
      if (!line_.empty()) {
        line_.pop_back();
        show("\b \b");
      }
      return;
    case kControlC:
    case kControlU: return replace_line("");
    case kControlW: {
      const size_t end = line_.find_last_not_of(' ');
      const size_t space = end == std::string::npos ? end : line_.find_last_of(' ', end);
      return replace_line(space == std::string::npos ? "" : line_.substr(0, space + 1));
    }
    case kControlL: show("\x1b[H\x1b[2J"); return greet();
    case kControlP: return recall(history_position_ - 1);
    case kControlN: return recall(history_position_ + 1);
    case kEscape: escape_ = Escape::Started; return;
    default: break;
  }
  if (byte < ' ' || line_.size() >= kLineLimit) return;
  line_ += static_cast<char>(byte);
  show(std::string_view(line_).substr(line_.size() - 1));
}

void Monitor::escape_sequence(uint8_t byte) {
  // Cursor keys of a terminal: ESC [ A or ESC O A.
  if (escape_ == Escape::Started) {
    escape_ = byte == '[' || byte == 'O' ? Escape::Bracket : Escape::None;
    return;
  }
  if (std::isdigit(byte) != 0 || byte == ';') return;
  escape_ = Escape::None;
  if (byte == 'A') recall(history_position_ - 1);
  if (byte == 'B') recall(history_position_ + 1);
}

void Monitor::recall(size_t position) {
  if (position > history_.size()) return;  // above the first (wrapped) or below the last
  history_position_ = position;
  replace_line(position == history_.size() ? "" : history_[position]);
}

void Monitor::replace_line(std::string line) {
  for (size_t i = 0; i < line_.size(); ++i) show("\b \b");
  line_ = std::move(line);
  show(line_);
}

void Monitor::finish_line() {
  show("\n");
  const std::string line = std::exchange(line_, {});
  if (!line.empty() && (history_.empty() || history_.back() != line)) history_.push_back(line);
  if (history_.size() > kHistoryLimit) history_.erase(history_.begin());
  history_position_ = history_.size();
  show(execute(line));
  show(kPrompt);
}

void Monitor::show(std::string_view text) {
  std::string bytes;
  for (const char character : text) {
    if (character == '\n') bytes += '\r';
    bytes += character;
  }
  // SAFETY: characters are bytes.
  terminal_.send({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

}  // namespace vitrine::machine
