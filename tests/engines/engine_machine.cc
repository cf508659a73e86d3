// See engine_machine.h.
#include "engines/engine_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "x86/control_registers.h"
#include "x86/flags.h"
#include "x86/registers.h"

namespace vitrine::engines {
namespace {

using differential::kHandlers, differential::kKernelPages, differential::kVectors;
using differential::kKernelBase, differential::kKernelCode;
using differential::kPresent, differential::kUser, differential::kWritable;
using differential::put_word;

constexpr uint32_t kRamSize = 0x20000;
constexpr uint32_t kPageDirectory = 0x0000, kUserTable = 0x1000, kKernelTable = 0x2000, kLowTable = 0x3000,
                   kHighTable = 0x4000, kKernelPhysical = 0x5000, kTableEnd = 0x5000;
constexpr uint32_t kDataPhysical = 0x12000, kReadOnlyPhysical = 0x14000, kSupervisorPhysical = 0x15000,
                   kLastPhysical = 0x16000, kZeroPhysical = 0x17000, kTopPhysical = 0x18000,
                   kEmptyPhysical = 0x10000000;
constexpr std::chrono::seconds kPatience{2};

// VITRINE_TEST_SHADOW=POLICY,VIEWS[,slow]: all engines of this run, instead of the default.
void choose_shadow(translate::EngineOptions& options) {
  const char* const variable = std::getenv("VITRINE_TEST_SHADOW");
  if (variable == nullptr) return;
  const std::string_view choice(variable);
  const std::string_view policy = choice.substr(0, choice.find(','));
  CHECK(policy == "ondemand" || policy == "proactive" || policy == "unsync", "VITRINE_TEST_SHADOW={}",
        choice);
  options.shadow.policy = policy == "ondemand"    ? paging::ShadowPolicy::OnDemand
                          : policy == "proactive" ? paging::ShadowPolicy::Proactive
                                                  : paging::ShadowPolicy::Unsync;
  if (choice.ends_with(",one")) options.shadow.views = paging::ShadowViews::One;
  if (choice.ends_with(",slow")) options.faults_to_be_slow = 1;
}

}  // namespace

std::string name_of(EngineUsed engine) {
  static constexpr const char* kNames[] = {"None", "Translate", "Trap", "Counted"};
  return kNames[static_cast<size_t>(engine)];
}

std::string name_of(const Tested& tested) {
  const auto& [engine, privilege] = tested;
  return name_of(engine) + (privilege == Privilege::User ? "User" : "Supervisor");
}

void EngineMachine::Dma::write_port(uint16_t port, unsigned size, uint32_t value) {
  if (port == kDmaAddressPort && size == 4) address_ = value;
  const auto byte = static_cast<uint8_t>(value);
  if (port == kDmaValuePort && address_ < kRamSize) map_.write(PhysicalAddress(address_), {&byte, 1});
}

EngineMachine::~EngineMachine() {
  vcpu_->set_native_engine(nullptr);
}

EngineMachine::EngineMachine(EngineUsed engine, translate::EngineOptions options) : image_(kRamSize) {
  auto ram = memory::RamBlock::create("engines", kRamSize);
  CHECK(ram.has_value(), "{}", ram.error().message());
  ram_ = std::move(*ram);
  map_.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram_, 0));
  auto model = cpu::CpuModel::create("max");
  CHECK(model.has_value(), "{}", model.error().message());
  model_ = std::move(*model);
  vcpu_ = std::make_unique<cpu::Vcpu>(cpu::CoreEnvironment{map_, ports_, bus_, *model_, 0});
  ports_.map(kDmaAddressPort, 8, dma_, memory::PortWidth::Dword);
  build_tables();
  if (engine == EngineUsed::None) return;
  options.code_size = kCodeMemory;
  choose_shadow(options);
  if (engine == EngineUsed::Trap) options.privileged = translate::PrivilegedPolicy::Trap;
  if (engine == EngineUsed::Counted) options.counting = translate::InstructionCounting::Exact;
  auto made = translate::Engine::create(map_, *model_, options);
  CHECK(made.has_value(), "{}", made.error().message());
  engine_ = std::move(*made);
  vcpu_->set_native_engine(engine_.get());
}

void EngineMachine::build_tables() {
  const auto word = [&](uint32_t at, uint32_t value) { put_word(image_, at, value); };
  constexpr uint32_t kAll = kPresent | kWritable | kUser;
  for (const auto& [address, table] : {std::pair{kCodeBase, kUserTable}, std::pair{kKernelBase, kKernelTable},
                                       std::pair{0u, kLowTable}, std::pair{0xfffff000u, kHighTable}})
    word(kPageDirectory + (address >> 22) * 4, table | kAll);
  const auto page = [&](uint32_t table, uint32_t address, uint32_t entry) {
    word(table + (address >> 12 & 0x3ff) * 4, entry);
  };
  for (uint32_t n = 0; n < 0x2000; n += 0x1000) {
    page(kUserTable, kCodeBase + n, (kCodePhysical + n) | kAll);
    page(kUserTable, kDataBase + n, (kDataPhysical + n) | kAll);
  }
  page(kUserTable, kCodeAlias, kCodePhysical | kAll);
  page(kUserTable, kReadOnlyPage, kReadOnlyPhysical | kPresent | kUser);
  page(kUserTable, kSupervisorPage, kSupervisorPhysical | kPresent | kWritable);
  page(kUserTable, kEmptyPage, kEmptyPhysical | kAll);
  page(kUserTable, kLastPage, kLastPhysical | kAll);
  page(kLowTable, 0, kZeroPhysical | kAll);
  page(kHighTable, 0xfffff000, kTopPhysical | kAll);
  for (uint32_t n = 0; n < kKernelPages << 12; n += 0x1000)
    page(kKernelTable, kKernelBase + n, (kKernelPhysical + n) | kPresent | kWritable);

  differential::build_supervisor(std::span(image_).subspan(kKernelPhysical, kKernelPages << 12));
  // INT 80h is for everybody.
  image_[kKernelPhysical + 0x1000 + 8 * 0x80 + 5] |= 0x60;
}

// Only what differs, and in the way that tells whoever watches.
void EngineMachine::put(uint32_t physical, std::span<const uint8_t> bytes) {
  constexpr uint32_t kPiece = 64;
  for (uint32_t at = 0; at < bytes.size(); at += kPiece) {
    const auto piece = bytes.subspan(at, std::min<size_t>(kPiece, bytes.size() - at));
    if (std::memcmp(ram_->data() + physical + at, piece.data(), piece.size()) != 0)
      map_.write(PhysicalAddress(physical + at), piece);
  }
}

void EngineMachine::restore(const Program& program) {
  std::vector<uint8_t> image = image_;
  const size_t code_size = std::min<size_t>(program.code.size(), kCodeSize);
  std::memset(image.data() + kCodePhysical, 0xcc, kCodeSize);
  std::copy_n(program.code.begin(), code_size, image.begin() + kCodePhysical);
  std::copy_n(program.data.begin(), std::min<size_t>(program.data.size(), 0x2000),
              image.begin() + kDataPhysical);
  const auto put_end = [&](const std::vector<uint8_t>& bytes, uint32_t physical) {
    std::copy_n(bytes.begin(), std::min<size_t>(bytes.size(), 0x1000), image.begin() + physical);
  };
  put_end(program.bottom, kZeroPhysical);
  put_end(program.top,
          kTopPhysical + 0x1000 - static_cast<uint32_t>(std::min<size_t>(program.top.size(), 0x1000)));
  const uint32_t limit = program.fs_limit;
  const bool pages = limit > 0xfffff;
  const uint32_t units = pages ? limit >> 12 : limit;
  const uint32_t fs = kKernelPhysical + (kFsSelector & ~7u);
  put_word(image, fs, program.fs_base << 16 | (units & 0xffff));
  put_word(image, fs + 4,
           (program.fs_base & 0xff000000) | (program.fs_base >> 16 & 0xff) | (units & 0xf0000) |
               (pages ? 0xc0f300 : 0x40f300));
  if (!program.system_call.empty()) {
    std::memcpy(image.data() + kKernelPhysical + 0x2400, program.system_call.data(),
                program.system_call.size());
    const uint32_t gate = kKernelPhysical + 0x1000 + 8 * 0x80;
    put_word(image, gate, uint32_t{kKernelCode} << 16 | ((kHandlers + 0x400) & 0xffff));
  }
  for (const auto& [address, value] : program.tables)
    put_word(image, kKernelPhysical + (address - kKernelBase), value);
  put(0, image);
}

Ending EngineMachine::run(const Program& program, uint64_t budget, uint64_t kick_every) {
  restore(program);
  cpu::CpuState& state = vcpu_->state();
  vcpu_->reset();
  const bool user = program.privilege == Privilege::User;
  differential::enter_supervisor_tables(state, *model_, user ? 3 : 0);
  state.cr0 |= program.cr0_set;
  state.cr0 &= ~program.cr0_clear;
  state.cr2 = 0;
  state.cr3 = kPageDirectory;
  state.cr4 &= ~program.cr4_clear;
  const bool pages = program.fs_limit > 0xfffff;
  state.segments[x86::kFs] = {kFsSelector, pages ? 0x00c0f300u : 0x0040f300u, program.fs_base,
                              program.fs_limit};
  if (program.ds_attributes != 0) state.segments[x86::kDs].attributes = program.ds_attributes;
  state.gdtr.limit = 0x3f;  // with FS
  std::copy_n(program.state.gpr.begin(), 8, state.gpr.begin());
  state.eip = program.state.eip;
  state.eflags = program.state.eflags;
  from_unit(program.state, state.fpu);
  vcpu_->state_changed();

  const auto go = [&] {
    const uint64_t patience = std::chrono::nanoseconds(kPatience).count();
    if (engine_) engine_->set_alarm(kick_every != 0 ? kick_every : patience);
    return vcpu_->run(budget);
  };
  bus_.ferr = false;
  for (const uint64_t instructions : program.parts) {
    if (engine_) engine_->set_alarm(static_cast<Nanoseconds>(std::chrono::nanoseconds(kPatience).count()));
    static_cast<void>(vcpu_->run(instructions));
  }
  if (!program.parts.empty()) vcpu_->set_interrupt_request(true);
  // A kick may still come that was asked for by the run before.
  const auto until = std::chrono::steady_clock::now() + kPatience;
  cpu::Exit exit = go();
  for (unsigned n = 0; exit.reason == cpu::ExitReason::Kicked; ++n) {
    if (kick_every != 0 ? n >= program.most_kicks : std::chrono::steady_clock::now() >= until) break;
    exit = go();
  }
  Ending ending;
  ending.reason = exit.reason;
  std::copy_n(state.gpr.begin(), 8, ending.state.gpr.begin());
  ending.state.eip = state.eip;
  ending.state.eflags = state.eflags;
  to_unit(state.fpu, ending.state);
  for (unsigned n = 0; n < 6; ++n) ending.selectors[n] = state.segments[n].selector;
  ending.cr0 = state.cr0;
  ending.cr2 = state.cr2;
  ending.cpl = state.cpl;
  ending.ferr = bus_.ferr;
  vcpu_->set_interrupt_request(false);
  return ending;
}

bool EngineMachine::read(uint32_t address, std::span<uint8_t> bytes) const {
  return vcpu_->debug_read(VirtualAddress(address), bytes);
}

std::span<const uint8_t> EngineMachine::memory() const {
  return {ram_->data(), kRamSize};
}

std::string EngineMachine::describe(const Ending& ending) const {
  std::string text = fmt::format("{}, eip {:x}", cpu::name(ending.reason), ending.state.eip);
  const uint32_t vector = ending.state.eip - kHandlers - 1;
  if (vector >= kVectors) return text;
  text += fmt::format(", vector {:#x}, cr2 {:x}, stack", vector, ending.cr2);
  const uint32_t esp = ending.state.gpr[x86::kEsp];
  for (unsigned n = 0; n < 4; ++n) {
    uint32_t value = 0;
    if (vcpu_->debug_read(VirtualAddress(esp + 4 * n), {reinterpret_cast<uint8_t*>(&value), sizeof value}))
      text += fmt::format(" {:x}", value);
  }
  return text;
}

namespace {

unsigned top(const Ending& ending) {
  return ending.state.unit[3] >> 3 & 7;
}

/// Which byte of its operand a masked move's page fault names is each processor's own.
bool masked_move_faulted(const EngineMachine& machine, const Ending& ending) {
  constexpr uint8_t kOpcodes[] = {0x2c, 0x2d, 0x2e, 0x2f, 0x8c, 0x8e};
  if (ending.state.eip - kHandlers - 1 != 14) return false;
  uint32_t eip = 0;
  std::array<uint8_t, 15> code{};
  if (!machine.read(ending.state.gpr[x86::kEsp] + 4, {reinterpret_cast<uint8_t*>(&eip), sizeof eip}) ||
      !machine.read(eip, code))
    return false;
  const auto vex = std::ranges::find(code, 0xc4);
  return code.end() - vex > 4 && std::ranges::find(kOpcodes, vex[3]) != std::end(kOpcodes);
}

/// The host leaves x87 mode (TOP becomes 0) before an MMX instruction's memory access; when that faults
/// nothing else tells, and the instruction does it anyway when it is executed again.
bool left_x87_mode(const Ending& expected, const Ending& ending) {
  const uint32_t vector = expected.state.eip - kHandlers - 1;
  // At the end of a stack that is not there, its #GP or #PF has become a shutdown.
  const bool faulted = vector == 13 || vector == 14 || expected.reason == cpu::ExitReason::Shutdown;
  return faulted && top(expected) != 0 && top(ending) == 0;
}

}  // namespace

std::string difference(const EngineMachine& expected_machine, const Ending& expected,
                       const EngineMachine& machine, const Ending& ending) {
  std::string text;
  const auto number = [&](std::string_view what, uint32_t wanted, uint32_t got) {
    if (wanted != got) text += fmt::format("  {}: {:x}, with the engine {:x}\n", what, wanted, got);
  };
  static constexpr const char* kNames[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  number("exit", static_cast<uint32_t>(expected.reason), static_cast<uint32_t>(ending.reason));
  for (unsigned n = 0; n < 8; ++n) number(kNames[n], expected.state.gpr[n], ending.state.gpr[n]);
  number("eip", expected.state.eip, ending.state.eip);
  number("eflags", expected.state.eflags, ending.state.eflags);
  number("cr0", expected.cr0, ending.cr0);
  const bool same_page = ((expected.cr2 ^ ending.cr2) & ~0xfffu) == 0;
  if (!same_page || !masked_move_faulted(expected_machine, expected)) number("cr2", expected.cr2, ending.cr2);
  number("cpl", expected.cpl, ending.cpl);
  number("FERR#", expected.ferr ? 1 : 0, ending.ferr ? 1 : 0);
  for (unsigned n = 0; n < 6; ++n)
    number(fmt::format("segment {}", n), expected.selectors[n], ending.selectors[n]);
  const bool ignore_x87 = left_x87_mode(expected, ending);
  for (size_t n = 0; n < differential::kUnitSize; n += 2) {
    if (ignore_x87 && (n == 2 || n == 4 || (n >= 32 && n < 160))) continue;
    uint16_t wanted = 0, got = 0;
    std::memcpy(&wanted, expected.state.unit.data() + n, 2);
    std::memcpy(&got, ending.state.unit.data() + n, 2);
    number(fmt::format("fxsave image +{}", n), wanted, got);
  }
  for (size_t n = 0; n < differential::kYmmHighSize; n += 4) {
    uint32_t wanted = 0, got = 0;
    std::memcpy(&wanted, expected.state.ymm_high.data() + n, 4);
    std::memcpy(&got, ending.state.ymm_high.data() + n, 4);
    number(fmt::format("ymm upper halves +{}", n), wanted, got);
  }
  const auto wanted = expected_machine.memory(), got = machine.memory();
  unsigned shown = 0;
  for (size_t at = 0; at < wanted.size(); at += 4) {
    uint32_t a = 0, b = 0;
    std::memcpy(&a, wanted.data() + at, 4);
    std::memcpy(&b, got.data() + at, 4);
    if (at < kTableEnd) a &= ~0x60u, b &= ~0x60u;
    if (a != b && shown++ < 8) number(fmt::format("memory at {:x}", at), a, b);
  }
  if (!text.empty())
    text += fmt::format("  interpreter: {}\n  engine:      {}\n", expected_machine.describe(expected),
                        machine.describe(ending));
  return text;
}

}  // namespace vitrine::engines
