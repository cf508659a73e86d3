// The loader's second half, in protected mode without paging: unpacks the kernel's ELF file to where it
// wants to be, and pretends to the kernel that a multiboot loader has loaded it.
#include <stdint.h>

struct ElfHeader {
  uint32_t magic;
  uint8_t ident[12];
  uint16_t type, machine;
  uint32_t version, entry, segments_offset, sections_offset, flags;
  uint16_t header_size, segment_size, segment_count;
};

struct ElfSegment {
  uint32_t type, offset, address, physical, file_size, memory_size, flags, alignment;
};

struct MultibootInfo {
  uint32_t flags;
  uint32_t unused_memory[2], boot_device;
  uint32_t command_line;
  uint32_t unused_modules[6];
  uint32_t map_length, map;
};

enum { kSegmentLoad = 1, kHasCommandLine = 1 << 2, kHasMemoryMap = 1 << 6, kMapEntrySize = 24 };

extern const char loader_end[];  // the kernel begins here
extern const char boot_options[], memory_map[];
extern const uint32_t memory_map_entries;

uint32_t kernel_entry;  // for loader_start.S
static struct MultibootInfo information;

const struct MultibootInfo* load_kernel(void);

static void load_segment(const struct ElfSegment* segment) {
  const char* from = loader_end + segment->offset;
  char* to = (char*)segment->physical;
  uint32_t size = segment->file_size;
  __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(size) : : "memory");
  uint32_t rest = segment->memory_size - segment->file_size;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(0) : "memory");
}

const struct MultibootInfo* load_kernel(void) {
  const struct ElfHeader* header = (const struct ElfHeader*)loader_end;
  const struct ElfSegment* segment = (const struct ElfSegment*)(loader_end + header->segments_offset);
  for (int i = 0; i < header->segment_count; ++i, ++segment) {
    if (segment->type == kSegmentLoad) load_segment(segment);
  }
  kernel_entry = header->entry;
  information.flags = kHasCommandLine | kHasMemoryMap;
  information.command_line = (uint32_t)boot_options;
  information.map = (uint32_t)memory_map;
  information.map_length = memory_map_entries * kMapEntrySize;
  return &information;
}
