#include "doctor/kvm_probe.h"

#include <cpuid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/descriptor.h"
#include "base/mapping.h"

namespace vitrine::doctor {
namespace {

// The guest's memory. SDM Vol. 3A, "32-Bit Paging".
constexpr uint32_t kDirectory = 0x1000;
constexpr uint32_t kLowTable = 0x2000;
constexpr uint32_t kCode = 0x3000;
constexpr uint32_t kHighTable = 0x4000;
constexpr uint32_t kData = 0x5000;
constexpr size_t kMemory = 0x10000;
constexpr uint32_t kDataAddress = 0x405000;  // virtual: by the second table
constexpr uint32_t kMagic = 0x600dcafe;
constexpr uint32_t kPresentWritable = 3;
constexpr unsigned kSeconds = 5;

enum class Paging : uint8_t { Off, On };

/// What the child that runs the guest says.
struct Report {
  int error;  ///< errno at `step`, or 0.
  uint32_t exit_reason;
  uint64_t result;
  char step[48];
};

void write_guest(uint8_t* memory, Paging paging) {
  const auto put = [memory](uint32_t address, uint32_t value) { std::memcpy(memory + address, &value, 4); };
  put(kDirectory, kLowTable | kPresentWritable);
  put(kDirectory + 4, kHighTable | kPresentWritable);
  put(kLowTable + 4 * (kCode >> 12), kCode | kPresentWritable);
  put(kHighTable + 4 * ((kDataAddress >> 12) & 1023), kData | kPresentWritable);
  put(kData, kMagic);
  // mov eax, [kDataAddress]; hlt
  memory[kCode] = 0xa1;
  put(kCode + 1, paging == Paging::On ? kDataAddress : kData);
  memory[kCode + 5] = 0xf4;
}

void set_protected_mode(kvm_sregs& registers, Paging paging) {
  kvm_segment code{};
  code.limit = 0xffffffff;
  code.selector = 8;
  code.type = 11;  // code, readable, accessed
  code.present = code.db = code.s = code.g = 1;
  kvm_segment data = code;
  data.selector = 16;
  data.type = 3;  // data, writable, accessed
  registers.cs = code;
  registers.ds = registers.es = registers.fs = registers.gs = registers.ss = data;
  registers.cr0 = paging == Paging::On ? 0x80000011 : 0x11;  // PG, ET, PE
  registers.cr3 = kDirectory;
  registers.cr4 = 0;
  registers.efer = 0;
}

Report failed(const char* step) {
  Report report{};
  report.error = errno;
  std::strncpy(report.step, step, sizeof report.step - 1);
  return report;
}

Report run_guest(Paging paging) {
  const Descriptor kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm) return failed("open");
  const Descriptor machine(::ioctl(kvm.get(), KVM_CREATE_VM, 0));
  if (!machine) return failed("KVM_CREATE_VM");
  const auto memory = Mapping::create(kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (!memory) return failed("mmap");
  write_guest(memory->data(), paging);
  kvm_userspace_memory_region region{};
  region.memory_size = kMemory;
  // SAFETY: the kernel takes the address as an integer; the mapping outlives the machine's run.
  region.userspace_addr = reinterpret_cast<uintptr_t>(memory->data());
  if (::ioctl(machine.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0)
    return failed("KVM_SET_USER_MEMORY_REGION");
  const Descriptor processor(::ioctl(machine.get(), KVM_CREATE_VCPU, 0));
  if (!processor) return failed("KVM_CREATE_VCPU");
  const int size = ::ioctl(kvm.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (size < static_cast<int>(sizeof(kvm_run))) return failed("KVM_GET_VCPU_MMAP_SIZE");
  const auto shared =
      Mapping::create(static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, processor.get());
  if (!shared) return failed("mmap of the processor");

  kvm_sregs special{};
  if (::ioctl(processor.get(), KVM_GET_SREGS, &special) != 0) return failed("KVM_GET_SREGS");
  set_protected_mode(special, paging);
  if (::ioctl(processor.get(), KVM_SET_SREGS, &special) != 0) return failed("KVM_SET_SREGS");
  kvm_regs registers{};
  registers.rip = kCode;
  registers.rflags = 2;
  if (::ioctl(processor.get(), KVM_SET_REGS, &registers) != 0) return failed("KVM_SET_REGS");
  if (::ioctl(processor.get(), KVM_RUN, 0) != 0) return failed("KVM_RUN");
  Report report{};
  // SAFETY: the kernel's documented layout of this mapping.
  report.exit_reason = reinterpret_cast<const kvm_run*>(shared->data())->exit_reason;
  if (::ioctl(processor.get(), KVM_GET_REGS, &registers) != 0) return failed("KVM_GET_REGS");
  report.result = registers.rax;
  return report;
}

/// In a child: a guest that never comes back must not hold us up.
Report run_guest_apart(Paging paging) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed("pipe2");
  const Descriptor reader(ends[0]);
  Descriptor writer(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return failed("fork");
  if (child == 0) {
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(kSeconds);
    const Report report = run_guest(paging);
    (void)!::write(writer.get(), &report, sizeof report);
    ::_exit(0);
  }
  writer.reset();
  Report report{};
  const ssize_t count = ::read(reader.get(), &report, sizeof report);
  ::waitpid(child, nullptr, 0);
  if (count == static_cast<ssize_t>(sizeof report)) return report;
  errno = ETIME;
  return failed("the guest");
}

bool has_run(const Report& report) {
  return report.error == 0 && report.exit_reason == KVM_EXIT_HLT && report.result == kMagic;
}

std::string explain(const Report& report) {
  if (report.error != 0) return fmt::format("{}: {}", report.step, std::strerror(report.error));
  if (report.exit_reason != KVM_EXIT_HLT) {
    return fmt::format("it left with exit reason {}{}", report.exit_reason,
                       report.exit_reason == KVM_EXIT_INTERNAL_ERROR ? " (internal error)"
                       : report.exit_reason == KVM_EXIT_FAIL_ENTRY   ? " (entry failed)"
                       : report.exit_reason == KVM_EXIT_SHUTDOWN     ? " (shutdown)"
                                                                     : "");
  }
  return fmt::format("it read {:#x}, not {:#x}", report.result, kMagic);
}

}  // namespace

Virtualisation probe_virtualisation() {
  Virtualisation found;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  // SDM Vol. 2A, "CPUID": VMX is ECX bit 5 of leaf 1, bit 31 is left to hypervisors. APM Vol. 3, "CPUID
  // Fn8000_0001": SVM.
  if (__get_cpuid(1, &a, &b, &c, &d) != 0) {
    found.processor = (c & (1u << 5)) != 0;
    found.inside_virtual_machine = (c & (1u << 31)) != 0;
  }
  if (__get_cpuid(0x80000001, &a, &b, &c, &d) != 0) found.processor |= (c & (1u << 2)) != 0;

  const Descriptor kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm) {
    found.kvm = errno == EACCES || errno == EPERM ? KvmState::NotAllowed : KvmState::Absent;
    found.detail = fmt::format("/dev/kvm: {}", std::strerror(errno));
    return found;
  }
  const Report paged = run_guest_apart(Paging::On);
  if (has_run(paged)) {
    found.kvm = KvmState::Works;
    return found;
  }
  // The same guest without paging tells what it is that does not work.
  const Report plain = run_guest_apart(Paging::Off);
  found.kvm = KvmState::Broken;
  found.detail =
      fmt::format("it is there, but such a guest does not run ({}); without paging it {}", explain(paged),
                  has_run(plain) ? "does" : fmt::format("does not, either ({})", explain(plain)));
  return found;
}

}  // namespace vitrine::doctor
