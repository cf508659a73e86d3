// Entries of the guest's page tables: 32-bit paging (4 KiB and 4 MiB pages, PSE-36) and PAE paging (4 KiB and
// 2 MiB). SDM Vol. 3A, "32-Bit Paging" and "PAE Paging".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

// Bits common to all entries that have them.
inline constexpr uint32_t kPagePresent = 1u << 0;
inline constexpr uint32_t kPageWritable = 1u << 1;
inline constexpr uint32_t kPageUser = 1u << 2;
inline constexpr uint32_t kPageWriteThrough = 1u << 3;
inline constexpr uint32_t kPageCacheDisable = 1u << 4;
inline constexpr uint32_t kPageAccessed = 1u << 5;
inline constexpr uint32_t kPageDirty = 1u << 6;
inline constexpr uint32_t kPageLarge = 1u << 7;  ///< PS, in a directory entry.
inline constexpr uint32_t kPagePat = 1u << 7;    ///< In a 4 KiB page's entry.
inline constexpr uint32_t kPageGlobal = 1u << 8;
inline constexpr uint32_t kPageLargePat = 1u << 12;  ///< In a large page's entry.
inline constexpr uint64_t kPageNoExecute = uint64_t{1} << 63;

// 32-bit paging.
inline constexpr uint32_t kLegacyFrameMask = 0xfffff000;
inline constexpr uint32_t kLegacyLargeShift = 22;
inline constexpr uint32_t kLegacyLargeFrameMask = 0xffc00000;

[[nodiscard]] constexpr uint32_t legacy_directory_index(uint32_t address) {
  return address >> 22;
}
[[nodiscard]] constexpr uint32_t legacy_table_index(uint32_t address) {
  return address >> 12 & 1023;
}

/// Physical address of a 4 MiB page: with PSE-36, bits 13–20 of the entry hold address bits 32–39.
[[nodiscard]] constexpr uint64_t legacy_large_frame(uint32_t entry) {
  return (uint64_t{entry} >> 13 & 0xff) << 32 | (entry & kLegacyLargeFrameMask);
}
/// Reserved bits of a 4 MiB page's entry. `address_bits`: 32 without PSE-36, else MAXPHYADDR, at most 40.
[[nodiscard]] constexpr uint32_t legacy_large_reserved(unsigned address_bits) {
  const unsigned lowest = address_bits - 19;  // bits 21:(M-19)
  return 0x003fffff & ~((1u << lowest) - 1);
}

// PAE paging.
inline constexpr uint32_t kPaePointerShift = 30;
inline constexpr uint32_t kPaeLargeShift = 21;
inline constexpr uint32_t kPaeLargeReserved = 0x001fe000;  ///< Bits 20:13 of a 2 MiB page's entry.
/// Reserved in a page-directory-pointer-table entry, beside the address bits that do not exist.
inline constexpr uint64_t kPdpteReserved = 0x1e6;
/// CR3 bits that locate the page-directory-pointer table.
inline constexpr uint32_t kPaeCr3Mask = 0xffffffe0;

[[nodiscard]] constexpr uint32_t pae_pointer_index(uint32_t address) {
  return address >> 30;
}
[[nodiscard]] constexpr uint32_t pae_directory_index(uint32_t address) {
  return address >> 21 & 511;
}
[[nodiscard]] constexpr uint32_t pae_table_index(uint32_t address) {
  return address >> 12 & 511;
}
/// Bits 62:MAXPHYADDR.
[[nodiscard]] constexpr uint64_t pae_reserved(unsigned address_bits) {
  return (kPageNoExecute - 1) & ~((uint64_t{1} << address_bits) - 1);
}
/// Frame number bits of a 4 KiB entry or of an entry that names a table.
[[nodiscard]] constexpr uint64_t pae_frame(uint64_t entry) {
  return entry & 0x000ffffffffff000;
}
[[nodiscard]] constexpr uint64_t pae_large_frame(uint64_t entry) {
  return entry & 0x000fffffffe00000;
}

}  // namespace vitrine::x86
