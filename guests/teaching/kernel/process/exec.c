// Loads a program: an ELF file for the i386 (System V ABI, "Object Files"), with its arguments on the new
// stack. The old program is given up only when nothing can fail any more.
#include <stddef.h>

#include "common/strings.h"
#include "cpu/interrupts.h"
#include "cpu/paravirtual.h"
#include "cpu/segments.h"
#include "files/directory.h"
#include "files/inode.h"
#include "memory/address_space.h"
#include "memory/page_allocator.h"
#include "process/process.h"

enum {
  kElfMagic = 0x464c457f,
  kElfExecutable = 2,
  kElf386 = 3,
  kSegmentLoad = 1,
  kSegmentWritable = 2,
  kEflagsInterrupts = 0x202
};

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

struct NewProgram {
  uint32_t* directory;
  uint32_t entry;
  uint32_t end;  // of the highest segment
  uint32_t stack_pointer;
};

// Fills the pages from `address` on; those that an earlier segment has made are kept.
static bool load_segment(struct NewProgram* program, struct Inode* inode, const struct ElfSegment* segment) {
  if (segment->memory_size == 0) return true;
  uint32_t end = segment->address + segment->memory_size;
  if (segment->address < kUserStart || end < segment->address || end > kStackLimit) return false;
  if (segment->file_size > segment->memory_size) return false;
  uint32_t flags = segment->flags & kSegmentWritable ? kPageWritable : 0;
  for (uint32_t at = segment->address; at < end;) {
    uint32_t* entry = address_space_entry(program->directory, at, kAccessWrite);
    if (!entry) return false;
    if (!(*entry & kPagePresent) && !address_space_add_page(program->directory, at, flags)) return false;
    *entry |= flags;
    uint32_t in_page = at % kPageSize;
    uint32_t size = kPageSize - in_page < end - at ? kPageSize - in_page : end - at;
    uint32_t done = at - segment->address;
    uint32_t left = done < segment->file_size ? segment->file_size - done : 0;
    uint32_t wanted = size < left ? size : left;
    char* to = (char*)kernel_pointer(*entry & kPageAddress) + in_page;
    if (wanted > 0 && inode_read(inode, segment->offset + done, to, wanted) != (int)wanted) return false;
    at += size;
  }
  if (end > program->end) program->end = end;
  return true;
}

static bool load_file(struct NewProgram* program, struct Inode* inode) {
  struct ElfHeader header;
  if (inode_read(inode, 0, &header, sizeof header) != sizeof header) return false;
  if (header.magic != kElfMagic || header.type != kElfExecutable || header.machine != kElf386) return false;
  for (int i = 0; i < header.segment_count; ++i) {
    struct ElfSegment segment;
    uint32_t offset = header.segments_offset + i * sizeof segment;
    if (inode_read(inode, offset, &segment, sizeof segment) != sizeof segment) return false;
    if (segment.type == kSegmentLoad && !load_segment(program, inode, &segment)) return false;
  }
  program->entry = header.entry;
  return true;
}

// The highest page of the stack: strings on top, then the array of pointers to them, then what main()
// finds as its arguments: count and array.
static bool push_arguments(struct NewProgram* program, const char* const* arguments) {
  uint32_t page_address = kStackTop - kPageSize;
  char* page = address_space_add_page(program->directory, page_address, kPageWritable);
  if (!page) return false;
  uint32_t pointers[kMaxArguments + 1] = {0};
  uint32_t at = kPageSize;
  int count = 0;
  for (; count < kMaxArguments && arguments[count]; ++count) {
    uint32_t size = strlen(arguments[count]) + 1;
    if (size + sizeof pointers + 64 > at) return false;
    at -= size;
    memcpy(page + at, arguments[count], size);
    pointers[count] = page_address + at;
  }
  at = (at & ~15) - sizeof pointers;
  memcpy(page + at, pointers, sizeof pointers);
  uint32_t call[2] = {(uint32_t)count, page_address + at};
  at -= sizeof call;
  memcpy(page + at, call, sizeof call);
  program->stack_pointer = page_address + at;
  return true;
}

static bool load(struct NewProgram* program, const char* path, const char* const* arguments) {
  program->directory = address_space_create();
  if (!program->directory) return false;
  file_system_enter();
  struct Inode* inode = directory_find(path);
  bool loaded = inode && inode->disk.type == kInodeFile && load_file(program, inode);
  inode_release_entered(inode);
  file_system_leave();
  if (loaded && push_arguments(program, arguments)) return true;
  address_space_free(program->directory);
  return false;
}

static void start(struct Process* process, const struct NewProgram* program) {
  uint32_t* old = process->directory;
  process->directory = program->directory;
  switch_page_table(physical_of(program->directory));
  if (old != kernel_directory) address_space_free(old);
  process->heap_start = process->heap_end = (program->end + kPageSize - 1) & kPageAddress;
  *process->frame = (struct TrapFrame){.cs = kUserCode,
                                       .ss = kUserData,
                                       .ds = kUserData,
                                       .es = kUserData,
                                       .eip = program->entry,
                                       .esp = program->stack_pointer,
                                       .eflags = kEflagsInterrupts};
}

int process_exec(const char* path, const char* const* arguments) {
  struct NewProgram program = {.end = kUserStart};
  if (!load(&program, path, arguments)) return -1;
  struct Process* process = current_process();
  const char* name = path;
  for (const char* slash = path; (slash = strchr(slash, '/')); name = ++slash) continue;
  copy_string(process->name, name, sizeof process->name);
  start(process, &program);
  return 0;
}
