// Situations that random streams meet too seldom: see streams_test.cc.
#include "engines/engine_comparison.h"

namespace vitrine::engines {
namespace {

class Engines : public EngineComparison {};

// More calls without returns than the return stack holds, then returns without calls.
TEST_P(Engines, CallsAndReturnsThatDoNotMatch) {
  compare(program({0xb9, 0xa0, 0x86, 0x01, 0x00,        // mov ecx, 100000
                   0xe8, 0x00, 0x00, 0x00, 0x00,        // 1: call 2f
                   0x58,                                // 2: pop eax
                   0x49, 0x75, 0xf7,                    // dec ecx; jnz 1b
                   0xb9, 0x50, 0xc3, 0x00, 0x00,        // mov ecx, 50000
                   0x68, 0x19, 0x00, 0x00, 0x20, 0xc3,  // 3: push 20000019h; ret
                   0x49, 0x75, 0xf7,                    // 20000019h: dec ecx; jnz 3b
                   0xcc}));
}

TEST_P(Engines, JumpAndCallToAddressZero) {
  compare(program({0x31, 0xc0, 0xff, 0xe0}));  // xor eax, eax; jmp eax
  compare(program({0x31, 0xc0, 0xff, 0xd0}));
  compare(program({0x6a, 0x00, 0xc3}));  // push 0; ret
}

// Functions that begin with the move of ESP still pending or not, each called directly, jumped to and called
// by its address, so that all of its ways in are used; kicked meanwhile.
TEST_P(Engines, FunctionsAreEnteredInEveryWay) {
  Code code;
  std::vector<uint32_t> functions;
  const std::vector<uint8_t> bodies[] = {
      {0x53, 0x8b, 0x5c, 0x24, 0x04, 0x01, 0xda, 0x5b,
       0xc3},                                      // push ebx; mov ebx, [esp + 4]; add edx, ebx; pop ebx
      {0x40, 0xc3},                                // inc eax
      {0x89, 0xe5, 0x01, 0xea, 0xc3},              // mov ebp, esp; add edx, ebp
      {0x83, 0xec, 0x08, 0x83, 0xc4, 0x08, 0xc3},  // sub esp, 8; add esp, 8
      {0x5b, 0x53, 0xc3},                          // pop ebx; push ebx
      {0x29, 0xe2, 0x9c, 0x9d, 0xc3},              // sub edx, esp; pushf; popf
      {0x83, 0xc4, 0x08, 0x83, 0xec, 0x04, 0xff, 0x64, 0x24, 0xfc}};  // add esp, 8; sub esp, 4; jmp [esp - 4]
  for (const auto& body : bodies) {
    functions.push_back(code.here());
    code.add(body);
  }
  const uint32_t recursive = code.here();
  code.add({0x4e, 0x74, 0x05, 0xe8, 0xf8, 0xff, 0xff, 0xff, 0xc3});  // 1: dec esi; jz 2f; call 1b; 2: ret
  const auto relative = [&](uint8_t opcode, uint32_t to) { code.add({opcode}).word(to - (code.here() + 4)); };
  const auto entry = static_cast<uint32_t>(code.size());
  code.mov(x86::kEcx, 1500);
  const uint32_t again = code.here();
  for (const uint32_t function : functions) {
    code.add({0x50});  // push eax: the last one leaves it on the stack's top
    relative(0xe8, function);
    code.add({0x68}).word(code.here() + 10 - 1);  // push what is behind the jump
    relative(0xe9, function);
    code.mov(x86::kEax, function).add({0xff, 0xd0});
    code.mov(x86::kEsp, kDataBase + 0x1800);
  }
  code.mov(x86::kEsi, 40);
  relative(0xe8, recursive);
  code.add({0x49, 0x0f}).add({0x85}).word(again - (code.here() + 4)).add({0xcc});  // dec ecx; jnz
  compare(program(code, entry));
  compare(program(code, entry), 20'000);
}

// Nothing in it is ever reached with ESP where r15 is, but kicks get through. 1: call 1b
TEST_P(Engines, CallsThatNeverReturn) {
  Program wanted = program({0xe8, 0xfb, 0xff, 0xff, 0xff});
  wanted.state.gpr[x86::kEsp] = kDataBase + 0x2000;
  compare(wanted, 20'000);
  wanted.code = {0xbc, 0x00, 0x18, 0x01, 0x20, 0xe8, 0x00, 0x00, 0x00, 0x00, 0x49, 0x0f, 0x84, 0x0a,
                 0x00, 0x00, 0x00, 0xbc, 0x00, 0x18, 0x01, 0x20, 0xe8, 0xef, 0xff, 0xff, 0xff, 0xcc};
  wanted.state.gpr[x86::kEcx] = 200'000;
  compare(wanted, 20'000);
}

// A call is made while floating-point instructions may run, its return while they may not: the code that it
// returns to must know.
TEST_P(Engines, ReturnAfterTaskSwitchedWasSet) {
  if (!user()) return;
  Program wanted = program({0xe8, 0x03, 0x00, 0x00, 0x00,                             // call f
                            0xd9, 0xe8, 0xcc,                                         // fld1; int3
                            0xcd, 0x80, 0xc3});                                       // f: int 80h; ret
  wanted.system_call = {0x0f, 0x20, 0xc0, 0x83, 0xc8, 0x08, 0x0f, 0x22, 0xc0, 0xcf};  // CR0.TS = 1; iret
  compare(wanted);
}

// The same with a loop, so that everything is linked and in the caches.
TEST_P(Engines, LoopsAfterTaskSwitchedWasSet) {
  if (!user()) return;
  Program wanted = program({0xbb, 0x05, 0x00, 0x00, 0x00,          // mov ebx, 5
                            0xe8, 0x06, 0x00, 0x00, 0x00,          // 1: call f
                            0xd9, 0xe8, 0xdd, 0xd8, 0xeb, 0xf5,    // fld1; fstp st0; jmp 1b
                            0x4b, 0x75, 0x02, 0xcd, 0x80, 0xc3});  // f: dec ebx; jnz 2f; int 80h; 2: ret
  wanted.system_call = {0x0f, 0x20, 0xc0, 0x83, 0xc8, 0x08, 0x0f, 0x22, 0xc0, 0xcf};
  compare(wanted);
}

// Interrupted everywhere: sequences of several host instructions are finished or begun again.
TEST_P(Engines, KickedInTheMiddleOfEverything) {
  Program wanted = program({0xb9, 0x88, 0x13, 0x00, 0x00,  // mov ecx, 5000
                            0x51, 0x9c, 0x9d, 0x54, 0x5c,  // 1: push ecx; pushf; popf; push esp; pop esp
                            0x87, 0x04, 0x24, 0x01, 0xc3,  // xchg eax, [esp]; add ebx, eax
                            0xe8, 0x00, 0x00, 0x00, 0x00, 0x5a,  // call 2f; 2: pop edx
                            0x90, 0x89, 0x17, 0x60, 0x61,        // nop; mov [edi], edx; pusha; popa
                            0xa4, 0x4e, 0x4f, 0x59,              // movsb; dec esi; dec edi; pop ecx
                            0x81, 0xe1, 0xff, 0xff, 0x03, 0x00,  // and ecx, 3ffffh
                            0x49, 0x75, 0xd6,                    // dec ecx; jnz 1b
                            0xcc});
  wanted.code[wanted.code.size() - 2] =
      static_cast<uint8_t>(5 - static_cast<int>(wanted.code.size() - 1));  // jnz 1b
  wanted.state.gpr[x86::kEax] = 0;
  compare(wanted, 30'000);
}

// A byte far behind the first is what makes it undefined; when that has changed it is an instruction.
TEST_P(Engines, UndefinedUntilALaterByteChanges) {
  compare(program({0xc6, 0x05, 9, 0, 0, 0x20, 0x01,        // mov byte [20000009h], 1
                   0xf2, 0x67, 0xc5, 0xf2, 0x4f, 0xcc}));  // repne VEX, #UD; then repne add edx, esi; dec edi
}

// They are read without the interpreter, and are what it has written.
TEST_P(Engines, ControlRegistersAreRead) {
  compare(
      program({0xb8, 0x78, 0x56, 0x34, 0x12, 0x0f, 0x22, 0xd0,  // mov eax, 12345678h; mov cr2, eax
               0x0f, 0x20, 0xd3, 0x0f, 0x20, 0xc1,              // mov ebx, cr2; mov ecx, cr0
               0x83, 0xc9, 0x08, 0x0f, 0x22, 0xc1,              // or ecx, TS; mov cr0, ecx
               0x0f, 0x20, 0xc2, 0x0f, 0x20, 0xde,              // mov edx, cr0; mov esi, cr3
               0x0f, 0x20, 0xe7, 0x89, 0xe5, 0x0f, 0x20, 0xd4,  // mov edi, cr4; mov ebp, esp; mov esp, cr2
               0x87, 0xec, 0x0f, 0x20, 0xc8, 0xcc}));           // xchg esp, ebp; mov eax, cr1: #UD
}

// SDM Vol. 3A, "Limit Checking": beyond an effective limit of FFFFFFFFH it is the processor's affair. Here
// code and data go on at 0, as on the processors that these engines run on.
TEST_P(Engines, CodeAndDataGoOnAtZero) {
  Program wanted = program({});
  wanted.top = {0xb8, 0x11, 0x22};  // mov eax, 44332211h
  wanted.bottom = {0x33, 0x44, 0x40, 0xcc};
  wanted.state.eip = 0xfffffffd;
  compare(wanted);
  wanted.top = {0x90};
  wanted.state.eip = 0xffffffff;
  compare(wanted);
  wanted = program({0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xd7});  // mov edi, -1; call edi
  wanted.top = {0x81};                                           // add eax, 1000h; int3
  wanted.bottom = {0xc0, 0x00, 0x10, 0x00, 0x00, 0xcc};
  compare(wanted);
  // mov eax, [fffffffe]; add [fffffffd], eax; movups xmm0, [fffffff8]; mov [ffffffff], ax
  wanted = program({0xa1, 0xfe, 0xff, 0xff, 0xff, 0x01, 0x05, 0xfd, 0xff, 0xff, 0xff, 0x0f, 0x10,
                    0x05, 0xf8, 0xff, 0xff, 0xff, 0x66, 0xa3, 0xff, 0xff, 0xff, 0xff, 0xcc});
  wanted.top = {1, 2, 3, 4, 5, 6, 7, 8};
  wanted.bottom = {9, 10, 11, 12, 13, 14, 15, 16};
  compare(wanted);
  // mov esp, 2; push esp; pop ecx; std; mov edi, 2; mov ecx, 3; rep stosw
  wanted.code = {0xbc, 2, 0,    0, 0, 0x54, 0x59, 0xfd, 0xbf, 2,    0,
                 0,    0, 0xb9, 3, 0, 0,    0,    0x66, 0xf3, 0xab, 0xcc};
  compare(wanted);
}

VITRINE_ALL_ENGINES(Engines);

}  // namespace
}  // namespace vitrine::engines
