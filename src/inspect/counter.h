// A count that only one thread at a time changes and any thread may read.
#pragma once

#include <atomic>
#include <cstdint>

namespace vitrine::inspect {

class SharedCounter {
 public:
  SharedCounter& operator++() { return *this += 1; }
  /// No locked operation: there is one writer.
  SharedCounter& operator+=(uint64_t more) {
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    return *this;
  }
  operator uint64_t() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace vitrine::inspect
