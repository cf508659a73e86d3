// Small pieces of host code (stubs), each of which executes one instruction of the guest's on the host's own
// x87 or vector unit. One memfd is mapped twice, writable and executable (W^X); a stub is never changed once
// made.
//
// Stubs are shared by encoding. What a guest can ask for is bounded: about 450 vector encodings in two forms,
// 70 of them with 256 immediates, MMX ones with up to 64 register pairs each: less than 100,000 stubs of at
// most 64 bytes; about 360 VEX encodings in two forms and two lengths, 50 of them with 256 immediates: less
// than 53,000 stubs of at most 112 bytes. kHostCodeSize is more than that, and pages take memory only when
// used.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

#include "base/descriptor.h"
#include "base/mapping.h"
#include "base/result.h"

namespace vitrine::cpu {

inline constexpr size_t kHostCodeSize = size_t{16} << 20;
inline constexpr size_t kMaximumStub = 128;

/// The bytes of a stub being put together.
class StubBytes {
 public:
  template <typename... Bytes>
  void add(Bytes... bytes) {
    (push(static_cast<uint8_t>(bytes)), ...);
  }
  [[nodiscard]] std::span<const uint8_t> bytes() const { return {data_, size_}; }

 private:
  void push(uint8_t byte);

  uint8_t data_[kMaximumStub] = {};
  size_t size_ = 0;
};

class HostCode {
 public:
  [[nodiscard]] static Result<HostCode> create();

  /// The stub of a key, or null.
  [[nodiscard]] const void* find(uint64_t key) const {
    const auto found = stubs_.find(key);
    return found == stubs_.end() ? nullptr : found->second;
  }
  /// Makes one. The key must be new, and determine the code.
  const void* add(uint64_t key, const StubBytes& stub);

  [[nodiscard]] bool contains(uintptr_t address) const {
    return address - reinterpret_cast<uintptr_t>(executable_.data()) < executable_.size();
  }
  [[nodiscard]] size_t used() const { return used_; }

 private:
  HostCode(Mapping writable, Mapping executable)
      : writable_(std::move(writable)), executable_(std::move(executable)) {}

  Mapping writable_, executable_;
  size_t used_ = 0;
  std::unordered_map<uint64_t, const void*> stubs_;
};

}  // namespace vitrine::cpu
