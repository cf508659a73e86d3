// A small machine for comparing engines: RAM, page tables, descriptor tables and handlers that halt. Two of
// them, one with a native engine and one without, run the same code and must end in the same state.
//
//   20000000  code, two pages           20010000  data, two pages; behind them read-only, absent, supervisor,
//   20008000  the first code page again           nothing behind (reads as ones), writable
//   00000000, fffff000  writable        31340000  GDT, TSS | IDT | handlers | stack: supervisor only
//
// There is one device: the byte written to port 54h goes to memory at the physical address written to port
// 50h.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "cpu/no_bus.h"
#include "cpu/vcpu.h"
#include "differential/supervisor.h"
#include "differential/test_case.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"
#include "memory/ram_block.h"
#include "translate/engine.h"

namespace vitrine::engines {

using differential::kCodeBase;
using differential::kDataBase;

inline constexpr uint32_t kCodeSize = 0x2000, kCodeAlias = kCodeBase + 0x8000;
inline constexpr uint32_t kReadOnlyPage = kDataBase + 0x2000, kAbsentPage = kDataBase + 0x3000,
                          kSupervisorPage = kDataBase + 0x4000, kEmptyPage = kDataBase + 0x5000,
                          kLastPage = kDataBase + 0x6000;

/// Counted: translated, each instruction counted, as with --clock=virtual.
enum class EngineUsed : uint8_t { None, Translate, Trap, Counted };
enum class Privilege : uint8_t { Supervisor, User };

/// What most tests here have as their parameter, and its name among theirs.
using Tested = std::tuple<EngineUsed, Privilege>;
[[nodiscard]] std::string name_of(EngineUsed engine);
[[nodiscard]] std::string name_of(const Tested& tested);

/// What a run begins with.
struct Program {
  differential::MachineState state;
  Privilege privilege = Privilege::User;
  std::vector<uint8_t> code;    ///< At kCodeBase; INT3 behind it.
  std::vector<uint8_t> data;    ///< At kDataBase, two pages; zeros behind it.
  std::vector<uint8_t> top;     ///< The last bytes of the address space, a page at most.
  std::vector<uint8_t> bottom;  ///< Its first.
  unsigned most_kicks = 20000;  ///< With kicks: after so many the run ends.
  uint32_t cr0_set = 0, cr4_clear = 0;
  uint32_t fs_base = 0, fs_limit = 0xffffffff;  ///< FS is kFsSelector; its descriptor says this, too.
  std::vector<uint8_t> system_call;             ///< Not empty: the handler of INT 80h, at CPL 0.
  uint32_t ds_attributes = 0;                   ///< Not 0: instead of those of a flat writable segment.
  /// Addresses and values: doublewords of the GDT, the TSS or the IDT that are other than usual.
  std::vector<std::pair<uint32_t, uint32_t>> tables;
  uint32_t cr0_clear = 0;
  /// Not empty: instructions after which the run stops and goes on, and behind the last of which it finds an
  /// interrupt with kInterruptVector waiting. Exact only with engines that count.
  std::vector<uint64_t> parts;
};

/// The engines' memory for translated code: small, so that it is emptied now and then.
inline constexpr size_t kCodeMemory = size_t{4} << 20;

inline constexpr uint8_t kInterruptVector = 0x20;

inline constexpr uint16_t kFsSelector = 0x3b;
inline constexpr uint16_t kFreeSelector = 0x18;  ///< Its descriptor is for the program's `tables`.
inline constexpr uint8_t kDmaAddressPort = 0x50, kDmaValuePort = 0x54;
inline constexpr uint32_t kCodePhysical = 0x10000;

struct Ending {
  cpu::ExitReason reason = cpu::ExitReason::BudgetSpent;
  differential::MachineState state;
  std::array<uint16_t, 6> selectors{};
  uint32_t cr0 = 0, cr2 = 0;
  uint8_t cpl = 0;
  bool ferr = false;  ///< The level of FERR#.
};

class EngineMachine {
 public:
  explicit EngineMachine(EngineUsed engine, translate::EngineOptions options = {});
  ~EngineMachine();

  /// Runs until the machine halts, or for so many instructions (the interpreter) or two seconds (others).
  /// `kick_every` in nanoseconds: how often an engine is interrupted; 0: never.
  [[nodiscard]] Ending run(const Program& program, uint64_t budget, uint64_t kick_every = 0);
  /// Guest memory by virtual address; false: not there.
  [[nodiscard]] bool read(uint32_t address, std::span<uint8_t> bytes) const;
  /// All of its memory; accessed and dirty bits are in it.
  [[nodiscard]] std::span<const uint8_t> memory() const;
  [[nodiscard]] const translate::Engine* engine() const { return engine_.get(); }
  [[nodiscard]] const cpu::CpuModel& model() const { return *model_; }
  /// What happened, from the stack of the handler: vector, error code, EIP. For messages.
  [[nodiscard]] std::string describe(const Ending& ending) const;

 private:
  /// See above.
  class Dma : public memory::PortDevice {
   public:
    explicit Dma(memory::PhysicalMap& map) : map_(map) {}
    uint32_t read_port(uint16_t /*port*/, unsigned /*size*/) override { return 0; }
    void write_port(uint16_t port, unsigned size, uint32_t value) override;

   private:
    memory::PhysicalMap& map_;
    uint32_t address_ = 0;
  };

  void build_tables();
  void restore(const Program& program);
  void put(uint32_t physical, std::span<const uint8_t> bytes);

  std::unique_ptr<memory::RamBlock> ram_;
  memory::PhysicalMap map_;
  memory::PortMap ports_;
  struct Bus : cpu::NoBus {
    std::optional<uint8_t> acknowledge_interrupt(unsigned /*vcpu*/) override { return kInterruptVector; }
    void set_ferr(unsigned /*vcpu*/, bool level) override { ferr = level; }
    bool ferr = false;
  };
  Bus bus_;
  Dma dma_{map_};
  std::optional<cpu::CpuModel> model_;
  std::unique_ptr<cpu::Vcpu> vcpu_;
  std::unique_ptr<translate::Engine> engine_;
  std::vector<uint8_t> image_;  // what memory is at the start
};

/// Empty when the runs ended alike.
[[nodiscard]] std::string difference(const EngineMachine& expected_machine, const Ending& expected,
                                     const EngineMachine& machine, const Ending& ending);

}  // namespace vitrine::engines
