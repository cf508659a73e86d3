// See tracer.h.
#include "engines/tracer.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "paging/rights_map.h"
#include "paging/shadow_window.h"
#include "translate/guest_context.h"
#include "translate/host_signals.h"

namespace vitrine::engines {
namespace {

using translate::GuestContext;
using Registers = user_regs_struct;

constexpr uint64_t kTrapFlag = 0x100;
constexpr int kSystemCallStop = SIGTRAP | 0x80;
// One entry's share, so that a guest's endless loop does not take all the time; it goes on unwatched until it
// is kicked out.
constexpr uint64_t kStepsOfAnEntry = 1000;
constexpr uint64_t kComparedEntries = 16;  // every so many

struct Range {
  const char* name = "";
  uint64_t first = 0, size = 0;
  bool writable = false;

  [[nodiscard]] bool contains(uint64_t address, uint64_t bytes) const {
    return address >= first && address - first + bytes <= size;
  }
};

class Tracer {
 public:
  Tracer(const translate::Engine& engine, pid_t child, TraceKicks kicks)
      : engine_(engine),
        child_(child),
        kicks_(kicks),
        code_(reinterpret_cast<uint64_t>(engine.cache().memory().executable(0))),
        enter_(code_ + engine.glue().enter),
        glue_end_(code_ + engine.glue().end) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  }

  TraceReport run() {
    int status = 0;
    ::waitpid(child_, &status, 0);
    ::ptrace(PTRACE_SETOPTIONS, child_, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
    if (!set_breakpoints()) {
      report_.unavailable = "breakpoints of the host's processor (PTRACE_POKEUSER)";
      ::kill(child_, SIGKILL);
      ::waitpid(child_, &status, 0);
      return report_;
    }
    go(PTRACE_CONT, 0);
    while (::waitpid(child_, &status, 0) == child_ && WIFSTOPPED(status)) {
      stopped(WSTOPSIG(status));
      if (report_.violation.empty()) continue;
      ::kill(child_, SIGKILL);
    }
    report_.finished = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!report_.finished && report_.violation.empty())
      report_.violation = fmt::format("the process ended with status {:#x}", status);
    return report_;
  }

 private:
  enum class State : uint8_t { Outside, Stepping, InHandler, Returning };

  // DR0: the glue's entry.
  bool set_breakpoints() {
    const auto poke = [&](unsigned n, uint64_t value) {
      return ::ptrace(PTRACE_POKEUSER, child_, offsetof(struct user, u_debugreg) + 8 * n, value) == 0;
    };
    return poke(0, enter_) && poke(7, 1);
  }

  void go(__ptrace_request how, int signal) { ::ptrace(how, child_, nullptr, signal); }

  void violation(std::string what) {
    report_.violation =
        fmt::format("{} (at code memory +{:x}, after {} steps)", what, registers_.rip - code_, report_.steps);
  }

  [[nodiscard]] bool in_code(uint64_t rip) const { return engine_.cache().memory().contains(rip); }
  [[nodiscard]] bool in_glue() const { return registers_.rip >= code_ && registers_.rip < glue_end_; }

  bool read(uint64_t address, void* into, size_t size) const {
    const iovec here{into, size}, there{reinterpret_cast<void*>(address), size};
    return ::process_vm_readv(child_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
  }

  void stopped(int signal) {
    ::ptrace(PTRACE_GETREGS, child_, nullptr, &registers_);
    forget_trap_flag();
    const bool at_entry = signal == SIGTRAP && registers_.rip == enter_;
    switch (state_) {
      case State::Outside: return at_entry ? entered() : go(PTRACE_CONT, signal);
      case State::InHandler:
        if (signal != kSystemCallStop) return go(PTRACE_SYSCALL, signal);
        if (registers_.orig_rax == SYS_rt_sigreturn) {
          take_over_steps();
          state_ = State::Returning;
        }
        return go(PTRACE_SYSCALL, 0);
      case State::Returning:  // has returned
        state_ = State::Stepping;
        if (comparison_due_) remember_memory();
        return in_code(registers_.rip) ? step() : violation("a handler returned to elsewhere");
      case State::Stepping: return stepped(signal);
    }
  }

  // Behind a POPF Linux takes the flag by which it steps for the process's own, and leaves it.
  void forget_trap_flag() {
    if ((registers_.eflags & kTrapFlag) == 0) return;
    registers_.eflags &= ~kTrapFlag;
    ::ptrace(PTRACE_SETREGS, child_, nullptr, &registers_);
  }

  // At the system call by which a handler returns: the stack pointer is that of the ucontext. The engine
  // itself steps to the next boundary, by the flags there.
  void take_over_steps() {
    const uint64_t where =
        registers_.rsp + offsetof(ucontext_t, uc_mcontext.gregs) + REG_EFL * sizeof(greg_t);
    const long flags = ::ptrace(PTRACE_PEEKDATA, child_, where, nullptr);
    stepped_by_engine_ = (static_cast<uint64_t>(flags) & kTrapFlag) != 0;
    ::ptrace(PTRACE_POKEDATA, child_, where, flags & ~static_cast<long>(kTrapFlag));
  }

  // Another signal came first: its handler returns to flags as the engine left them.
  void give_back_steps() {
    registers_.eflags |= kTrapFlag;
    ::ptrace(PTRACE_SETREGS, child_, nullptr, &registers_);
  }

  void entered() {
    ++report_.entries;
    steps_ = 0;
    kicked_ = false;
    context_ = registers_.rdi;
    read(registers_.rsp, &return_address_, sizeof return_address_);
    GuestContext context;
    read(context_, static_cast<void*>(&context), sizeof context);
    window_ = context.window;
    constexpr uint64_t kCodeMap = sizeof(uint32_t) << (32 - kPageShift);
    constexpr uint64_t kJumpCache = sizeof(translate::JumpEntry) * translate::kJumpEntries;
    const bool table = engine_.uses_target_table(reinterpret_cast<const void*>(context.jump_cache));
    constexpr uint64_t kMonitorStack = 64;  // what the glue saves
    ranges_ = {{"context", context_, sizeof(GuestContext), true},
               {"code map", context.code_map, kCodeMap, false},
               {"rights", context.rights, paging::RightsMap::kSize, false},
               {"targets", context.jump_cache, table ? sizeof(uint32_t) << 32 : kJumpCache, false},
               {"monitor's stack", registers_.rsp - kMonitorStack, kMonitorStack + 8, true}};
    constexpr uint64_t kGiB = uint64_t{1} << 30;  // landing_pad.h: all that its loads can reach
    if (context.landing_pad != 0)
      ranges_.push_back({"landing pad", context.landing_pad - 2 * kGiB, 8 * kGiB + kPageSize, false});
    using translate::CodePrivilege;
    for (const auto mode : {CodePrivilege::Supervisor, CodePrivilege::User, CodePrivilege::UserWithFpu}) {
      const std::span<const uint8_t> stack = engine_.return_stack(mode);
      const auto first = reinterpret_cast<uint64_t>(stack.data());
      if (context.return_stack - first < stack.size())
        ranges_.push_back({"return stack", first, stack.size(), true});
    }
    // The kernel says there which processor the thread is on.
    kernels_own_ = {"rseq", registers_.fs_base + static_cast<uint64_t>(__rseq_offset), sizeof(struct rseq)};
    comparison_due_ = comparison_due_ || report_.entries % kComparedEntries == 1;
    if (comparison_due_) remember_memory();
    state_ = State::Stepping;
    step();
  }

  // The instruction that comes next, and then the step.
  void step() {
    if (steps_ >= kStepsOfAnEntry) {
      memory_.clear();
      state_ = State::Outside;
      return go(PTRACE_CONT, 0);
    }
    check_instruction();
    if (!report_.violation.empty()) return;
    if (kick_is_due()) return kick();
    ++steps_;
    ++report_.steps;
    go(PTRACE_SINGLESTEP, 0);
  }

  [[nodiscard]] bool kick_is_due() const {
    constexpr uint64_t kMost = 48;  // longer than the way in
    return kicks_ == TraceKicks::OnTheWayIn && report_.entries % 2 == 0 &&
           steps_ == report_.entries / 2 % kMost && in_glue() && !kicked_;
  }

  // The handler's return is watched like that of any other.
  void kick() {
    kicked_ = true;
    ++report_.kicks;
    memory_.clear();
    state_ = State::InHandler;
    go(PTRACE_SYSCALL, translate::kick_signal());
  }

  void stepped(int signal) {
    const bool steps_engine = std::exchange(stepped_by_engine_, false);
    const bool to_engine = signal != SIGTRAP || steps_engine;
    if (signal == SIGTRAP && pushes_flags_) hide_trap_flag();
    if (signal == SIGTRAP && !in_code(registers_.rip)) {
      if (registers_.rip != return_address_)
        return violation(fmt::format("control went to {:#x}", registers_.rip));
      compare_memory();
      state_ = State::Outside;
      return go(PTRACE_CONT, to_engine ? signal : 0);
    }
    if (!to_engine) return step();
    if (steps_engine && signal != SIGTRAP) give_back_steps();
    ++report_.signals;
    if (signal != SIGTRAP && signal != translate::kick_signal()) check_signal(signal);
    if (!report_.violation.empty()) return;
    memory_.clear();  // The handler may do anything.
    state_ = State::InHandler;
    go(PTRACE_SYSCALL, signal);
  }

  // PUSHFQ has pushed the flag by which we step.
  void hide_trap_flag() {
    const long flags = ::ptrace(PTRACE_PEEKDATA, child_, registers_.rsp, nullptr);
    ::ptrace(PTRACE_POKEDATA, child_, registers_.rsp, flags & ~static_cast<long>(kTrapFlag));
  }

  void check_signal(int signal) {
    if (!in_code(registers_.rip)) return violation(fmt::format("signal {} at {:#x}", signal, registers_.rip));
    siginfo_t info{};
    ::ptrace(PTRACE_GETSIGINFO, child_, nullptr, &info);
    if (signal == SIGSEGV && (info.si_code == SEGV_MAPERR || info.si_code == SEGV_ACCERR)) {
      const auto address = reinterpret_cast<uint64_t>(info.si_addr);
      bool known = in_window(address, 1);
      for (const Range& range : ranges_) known = known || range.contains(address, 1);
      // Where a segment's base is not to be had, its pointer is null.
      if (!known && address != 0) violation(fmt::format("fault at {:#x}", address));
      return;
    }
    const bool other = signal == SIGSEGV || signal == SIGFPE || signal == SIGILL || signal == SIGBUS;
    if (!other) violation(fmt::format("signal {}", signal));
  }

  [[nodiscard]] bool in_window(uint64_t address, uint64_t bytes) const {
    constexpr uint64_t kGuard = paging::ShadowWindow::kGuard;
    return Range{"", window_ - kGuard, paging::ShadowWindow::kSize + 2 * kGuard}.contains(address, bytes);
  }

  void check_instruction() {
    ZydisDecodedInstruction i;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const uint8_t* const bytes =
        engine_.cache().memory().executable(engine_.cache().memory().offset_of(registers_.rip));
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, bytes, 15, &i, operands)))
      return violation("not an instruction");
    pushes_flags_ = i.mnemonic == ZYDIS_MNEMONIC_PUSHFQ;
    switch (i.meta.category) {
      case ZYDIS_CATEGORY_SYSCALL:
      case ZYDIS_CATEGORY_SYSRET:
      case ZYDIS_CATEGORY_INTERRUPT:
      case ZYDIS_CATEGORY_SEGOP:
      case ZYDIS_CATEGORY_RDWRFSGS:
      case ZYDIS_CATEGORY_IO:
      case ZYDIS_CATEGORY_IOSTRINGOP: return violation(ZydisMnemonicGetString(i.mnemonic));
      default: break;
    }
    for (unsigned n = 0; n < i.operand_count; ++n) {
      if (operands[n].type == ZYDIS_OPERAND_TYPE_MEMORY) check_access(i, operands[n]);
      if (operands[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
          ZydisRegisterGetClass(operands[n].reg.value) == ZYDIS_REGCLASS_SEGMENT)
        return violation(ZydisMnemonicGetString(i.mnemonic));
      if (!report_.violation.empty()) return;
    }
  }

  [[nodiscard]] uint64_t value(ZydisRegister reg, uint8_t length) const {
    if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP) return registers_.rip + length;
    const unsigned long long* const all[16] = {
        &registers_.rax, &registers_.rcx, &registers_.rdx, &registers_.rbx, &registers_.rsp, &registers_.rbp,
        &registers_.rsi, &registers_.rdi, &registers_.r8,  &registers_.r9,  &registers_.r10, &registers_.r11,
        &registers_.r12, &registers_.r13, &registers_.r14, &registers_.r15};
    const auto id = ZydisRegisterGetId(reg);
    return id >= 0 && id < 16 ? *all[id] : 0;
  }

  // SDM Vol. 1, "Memory Operands"; a push writes below where RSP points before.
  void check_access(const ZydisDecodedInstruction& i, const ZydisDecodedOperand& operand) {
    const auto& m = operand.mem;
    if (m.type == ZYDIS_MEMOP_TYPE_AGEN || i.mnemonic == ZYDIS_MNEMONIC_NOP) return;
    ++report_.accesses;
    const bool writes = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    const uint64_t size = operand.size / 8;
    uint64_t address = static_cast<uint64_t>(m.disp.value);
    if (m.base != ZYDIS_REGISTER_NONE) address += value(m.base, i.length);
    // The lanes of a gather are 32-bit sums, and so in the window like all others.
    const bool lanes = m.type == ZYDIS_MEMOP_TYPE_VSIB;
    if (m.index != ZYDIS_REGISTER_NONE && !lanes) address += value(m.index, i.length) * m.scale;
    if (i.address_width == 32) address &= 0xffffffff;
    if (m.segment == ZYDIS_REGISTER_FS ||
        (lanes && (i.address_width != 32 || m.segment != ZYDIS_REGISTER_GS)))
      return violation("an address without a window");
    if (m.segment == ZYDIS_REGISTER_GS) address += registers_.gs_base;
    const bool pushes =
        writes && m.base == ZYDIS_REGISTER_RSP && operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
    if (pushes) address -= size;
    if (in_window(address, size)) return;
    // A segment's base that is not to be had: the pointer to it is null, and the read faults (page 0 is not
    // ours).
    if (address == 0 && !writes) return;
    for (const Range& range : ranges_) {
      if (!range.contains(address, size) || (writes && !range.writable)) continue;
      const bool of_glue = std::strcmp(range.name, "monitor's stack") == 0;
      if (!of_glue || in_glue()) return;
    }
    violation(fmt::format("{} of {} bytes at {:#x}", writes ? "write" : "read", size, address));
  }

  // Private writable memory: heap, stacks, data. What is large is tables, which nobody writes here (see
  // ranges_).
  void remember_memory() {
    constexpr uint64_t kLargest = uint64_t{32} << 20;
    memory_.clear();
    std::ifstream maps(fmt::format("/proc/{}/maps", child_));
    for (std::string line; std::getline(maps, line);) {
      uint64_t first = 0, last = 0;
      char rights[5] = "";
      if (std::sscanf(line.c_str(), "%lx-%lx %4s", &first, &last, rights) != 3) continue;
      if (std::string_view(rights) != "rw-p" || last - first > kLargest) continue;
      std::vector<uint8_t> bytes(last - first);
      if (read(first, bytes.data(), bytes.size())) memory_.emplace(first, std::move(bytes));
    }
  }

  void compare_memory() {
    if (memory_.empty()) return;
    ++report_.comparisons;
    comparison_due_ = false;
    for (const auto& [first, before] : memory_) {
      std::vector<uint8_t> now(before.size());
      if (!read(first, now.data(), now.size())) return violation("memory is gone");
      if (now == before) continue;
      for (size_t at = 0; at < now.size(); ++at) {
        if (now[at] == before[at]) continue;
        bool known = kernels_own_.contains(first + at, 1);
        for (const Range& range : ranges_) known = known || (range.writable && range.contains(first + at, 1));
        if (!known) return violation(fmt::format("memory at {:#x} has changed", first + at));
      }
    }
    memory_.clear();
  }

  const translate::Engine& engine_;
  pid_t child_;
  TraceKicks kicks_;
  bool kicked_ = false;  // at this entry
  uint64_t code_, enter_, glue_end_;
  ZydisDecoder decoder_{};
  TraceReport report_;
  State state_ = State::Outside;
  Registers registers_{};
  bool stepped_by_engine_ = false;  // the signal of the next step is the engine's
  bool pushes_flags_ = false;
  bool comparison_due_ = false;
  uint64_t steps_ = 0;
  uint64_t context_ = 0, return_address_ = 0, window_ = 0;
  std::vector<Range> ranges_;
  Range kernels_own_;
  std::map<uint64_t, std::vector<uint8_t>> memory_;
};

}  // namespace

namespace {

TraceReport unavailable(const char* what) {
  TraceReport report;
  report.unavailable = what;
  return report;
}

}  // namespace

TraceReport trace(const translate::Engine& engine, const std::function<void()>& body, TraceKicks kicks) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) std::_Exit(2);
    ::raise(SIGSTOP);
    body();
    std::_Exit(0);
  }
  int status = 0;
  if (child < 0 || ::waitid(P_PID, static_cast<id_t>(child), nullptr, WEXITED | WSTOPPED | WNOWAIT) != 0)
    return unavailable("a child process");
  siginfo_t state{};
  ::waitid(P_PID, static_cast<id_t>(child), &state, WEXITED | WSTOPPED | WNOWAIT);
  if (state.si_code == CLD_EXITED) {
    ::waitpid(child, &status, 0);
    return unavailable("ptrace");
  }
  return Tracer(engine, child, kicks).run();
}

}  // namespace vitrine::engines
