// Calling a stub that may raise a SIMD floating-point exception on the host, because the guest's MXCSR
// unmasks one.
//
// The host reports it as SIGFPE. The process's one handler for that signal returns from the stub in the
// stub's stead: nothing was stored yet, and MXCSR is as the hardware left it. A SIGFPE from anywhere else
// goes to whoever handled the signal before.
#pragma once

#include <cstdint>

#include "cpu/host_code.h"

namespace vitrine::cpu {

/// What a vector stub gets: see interpret_vector.cc.
struct StubArguments {
  void* rm = nullptr;
  void* reg = nullptr;
  uint32_t* mxcsr = nullptr;
  void* general = nullptr;
  void* xmm0 = nullptr;
};
using VectorStub = uint32_t (*)(void* rm, void* reg, uint32_t* mxcsr, void* general, void* xmm0);

/// Runs the stub, which lies in `code`. True: it completed, and `result` is what it returned. False: it
/// trapped, and the host's MXCSR says why.
[[nodiscard]] bool call_trapping(const HostCode& code, VectorStub stub, const StubArguments& arguments,
                                 uint32_t& result);

}  // namespace vitrine::cpu
