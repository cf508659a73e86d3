#include "translate/host_signals.h"

#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/mapping.h"
#include "translate/engine.h"

namespace vitrine::translate {
namespace {

// A handler gets nothing but the signal: this says whose code was running.
thread_local Engine* current_engine = nullptr;

struct AlternateStack {
  Mapping memory;
  ~AlternateStack() {
    if (!memory) return;
    stack_t off{};
    off.ss_flags = SS_DISABLE;
    ::sigaltstack(&off, nullptr);
  }
};
thread_local AlternateStack alternate_stack;

constexpr int kSynchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
std::array<struct sigaction, NSIG> previous{};

// While measure_signal_cost() makes faults of its own.
thread_local bool measuring = false;
constexpr greg_t kMeasuredLength = 1;  // HLT

// By somebody, and not by an instruction.
bool was_sent(const siginfo_t& info) {
  return info.si_code <= 0;
}

void pass_on(int signal, siginfo_t* info, void* frame) {
  const struct sigaction& before = previous[static_cast<size_t>(signal)];
  // As it would have been on entry: such a handler sends the signal to itself once more.
  if ((static_cast<unsigned>(before.sa_flags) & SA_RESETHAND) != 0) ::signal(signal, SIG_DFL);
  if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
    before.sa_sigaction(signal, info, frame);
    return;
  }
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
    return;
  }
  // What nobody handles ends the process the way it would have: the instruction is executed again.
  ::sigaction(signal, &before, nullptr);
  if (was_sent(*info)) ::raise(signal);  // Blocked until we return.
}

void on_synchronous(int signal, siginfo_t* info, void* frame) {
  if (measuring && signal == SIGSEGV) {
    static_cast<ucontext_t*>(frame)->uc_mcontext.gregs[REG_RIP] += kMeasuredLength;
    return;
  }
  Engine* const engine = current_engine;
  if (engine != nullptr && !was_sent(*info) &&
      engine->handle_fault(signal, reinterpret_cast<uint64_t>(info->si_addr),
                           *static_cast<ucontext_t*>(frame)))
    return;
  pass_on(signal, info, frame);
}

void on_kick(int /*signal*/, siginfo_t* /*info*/, void* frame) {
  if (current_engine != nullptr) current_engine->handle_kick(*static_cast<ucontext_t*>(frame));
}

Result<void> install() {
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, kick_signal());
  action.sa_sigaction = &on_synchronous;
  for (const int signal : kSynchronous) {
    if (::sigaction(signal, &action, &previous[static_cast<size_t>(signal)]) != 0)
      return std::unexpected(error_from_errno("cannot handle faults of translated code", "sigaction"));
  }
  action.sa_sigaction = &on_kick;
  for (const int signal : kSynchronous) sigaddset(&action.sa_mask, signal);
  if (::sigaction(kick_signal(), &action, nullptr) != 0)
    return std::unexpected(error_from_errno("cannot handle the kick signal", "sigaction"));
  return {};
}

}  // namespace

int kick_signal() {
  return SIGRTMIN + 3;
}

Result<void> prepare_host_signals() {
  static std::once_flag once;
  static Result<void> installed;
  std::call_once(once, [] { installed = install(); });
  if (!installed) return installed;
  if (!alternate_stack.memory) {
    // Room for the frame with the host's whole vector state, and for filling and translating.
    const size_t size = std::max<size_t>(::getauxval(AT_MINSIGSTKSZ), 16384) + (size_t{256} << 10);
    alternate_stack.memory = TRY(Mapping::create(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
    stack_t stack{};
    stack.ss_sp = alternate_stack.memory.data();
    stack.ss_size = size;
    if (::sigaltstack(&stack, nullptr) != 0)
      return std::unexpected(error_from_errno("cannot set an alternate signal stack", "sigaltstack"));
  }
  return {};
}

void set_current_engine(Engine* engine) {
  current_engine = engine;
}

void forget_engine(const Engine& engine) {
  if (current_engine == &engine) current_engine = nullptr;
}

// HLT is #GP in user mode, which no hypervisor below takes for itself (as some do #UD). Several batches, of
// which the fastest counts: the others were interrupted.
Nanoseconds measure_signal_cost() {
  constexpr unsigned kBatches = 8, kFaults = 32;
  Nanoseconds best = ~Nanoseconds{0};
  measuring = true;
  for (unsigned batch = 0; batch < kBatches; ++batch) {
    const Nanoseconds start = monotonic_time();
    for (unsigned n = 0; n < kFaults; ++n) {
      // SAFETY: the handler of this thread goes on behind it.
      __asm__ volatile("hlt" ::: "memory");
    }
    best = std::min(best, monotonic_time() - start);
  }
  measuring = false;
  return best / kFaults;
}

}  // namespace vitrine::translate
