// The second machine of a lockstep run: a processor whose code runs natively, with RAM of its own. It has no
// devices; what it asks of them comes from the log of what the interpreter asked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cpu/native_engine.h"
#include "cpu/vcpu.h"
#include "lockstep/access_log.h"
#include "lockstep/recorder.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"
#include "translate/engine.h"

namespace vitrine::lockstep {

class Follower final : private cpu::ProcessorBus,
                       private memory::PortDevice,
                       private memory::MemoryDevice,
                       private memory::WriteObserver {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Follower>> create(const cpu::CpuModel& model, AccessLog& log,
                                                                const translate::EngineOptions& options);
  ~Follower() override;

  /// Makes the map of physical memory like the leader's. Blocks that are new to it are copied; `added` is
  /// told of them. False: the host has no memory for one.
  [[nodiscard]] Result<void> mirror(const memory::PhysicalMap& leader,
                                    const std::function<void(memory::RamBlock&)>& added);
  /// Makes the counterpart of a block now that may come into the leader's map later. False: as above.
  [[nodiscard]] Result<void> expect(memory::RamBlock& block,
                                    const std::function<void(memory::RamBlock&)>& added);
  /// The counterpart of a leader's block; null: it has never been in the map, nor been expected.
  [[nodiscard]] memory::RamBlock* twin(const memory::RamBlock& block) const;
  /// Takes over a page of the leader's, or what differs of a whole block.
  void copy_page(const PageOf& page);
  void copy_all();
  /// All blocks, by the leader's.
  [[nodiscard]] const auto& blocks() const { return blocks_; }

  struct Run {
    uint64_t executed = 0;
    bool declined = false;    ///< The next instruction is the interpreter's.
    bool unsuitable = false;  ///< So is the whole mode.
    uint32_t wanted = 0;      ///< The next instruction is repeated so often, which was more than the limit.
  };
  /// Natively, at most `limit` instructions, devices left alone.
  [[nodiscard]] Run run_natively(uint64_t limit);
  /// Interpreted, with accesses from the log.
  uint64_t interpret(uint64_t instructions);

  [[nodiscard]] cpu::Vcpu& vcpu() { return *vcpu_; }
  [[nodiscard]] const translate::Engine& engine() const { return *engine_; }
  [[nodiscard]] memory::PhysicalMap& memory() { return memory_; }
  struct Forgot {
    cpu::Invalidation what;
    uint32_t linear;
  };
  /// What the guest has invalidated in interpret(), in order.
  [[nodiscard]] std::vector<Forgot>& forgot() { return forgot_; }
  /// Pages, of its own, that were written other than by translated code; each once.
  [[nodiscard]] std::vector<PageOf>& written_pages() { return written_pages_; }

 private:
  class Pilot;

  explicit Follower(AccessLog& log);

  std::optional<uint8_t> acknowledge_interrupt(unsigned vcpu) override;
  uint64_t time_stamp(unsigned vcpu) override;
  bool set_apic_base(unsigned vcpu, uint64_t value) override;
  void set_tsc_deadline(unsigned vcpu, uint64_t value) override;
  uint64_t tsc_deadline(unsigned vcpu) override;
  void set_ferr(unsigned vcpu, bool level) override;
  bool write_console(std::span<const uint8_t> text) override;
  uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  uint64_t read_memory(uint64_t offset, unsigned size) override;
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override;
  void write_noted(memory::RamBlock& block, uint64_t page) override;

  [[nodiscard]] Access replay(const Access& access);

  [[nodiscard]] Result<memory::RamBlock*> twin_of(memory::RamBlock* block,
                                                  const std::function<void(memory::RamBlock&)>& added);

  AccessLog& log_;
  memory::PhysicalMap memory_;
  memory::PortMap ports_;
  std::unordered_map<memory::RamBlock*, std::unique_ptr<memory::RamBlock>> blocks_;
  std::vector<PageOf> written_pages_;
  std::vector<Forgot> forgot_;
  std::unique_ptr<cpu::Vcpu> vcpu_;
  std::unique_ptr<translate::Engine> engine_;
  std::unique_ptr<Pilot> pilot_;
};

}  // namespace vitrine::lockstep
