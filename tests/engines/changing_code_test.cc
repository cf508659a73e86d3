// Code that changes code: the instruction behind it, another one of the page, one of the next page, through
// another address of the page, across a page's end; by stores of every kind, by the other privilege level, by
// a device. And code beside data, which must not be translated again and again: the counters say so.
#include <fmt/format.h>

#include "engines/engine_comparison.h"

namespace vitrine::engines {
namespace {

using differential::kHandlers;

// What is changed: mov al, 1, to mov al, 7; behind it stand so many NOPs that any store leaves an
// instruction.
constexpr uint8_t kBefore = 1, kAfter = 7;
constexpr uint32_t kNops = 16;
const Code kTarget = [] {
  Code code{0xb0, kBefore};
  for (unsigned n = 0; n < kNops; ++n) code.add({0x90});
  return code;
}();

struct Writer {
  const char* name;
  /// Code that stores at an address; `physical` is where that lies.
  Code (*code)(uint32_t address, uint32_t physical);
  bool system = false;  ///< It runs at CPL 0: in a user's program as the handler of INT 80h.
};

constexpr uint32_t kWord = 0x90909000 | kAfter;

// out 50h, eax; mov al, 7; out 54h, al
Code by_device(uint32_t /*address*/, uint32_t physical) {
  return Code().mov(x86::kEax, physical).add({0xe7, kDmaAddressPort, 0xb0, kAfter, 0xe6, kDmaValuePort});
}
Code by_byte(uint32_t address, uint32_t /*physical*/) {
  return Code{0xc6, 0x05}.word(address).add({kAfter});
}
// The rest of the vector is NOPs, which stand in the data.
Code by_vector(uint32_t address, uint32_t /*physical*/) {
  return Code{0x0f, 0x10, 0x05}.word(kDataBase).add({0x0f, 0x11, 0x05}).word(address);
}

const Writer kWriters[] = {
    {"mov byte", by_byte},
    {"mov dword",
     [](uint32_t at, uint32_t) {
       return Code{0xc7, 0x05}.word(at).word(kWord);
     }},
    {"mov dword, misaligned",
     [](uint32_t at, uint32_t) {
       return Code{0xc7, 0x05}.word(at - 1).word(kWord << 8 | 0xb0);
     }},
    {"add byte",
     [](uint32_t at, uint32_t) {
       return Code{0x80, 0x0d}.word(at).add({kAfter});
     }},
    {"xchg",
     [](uint32_t at, uint32_t) {
       return Code().mov(x86::kEax, kWord).add({0x87, 0x05}).word(at);
     }},
    {"lock xadd",
     [](uint32_t at, uint32_t) {
       // Only the first time it adds what is missing.
       return Code{0xa0}.word(at).add({0xb1, kAfter, 0x28, 0xc1, 0xf0, 0x0f, 0xc0, 0x0d}).word(at);
     }},
    {"push",
     [](uint32_t at, uint32_t) {
       return Code{0x89, 0xe5}.mov(x86::kEsp, at + 4).add({0x68}).word(kWord).add({0x89, 0xec});
     }},
    {"stosb",
     [](uint32_t at, uint32_t) {
       return Code{0xb0, kAfter, 0xbf}.word(at).add({0xaa});
     }},
    {"rep stosb",
     [](uint32_t at, uint32_t) {
       return Code{0xb0, 0x90, 0xbf}
           .word(at + 1)
           .mov(x86::kEcx, kNops - 1)
           .add({0xf3, 0xaa})
           .add(by_byte(at, 0));
     }},
    {"rep stosb of one",
     [](uint32_t at, uint32_t) {
       return Code{0xb0, kAfter, 0xbf}.word(at).mov(x86::kEcx, 1).add({0xf3, 0xaa});
     }},
    {"rep movsd",
     [](uint32_t at, uint32_t) {
       return Code{0xbe}.word(kDataBase).add({0xbf}).word(at).mov(x86::kEcx, 4).add({0xf3, 0xa5});
     }},
    {"rep movsb downwards",
     [](uint32_t at, uint32_t) {
       return Code{0xfd, 0xbe}
           .word(kDataBase + 15)
           .add({0xbf})
           .word(at + 15)
           .mov(x86::kEcx, 16)
           .add({0xf3, 0xa4, 0xfc});
     }},
    {"movups", by_vector},
    {"fistp",
     [](uint32_t at, uint32_t) {
       return Code{0xdb, 0x05}.word(kDataBase).add({0xdb, 0x1d}).word(at);
     }},
    {"a supervisor's store", by_byte, true},
    {"a supervisor's vector", by_vector, true},
    {"a device", by_device, true},
};

struct Place {
  const char* name;
  uint32_t start;   ///< Offset of the code that changes…
  uint32_t target;  ///< …and of what it changes.
  bool alias = false;
};
const Place kPlaces[] = {
    {"the same page", 0x100, 0x800},          {"the same page, by another address", 0x100, 0x800, true},
    {"the next page", 0x100, 0x1200},         {"the page before", 0x1100, 0x200},
    {"across the page's end", 0x1100, 0xfff}, {"across the page's end, from there", 0x800, 0xfff},
};

/// Of code that changes what stands directly behind it, or behind a few instructions more.
struct Target {
  const char* name;
  uint32_t target;
  unsigned between = 0;
  bool alias = false;
};
const Target kTargets[] = {
    {"the next instruction", 0x200},
    {"the next instruction, by another address", 0x200, 0, true},
    {"the next instruction, across the page's end", 0xfff},
    {"the next instruction, the next page's first", 0x1000},
    {"the same block", 0x200, 9},
    {"the same block, by another address", 0x200, 9, true},
};

class ChangingCode : public EngineComparison {
 protected:
  static uint32_t physical(uint32_t offset) { return kCodePhysical + offset; }

  static void add_writer(Program& wanted, Code& code, const Writer& writer, uint32_t target, bool alias) {
    // Only the first page has another address.
    const bool other = alias && target + 1 < 0x1000;
    const Code store = writer.code((other ? kCodeAlias : kCodeBase) + target + 1, physical(target + 1));
    if (!writer.system || !user()) {
      code.add(store);
      return;
    }
    wanted.system_call = Code(store).add({0xcf});
    code.add({0xcd, 0x80});
  }

  static Program prepared() {
    Program made = program({});
    made.data.assign(64, 0x90);
    made.data[0] = kAfter;
    made.state.gpr[x86::kEbx] = 3;
    return made;
  }

  // start: store; nop…; target: mov al, 1…; shl edx, 8; mov dl, al; dec ebx; jnz start
  static Program falls_through(const Writer& writer, const Target& to) {
    Program made = prepared();
    Code store;
    add_writer(made, store, writer, to.target, to.alias);
    for (unsigned n = 0; n < to.between; ++n) store.add({0x90});
    const uint32_t start = to.target - static_cast<uint32_t>(store.size());
    Code code;
    code.fill(start).add(store).add(kTarget).add({0xc1, 0xe2, 0x08, 0x88, 0xc2, 0x4b, 0x0f, 0x85});
    code.word(start - static_cast<uint32_t>(code.size()) - 4);
    made.code = code;
    made.state.eip = kCodeBase + start;
    return made;
  }

  // start: call target; shl edx, 8; mov dl, al; store; dec ebx; jnz start — target: mov al, 1…; ret
  static Program calls(const Writer& writer, const Place& place) {
    Program made = prepared();
    const uint32_t target = place.target != 0 ? place.target : place.start + 0x80;
    const auto call_target = [&](Code& code) {
      code.add({0xe8}).word(target - static_cast<uint32_t>(code.size()) - 4);
    };
    Code code;
    code.fill(std::min(place.start, target));
    const auto add_caller = [&] {
      code.fill(place.start);
      call_target(code);
      code.add({0xc1, 0xe2, 0x08, 0x88, 0xc2});
      add_writer(made, code, writer, target, place.alias);
      code.add({0x4b, 0x0f, 0x85}).word(place.start - static_cast<uint32_t>(code.size()) - 4);
      code.add({0xcc});
    };
    if (place.start < target) add_caller();
    code.fill(target).add(kTarget).add({0xc3});
    if (place.start > target) add_caller();
    made.code = code;
    made.state.eip = kCodeBase + place.start;
    return made;
  }

  void expect_changes(const Program& wanted, uint32_t edx, const std::string& what) {
    for (unsigned time = 0; time < 2; ++time) {
      const Ending ending = compare(wanted, 0, what);
      EXPECT_EQ(ending.state.gpr[x86::kEdx], edx) << what;
      EXPECT_EQ(ending.state.eip, kHandlers + 3 + 1) << what << ": " << native_->describe(ending);
    }
  }
};

TEST_P(ChangingCode, InFrontOfIt) {
  for (const Target& target : kTargets) {
    for (const Writer& writer : kWriters) {
      expect_changes(falls_through(writer, target), 0x070707,
                     fmt::format("{}, {}", writer.name, target.name));
      if (HasFailure()) return;
    }
  }
}

TEST_P(ChangingCode, ThatIsCalled) {
  for (const Place& place : kPlaces) {
    for (const Writer& writer : kWriters) {
      expect_changes(calls(writer, place), 0x010707, fmt::format("{}, {}", writer.name, place.name));
      if (HasFailure()) return;
    }
  }
}

// A repeated store runs over the instruction behind it, and over itself: the iterations go on.
TEST_P(ChangingCode, RepeatedStoreOverItself) {
  for (const uint32_t at : {0x100u, 0xff8u}) {
    Code code;
    code.fill(at)
        .mov(x86::kEdi, kCodeBase + at)
        .mov(x86::kEcx, 40)
        .add({0xb0, 0x90, 0xf3, 0xaa, 0x42, 0x42, 0xcc});
    Program wanted = prepared();
    wanted.code = code.fill(at + 64);
    wanted.state.eip = kCodeBase + at;
    for (unsigned time = 0; time < 2; ++time) {
      const Ending ending = compare(wanted);
      EXPECT_EQ(ending.state.gpr[x86::kEcx], 0u);
      EXPECT_EQ(ending.state.gpr[x86::kEdx], 0u);
    }
  }
}

// ---- Beside data.

constexpr uint32_t kRounds = 200'000;

struct Cost {
  uint64_t units, drops, host_faults, leaves;
};

class BesideData : public ChangingCode {
 protected:
  /// Of one run, the first. `data` is what the code does with its own page, each round.
  Cost cost_of(const Code& data, uint32_t at = 0x100) {
    // again: …; dec ecx; jnz again
    Code code;
    code.fill(at).add(data).add({0x49, 0x0f, 0x85}).word(at - static_cast<uint32_t>(code.size()) - 4);
    Program wanted = prepared();
    wanted.code = code;
    wanted.state.eip = kCodeBase + at;
    wanted.state.gpr[x86::kEcx] = kRounds;
    const auto now = [&] {
      const auto& engine = *native_->engine();
      uint64_t leaves = 0;
      for (const uint64_t count : engine.counters().leaves) leaves += count;
      return Cost{engine.cache().counters().units, engine.cache().counters().drops,
                  engine.counters().all_traps(), leaves};
    };
    const Cost before = now();
    const Ending ending = compare(wanted);
    EXPECT_EQ(ending.state.gpr[x86::kEcx], 0u) << native_->describe(ending);
    const Cost after = now();
    const Cost cost{after.units - before.units, after.drops - before.drops,
                    after.host_faults - before.host_faults, after.leaves - before.leaves};
    fmt::print("{} units, {} drops, {} host faults, {} ways out in {} rounds\n", cost.units, cost.drops,
               cost.host_faults, cost.leaves, kRounds);
    return cost;
  }

  // What one place that stores beside code may cost: it is tried again now and then.
  static void expect_little(const Cost& cost, unsigned stores) {
    EXPECT_LE(cost.units, 20u + stores * kRounds / 1000);
    EXPECT_LE(cost.drops, 20u + stores * kRounds / 1000);
    EXPECT_LE(cost.host_faults, 20u + stores * kRounds / 100);
  }
};

TEST_P(BesideData, Loads) {
  const Cost cost = cost_of(Code{0x03, 0x05}.word(kCodeBase + 0x800));
  EXPECT_LE(cost.units, 4u);
  EXPECT_EQ(cost.drops, 0u);
  EXPECT_LE(cost.leaves, 20u);
}

TEST_P(BesideData, Stores) {
  expect_little(cost_of(Code{0xff, 0x05}.word(kCodeBase + 0x800)), 1);
}

TEST_P(BesideData, StoresOfTwoPlaces) {
  expect_little(cost_of(Code{0xff, 0x05}.word(kCodeBase + 0x800).add({0x89, 0x0d}).word(kCodeBase + 0xf00)),
                2);
}

// push ecx; pop eax, with a stack in the page
TEST_P(BesideData, Stack) {
  Program wanted = prepared();
  expect_little(cost_of(Code().mov(x86::kEsp, kCodeBase + 0xf00).add({0x51, 0x58})), 1);
}

TEST_P(BesideData, RepeatedStores) {
  // mov ebp, ecx; mov edi, …; mov ecx, 8; rep stosd; mov ecx, ebp
  expect_little(
      cost_of(
          Code{0x89, 0xcd}.mov(x86::kEdi, kCodeBase + 0x800).mov(x86::kEcx, 8).add({0xf3, 0xab, 0x89, 0xe9})),
      1);
}

VITRINE_ALL_ENGINES(ChangingCode);
VITRINE_ALL_ENGINES(BesideData);

}  // namespace
}  // namespace vitrine::engines
