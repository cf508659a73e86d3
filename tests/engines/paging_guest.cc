// See paging_guest.h.
#include "engines/paging_guest.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "differential/supervisor.h"
#include "x86/control_registers.h"
#include "x86/page_entries.h"
#include "x86/registers.h"

namespace vitrine::engines {
namespace {

using differential::kIdt, differential::kKernelBase, differential::kKernelPages, differential::kStackTop;

constexpr uint32_t kMailbox = 0x1000, kPointerTables = 0x2000, kCommands = 0x3000, kKernel = 0x4000,
                   kKernelTable = 0x8000, kDirectTable = 0x9000, kOtherKernelTable = 0xa000,
                   kOtherStack = 0xb000, kOtherMailbox = 0xc000;
constexpr uint32_t kCommandsAt = kKernelBase + kKernelPages * 0x1000;
constexpr uint32_t kStackAt = kCommandsAt - 0x1000, kMailboxAt = kCommandsAt + 0x1000;
constexpr uint32_t kUserStack = 0;  // no user command uses it
constexpr uint32_t kDone = 0x600d600d, kFaulted = 0x0bad0bad;
constexpr uint8_t kReturnVector = 0x40;
constexpr uint64_t kUsed = x86::kPagePresent | x86::kPageWritable | x86::kPageAccessed | x86::kPageDirty;

// Code by hand; jumps are relative to where it will be.
class Assembler {
 public:
  explicit Assembler(uint32_t at) : at_(at) {}
  [[nodiscard]] uint32_t here() const { return at_ + static_cast<uint32_t>(bytes_.size()); }
  Assembler& add(std::initializer_list<uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes);
    return *this;
  }
  Assembler& word(uint32_t value) {
    for (unsigned n = 0; n < 4; ++n) bytes_.push_back(static_cast<uint8_t>(value >> 8 * n));
    return *this;
  }
  Assembler& jump(uint32_t target) {
    add({0xe9});
    return word(target - (here() + 4));
  }
  [[nodiscard]] const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  uint32_t at_;
  std::vector<uint8_t> bytes_;
};

}  // namespace

PagingGuest::PagingGuest(const Options& options)
    : pae_(options.format == TableFormat::Pae),
      concurrent_(options.concurrent),
      ram_(memory::RamBlock::create("paging", kRamSize).value()) {
  memory_.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram_, 0));
  model_ = cpu::CpuModel::create("max").value();
  build_tables();
  build_code();
  for (uint32_t frame = 0; frame < kFrameCount; ++frame)
    mark(kFrames + frame * kPageSize, kFrames + frame * kPageSize);
  for (unsigned i = 0; i < options.processors; ++i) {
    auto processor = std::make_unique<Processor>(*this);
    processor->vcpu = std::make_unique<cpu::Vcpu>(
        cpu::CoreEnvironment{memory_, ports_, bus_, *model_, i, options.processors > 1 && !concurrent_});
    if (options.engine) {
      translate::EngineOptions engine = *options.engine;
      if (concurrent_) engine.lock = processor.get();
      processor->engine = translate::Engine::create(memory_, *model_, engine).value();
      processor->vcpu->set_native_engine(processor->engine.get());
    }
    processors_.push_back(std::move(processor));
    start(i);
  }
}

PagingGuest::~PagingGuest() {
  for (const auto& processor : processors_) processor->vcpu->set_native_engine(nullptr);
}

void PagingGuest::put(uint32_t physical, const std::vector<uint8_t>& bytes) {
  memory_.write(PhysicalAddress(physical), bytes);
}
void PagingGuest::put_word(uint32_t physical, uint32_t value) {
  memory_.write(PhysicalAddress(physical), 4, value);
}
void PagingGuest::put_entry(uint32_t physical, uint64_t value) {
  memory_.write(PhysicalAddress(physical), entry_size(), value);
}
void PagingGuest::set_word(uint32_t physical, uint32_t value) {
  lock_.lock();
  put_word(physical, value);
  lock_.unlock();
}
uint32_t PagingGuest::word(uint32_t physical) const {
  uint32_t value = 0;
  std::memcpy(&value, ram_->data() + physical, 4);
  return value;
}

void PagingGuest::mark(uint32_t physical, uint32_t signature) {
  put_word(physical + kSignature, signature);
  put(physical + kCode,
      {0xb8, static_cast<uint8_t>(signature), static_cast<uint8_t>(signature >> 8),
       static_cast<uint8_t>(signature >> 16), static_cast<uint8_t>(signature >> 24), 0xcd, kReturnVector});
}

uint32_t PagingGuest::root(uint32_t space) const {
  return pae_ ? kPointerTables + space * 32 : kDirectories + space * kDirectorySize;
}

void PagingGuest::build_tables() {
  const uint32_t size = entry_size();
  const uint32_t reach = pae_ ? 21 : 22;
  const uint32_t index_mask = kPageSize / size - 1;
  const auto directory_entry = [&](uint32_t space, uint32_t address) {
    return kDirectories + space * kDirectorySize + (address >> reach) * size;
  };
  for (uint32_t space = 0; space < kSpaces; ++space) {
    for (uint32_t i = 0; pae_ && i < 4; ++i) {
      const uint64_t directory = kDirectories + space * kDirectorySize + i * kPageSize;
      memory_.write(PhysicalAddress(root(space) + i * 8), 8, directory | x86::kPagePresent);
    }
    const bool other = concurrent_ && space >= kSpaces / 2;
    put_entry(directory_entry(space, kKernelBase),
              (other ? kOtherKernelTable : kKernelTable) | kUsed | x86::kPageUser);
    put_entry(directory_entry(space, kDirect), kDirectTable | kUsed);
  }
  const auto page = [&](uint32_t table, uint32_t address, uint64_t entry) {
    put_entry(table + (address >> kPageShift & index_mask) * size, entry);
  };
  for (const uint32_t table : {kKernelTable, kOtherKernelTable}) {
    for (uint32_t i = 0; i < kKernelPages; ++i)
      page(table, kKernelBase + i * kPageSize, (kKernel + i * kPageSize) | kUsed);
    page(table, kCommandsAt, kCommands | x86::kPagePresent | x86::kPageUser | x86::kPageAccessed);
    page(table, kMailboxAt, kMailbox | kUsed);
  }
  page(kOtherKernelTable, kStackAt, kOtherStack | kUsed);
  page(kOtherKernelTable, kMailboxAt, kOtherMailbox | kUsed);
  for (uint32_t i = 0; i < 512; ++i) page(kDirectTable, kDirect + i * kPageSize, i * kPageSize | kUsed);
  for (uint32_t table = 0; table < kTables; ++table)
    mark(kFirstTable + table * kPageSize, kFirstTable + table * kPageSize);
}

void PagingGuest::build_code() {
  std::vector<uint8_t> kernel(kKernelPages << kPageShift);
  differential::build_supervisor(kernel);
  Assembler code(kCommandsAt);
  // hlt; mov esp, mailbox; popa; mov esp, stack; jmp [mailbox + 32]
  dispatcher_ = code.here();
  code.add({0xf4, 0xbc}).word(kMailboxAt).add({0x61, 0xbc}).word(kStackTop - 64);
  code.add({0xff, 0x25}).word(kMailboxAt + 32);
  const auto finish = [&](uint32_t how) { code.add({0xb9}).word(how).jump(dispatcher_); };
  const auto gate = [&](uint8_t vector) {
    const uint32_t at = kIdt - kKernelBase + 8u * vector;
    differential::put_word(kernel, at, uint32_t{differential::kKernelCode} << 16 | (code.here() & 0xffff));
    differential::put_word(kernel, at + 4, (code.here() & 0xffff0000) | 0xee00);
  };
  gate(kReturnVector);
  finish(kDone);
  gate(14);
  code.add({0x58, 0x0f, 0x20, 0xd3});  // pop eax; mov ebx, cr2
  finish(kFaulted);
  const auto command = [&](Command which, std::initializer_list<uint8_t> bytes) {
    entries_[static_cast<size_t>(which)] = code.here();
    code.add(bytes);
    finish(kDone);
  };
  command(Command::Load, {0x8b, 0x03});
  command(Command::Store, {0x89, 0x03});
  command(Command::Jump, {0xff, 0xe3});
  command(Command::Exchange, {0x87, 0x03});
  command(Command::Or, {0xf0, 0x09, 0x03});
  command(Command::And, {0xf0, 0x21, 0x03});
  command(Command::CompareExchange, {0xf0, 0x0f, 0xc7, 0x0f});
  command(Command::Fill, {0xf3, 0xab});
  command(Command::Copy, {0xf3, 0xa5});
  // mov edi, [esi]; mov eax, [esi+4]; mov [edi], eax; add esi, 8; mov edx, ebx; dec edx; jnz -1; dec ecx; jnz
  command(Command::StoreList, {0x8b, 0x3e, 0x8b, 0x46, 0x04, 0x89, 0x07, 0x83, 0xc6, 0x08, 0x89, 0xda, 0x4a,
                               0x75, 0xfd, 0x49, 0x75, 0xee});
  // mov ebx, [esi]; mov eax, [ebx]; mov [esi+4], eax; add esi, 8; dec ecx; jnz
  command(Command::LoadList, {0x8b, 0x1e, 0x8b, 0x03, 0x89, 0x46, 0x04, 0x83, 0xc6, 0x08, 0x49, 0x75, 0xf3});
  command(Command::InvalidatePage, {0x0f, 0x01, 0x3b});
  command(Command::LoadCr3, {0x0f, 0x22, 0xd8});
  command(Command::LoadCr0, {0x0f, 0x22, 0xc0});
  command(Command::LoadCr4, {0x0f, 0x22, 0xe0});
  const auto user_command = [&](Command which, std::initializer_list<uint8_t> bytes) {
    const uint32_t user = code.here();
    code.add(bytes).add({0xcd, kReturnVector});
    entries_[static_cast<size_t>(which)] = code.here();
    // push ss, esp, eflags, cs, eip; iret
    code.add({0x6a, differential::kUserData, 0x68}).word(kUserStack).add({0x68}).word(0x202);
    code.add({0x6a, differential::kUserCode, 0x68}).word(user).add({0xcf});
  };
  user_command(Command::UserLoad, {0x8b, 0x03});
  user_command(Command::UserStore, {0x89, 0x03});
  user_command(Command::UserJump, {0xff, 0xe3});
  CHECK(code.bytes().size() <= kPageSize);
  put(kCommands, code.bytes());
  put(kKernel, kernel);
}

void PagingGuest::start(unsigned index) {
  cpu::Vcpu& vcpu = *processors_[index]->vcpu;
  vcpu.reset();
  cpu::CpuState& state = vcpu.state();
  differential::enter_supervisor_tables(state, *model_, 0);
  // A way to user mode would leave nothing in those that are the supervisor's.
  for (const auto segment : {x86::kDs, x86::kEs, x86::kFs, x86::kGs})
    state.segments[segment] = {differential::kUserData, 0x00c0f300, 0, 0xffffffff};
  state.activity = cpu::Activity::Halted;
  state.eip = dispatcher_ + 1;
  state.eflags = 2;
  state.cr3 = root(concurrent_ ? index * kSpaces / 2 : 0);
  state.cr4 |= pae_ ? x86::kCr4Pae : x86::kCr4Pse;
  state.efer = pae_ ? x86::kEferNxe : 0;
  if (pae_) state.pdptes = paging::read_pdptes(memory_, state.cr3).value();
  vcpu.state_changed();
}

paging::PagingRegisters PagingGuest::registers(unsigned processor) const {
  const cpu::CpuState& state = processors_[processor]->vcpu->state();
  paging::PagingRegisters registers;
  registers.cr0 = state.cr0;
  registers.cr3 = state.cr3;
  registers.cr4 = state.cr4;
  registers.efer = state.efer;
  registers.pdptes = state.pdptes;
  return registers;
}

void PagingGuest::Processor::stop_others() {
  for (const auto& other : guest.processors_) {
    if (other.get() != this) other->engine->halt();
  }
}

std::optional<CommandResult> PagingGuest::run(unsigned processor, Command command,
                                              const CommandRegisters& registers) {
  if (!concurrent_) return run_locked(processor, command, registers);
  lock_.lock();
  auto result = run_locked(processor, command, registers);
  lock_.unlock();
  return result;
}

std::optional<CommandResult> PagingGuest::run_locked(unsigned processor, Command command,
                                                     const CommandRegisters& registers) {
  constexpr uint64_t kBudget = 100'000;
  constexpr unsigned kMostRuns = 1000;
  const uint32_t mailbox[9] = {registers.edi,
                               registers.esi,
                               0,
                               0,
                               registers.ebx,
                               registers.edx,
                               registers.ecx,
                               registers.eax,
                               entries_[static_cast<size_t>(command)]};
  const uint32_t box = concurrent_ && processor == 1 ? kOtherMailbox : kMailbox;
  for (uint32_t i = 0; i < 9; ++i) put_word(box + 4 * i, mailbox[i]);
  Processor& p = *processors_[processor];
  cpu::CpuState& state = p.vcpu->state();
  state.activity = cpu::Activity::Running;
  cpu::Exit exit;
  for (unsigned runs = 0; runs < kMostRuns; ++runs) {
    if (p.engine && !concurrent_) p.engine->set_alarm(kNanosecondsPerSecond);
    exit = p.vcpu->run(kBudget);
    if (exit.reason == cpu::ExitReason::Halted) break;
  }
  const uint32_t how = state.gpr[x86::kEcx];
  if (exit.reason != cpu::ExitReason::Halted || state.eip != dispatcher_ + 1 ||
      (how != kDone && how != kFaulted)) {
    complaint_ =
        fmt::format("{}, eip {:x}, eax {:x}, ebx {:x}, ecx {:x}, cr2 {:x}, cpl {}", cpu::name(exit.reason),
                    state.eip, state.gpr[x86::kEax], state.gpr[x86::kEbx], how, state.cr2, state.cpl);
    return std::nullopt;
  }
  const uint32_t eax = state.gpr[x86::kEax];
  const uint32_t esi = state.gpr[x86::kEsi];
  if (how == kDone) return CommandResult{.eax = eax, .esi = esi};
  return CommandResult{
      .fault = true, .error_code = eax, .address = state.gpr[x86::kEbx], .eax = 0, .esi = esi};
}

}  // namespace vitrine::engines
