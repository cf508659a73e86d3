// Damaged kernels through everything that -kernel does with them: bzImage, ELF, multiboot, the plan's option
// ROM and its start without firmware. What a plan puts into memory must lie where the machine has any.
#include <elf.h>
#include <zlib.h>

#include <cstring>

#include "base/check.h"
#include "firmware/boot_rom.h"
#include "firmware/direct_boot.h"
#include "firmware/elf_image.h"
#include "firmware/linux_image.h"
#include "firmware/multiboot.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"

namespace vitrine::fuzz {
namespace {

constexpr uint64_t kMemory = uint64_t{64} << 20;

enum Kind : uint8_t { kElf, kLinux, kLinuxPacked, kMultiboot, kPayload, kKinds };

template <typename T>
void put(Input& bytes, size_t offset, T value) {
  if (bytes.size() < offset + sizeof value) bytes.resize(offset + sizeof value);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

Input make_elf(uint32_t address) {
  Elf32_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_entry = address + 4;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 2;
  Elf32_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_offset = 128;
  segment.p_vaddr = segment.p_paddr = address;
  segment.p_filesz = 64;
  segment.p_memsz = 4096;
  Input file;
  put(file, 0, header);
  put(file, sizeof header, segment);
  segment.p_vaddr = segment.p_paddr = address + 0x2000;
  put(file, sizeof header + sizeof segment, segment);
  file.resize(256, 0x90);
  return file;
}

Input make_multiboot(uint32_t flags) {
  Input file = make_elf(0x100000);
  constexpr uint32_t kMagic = 0x1badb002;
  const uint32_t header[] = {kMagic, flags, 0u - kMagic - flags, 0x100000, 0x100000, 0, 0, 0x100040, 0, 80,
                             25,     0};
  put(file, 192, header);
  file.resize(512, 0x90);
  return file;
}

Input gzip(const Input& data) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Input out(deflateBound(&stream, data.size()));
  stream.next_in = const_cast<Bytef*>(data.data());
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// "The Linux/x86 Boot Protocol", "The Real-Mode Kernel Header".
Input make_bzimage(const Input& payload) {
  Input file(1024);
  file[0x1f1] = 1;
  put<uint32_t>(file, 0x1f4, static_cast<uint32_t>((payload.size() + 15) / 16));
  put<uint16_t>(file, 0x1fe, 0xaa55);
  put<uint16_t>(file, 0x200, 0x6aeb);
  put<uint32_t>(file, 0x202, 0x53726448);
  put<uint16_t>(file, 0x206, 0x20f);
  file[0x211] = 1;
  put<uint32_t>(file, 0x22c, 0x37ffffff);
  put<uint32_t>(file, 0x238, 2047);
  put<uint32_t>(file, 0x24c, static_cast<uint32_t>(payload.size()));
  file.insert(file.end(), payload.begin(), payload.end());
  file.resize((file.size() + 15) / 16 * 16);
  return file;
}

// What makes it into memory lies in the machine's memory.
void check_chunks(const std::vector<firmware::Chunk>& chunks) {
  for (const firmware::Chunk& chunk : chunks) {
    CHECK(chunk.address.value <= kMemory && chunk.data.size() <= kMemory - chunk.address.value,
          "{} bytes at {:x} are outside of memory", chunk.data.size(), chunk.address.value);
  }
}

void carry_out(Result<firmware::BootPlan> plan) {
  if (!plan) {
    CHECK(!plan.error().message().empty());
    return;
  }
  check_chunks(plan->chunks);
  std::vector<uint16_t> selectors(plan->chunks.size());
  for (size_t i = 0; i < selectors.size(); ++i) selectors[i] = static_cast<uint16_t>(0x9000 + i);
  if (const auto rom = firmware::make_boot_rom(*plan, selectors))
    CHECK(rom->size() % 512 == 0, "{} bytes", rom->size());
  const firmware::MemoryRange ranges[] = {{0, 0x9fc00, 1}, {0x100000, kMemory - 0x100000, 1}};
  if (const auto entry = firmware::make_direct_entry(std::move(*plan), ranges)) check_chunks(entry->chunks);
}

void load(Kind kind, const SharedBytes& file, std::string_view line, const SharedBytes& module) {
  switch (kind) {
    case kElf: (void)firmware::read_elf(file); break;
    case kLinux:
      (void)firmware::is_linux_image(file);
      carry_out(firmware::plan_linux_boot({file, module, line, kMemory, firmware::Payload::AsShipped}));
      break;
    case kLinuxPacked:
      carry_out(firmware::plan_linux_boot({file, module, line, kMemory, firmware::Payload::Unpacked}));
      break;
    case kMultiboot:
      (void)firmware::is_multiboot_image(file);
      carry_out(firmware::plan_multiboot({file, line, {{module, std::string(line)}, {module, ""}}, kMemory}));
      break;
    default: (void)firmware::unpack_payload(file); break;
  }
}

// The input: kind, length of the command line, the line, the file. The module is the file's beginning again.
Input seed(Kind kind, const Input& file) {
  Input input = {kind, 4, 'q', 'u', 'i', 't'};
  input.insert(input.end(), file.begin(), file.end());
  return input;
}

}  // namespace

std::vector<Input> seeds() {
  // xz of "vitrine\n".
  const Input xz = {0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36,
                    0x02, 0x00, 0x21, 0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3,
                    0x01, 0x00, 0x07, 0x76, 0x69, 0x74, 0x72, 0x69, 0x6e, 0x65, 0x0a, 0x00};
  std::vector<Input> all = {seed(kElf, make_elf(0x100000)),
                            seed(kElf, make_elf(0xc0100000)),
                            seed(kLinux, make_bzimage(Input(100, 0x90))),
                            seed(kLinuxPacked, make_bzimage(gzip(make_elf(0x1000000)))),
                            seed(kLinuxPacked, make_bzimage(xz)),
                            seed(kPayload, gzip(make_elf(0x1000000))),
                            seed(kPayload, xz),
                            seed(kLinuxPacked, make_bzimage(make_elf(0x100000)))};
  for (const uint32_t flags : {0u, 1u, 3u, 0x10000u, 0x10003u})
    all.push_back(seed(kMultiboot, make_multiboot(flags)));
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine::fuzz;
  using vitrine::SharedBytes;
  FuzzInput input(data, size);
  const auto kind = static_cast<Kind>(input.below(kKinds));
  const auto line = input.bytes(input.byte());
  const std::string text(line.begin(), line.end());
  const SharedBytes file = SharedBytes::copy_of(input.bytes(size));
  load(kind, file, text, file.part(0, std::min<size_t>(file.size(), 100)));
  return 0;
}
