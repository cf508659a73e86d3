// The monitor's `info` commands, apart from page tables.

#include <array>

#include "machine/monitor_commands.h"
#include "x86/registers.h"

namespace vitrine::machine {
namespace {

void info_version(MonitorSession& session, std::string_view) {
  session.print("Vitrine {}\n", VITRINE_VERSION);
}

void info_name(MonitorSession& session, std::string_view) {
  if (!session.target().name().empty()) session.print("{}\n", session.target().name());
}

void info_status(MonitorSession& session, std::string_view) {
  switch (session.target().run_state()) {
    case RunState::Running: return session.print("VM status: running\n");
    case RunState::Paused: return session.print("VM status: paused\n");
    case RunState::Shutdown: return session.print("VM status: paused (shutdown)\n");
  }
}

void info_cpus(MonitorSession& session, std::string_view) {
  for (unsigned i = 0; i < session.target().cpu_count(); ++i) {
    const cpu::CpuState& state = session.target().cpu_state(i);
    session.print("{} CPU #{}: {}, {:04x}:{:08x}\n", i == session.cpu() ? '*' : ' ', i,
                  cpu::activity_name(state.activity), state.segments[x86::kCs].selector, state.eip);
  }
}

void print_segment(MonitorSession& session, std::string_view name, const cpu::SegmentRegister& segment) {
  session.print("{:<3}={:04x} {:08x} {:08x} {:08x}\n", name, segment.selector, segment.base, segment.limit,
                segment.attributes);
}

void print_floating_point(MonitorSession& session, const cpu::FloatingPointState& fpu) {
  session.print("FCW={:04x} FSW={:04x} [ST={}] FTW={:04x} MXCSR={:08x}\n", fpu.control, fpu.status,
                fpu.status >> 11 & 7, fpu.tag, fpu.mxcsr);
  const auto hexadecimal = [](const std::array<uint8_t, 16>& bytes, size_t from, size_t count) {
    std::string text;
    for (size_t i = from + count; i-- > from;) text += fmt::format("{:02x}", bytes[i]);
    return text;
  };
  for (size_t i = 0; i < fpu.registers.size(); ++i) {
    session.print("FPR{}={} {}{}", i, hexadecimal(fpu.registers[i], 0, 8),
                  hexadecimal(fpu.registers[i], 8, 2), i % 2 == 0 ? " " : "\n");
  }
  for (size_t i = 0; i < fpu.xmm.size(); ++i) {
    session.print("XMM{:02}={}{}", i, hexadecimal(fpu.xmm[i], 0, 16), i % 2 == 0 ? " " : "\n");
  }
}

void print_registers(MonitorSession& session, const cpu::CpuState& s) {
  const auto& r = s.gpr;
  session.print("EAX={:08x} EBX={:08x} ECX={:08x} EDX={:08x}\n", r[x86::kEax], r[x86::kEbx], r[x86::kEcx],
                r[x86::kEdx]);
  session.print("ESI={:08x} EDI={:08x} EBP={:08x} ESP={:08x}\n", r[x86::kEsi], r[x86::kEdi], r[x86::kEbp],
                r[x86::kEsp]);
  const auto flag = [&](unsigned bit, char letter) { return (s.eflags >> bit & 1) != 0 ? letter : '-'; };
  session.print("EIP={:08x} EFL={:08x} [{}{}{}{}{}{}{}] CPL={} II={} HLT={}\n", s.eip, s.eflags,
                flag(10, 'D'), flag(11, 'O'), flag(7, 'S'), flag(6, 'Z'), flag(4, 'A'), flag(2, 'P'),
                flag(0, 'C'), s.cpl, s.interrupt_shadow ? 1 : 0, s.activity == cpu::Activity::Halted ? 1 : 0);
  static constexpr std::array<std::string_view, x86::kSegmentCount> kNames = {"ES", "CS", "SS",
                                                                              "DS", "FS", "GS"};
  for (size_t i = 0; i < kNames.size(); ++i) print_segment(session, kNames[i], s.segments[i]);
  print_segment(session, "LDT", s.ldtr);
  print_segment(session, "TR", s.tr);
  session.print("GDT=     {:08x} {:08x}\nIDT=     {:08x} {:08x}\n", s.gdtr.base, s.gdtr.limit, s.idtr.base,
                s.idtr.limit);
  session.print("CR0={:08x} CR2={:08x} CR3={:08x} CR4={:08x}\n", s.cr0, s.cr2, s.cr3, s.cr4);
  session.print("DR0={:08x} DR1={:08x} DR2={:08x} DR3={:08x}\nDR6={:08x} DR7={:08x}\n", s.dr[0], s.dr[1],
                s.dr[2], s.dr[3], s.dr6, s.dr7);
  session.print("EFER={:016x}\n", s.efer);
  print_floating_point(session, s.fpu);
}

void info_registers(MonitorSession& session, std::string_view arguments) {
  if (arguments != "-a") return print_registers(session, session.cpu_state());
  for (unsigned i = 0; i < session.target().cpu_count(); ++i) {
    session.print("\nCPU#{}\n", i);
    print_registers(session, session.target().cpu_state(i));
  }
}

void info_map(MonitorSession& session, std::string_view) {
  for (const memory::Region& region : session.target().physical_map().regions()) {
    std::string kind;
    if (region.device != nullptr) {
      kind = "device registers";
    } else if (region.read_block == nullptr && region.write_block == nullptr) {
      continue;
    } else if (region.read_block != nullptr) {
      const bool same = region.write_block == region.read_block && region.write_offset == region.read_offset;
      kind =
          fmt::format("{} {} at {:#x}", same ? "RAM" : "ROM", region.read_block->name(), region.read_offset);
      if (!same && region.write_block != nullptr) {
        kind += fmt::format(", writes to {} at {:#x}", region.write_block->name(), region.write_offset);
      }
    } else {
      kind = fmt::format("writes to {} at {:#x}", region.write_block->name(), region.write_offset);
    }
    session.print("{:09x}-{:09x} {}\n", region.start.value, region.last.value, kind);
  }
}

void info_screen(MonitorSession& session, std::string_view) {
  const auto screen = session.target().text_screen();
  if (!screen) return session.print("the screen is not in a text mode; screendump makes a picture\n");
  for (const std::string& line : screen->lines) session.print("{}\n", line);
}

template <Subject subject>
void info_subject(MonitorSession& session, std::string_view) {
  const std::string text = session.target().describe(subject);
  session.print_text(text.empty() ? "this machine has none\n" : text);
}

void info_network(MonitorSession& session, std::string_view) {
  session.print("there is no network\n");
}
void info_snapshots(MonitorSession& session, std::string_view) {
  session.print("machine states cannot be saved\n");
}

constexpr MonitorCommand kInfoCommands[] = {
    {"registers", "", "[-a]", "the processor's registers; of all processors", info_registers},
    {"cpus", "", "", "the processors", info_cpus},
    {"mem", "", "", "ranges that the page tables map", info_mem},
    {"tlb", "", "", "each page that the page tables map", info_tlb},
    {"p2m", "", "[ADDRESS]", "where physical memory is in this process; one page of it", info_p2m},
    {"shadow", "", "ADDRESS", "a virtual address in the guest's page table and in the shadow", info_shadow},
    {"spaces", "", "", "address spaces that have shadow page tables", info_spaces},
    {"map", "mtree", "", "what lies where in the physical address space", info_map},
    {"screen", "", "", "the text on the screen", info_screen},
    {"pic", "", "", "the interrupt controllers", info_subject<Subject::Pic>},
    {"irq", "", "", "how often each interrupt line was served", info_subject<Subject::Irq>},
    {"pci", "", "", "the PCI devices", info_subject<Subject::Pci>},
    {"block", "", "", "the drives", info_subject<Subject::Block>},
    {"chardev", "", "", "serial lines, monitor and what they lead to", info_subject<Subject::Chardev>},
    {"roms", "", "", "firmware and kernel in memory", info_subject<Subject::Roms>},
    {"balloon", "", "", "how much memory the guest has left itself", info_subject<Subject::Balloon>},
    {"stats", "", "", "what was counted, and where time went", info_subject<Subject::Statistics>},
    {"sandbox", "", "", "what this machine's process has given up", info_subject<Subject::Sandbox>},
    {"gdb", "", "", "the gdb server", info_subject<Subject::Gdb>},
    {"status", "", "", "running or paused", info_status},
    {"name", "", "", "the machine's name", info_name},
    {"version", "", "", "Vitrine's version", info_version},
    {"network", "", "", "the network", info_network},
    {"snapshots", "", "", "saved machine states", info_snapshots},
};

}  // namespace

std::span<const MonitorCommand> info_commands() {
  return kInfoCommands;
}

}  // namespace vitrine::machine
