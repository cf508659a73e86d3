// A guest whose page tables can be changed while it runs: for comparing what its processors see with what
// their tables say. Its code waits for one command after another; nothing is reset in between, so windows,
// look-aside buffers and translated code live on.
//
//   physical                                        virtual
//   00001000  mailbox, scratch                      31340000  GDT, TSS | IDT | handlers | stack
//   00002000  PAE: pointer tables, 32 bytes each    31344000  commands (user code may read them) | mailbox
//   00003000  commands                              e0000000  the first 2 MiB, supervisor only
//   00004000  GDT, TSS | IDT | handlers | stack     the rest: the test's
//   00008000  tables of the fixed addresses         (in spaces 2 and 3 of a concurrent guest stack and
//   mailbox 0000b000  stack and mailbox of processor 1       are processor 1's) 0000d000  lists of processors
//   0 and 1 00010000  directories, four pages for each address space 00040000  tables of the test's addresses
//   00400000  frames, each with a signature, code that returns it, and a place to write to
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/fair_lock.h"
#include "cpu/no_bus.h"
#include "cpu/vcpu.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"
#include "memory/ram_block.h"
#include "paging/page_walker.h"
#include "translate/engine.h"
#include "translate/monitor_lock.h"

namespace vitrine::engines {

enum class TableFormat : uint8_t { Legacy, Pae };

/// What the guest's code can be told to do. The registers are as in the comment.
enum class Command : uint8_t {
  Load,             ///< EAX = [EBX]
  Store,            ///< [EBX] = EAX
  Jump,             ///< To EBX, where a frame's code returns its signature in EAX.
  Exchange,         ///< XCHG [EBX], EAX
  Or,               ///< LOCK OR [EBX], EAX
  And,              ///< LOCK AND [EBX], EAX
  CompareExchange,  ///< LOCK CMPXCHG8B [EDI], EDX:EAX, ECX:EBX
  Fill,             ///< REP STOSD
  Copy,             ///< REP MOVSD
  StoreList,        ///< ECX times: [[ESI]] = [ESI + 4]; ESI += 8; then EBX turns of nothing
  LoadList,         ///< ECX times: [ESI + 4] = [[ESI]]; ESI += 8
  InvalidatePage,   ///< INVLPG [EBX]
  LoadCr3,          ///< From EAX; the same for the others.
  LoadCr0,
  LoadCr4,
  UserLoad,
  UserStore,
  UserJump,
  Count,
};

struct CommandRegisters {
  uint32_t edi = 0, esi = 0, ebx = 0, edx = 0, ecx = 0, eax = 0;
};

struct CommandResult {
  bool fault = false;  ///< #PF, with error code and address.
  uint32_t error_code = 0;
  uint32_t address = 0;
  uint32_t eax = 0;
  uint32_t esi = 0;
};

class PagingGuest {
 public:
  static constexpr uint64_t kRamSize = 6 << 20;
  static constexpr uint32_t kDirectories = 0x10000, kDirectorySize = 0x4000, kSpaces = 4;
  static constexpr uint32_t kFirstTable = 0x40000, kTables = 6;
  static constexpr uint32_t kFrames = 0x400000, kFrameCount = 64;
  static constexpr uint32_t kDirect = 0xe0000000;  ///< Where physical address 0 is.
  static constexpr uint32_t kScratch = 0x1800;     ///< For Copy.
  static constexpr uint32_t kLists = 0xd000;       ///< A page for each processor.
  static constexpr uint32_t kSignature = 0xff8, kCode = 0xfe0, kData = 0x800;  ///< Within a frame.
  /// What a page without storage answers.
  static constexpr uint32_t kNothing = 0x0f000000;

  struct Options {
    unsigned processors = 1;
    TableFormat format = TableFormat::Legacy;
    std::optional<translate::EngineOptions> engine = std::nullopt;  ///< Nothing: interpreted.
    /// Each of two processors is run by a thread of its own, at the same time as the other. Processor 0 has
    /// spaces 0 and 1, processor 1 the others.
    bool concurrent = false;
  };

  explicit PagingGuest(const Options& options);
  ~PagingGuest();
  PagingGuest(const PagingGuest&) = delete;
  PagingGuest& operator=(const PagingGuest&) = delete;

  /// Nothing: the processor stopped in another way, as complaint() says. Concurrent: the thread has called
  /// translate::prepare_host_signals().
  [[nodiscard]] std::optional<CommandResult> run(unsigned processor, Command command,
                                                 const CommandRegisters& registers);
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

  [[nodiscard]] paging::PagingRegisters registers(unsigned processor) const;
  [[nodiscard]] memory::PhysicalMap& memory() { return memory_; }
  [[nodiscard]] const uint8_t* ram() const { return ram_->data(); }
  [[nodiscard]] uint32_t word(uint32_t physical) const;
  [[nodiscard]] const translate::Engine* engine(unsigned processor) const {
    return processors_[processor]->engine.get();
  }
  [[nodiscard]] bool pae() const { return pae_; }
  [[nodiscard]] uint32_t entry_size() const { return pae_ ? 8 : 4; }
  /// What CR3 has to be.
  [[nodiscard]] uint32_t root(uint32_t space) const;
  /// Puts signature, code and data back where they belong in a page that was something else.
  void mark(uint32_t physical, uint32_t signature);
  /// Changes a word of guest memory, whatever the processors do.
  void set_word(uint32_t physical, uint32_t value);

 private:
  struct Processor final : translate::MonitorLock {
    explicit Processor(PagingGuest& its_guest) : guest(its_guest) {}
    void acquire() override { guest.lock_.lock(); }
    void release() override { guest.lock_.unlock(); }
    void stop_others() override;

    PagingGuest& guest;
    std::unique_ptr<cpu::Vcpu> vcpu;
    std::unique_ptr<translate::Engine> engine;
  };

  void build_tables();
  void build_code();
  void start(unsigned index);
  void put(uint32_t physical, const std::vector<uint8_t>& bytes);
  void put_word(uint32_t physical, uint32_t value);
  [[nodiscard]] std::optional<CommandResult> run_locked(unsigned processor, Command command,
                                                        const CommandRegisters& registers);
  void put_entry(uint32_t physical, uint64_t value);

  bool pae_;
  bool concurrent_;
  FairLock lock_;
  std::unique_ptr<memory::RamBlock> ram_;
  memory::PhysicalMap memory_;
  memory::PortMap ports_;
  cpu::NoBus bus_;
  std::optional<cpu::CpuModel> model_;
  std::array<uint32_t, static_cast<size_t>(Command::Count)> entries_{};
  uint32_t dispatcher_ = 0;
  std::vector<std::unique_ptr<Processor>> processors_;
  std::string complaint_;
};

}  // namespace vitrine::engines
