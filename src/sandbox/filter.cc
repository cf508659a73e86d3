#include "sandbox/filter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/descriptor.h"
#include "sandbox/kernel_calls.h"

namespace vitrine::sandbox {
namespace {

using Context = std::unique_ptr<void, decltype([](void* context) { ::seccomp_release(context); })>;

/// Stands for the process's number until it is known. No descriptor, size or flag of the table is this
/// number.
constexpr uint32_t kOwnProcess = 0x7ab1de5f;

Error filter_error(std::string_view what, int number, int result) {
  return Error{fmt::format("cannot compile the system-call filter ({})", what),
               number < 0 ? "" : call_name(SCMP_ARCH_X86_64, number), -result};
}

scmp_arg_cmp comparison(const Condition& condition) {
  const unsigned argument = condition.argument;
  switch (condition.test) {
    case Test::NotAbove: return {argument, SCMP_CMP_LE, condition.value, 0};
    case Test::MaskedEqual: return {argument, SCMP_CMP_MASKED_EQ, condition.mask, condition.value};
    default: return {argument, SCMP_CMP_EQ, condition.value, 0};
  }
}

class Compiler {
 public:
  Compiler(const FilterSpec& spec, void* context) : spec_(spec), context_(context) {}

  Result<void> compile() {
    for (const CallRow& row : call_table()) {
      if (!held(row.right) || row.number == SYS_mmap || (spec_.tell_paths && is_told(row))) continue;
      if (auto added = add(row.number, SCMP_ACT_ALLOW, row.conditions); !added) return added;
    }
    if (auto added = memory(); !added) return added;
    if (auto added = signals(); !added) return added;
    if (auto added = first_program(); !added) return added;
    return spec_.denied == DeniedCall::Fail ? failures() : Result<void>{};
  }

 private:
  [[nodiscard]] bool held(Right right) const { return (spec_.rights & right_bit(right)) != 0; }

  Result<void> add(int number, uint32_t action, std::array<Condition, 2> conditions = {}) {
    std::array<scmp_arg_cmp, 2> comparisons{};
    unsigned count = 0;
    for (const Condition& condition : conditions) {
      if (condition.test != Test::None) comparisons[count++] = comparison(condition);
    }
    const int result = ::seccomp_rule_add_array(context_, action, number, count, comparisons.data());
    // A second, wider row for the same call is no mistake.
    if (result != 0 && result != -EEXIST) return std::unexpected(filter_error("a rule", number, result));
    return {};
  }

  Result<void> memory() {
    if (held(Right::ExecutableMemory)) return add_sized(SYS_mmap, {}, 1, 2);
    // Not executable; or, for the loader, executable and from a file and not writable at once.
    const Condition plain{Test::MaskedEqual, 2, PROT_EXEC, 0};
    if (auto added = add_sized(SYS_mmap, plain, 1, 2); !added) return added;
    if (!held(Right::MapFiles)) return {};
    return add(SYS_mmap, SCMP_ACT_ALLOW,
               {Condition{Test::MaskedEqual, 2, PROT_WRITE | PROT_EXEC, PROT_EXEC},
                Condition{Test::MaskedEqual, 3, MAP_ANONYMOUS, 0}});
  }

  /// With a largest mapping: writable memory up to it. What cannot be written only reserves addresses.
  Result<void> add_sized(int number, const Condition& plain, uint8_t length, uint8_t protection) {
    if (!spec_.largest_mapping) {
      if (auto added = add(number, SCMP_ACT_ALLOW, {plain}); !added) return added;
      return add(SYS_mremap, SCMP_ACT_ALLOW);
    }
    const Condition small{Test::NotAbove, length, 0, *spec_.largest_mapping};
    if (auto added = add(number, SCMP_ACT_ALLOW, {plain, small}); !added) return added;
    const uint64_t watched = PROT_WRITE | plain.mask;
    if (auto added = add(number, SCMP_ACT_ALLOW, {Condition{Test::MaskedEqual, protection, watched, 0}});
        !added) {
      return added;
    }
    return add(SYS_mremap, SCMP_ACT_ALLOW, {Condition{Test::NotAbove, 2, 0, *spec_.largest_mapping}});
  }

  Result<void> signals() {
    if (held(Right::SignalOthers)) return {};
    for (const int number : {SYS_kill, SYS_tgkill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo}) {
      // Linux looks at the low half of a pid_t.
      if (auto added =
              add(number, SCMP_ACT_ALLOW, {Condition{Test::MaskedEqual, 0, 0xffffffff, kOwnProcess}});
          !added) {
        return added;
      }
    }
    return {};
  }

  Result<void> first_program() {
    if (!spec_.program_descriptor || held(Right::Programs)) return {};
    return add(SYS_execveat, SCMP_ACT_ALLOW,
               {Condition{Test::Equal, 0, 0, static_cast<uint64_t>(*spec_.program_descriptor)}});
  }

  /// Without a supervisor to answer: the calls that must fail with ENOSYS, not EPERM.
  Result<void> failures() {
    for (const int number : {SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}) {
      if (auto added = add(number, SCMP_ACT_ERRNO(ENOSYS)); !added) return added;
    }
    return {};
  }

  const FilterSpec& spec_;
  void* context_;
};

uint32_t default_action(DeniedCall denied) {
  switch (denied) {
    case DeniedCall::Notify: return SCMP_ACT_NOTIFY;
    case DeniedCall::Fail: return SCMP_ACT_ERRNO(EPERM);
    case DeniedCall::Kill: return SCMP_ACT_KILL_PROCESS;
  }
  return SCMP_ACT_KILL_PROCESS;
}

Result<std::vector<sock_filter>> export_code(void* context) {
  const Descriptor file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return std::unexpected(error_from_errno("cannot make memory for", "the system-call filter"));
  if (const int result = ::seccomp_export_bpf(context, file.get()); result != 0) {
    return std::unexpected(filter_error("writing it", -1, result));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    return std::unexpected(error_from_errno("cannot read", "the filter"));
  std::vector<sock_filter> code(static_cast<size_t>(status.st_size) / sizeof(sock_filter));
  if (::pread(file.get(), code.data(), code.size() * sizeof(sock_filter), 0) != status.st_size) {
    return std::unexpected(error_from_errno("cannot read", "the filter"));
  }
  return code;
}

}  // namespace

Result<Filter> Filter::compile(const FilterSpec& spec) {
  const Context context(::seccomp_init(default_action(spec.denied)));
  if (!context) return std::unexpected(filter_error("no memory", -1, -ENOMEM));
  // Another way into the kernel (int 0x80, x32): reported if somebody listens, never let through.
  const uint32_t other_entry = spec.denied == DeniedCall::Notify ? SCMP_ACT_NOTIFY : SCMP_ACT_KILL_PROCESS;
  // seccomp_attr_set(3): 2 sorts the calls into a binary tree.
  for (const auto& [attribute, value] :
       {std::pair{SCMP_FLTATR_ACT_BADARCH, other_entry}, std::pair{SCMP_FLTATR_CTL_OPTIMIZE, uint32_t{2}}}) {
    if (const int result = ::seccomp_attr_set(context.get(), attribute, value); result != 0) {
      return std::unexpected(filter_error("an attribute", -1, result));
    }
  }
  if (auto compiled = Compiler(spec, context.get()).compile(); !compiled)
    return std::unexpected(compiled.error());
  Filter filter;
  filter.code_ = TRY(export_code(context.get()));
  return filter;
}

void Filter::set_process(uint32_t pid) const {
  for (sock_filter& instruction : code_) {
    if (BPF_CLASS(instruction.code) == BPF_JMP && instruction.k == kOwnProcess) instruction.k = pid;
  }
}

}  // namespace vitrine::sandbox
