// Memory for translated code: one memfd mapped twice, writable and executable, so that no page is both (W^X).
// That guards against mistakes; it is no boundary.
#pragma once

#include <cstdint>

#include "base/descriptor.h"
#include "base/mapping.h"
#include "base/result.h"

namespace vitrine::translate {

class CodeMemory {
 public:
  /// `size` in bytes, at most 1 GiB: everything in it is in reach of 32-bit distances.
  [[nodiscard]] static Result<CodeMemory> create(size_t size);

  [[nodiscard]] size_t size() const { return writable_.size(); }
  [[nodiscard]] uint8_t* writable(uint32_t offset) const { return writable_.data() + offset; }
  [[nodiscard]] const uint8_t* executable(uint32_t offset) const { return executable_.data() + offset; }
  [[nodiscard]] bool contains(uint64_t address) const {
    return address - reinterpret_cast<uint64_t>(executable_.data()) < executable_.size();
  }
  /// Of an address that is contained.
  [[nodiscard]] uint32_t offset_of(uint64_t address) const {
    return static_cast<uint32_t>(address - reinterpret_cast<uint64_t>(executable_.data()));
  }

 private:
  CodeMemory(Mapping writable, Mapping executable)
      : writable_(std::move(writable)), executable_(std::move(executable)) {}

  Mapping writable_, executable_;
};

}  // namespace vitrine::translate
