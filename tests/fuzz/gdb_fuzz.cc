// What a debugger sends: the input's lines are packets (framed here, or no checksum would ever be right),
// except those that start with '!', which go to the server as they are. The machine stops now and then, and
// the line drops.
#include <algorithm>

#include "base/check.h"
#include "debug/debug_target_for_test.h"
#include "debug/gdb_packet.h"
#include "debug/gdb_server.h"
#include "fuzz/fuzz_target.h"
#include "machine/simple_character_backends.h"

namespace vitrine::fuzz {
namespace {

Input line(std::string_view text) {
  Input input(text.begin(), text.end());
  input.push_back('\n');
  return input;
}

void event(std::string_view what, debug::GdbServer& server, debug::DebugTargetForTest& target,
           machine::MemoryCharacterBackend& wire) {
  const auto number = static_cast<uint8_t>(what.size() > 1 ? what[1] : 0);
  if (what.starts_with("~")) {  // the line drops, and somebody comes again
    wire.set_carrier(false);
    wire.set_carrier(true);
    return;
  }
  if (what.starts_with("%")) {
    target.is_running = false;
    server.stopped(number % target.cpu_count(), static_cast<debug::StopReason>(number / 4 % 5),
                   VirtualAddress(number * 0x01010101u));
    return;
  }
  wire.type(what.starts_with("!") ? std::string(what.substr(1)) : debug::frame_packet(what));
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all;
  for (const std::string_view text : {"qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+",
                                      "?",
                                      "g",
                                      "G0011223344",
                                      "p8",
                                      "P8=00100000",
                                      "m100000,40",
                                      "M100000,4:01020304",
                                      "X100000,3:a}\x03z",
                                      "Z0,100000,1",
                                      "z0,100000,1",
                                      "Z2,100010,4",
                                      "Z4,0,8",
                                      "c",
                                      "s",
                                      "c100000",
                                      "C05",
                                      "S05;100000",
                                      "vCont?",
                                      "vCont;s:1;c",
                                      "vCont;c:2;s:-1",
                                      "vCtrlC",
                                      "vKill;1",
                                      "Hg0",
                                      "Hc-1",
                                      "T1",
                                      "qfThreadInfo",
                                      "qsThreadInfo",
                                      "qThreadExtraInfo,1",
                                      "qC",
                                      "qAttached",
                                      "qRcmd,696e666f",
                                      "qXfer:features:read:target.xml:0,ffb",
                                      "qXfer:memory-map:read::0,ffb",
                                      "QStartNoAckMode",
                                      "qqemu.sstepbits",
                                      "qqemu.sstep",
                                      "Qqemu.sstep=7",
                                      "Qqemu.PhyMemMode:1",
                                      "qqemu.PhyMemMode",
                                      "D",
                                      "k",
                                      "R00",
                                      "!",
                                      "!\x03",
                                      "!-",
                                      "!+$g#67",
                                      "!$m0,1#ff",
                                      "%\x05",
                                      "~",
                                      "qSymbol::",
                                      "vMustReplyEmpty"}) {
    all.push_back(line(text));
  }
  Input session;
  for (const Input& each : all) session.insert(session.end(), each.begin(), each.end());
  all.push_back(session);
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  machine::MemoryCharacterBackend wire;
  debug::DebugTargetForTest target(2);
  target.monitor_output = "a line\n";
  debug::GdbServer server(wire, target);
  const std::string text(data, data + size);
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    fuzz::event(rest.substr(0, end), server, target, wire);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    CHECK(wire.take().size() <=
          8 * (debug::GdbServer::kMaxPacket + debug::GdbServer::kMaxMonitorOutput) * (end + 1));
  }
  (void)server.describe();
  return 0;
}
