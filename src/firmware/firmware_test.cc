// Boot plans for images made by hand; real kernels are booted by tests/guests.
#include <elf.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <numeric>

#include "firmware/boot_rom.h"
#include "firmware/direct_boot.h"
#include "firmware/elf_image.h"
#include "firmware/linux_image.h"
#include "firmware/multiboot.h"
#include "firmware/multiboot_layout.h"

namespace vitrine::firmware {
namespace {

constexpr uint64_t kMemory = 64 << 20;

template <typename T>
void put(std::vector<uint8_t>& bytes, size_t offset, T value) {
  if (bytes.size() < offset + sizeof value) bytes.resize(offset + sizeof value);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

uint32_t get32(std::span<const uint8_t> bytes, size_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::vector<uint8_t> make_elf(uint32_t virtual_base, uint32_t physical_base, std::vector<uint8_t> contents) {
  std::vector<uint8_t> file;
  Elf32_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_entry = virtual_base + 4;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 1;
  Elf32_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_offset = 128;
  segment.p_vaddr = virtual_base;
  segment.p_paddr = physical_base;
  segment.p_filesz = static_cast<uint32_t>(contents.size());
  segment.p_memsz = segment.p_filesz + 100;
  put(file, 0, header);
  put(file, sizeof header, segment);
  file.resize(128);
  file.insert(file.end(), contents.begin(), contents.end());
  return file;
}

std::vector<uint8_t> gzip(std::span<const uint8_t> data) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::vector<uint8_t> out(deflateBound(&stream, data.size()));
  stream.next_in = const_cast<Bytef*>(data.data());
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// A bzImage of one set-up sector and the given payload at the start of its 32-bit part.
std::vector<uint8_t> make_bzimage(std::span<const uint8_t> payload) {
  std::vector<uint8_t> file(1024);
  file[0x1f1] = 1;
  put<uint16_t>(file, 0x1fe, 0xaa55);
  put<uint16_t>(file, 0x200, 0x6aeb);
  put<uint32_t>(file, 0x202, 0x53726448);
  put<uint16_t>(file, 0x206, 0x20f);
  file[0x211] = 1;
  put<uint32_t>(file, 0x22c, 0x37ffffff);
  put<uint32_t>(file, 0x238, 2047);
  put<uint32_t>(file, 0x248, 0);
  put<uint32_t>(file, 0x24c, static_cast<uint32_t>(payload.size()));
  put<uint32_t>(file, 0x1f4, static_cast<uint32_t>((payload.size() + 15) / 16));
  file.insert(file.end(), payload.begin(), payload.end());
  file.resize((file.size() + 15) / 16 * 16);
  return file;
}

const Chunk& chunk_at(const std::vector<Chunk>& chunks, uint64_t address) {
  for (const Chunk& chunk : chunks) {
    if (chunk.address.value == address) return chunk;
  }
  ADD_FAILURE() << "nothing at " << address;
  static const Chunk none{};
  return none;
}

TEST(ElfImage, EntryIsMovedToItsPhysicalAddress) {
  const auto image = read_elf(make_elf(0xc0100000, 0x100000, {1, 2, 3, 4, 5}));
  ASSERT_TRUE(image.has_value());
  EXPECT_EQ(image->physical_entry, 0x100004u);
  EXPECT_EQ(image->end, 0x100000u + 105);
  ASSERT_EQ(image->segments.size(), 2u);
  EXPECT_EQ(image->segments[0].data.size(), 5u);
  EXPECT_EQ(image->segments[0].data[4], 5);
  EXPECT_EQ(image->segments[1].address, PhysicalAddress(0x100005));
  EXPECT_EQ(image->segments[1].data.size(), 100u);
  EXPECT_EQ(image->segments[1].data[99], 0);
}

TEST(ElfImage, EveryTruncationIsAnError) {
  const auto file = make_elf(0x100000, 0x100000, {1, 2, 3, 4, 5});
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(read_elf(SharedBytes::copy_of(std::span(file).first(size))).has_value()) << size;
  }
}

TEST(ElfImage, SaysWhatIsWrong) {
  auto file = make_elf(0x100000, 0x100000, {1});
  file[EI_CLASS] = ELFCLASS64;
  EXPECT_NE(read_elf(file).error().message().find("64-bit"), std::string::npos);
  file[EI_CLASS] = ELFCLASS32;
  put<uint16_t>(file, 18, EM_ARM);
  EXPECT_NE(read_elf(file).error().message().find("another processor"), std::string::npos);
}

TEST(LinuxImage, AsShippedGoesToOneMebibyte) {
  const std::vector<uint8_t> payload(100, 0x90);
  const auto file = make_bzimage(payload);
  const std::vector<uint8_t> initrd(5000, 7);
  const auto plan = plan_linux_boot({file, initrd, "console=ttyS0", kMemory, Payload::AsShipped});
  ASSERT_TRUE(plan.has_value()) << plan.error().message();
  EXPECT_EQ(chunk_at(plan->chunks, 0x100000).data[0], 0x90);
  const auto& setup = chunk_at(plan->chunks, plan->setup_segment * 16u).data;
  EXPECT_EQ(get32(setup, 0x214), 0x100000u);
  EXPECT_EQ(get32(setup, 0x21c), 5000u);
  EXPECT_EQ(chunk_at(plan->chunks, get32(setup, 0x218)).data.size(), 5000u);
  EXPECT_EQ(get32(setup, 0x218) % kPageSize, 0u);
  const auto& line = chunk_at(plan->chunks, get32(setup, 0x228)).data;
  EXPECT_STREQ(reinterpret_cast<const char*>(line.data()), "console=ttyS0");
  EXPECT_EQ(plan->linux_entry32, 0u);
}

TEST(LinuxImage, UnpackedPayloadIsEnteredAtItsOwnEntry) {
  const auto payload = gzip(make_elf(0xc1000000, 0x1000000, {0x55, 0x66}));
  const auto file = make_bzimage(payload);
  const auto plan = plan_linux_boot({file, {}, "", kMemory, Payload::Unpacked});
  ASSERT_TRUE(plan.has_value()) << plan.error().message();
  EXPECT_EQ(plan->linux_entry32, 0x1000004u);
  EXPECT_EQ(chunk_at(plan->chunks, 0x1000000).data[1], 0x66);
  EXPECT_EQ(get32(chunk_at(plan->chunks, 0x10000).data, 0x214), 0x1000004u);
}

TEST(LinuxImage, APayloadThatIsNotPackedNeedsNoUnpacking) {
  const auto plan = plan_linux_boot(
      {make_bzimage(make_elf(0xc1000000, 0x1000000, {0x55, 0x66})), {}, "", kMemory, Payload::Unpacked});
  ASSERT_TRUE(plan.has_value()) << plan.error().message();
  EXPECT_EQ(plan->linux_entry32, 0x1000004u);
  EXPECT_EQ(chunk_at(plan->chunks, 0x1000000).data[1], 0x66);
}

TEST(LinuxImage, AnUnknownCompressionFallsBackToTheGuest) {
  const std::vector<uint8_t> payload(64, 0x42);
  const auto plan = plan_linux_boot({make_bzimage(payload), {}, "", kMemory, Payload::Unpacked});
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->linux_entry32, 0u);
}

TEST(LinuxImage, ErrorsNameTheCause) {
  const std::vector<uint8_t> payload(100, 0x90);
  const auto file = make_bzimage(payload);
  const std::vector<uint8_t> huge(kMemory, 0);
  const auto message = [](const Result<BootPlan>& plan) { return plan ? "" : plan.error().message(); };
  EXPECT_NE(message(plan_linux_boot({file, huge, "", kMemory})).find("-m"), std::string::npos);
  EXPECT_NE(message(plan_linux_boot({file, {}, std::string(3000, 'x'), kMemory})).find("3000"),
            std::string::npos);
  EXPECT_NE(message(plan_linux_boot({huge, {}, "", kMemory})).find("neither"), std::string::npos);
  EXPECT_NE(message(plan_linux_boot({SharedBytes::copy_of(std::span(file).first(1040)), {}, "", kMemory}))
                .find("truncated"),
            std::string::npos);
  EXPECT_NE(message(plan_linux_boot({file, {}, "", 1 << 20})).find("-m"), std::string::npos);
}

TEST(LinuxImage, NoTruncationIsFatal) {
  const auto file = make_bzimage(gzip(make_elf(0xc1000000, 0x1000000, {0x55, 0x66})));
  for (size_t size = 0; size < file.size(); ++size) {
    (void)plan_linux_boot(
        {SharedBytes::copy_of(std::span(file).first(size)), {}, "", kMemory, Payload::Unpacked});
  }
}

std::vector<uint8_t> make_multiboot(uint32_t flags) {
  auto file = make_elf(0x100000, 0x100000, std::vector<uint8_t>(64, 0xf4));
  put<uint32_t>(file, 128 + 16, 0x1badb002);
  put<uint32_t>(file, 128 + 20, flags);
  put<uint32_t>(file, 128 + 24, 0u - 0x1badb002 - flags);
  return file;
}

TEST(Multiboot, ModulesAndCommandLineAreFoundThroughTheStructure) {
  const auto kernel = make_multiboot(3);
  const std::vector<uint8_t> module(5000, 9);
  const auto plan = plan_multiboot({kernel, "pane quiet", {{module, "fs.img ro"}}, kMemory});
  ASSERT_TRUE(plan.has_value()) << plan.error().message();
  EXPECT_EQ(plan->entry, 0x100004u);
  const Chunk& information = chunk_at(plan->chunks, plan->information);
  const auto text = [&](uint32_t address) {
    return reinterpret_cast<const char*>(information.data.data() + (address - plan->information));
  };
  EXPECT_STREQ(text(get32(information.data, MULTIBOOT_INFO_CMDLINE)), "pane quiet");
  EXPECT_EQ(get32(information.data, MULTIBOOT_INFO_MODS_COUNT), 1u);
  const uint32_t table = get32(information.data, MULTIBOOT_INFO_MODS_ADDR) - plan->information;
  const uint32_t start = get32(information.data, table);
  EXPECT_EQ(get32(information.data, table + 4) - start, 5000u);
  EXPECT_EQ(start % kPageSize, 0u);
  EXPECT_GE(start, 0x100000u + 164);
  EXPECT_EQ(chunk_at(plan->chunks, start).data[0], 9);
  EXPECT_STREQ(text(get32(information.data, table + 8)), "fs.img ro");
}

TEST(Multiboot, AddressFieldsLoadARawImage) {
  std::vector<uint8_t> file(256, 0xcc);
  const uint32_t flags = 0x10000;
  const uint32_t words[] = {0x1badb002, flags,   0u - 0x1badb002 - flags, 0x200010, 0x200000, 0x200080,
                            0x200200,   0x200040};
  std::memcpy(file.data() + 0x10, words, sizeof words);
  const auto plan = plan_multiboot({file, "", {}, kMemory});
  ASSERT_TRUE(plan.has_value()) << plan.error().message();
  EXPECT_EQ(plan->entry, 0x200040u);
  const Chunk& image = chunk_at(plan->chunks, 0x200000);
  EXPECT_EQ(image.data.size(), 0x80u);
  EXPECT_EQ(image.data[0x7f], 0xcc);
  const Chunk& zeros = chunk_at(plan->chunks, 0x200080);
  EXPECT_EQ(zeros.data.size(), 0x180u);
  EXPECT_EQ(zeros.data[0], 0);
}

// A raw image with 16 bytes of header at `load`, and zeros up to `bss_end`.
std::vector<uint8_t> make_raw_multiboot(uint32_t load, uint32_t bss_end) {
  std::vector<uint8_t> file(256, 0xcc);
  const uint32_t flags = 0x10000;
  const uint32_t words[] = {0x1badb002, flags, 0u - 0x1badb002 - flags, load, load, 0, bss_end, load + 0x40};
  std::memcpy(file.data(), words, sizeof words);
  return file;
}

TEST(Multiboot, NothingIsHandedOverWhereTheKernelLies) {
  const std::vector<uint8_t> module(100, 9);
  for (const uint32_t end : {0x7001, 0x8100, 0x9100, 0x18fff, 0x60000}) {
    const auto plan = plan_multiboot({make_raw_multiboot(0x4000, end), "", {{module, ""}}, kMemory});
    ASSERT_TRUE(plan.has_value()) << plan.error().message();
    const uint32_t stack = uint32_t{plan->setup_segment} << 4;
    EXPECT_GE(stack, end);
    EXPECT_GE(plan->memory_map, stack + plan->stack_pointer);
    EXPECT_GE(plan->information, plan->memory_map + plan->memory_map_limit);
    EXPECT_EQ(chunk_at(plan->chunks, 0x100000).data[0], 9);
  }
  EXPECT_FALSE(plan_multiboot({make_raw_multiboot(0x4000, 0x7f000), "", {}, kMemory}).has_value());
}

TEST(Multiboot, UnknownRequirementsAreRefused) {
  EXPECT_FALSE(plan_multiboot({make_multiboot(0x8), "", {}, kMemory}).has_value());
  EXPECT_FALSE(is_multiboot_image(std::vector<uint8_t>(10000, 0)));
}

TEST(DirectBoot, LinuxGetsAZeroPage) {
  const auto file = make_bzimage(gzip(make_elf(0xc1000000, 0x1000000, {0x55, 0x66})));
  const auto plan = plan_linux_boot({file, {}, "quiet", kMemory, Payload::Unpacked});
  const MemoryRange ranges[] = {{0, 0x9fc00, 1}, {0x100000, kMemory - 0x100000, 1}};
  const auto entry = make_direct_entry(*plan, ranges);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->eip, 0x1000004u);
  const auto& page = chunk_at(entry->chunks, entry->esi).data;
  EXPECT_EQ(page[0x1e8], 2);
  EXPECT_EQ(get32(page, 0x202), 0x53726448u);
  EXPECT_EQ(get32(page, 0x2d0 + 20), 0x100000u);
}

TEST(DirectBoot, LinuxAsShippedIsRefused) {
  const std::vector<uint8_t> payload(64, 0x42);
  const auto plan = plan_linux_boot({make_bzimage(payload), {}, "", kMemory, Payload::AsShipped});
  EXPECT_FALSE(make_direct_entry(*plan, {}).has_value());
}

TEST(DirectBoot, MultibootGetsMemorySizesAndMap) {
  const auto plan = plan_multiboot({make_multiboot(0), "", {}, kMemory});
  const MemoryRange ranges[] = {{0, 0x9fc00, 1}, {0x100000, kMemory - 0x100000, 1}};
  const auto entry = make_direct_entry(*plan, ranges);
  ASSERT_TRUE(entry.has_value());
  const auto& information = chunk_at(entry->chunks, entry->ebx).data;
  EXPECT_EQ(get32(information, MULTIBOOT_INFO_MEM_LOWER), 639u);
  EXPECT_EQ(get32(information, MULTIBOOT_INFO_MEM_UPPER), 63u * 1024);
  EXPECT_EQ(get32(information, MULTIBOOT_INFO_MMAP_LENGTH), 48u);
}

TEST(BootRom, IsAValidPlugAndPlayRom) {
  BootPlan plan;
  plan.chunks.push_back({PhysicalAddress(0x100000), std::vector<uint8_t>(16)});
  const uint16_t selectors[] = {0x30};
  const auto rom = make_boot_rom(plan, selectors);
  ASSERT_TRUE(rom.has_value());
  EXPECT_EQ((*rom)[0], 0x55);
  EXPECT_EQ((*rom)[1], 0xaa);
  EXPECT_EQ((*rom)[2] * 512u, rom->size());
  EXPECT_EQ(std::accumulate(rom->begin(), rom->end(), 0u) & 0xff, 0u);
  const size_t pnp = (*rom)[0x1a] | (*rom)[0x1b] << 8;
  EXPECT_EQ(std::memcmp(rom->data() + pnp, "$PnP", 4), 0);
  EXPECT_EQ(
      std::accumulate(rom->begin() + static_cast<long>(pnp), rom->begin() + static_cast<long>(pnp) + 32, 0u) &
          0xff,
      0u);
}

TEST(BootRom, TooManySegmentsAreAnError) {
  BootPlan plan;
  plan.chunks.resize(5000);
  const std::vector<uint16_t> selectors(5000);
  EXPECT_FALSE(make_boot_rom(plan, selectors).has_value());
}

}  // namespace
}  // namespace vitrine::firmware
