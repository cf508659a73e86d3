// Every packet, as a debugger sends it, against a machine that only records what it is asked.
#include "debug/gdb_server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "debug/debug_target_for_test.h"
#include "x86/flags.h"
#include "x86/registers.h"

namespace vitrine::debug {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr auto kBase = DebugTargetForTest::kMemoryBase;

class GdbServerTest : public testing::Test {
 protected:
  explicit GdbServerTest(unsigned cpus = 2) : target(cpus), server(line, target) {
    line.connect();
    line.type(frame_packet("QStartNoAckMode"));
    EXPECT_EQ(line.take_sent(), "+" + frame_packet("OK"));
  }

  /// The payloads of the answers, escapes included.
  std::vector<std::string> exchange(std::string_view payload) {
    line.type(frame_packet(payload));
    return payloads();
  }
  std::vector<std::string> payloads() {
    const std::string sent = line.take_sent();
    const std::vector<uint8_t> bytes(sent.begin(), sent.end());
    std::span<const uint8_t> rest = bytes;
    PacketReader reader(GdbServer::kMaxPacket);
    std::vector<std::string> result;
    while (const auto event = reader.next(rest)) {
      EXPECT_EQ(event->kind, PacketEvent::Kind::Packet);
      result.push_back(event->payload);
    }
    return result;
  }
  std::string ask(std::string_view payload) {
    const auto answers = exchange(payload);
    EXPECT_EQ(answers.size(), 1u) << payload;
    return answers.empty() ? "(nothing)" : answers[0];
  }
  std::string stop_report(StopReason reason, unsigned cpu, VirtualAddress address = {}) {
    server.stopped(cpu, reason, address);
    const auto reports = payloads();
    EXPECT_EQ(reports.size(), 1u);
    return reports.empty() ? "(nothing)" : reports[0];
  }
  std::vector<CpuAction> last_actions() {
    return target.requests.empty() ? std::vector<CpuAction>() : target.requests.back().actions;
  }

  LineForTest line;
  DebugTargetForTest target;
  GdbServer server;
};

// ---- Sessions.

TEST_F(GdbServerTest, AConnectionStopsTheMachine) {
  EXPECT_TRUE(server.attached());
  EXPECT_FALSE(target.running());
  EXPECT_THAT(ask("?"), StartsWith("T05thread:1;"));
}

TEST_F(GdbServerTest, ALostConnectionRemovesBreakpointsAndLetsTheMachineRun) {
  ask("Z0,1000,1");
  ASSERT_EQ(target.stop_points.breakpoints.size(), 1u);
  line.disconnect();
  EXPECT_FALSE(server.attached());
  EXPECT_THAT(target.stop_points.breakpoints, IsEmpty());
  EXPECT_TRUE(target.running());
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Continue, CpuAction::Continue));
}

TEST_F(GdbServerTest, ALostConnectionDoesNotResumeWhatRuns) {
  exchange("c");
  line.disconnect();
  EXPECT_EQ(target.requests.size(), 1u);
}

TEST_F(GdbServerTest, TheNextSessionStartsAnew) {
  ask("Qqemu.PhyMemMode:1");
  ask("Qqemu.sstep=1");
  line.type("$half a pack");
  line.disconnect();
  line.connect();
  EXPECT_FALSE(target.running());
  line.type(frame_packet("qqemu.PhyMemMode"));
  EXPECT_EQ(line.take_sent(), "+" + frame_packet("0"));
  line.type(frame_packet("qqemu.sstep"));
  EXPECT_EQ(line.take_sent(), "+" + frame_packet("0x7"));
}

TEST_F(GdbServerTest, DetachLetsTheMachineRun) {
  ask("Z2,1000,4");
  EXPECT_EQ(ask("D"), "OK");
  EXPECT_FALSE(server.attached());
  EXPECT_TRUE(target.running());
  EXPECT_THAT(target.stop_points.watchpoints, IsEmpty());
  line.disconnect();
  EXPECT_EQ(target.requests.size(), 1u);
}

TEST_F(GdbServerTest, ALineWithoutACarrierStartsASessionWithAPacket) {
  ask("D");
  line.type(frame_packet("?"));
  EXPECT_THAT(line.take_sent(), StartsWith("+$T05"));
  EXPECT_TRUE(server.attached());
  EXPECT_FALSE(target.running());
}

TEST_F(GdbServerTest, NobodyIsToldOfAStopWithoutASession) {
  line.disconnect();
  server.stopped(0, StopReason::Paused);
  server.exited(0);
  EXPECT_EQ(line.take_sent(), "");
}

TEST_F(GdbServerTest, KillEndsTheMachine) {
  EXPECT_THAT(exchange("k"), IsEmpty());
  EXPECT_EQ(target.quits, 1u);
  line.disconnect();
  EXPECT_THAT(target.requests, IsEmpty());
}

TEST_F(GdbServerTest, KillWithAReply) {
  EXPECT_EQ(ask("vKill;1"), "OK");
  EXPECT_EQ(target.quits, 1u);
}

TEST_F(GdbServerTest, RestartResetsTheMachine) {
  EXPECT_EQ(ask("!"), "OK");
  EXPECT_THAT(exchange("R00"), IsEmpty());
  EXPECT_EQ(target.resets, 1u);
  EXPECT_THAT(ask("?"), StartsWith("T05"));
}

TEST_F(GdbServerTest, Describe) {
  EXPECT_EQ(server.describe(), "gdb: attached, 0 breakpoints and watchpoints, in control\n");
  ask("Z0,1000,1");
  exchange("c");
  EXPECT_EQ(server.describe(),
            "gdb: attached, 1 breakpoints and watchpoints, waiting for the machine to stop\n");
  line.disconnect();
  EXPECT_EQ(server.describe(), "gdb: nobody is attached\n");
}

TEST(GdbServerLine, AcknowledgementsAndRepetition) {
  LineForTest line;
  DebugTargetForTest target(1);
  GdbServer server(line, target);
  line.connect();
  line.type("-");
  EXPECT_EQ(line.take_sent(), "");  // nothing to repeat
  line.type("+$qC#b4");
  EXPECT_EQ(line.take_sent(), "+" + frame_packet("QC1"));
  line.type("-");
  EXPECT_EQ(line.take_sent(), frame_packet("QC1"));
  line.type("$qC#b5");
  EXPECT_EQ(line.take_sent(), "-");
}

TEST(GdbServerLine, TheReceiverIsRemovedInTheEnd) {
  LineForTest line;
  DebugTargetForTest target(1);
  { GdbServer server(line, target); }
  EXPECT_EQ(line.receiver, nullptr);
}

TEST_F(GdbServerTest, WithoutAcknowledgementsABadChecksumIsAnError) {
  line.type("$qC#00-");
  EXPECT_EQ(line.take_sent(), frame_packet("E16"));
}

TEST_F(GdbServerTest, UnknownPacketsGetAnEmptyReply) {
  for (const char* packet : {"", "b", "i", "j1", "vMustReplyEmpty", "vFile:setfs:0", "vRun;", "qTStatus",
                             "qOffsets", "qfoo:1", "QNonStop:1", "v", "q", "Q"}) {
    EXPECT_EQ(ask(packet), "") << packet;
  }
}

TEST_F(GdbServerTest, TooLongAPacket) {
  EXPECT_EQ(ask(std::string(GdbServer::kMaxPacket + 1, 'g')), "E07");
  EXPECT_EQ(ask("qC"), "QC1");
}

// ---- Queries.

TEST_F(GdbServerTest, Supported) {
  const std::string answer = ask("qSupported:multiprocess+;swbreak+;hwbreak+");
  for (const char* feature : {"PacketSize=4000", "QStartNoAckMode+", "vContSupported+", "swbreak+",
                              "hwbreak+", "qXfer:features:read+", "qXfer:memory-map:read+"}) {
    EXPECT_THAT(answer, HasSubstr(feature));
  }
}

TEST_F(GdbServerTest, Threads) {
  EXPECT_EQ(ask("qfThreadInfo"), "m1,2");
  EXPECT_EQ(ask("qsThreadInfo"), "l");
  target.states[1].activity = cpu::Activity::Halted;
  EXPECT_EQ(ask("qThreadExtraInfo,1"), to_hex("CPU#0 [running]"));
  EXPECT_EQ(ask("qThreadExtraInfo,2"), to_hex("CPU#1 [halted]"));
  EXPECT_EQ(ask("qThreadExtraInfo,3"), "E03");
  EXPECT_EQ(ask("T1"), "OK");
  EXPECT_EQ(ask("T2"), "OK");
  EXPECT_EQ(ask("T3"), "E03");
  EXPECT_EQ(ask("T0"), "E03");
  EXPECT_EQ(ask("T"), "E03");
  EXPECT_EQ(ask("Tp1.1"), "E03");
}

TEST_F(GdbServerTest, SelectedThread) {
  EXPECT_EQ(ask("qC"), "QC1");
  EXPECT_EQ(ask("Hg2"), "OK");
  EXPECT_EQ(ask("qC"), "QC2");
  EXPECT_EQ(ask("Hg0"), "OK");
  EXPECT_EQ(ask("qC"), "QC1");
  EXPECT_EQ(ask("Hc-1"), "OK");
  EXPECT_EQ(ask("Hg3"), "E03");
  EXPECT_EQ(ask("Hx1"), "E16");
  EXPECT_EQ(ask("H"), "E16");
}

TEST_F(GdbServerTest, SmallQueries) {
  EXPECT_EQ(ask("qAttached"), "1");
  EXPECT_EQ(ask("qSymbol::"), "OK");
}

TEST_F(GdbServerTest, TargetDescriptionInPieces) {
  target.avx = true;
  std::string document;
  for (std::string piece = "m"; piece[0] == 'm';) {
    piece = ask(fmt::format("qXfer:features:read:target.xml:{:x},333", document.size()));
    ASSERT_THAT(piece, testing::AnyOf(StartsWith("m"), StartsWith("l")));
    const auto part = unescape(std::string_view(piece).substr(1));
    ASSERT_TRUE(part);
    document.append(part->begin(), part->end());
  }
  EXPECT_THAT(document, HasSubstr("org.gnu.gdb.i386.core"));
  EXPECT_THAT(document, HasSubstr("<reg name=\"mxcsr\" bitsize=\"32\" type=\"i386_mxcsr\" regnum=\"40\""));
  EXPECT_THAT(document, HasSubstr("<reg name=\"cr3\""));
  EXPECT_THAT(document, HasSubstr("org.gnu.gdb.i386.avx"));
  EXPECT_THAT(document, EndsWith("</target>\n"));
}

TEST_F(GdbServerTest, UpperHalvesOfYmmRegistersOnlyWhereTheyAre) {
  target.avx = true;
  target.states[0].fpu.ymm_high[7][15] = 0x5a;
  EXPECT_EQ(ask("p37"), "0000000000000000000000000000005a");
  const size_t with = ask("g").size();
  target.avx = false;
  EXPECT_EQ(with - ask("g").size(), 8u * 32u);
  EXPECT_EQ(ask("p37"), "E16");
  EXPECT_EQ(ask("qXfer:features:read:target.xml:0,3fff").find("i386.avx"), std::string::npos);
}

TEST_F(GdbServerTest, MemoryMap) {
  EXPECT_THAT(ask("qXfer:memory-map:read::0,1000"), HasSubstr("length=\"0x100000000\""));
}

TEST_F(GdbServerTest, BadTransfers) {
  EXPECT_EQ(ask("qXfer:auxv:read::0,100"), "");
  EXPECT_EQ(ask("qXfer:features:write:target.xml:0:00"), "");
  EXPECT_EQ(ask("qXfer:features:read:other.xml:0,100"), "E16");
  EXPECT_EQ(ask("qXfer:features:read:target.xml:fffff,100"), "E16");
  EXPECT_EQ(ask("qXfer:features:read:target.xml:0"), "E16");
  EXPECT_EQ(ask("qXfer:features:read:target.xml:0,10x"), "E16");
  EXPECT_EQ(ask("qXfer"), "");
  EXPECT_EQ(ask("qXfer:features:read:target.xml:0,0"), "m");
}

TEST_F(GdbServerTest, MonitorCommand) {
  target.monitor_output = "EAX=00000000\n";
  EXPECT_THAT(exchange("qRcmd," + to_hex("info registers")),
              ElementsAre("O" + to_hex("EAX=00000000\n"), "OK"));
  EXPECT_THAT(target.commands, ElementsAre("info registers"));
  target.monitor_output.clear();
  EXPECT_EQ(ask("qRcmd,"), "OK");
  EXPECT_EQ(ask("qRcmd,6"), "E16");
  EXPECT_EQ(target.commands.size(), 2u);
}

TEST_F(GdbServerTest, LongMonitorOutputComesInPiecesAndHasAnEnd) {
  target.monitor_output = std::string(1 << 20, 'x');
  const auto answers = exchange("qRcmd,78");
  size_t digits = 0;
  for (const std::string& answer : answers) {
    EXPECT_LE(answer.size(), GdbServer::kMaxPacket);
    if (answer.starts_with("O")) digits += answer.size() - 1;
  }
  EXPECT_EQ(answers.back(), "OK");
  EXPECT_GT(digits / 2, GdbServer::kMaxMonitorOutput);
  EXPECT_LT(digits / 2, GdbServer::kMaxMonitorOutput + 100);
}

TEST_F(GdbServerTest, StepSettings) {
  EXPECT_EQ(ask("qqemu.sstepbits"), "ENABLE=1,NOIRQ=2,NOTIMER=4");
  EXPECT_EQ(ask("qqemu.sstep"), "0x7");
  EXPECT_EQ(ask("Qqemu.sstep=0x1"), "OK");
  EXPECT_EQ(ask("qqemu.sstep"), "0x1");
  exchange("s");
  EXPECT_EQ(target.requests.back().step_interrupts, StepInterrupts::Delivered);
  EXPECT_EQ(ask("Qqemu.sstep=7"), "OK");
  exchange("s");
  EXPECT_EQ(target.requests.back().step_interrupts, StepInterrupts::Masked);
  EXPECT_EQ(ask("Qqemu.sstep=8"), "E16");
  EXPECT_EQ(ask("Qqemu.sstep="), "E16");
}

// ---- Registers.

TEST_F(GdbServerTest, AllRegisters) {
  target.states[1].gpr[x86::kEax] = 0x11223344;
  ask("Hg2");
  const std::string all = ask("g");
  EXPECT_THAT(all, StartsWith("44332211"));
  EXPECT_EQ(all.size(), 2 * (16 * 4 + 8 * 10 + 8 * 4 + 8 * 16 + 4 + 6 * 4 + 8u));
  EXPECT_EQ(ask("G" + all), "OK");
  EXPECT_EQ(ask("G78563412"), "OK");  // only the first one
  EXPECT_EQ(target.states[1].gpr[x86::kEax], 0x12345678u);
  EXPECT_EQ(target.states[0].gpr[x86::kEax], 0u);
  EXPECT_EQ(ask("G" + all + "00"), "E16");
  EXPECT_EQ(ask("G123456"), "E16");
  EXPECT_EQ(ask("Gxx"), "E16");
}

TEST_F(GdbServerTest, AWriteOfAllRegistersThatFailsChangesNone) {
  std::string all = ask("g");
  all.replace(0, 2, "99");
  all.replace(2 * (16 * 4 + 8 * 10 + 8 * 4 + 8 * 16 + 4 + 2 * 4), 2, "ff");  // CR0
  const unsigned changes = target.state_changes;
  EXPECT_EQ(ask("G" + all), "E01");
  EXPECT_EQ(target.state_changes, changes);
}

TEST_F(GdbServerTest, OneRegister) {
  target.states[0].eip = 0xc0101234;
  EXPECT_EQ(ask("p8"), "341210c0");
  EXPECT_EQ(ask("P8=78563412"), "OK");
  EXPECT_EQ(target.states[0].eip, 0x12345678u);
  EXPECT_EQ(ask("p10"), std::string(20, '0'));
  EXPECT_EQ(ask("p30"), "E16");
  EXPECT_EQ(ask("pffffffffff"), "E16");
  EXPECT_EQ(ask("p"), "E16");
  EXPECT_EQ(ask("P30=00000000"), "E16");
  EXPECT_EQ(ask("P8"), "E16");
  EXPECT_EQ(ask("P8=1234"), "E16");
  EXPECT_EQ(ask("P8=zzzzzzzz"), "E16");
  EXPECT_EQ(ask("P2b=ffffffff"), "E01");  // CR0
}

TEST_F(GdbServerTest, ASegmentRegisterIsLoadedFromTheGuestsTable) {
  cpu::CpuState& state = target.states[0];
  state.cr0 = 1;
  state.gdtr = {.base = kBase, .limit = 0xf};
  const std::array<uint8_t, 8> descriptor = {0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0x12};
  std::ranges::copy(descriptor, target.memory.begin() + 8);
  EXPECT_EQ(ask("Pc=08000000"), "OK");
  EXPECT_EQ(state.segments[x86::kDs].base, 0x12000000u);
  EXPECT_EQ(ask("Pc=10000000"), "E0e");
}

// ---- Memory.

TEST_F(GdbServerTest, ReadMemory) {
  target.memory[0x10] = 0xab;
  target.memory[0x11] = 0xcd;
  ask("Hg2");
  EXPECT_EQ(ask("m100010,2"), "abcd");
  EXPECT_EQ(target.memory_cpu, 1u);
  EXPECT_EQ(ask("m100010,0"), "E16");
  EXPECT_EQ(ask("m100010"), "E16");
  EXPECT_EQ(ask("m"), "E16");
  EXPECT_EQ(ask("m100010,2x"), "E16");
  EXPECT_EQ(ask("mffff0000,2"), "E0e");
  EXPECT_EQ(ask("m100000000,2"), "E0e");
  EXPECT_EQ(ask("mfffffffffffffff0,ffffffffffffffff"), "E0e");
}

TEST_F(GdbServerTest, AReadEndsWhereMemoryEnds) {
  EXPECT_EQ(ask("m100ff0,ffffffff").size(), 2 * 0x1010u);
  EXPECT_EQ(ask("m100800,10000").size(), 2 * 0x1800u);
  EXPECT_EQ(ask("mfffff000,ffffffffffffffff"), "E0e");
}

TEST_F(GdbServerTest, WriteMemory) {
  EXPECT_EQ(ask("M100000,3:010203"), "OK");
  EXPECT_EQ(target.memory[2], 3);
  EXPECT_EQ(ask("M100000,2:010203"), "E16");
  EXPECT_EQ(ask("M100000,2"), "E16");
  EXPECT_EQ(ask("M100000,1:0"), "E16");
  EXPECT_EQ(ask("M1fffff,1:00"), "E0e");
  EXPECT_EQ(ask("Mffffffff,2:0000"), "E0e");
}

TEST_F(GdbServerTest, WriteBinaryMemory) {
  EXPECT_EQ(ask("X100000,0:"), "OK");
  // The frame escapes; the server has to resolve it.
  EXPECT_EQ(ask("X100000,4:#$}*"), "OK");
  EXPECT_EQ(std::string(target.memory.begin(), target.memory.begin() + 4), "#$}*");
  EXPECT_EQ(ask(std::string("X100000,2:\0\x03", 12)), "OK");
  EXPECT_EQ(target.memory[1], 3);
  EXPECT_EQ(ask("X100000,4:abc"), "E16");
  line.type("$X100000,1:}#32");
  EXPECT_THAT(payloads(), ElementsAre("E16"));
}

TEST_F(GdbServerTest, PhysicalMemory) {
  EXPECT_EQ(ask("Qqemu.PhyMemMode:1"), "OK");
  EXPECT_EQ(ask("qqemu.PhyMemMode"), "1");
  EXPECT_EQ(ask("M4000000000,2:beef"), "OK");
  EXPECT_EQ(ask("m4000000000,2"), "beef");
  EXPECT_EQ(target.physical[0], 0xbe);
  EXPECT_EQ(ask("m100000,2"), "E0e");
  EXPECT_EQ(ask("m10000000000000,2"), "E0e");
  EXPECT_EQ(ask("Qqemu.PhyMemMode:2"), "E16");
  EXPECT_EQ(ask("Qqemu.PhyMemMode:0"), "OK");
  EXPECT_EQ(ask("m100000,1"), "00");
}

// ---- Breakpoints.

TEST_F(GdbServerTest, Breakpoints) {
  EXPECT_EQ(ask("Z0,c0101000,1"), "OK");
  EXPECT_EQ(ask("Z0,c0101000,1"), "OK");
  EXPECT_EQ(ask("Z1,c0101000,1"), "OK");
  EXPECT_EQ(ask("Z1,2000,1"), "OK");
  EXPECT_THAT(target.stop_points.breakpoints,
              ElementsAre(VirtualAddress(0xc0101000), VirtualAddress(0x2000)));
  EXPECT_EQ(ask("z0,c0101000,1"), "OK");
  EXPECT_EQ(target.stop_points.breakpoints.size(), 2u);
  EXPECT_EQ(ask("z1,c0101000,1"), "OK");
  EXPECT_EQ(ask("z1,c0101000,1"), "OK");
  EXPECT_THAT(target.stop_points.breakpoints, ElementsAre(VirtualAddress(0x2000)));
}

TEST_F(GdbServerTest, Watchpoints) {
  EXPECT_EQ(ask("Z2,1000,4"), "OK");
  EXPECT_EQ(ask("Z3,2000,1"), "OK");
  EXPECT_EQ(ask("Z4,fffffffe,2"), "OK");
  ASSERT_EQ(target.stop_points.watchpoints.size(), 3u);
  EXPECT_EQ(target.stop_points.watchpoints[0].kind, cpu::Watchpoint::Kind::Write);
  EXPECT_EQ(target.stop_points.watchpoints[0].size, 4u);
  EXPECT_EQ(target.stop_points.watchpoints[1].kind, cpu::Watchpoint::Kind::Read);
  EXPECT_EQ(target.stop_points.watchpoints[2].kind, cpu::Watchpoint::Kind::Access);
  EXPECT_EQ(target.stop_points.watchpoints[2].start, VirtualAddress(0xfffffffe));
  EXPECT_EQ(ask("z2,1000,4"), "OK");
  EXPECT_EQ(target.stop_points.watchpoints.size(), 2u);
}

TEST_F(GdbServerTest, BadStopPoints) {
  for (const char* packet :
       {"Z", "Z0", "Z0,", "Z0,1000", "Z5,1000,1", "Z0,100000000,1", "Z2,1000,0", "Z2,ffffffff,2",
        "Z2,0,100000000", "Z0,1000,1;X1,00", "z9,1,1", "Zffffffffffffffff,1,1"}) {
    EXPECT_EQ(ask(packet), "E16") << packet;
  }
  EXPECT_THAT(target.stop_points.breakpoints, IsEmpty());
}

TEST_F(GdbServerTest, BreakpointsAreBounded) {
  for (unsigned i = 0; i < StopPointSet::kMaxCount; ++i) ASSERT_EQ(ask(fmt::format("Z0,{:x},1", i)), "OK");
  EXPECT_EQ(ask("Z0,fffff,1"), "E1c");
  EXPECT_EQ(ask("z0,0,1"), "OK");
  EXPECT_EQ(ask("Z0,fffff,1"), "OK");
}

// ---- Running.

TEST_F(GdbServerTest, ContinueIsAnsweredByTheStop) {
  EXPECT_THAT(exchange("c"), IsEmpty());
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Continue, CpuAction::Continue));
  target.states[1].eip = 0x12345678;
  EXPECT_THAT(stop_report(StopReason::Breakpoint, 1),
              EndsWith("thread:2;05:00000000;04:00000000;08:78563412;"));
  EXPECT_EQ(ask("qC"), "QC2");
  server.stopped(0, StopReason::Paused);  // once only
  EXPECT_THAT(payloads(), IsEmpty());
}

TEST_F(GdbServerTest, ContinueElsewhere) {
  exchange("c2000");
  EXPECT_EQ(target.states[0].eip, 0x2000u);
  stop_report(StopReason::Paused, 0);
  exchange("C05;3000");
  EXPECT_EQ(target.states[0].eip, 0x3000u);
  stop_report(StopReason::Paused, 0);
  const size_t count = target.requests.size();
  EXPECT_EQ(ask("cxyz"), "E16");
  EXPECT_EQ(ask("c100000000"), "E16");
  EXPECT_EQ(ask("C"), "E16");
  EXPECT_EQ(ask("C05x"), "E16");
  EXPECT_EQ(ask("S"), "E16");
  EXPECT_EQ(target.requests.size(), count);
}

TEST_F(GdbServerTest, ClassicStep) {
  exchange("s");
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Step, CpuAction::Continue));
  stop_report(StopReason::Stepped, 0);
  ask("Hc2");
  exchange("S05");
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Stay, CpuAction::Step));
  stop_report(StopReason::Stepped, 1);
  ask("Hc-1");
  exchange("s");
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Step, CpuAction::Step));
}

TEST_F(GdbServerTest, ContinueWithActions) {
  EXPECT_EQ(ask("vCont?"), "vCont;c;C;s;S");
  exchange("vCont;c");
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Continue, CpuAction::Continue));
  exchange("vCont;s:2;c");
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Continue, CpuAction::Step));
  exchange("vCont;C05:1");
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Continue, CpuAction::Stay));
  exchange("vCont;S05:-1");
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Step, CpuAction::Step));
  exchange("vCont;s:1;c:1");
  EXPECT_THAT(last_actions(), ElementsAre(CpuAction::Step, CpuAction::Stay));
}

TEST_F(GdbServerTest, BadActions) {
  EXPECT_EQ(ask("vCont"), "E16");
  EXPECT_EQ(ask("vCont;"), "E16");
  EXPECT_EQ(ask("vCont;x"), "E16");
  EXPECT_EQ(ask("vCont;c:3"), "E03");
  EXPECT_EQ(ask("vCont;c:p1.1"), "E03");
  EXPECT_EQ(ask("vCont;;c"), "E16");
  EXPECT_THAT(target.requests, IsEmpty());
}

TEST_F(GdbServerTest, InterruptStopsTheMachineAndIsReported) {
  exchange("c");
  target.states[0].activity = cpu::Activity::Halted;
  line.type("\x03");
  EXPECT_FALSE(target.running());
  EXPECT_THAT(payloads(), ElementsAre(StartsWith("T02thread:2;")));
}

TEST_F(GdbServerTest, AnInterruptThatNobodyWaitsForIsNotReported) {
  line.type("\x03");
  EXPECT_THAT(payloads(), IsEmpty());
  EXPECT_FALSE(target.running());
}

TEST_F(GdbServerTest, ReasonsForAStop) {
  ask("qSupported:swbreak+;hwbreak+");
  ask("Z0,1000,1");
  ask("Z1,1004,1");
  ask("Z2,2000,4");
  ask("Z3,3000,4");
  ask("Z4,4000,4");
  const auto report = [this](StopReason reason, uint32_t address) {
    exchange("c");
    return stop_report(reason, 0, VirtualAddress(address));
  };
  EXPECT_THAT(report(StopReason::Breakpoint, 0x1000), StartsWith("T05swbreak:;thread:1;"));
  EXPECT_THAT(report(StopReason::Breakpoint, 0x1004), StartsWith("T05hwbreak:;thread:1;"));
  EXPECT_THAT(report(StopReason::Breakpoint, 0x1008), StartsWith("T05thread:1;"));
  EXPECT_THAT(report(StopReason::Watchpoint, 0x2000), StartsWith("T05watch:2000;thread:1;"));
  EXPECT_THAT(report(StopReason::Watchpoint, 0x3003), StartsWith("T05rwatch:3003;thread:1;"));
  EXPECT_THAT(report(StopReason::Watchpoint, 0x4000), StartsWith("T05awatch:4000;thread:1;"));
  EXPECT_THAT(report(StopReason::Watchpoint, 0x4004), StartsWith("T05thread:1;"));
  EXPECT_THAT(report(StopReason::Stepped, 0), StartsWith("T05thread:1;"));
  EXPECT_THAT(report(StopReason::Paused, 0), StartsWith("T02thread:1;"));
  EXPECT_THAT(report(StopReason::Shutdown, 0), StartsWith("T03thread:1;"));
}

TEST_F(GdbServerTest, ADebuggerThatDoesNotKnowThemIsNotToldOfKindsOfBreakpoints) {
  ask("Z0,1000,1");
  exchange("c");
  EXPECT_THAT(stop_report(StopReason::Breakpoint, 0, VirtualAddress(0x1000)), StartsWith("T05thread:1;"));
}

TEST_F(GdbServerTest, TheEndOfTheMachine) {
  exchange("c");
  server.exited(0x21);
  EXPECT_THAT(payloads(), ElementsAre("W21"));
  EXPECT_FALSE(server.attached());
}

}  // namespace
}  // namespace vitrine::debug
