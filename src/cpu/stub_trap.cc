// The SIGFPE handler of stub_trap.h.
#include "cpu/stub_trap.h"

#include <signal.h>
#include <ucontext.h>

#include <cstring>
#include <mutex>

#include "base/check.h"

namespace vitrine::cpu {
namespace {

// The call in progress on this thread. Thread-local because a signal handler has no argument of ours;
// initial-exec so that the handler's access cannot allocate.
struct Armed {
  const HostCode* code = nullptr;
  bool trapped = false;
};
[[gnu::tls_model("initial-exec")]] thread_local constinit volatile Armed armed;

// Whoever handled SIGFPE before us. Written once, before the handler is installed.
struct sigaction previous_action;

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((previous_action.sa_flags & SA_SIGINFO) != 0)
    return previous_action.sa_sigaction(signal, info, context);
  if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN)
    return previous_action.sa_handler(signal);
  // The instruction is executed again, and this time it ends the process.
  ::signal(SIGFPE, SIG_DFL);
}

void handle(int signal, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto rip = static_cast<uintptr_t>(registers[REG_RIP]);
  if (armed.code == nullptr || !const_cast<const HostCode*>(armed.code)->contains(rip))
    return pass_on(signal, info, context);
  armed.trapped = true;
  // SAFETY: stubs push nothing, so the stack pointer is at the return address, and use only registers that a
  // call may change.
  std::memcpy(&registers[REG_RIP], reinterpret_cast<const void*>(registers[REG_RSP]), 8);
  registers[REG_RSP] += 8;
}

void install() {
  struct sigaction action {};
  action.sa_sigaction = &handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  CHECK(::sigaction(SIGFPE, nullptr, &previous_action) == 0);
  CHECK(::sigaction(SIGFPE, &action, nullptr) == 0);
}

}  // namespace

bool call_trapping(const HostCode& code, VectorStub stub, const StubArguments& a, uint32_t& result) {
  static std::once_flag installed;
  std::call_once(installed, install);
  armed.trapped = false;
  armed.code = &code;
  result = stub(a.rm, a.reg, a.mxcsr, a.general, a.xmm0);
  armed.code = nullptr;
  return !armed.trapped;
}

}  // namespace vitrine::cpu
