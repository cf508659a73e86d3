#include "firmware/elf_image.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace vitrine::firmware {
namespace {

// A segment larger than this is a damaged file, not a kernel.
constexpr uint64_t kSegmentLimit = uint64_t{1} << 30;

std::unexpected<Error> bad_elf(std::string why) {
  return std::unexpected(Error{"the ELF file cannot be loaded", "", 0, std::move(why)});
}

Result<Elf32_Ehdr> read_header(std::span<const uint8_t> file) {
  Elf32_Ehdr header;
  if (file[EI_CLASS] == ELFCLASS64) return bad_elf("it is a 64-bit program; the machine is a 32-bit PC");
  if (file.size() < sizeof header) return bad_elf("the file is truncated");
  std::memcpy(&header, file.data(), sizeof header);
  if (header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_386) {
    return bad_elf(fmt::format("it is for another processor (machine {})", header.e_machine));
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) return bad_elf("it is an object file, not linked");
  if (header.e_phentsize != sizeof(Elf32_Phdr)) return bad_elf("its program headers are damaged");
  if (uint64_t{header.e_phoff} + uint64_t{header.e_phnum} * sizeof(Elf32_Phdr) > file.size()) {
    return bad_elf("the file is truncated");
  }
  return header;
}

}  // namespace

Result<void> add_padded(std::vector<Chunk>& chunks, PhysicalAddress address, const SharedBytes& data,
                        uint64_t size) {
  if (!data.empty()) chunks.push_back({address, data});
  if (size > data.size())
    chunks.push_back({address + data.size(), TRY(SharedBytes::zeros(size - data.size()))});
  return {};
}

bool is_elf(std::span<const uint8_t> file) {
  return file.size() >= EI_NIDENT && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0;
}

Result<ElfImage> read_elf(const SharedBytes& file) {
  if (!is_elf(file)) return bad_elf("it is not an ELF file");
  const Elf32_Ehdr header = TRY(read_header(file));
  ElfImage image;
  image.entry = image.physical_entry = header.e_entry;
  uint64_t total = 0;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf32_Phdr segment;
    std::memcpy(&segment, file.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
    if (segment.p_filesz > segment.p_memsz) return bad_elf("a segment is larger in the file than in memory");
    if (uint64_t{segment.p_offset} + segment.p_filesz > file.size()) return bad_elf("the file is truncated");
    const uint64_t end = uint64_t{segment.p_paddr} + segment.p_memsz;
    total += segment.p_memsz;
    if (end > uint64_t{1} << 32 || total > kSegmentLimit) return bad_elf("a segment lies outside of memory");

    TRY(add_padded(image.segments, PhysicalAddress(segment.p_paddr),
                   file.part(segment.p_offset, segment.p_filesz), segment.p_memsz));
    image.end = std::max(image.end, end);
    if (header.e_entry >= segment.p_vaddr && header.e_entry - segment.p_vaddr < segment.p_memsz) {
      image.physical_entry = header.e_entry - segment.p_vaddr + segment.p_paddr;
    }
  }
  if (image.segments.empty()) return bad_elf("it has nothing to load");
  return image;
}

}  // namespace vitrine::firmware
