// The virtual processors of a machine, each with its local APIC, and how they take turns.
//
// One thread runs them one after the other, a slice of instructions each. Devices are called from inside a
// slice, on the same thread; what they signal is noticed at the next instruction boundary.
//
// Several with native engines run in parallel instead, each on its own thread (ProcessorThreads). Then
// whoever calls anything here holds lock(); a vCPU's thread gives it up while it runs translated code.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/fair_lock.h"
#include "base/state_archive.h"
#include "cpu/processor_bus.h"
#include "cpu/vcpu.h"
#include "devices/apic_bus.h"
#include "devices/character_backend.h"
#include "devices/irq_line.h"
#include "devices/local_apic.h"
#include "devices/pic8259a.h"
#include "lockstep/lockstep.h"
#include "machine/machine_config.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"
#include "translate/engine.h"
#include "translate/monitor_lock.h"

namespace vitrine::machine {

class Processors final : public cpu::ProcessorBus,
                         public devices::IrqSink,
                         public memory::MemoryDevice,
                         public Serializable,
                         private devices::ExternalInterruptSource {
 public:
  /// Most instructions in one turn while there are several vCPUs.
  static constexpr uint64_t kTurnLimit = 10'000;
  /// Ticks of the guest's time-stamp counter in a second.
  static constexpr uint64_t kTimeStampFrequency = cpu::kTimeStampFrequency;
  /// As an IrqSink: the wire from the PIC's INTR.
  static constexpr unsigned kIntrLine = 0;

  struct Environment {
    memory::PhysicalMap& memory;
    memory::PortMap& ports;
    Clock& clock;
    devices::ApicBus& apic_bus;
    const cpu::CpuModel& model;
    unsigned count = 1;                  ///< 1–255
    std::function<void(bool)> set_ferr;  ///< FERR#, on its way to IRQ 13.
    /// EngineKind::Lockstep: told of the first difference.
    std::function<void(const std::string&)> report_difference;
    paging::ShadowChoice shadow;                      ///< Of native engines.
    std::optional<translate::HostSupport> host = {};  ///< What it allows them; nothing: it is asked.
  };

  /// `engine` executes guest code. Errors: the host lacks something that it needs.
  [[nodiscard]] static Result<std::unique_ptr<Processors>> create(Environment environment, EngineKind engine,
                                                                  ClockKind clock);
  ~Processors() override;

  /// Whether executed() counts everything, so that a slice ends with its budget. Else its time limit ends it.
  [[nodiscard]] bool counting() const { return counting_; }
  [[nodiscard]] bool parallel() const { return lock_ != nullptr; }
  /// Null: not parallel.
  [[nodiscard]] FairLock* lock() const { return lock_.get(); }
  /// With a native engine: how long a slice may last.
  void set_time_limit(Nanoseconds limit) { time_limit_ = limit; }

  /// Where kernels' calls write text: the first serial port's other end. Null: nowhere.
  void connect_console(devices::CharacterBackend* console) { console_ = console; }
  /// Answers INTA cycles; before the first run.
  void connect_pic(devices::ExternalInterruptSource& pic) { pic_ = &pic; }

  /// RST# to all: vCPU 0 starts at the reset vector, the others wait for INIT and STARTUP.
  void reset();
  /// For a start without firmware: LINT0 passes the PIC's interrupts on, as firmware would have left it.
  void enter_virtual_wire_mode();

  struct Slice {
    unsigned vcpu = 0;
    cpu::Exit exit;
  };
  /// One slice of at most `budget` instructions on the next vCPU that has something to do. Nothing: all are
  /// idle.
  [[nodiscard]] std::optional<Slice> run_slice(uint64_t budget);
  /// The same on one vCPU alone, for a debugger's single step. In parallel while all are parked, and
  /// interpreted.
  [[nodiscard]] cpu::Exit run_one(unsigned vcpu, uint64_t budget);
  /// These vCPUs get no slices until told otherwise (a debugger's wish). Empty: none; else one for each vCPU.
  void hold(const std::vector<bool>& held);
  /// Takes maskable interrupts away from a vCPU, or gives it back the level that its controllers ask for.
  void mask_interrupts(unsigned vcpu, bool masked);
  /// A debugger has changed the vCPU's state: it may have something to do again.
  void wake(unsigned vcpu);
  /// Ends the slice in progress soon. From devices, on the same thread.
  void kick();

  // For ProcessorThreads.

  /// Whether a vCPU has something to do.
  [[nodiscard]] bool runnable(unsigned vcpu) const { return !units_[vcpu]->idle && !units_[vcpu]->held; }
  /// Until there is nothing to do, or somebody should see to something. On the vCPU's own thread.
  [[nodiscard]] cpu::Exit run_in_parallel(unsigned vcpu);
  /// Changes, and is notified, when runnable() or anything else that a resting thread waits for may have
  /// changed.
  [[nodiscard]] std::atomic<uint32_t>& wakes(unsigned vcpu) { return units_[vcpu]->wakes; }
  void wake_all();
  /// Every vCPU's run ends soon.
  void kick_all();

  [[nodiscard]] unsigned count() const { return static_cast<unsigned>(units_.size()); }
  [[nodiscard]] cpu::Vcpu& vcpu(unsigned index) { return *units_[index]->vcpu; }
  [[nodiscard]] const cpu::Vcpu& vcpu(unsigned index) const { return *units_[index]->vcpu; }
  /// Null: interpreted.
  [[nodiscard]] const translate::Engine* engine(unsigned index) const { return units_[index]->engine.get(); }
  /// Null: not EngineKind::Lockstep.
  [[nodiscard]] lockstep::Lockstep* lockstep() const { return lockstep_.get(); }
  /// IGNNE# to a vCPU.
  void set_ignne(unsigned vcpu);
  [[nodiscard]] const devices::LocalApic& apic(unsigned index) const { return *units_[index]->apic; }
  /// By all vCPUs together since construction; exact inside a slice, too.
  [[nodiscard]] uint64_t executed() const;

  void set_irq_line(unsigned line, bool level) override;

  // The local APICs' page: an access goes to the APIC of the vCPU that makes it.
  [[nodiscard]] std::string_view name() const override { return "local-apic"; }
  [[nodiscard]] uint64_t read_memory(uint64_t offset, unsigned size) override;
  [[nodiscard]] bool is_steady(uint64_t offset, unsigned size) const override;
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override;

  // cpu::ProcessorBus
  [[nodiscard]] std::optional<uint8_t> acknowledge_interrupt(unsigned vcpu) override;
  [[nodiscard]] uint64_t time_stamp(unsigned vcpu) override;
  [[nodiscard]] bool set_apic_base(unsigned vcpu, uint64_t value) override;
  void set_tsc_deadline(unsigned vcpu, uint64_t value) override;
  [[nodiscard]] uint64_t tsc_deadline(unsigned vcpu) override;
  void set_ferr(unsigned vcpu, bool level) override;
  bool write_console(std::span<const uint8_t> text) override;

  void serialize(StateArchive& archive) override;

 private:
  explicit Processors(Environment environment) : env_(std::move(environment)) {}
  void build();
  [[nodiscard]] Result<void> use_engine(EngineKind kind, ClockKind clock);

  /// A vCPU with what belongs to it, at a fixed address.
  struct Unit final : devices::ProcessorSignals, translate::MonitorLock {
    Unit(Processors& all, unsigned number) : processors(all), index(number) {}

    Processors& processors;
    const unsigned index;
    std::unique_ptr<cpu::Vcpu> vcpu;
    std::unique_ptr<translate::Engine> engine;  // null: interpreted. After the vCPU, which it runs
    std::unique_ptr<devices::LocalApic> apic;   // null: the model has none
    bool held = false;                          // gets no slices
    bool idle = false;                          // its last slice ended in HLT and nothing was signalled since
    bool intr = false;                          // as set_intr() has said last
    std::atomic<uint32_t> wakes{0};

    void set_intr(bool level) override;
    void raise_nmi() override;
    void raise_smi() override {}
    void init() override;
    void startup(uint8_t vector) override;

    void acquire() override;
    void release() override;
    void stop_others() override;

    void signalled();
    void wake();
  };

  [[nodiscard]] uint64_t turn_length(uint64_t budget);
  void place_apic_window();
  /// The PIC's answer to the boot processor's local APIC, which is made before the PIC is known.
  uint8_t acknowledge() override { return pic_->acknowledge(); }
  [[nodiscard]] Nanoseconds time_of_time_stamp(unsigned index, uint64_t value) const;

  Environment env_;
  std::unique_ptr<lockstep::Lockstep> lockstep_;  // before the vCPU, which it stands before
  std::vector<std::unique_ptr<Unit>> units_;
  devices::ExternalInterruptSource* pic_ = nullptr;
  devices::CharacterBackend* console_ = nullptr;
  static constexpr size_t kConsoleBytesInASlice = size_t{16} << 10;
  size_t console_bytes_ = 0;
  std::optional<memory::PlacementId> apic_window_;
  bool intr_ = false;  // the PIC's wire
  bool counting_ = true;
  Nanoseconds time_limit_ = kNanosecondsPerMillisecond;
  uint32_t turn_seed_ = 1;
  unsigned current_ = 0;  // whose slice it is, or was; in parallel, who took the lock last
  std::unique_ptr<FairLock> lock_;
};

}  // namespace vitrine::machine
