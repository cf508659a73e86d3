// How often somebody may do something: a bucket that holds so many goes and fills up again with time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "capability/token_table.h"

namespace vitrine::capability {

struct Rate {
  uint32_t burst;       ///< So many at once.
  uint32_t per_second;  ///< Then so many.
};

class RateLimit {
 public:
  RateLimit(Rate rate, Time now) : rate_(rate), thousandths_(uint64_t{rate.burst} * 1000), last_(now) {}

  /// Takes one; false: there is none.
  [[nodiscard]] bool take(Time now) {
    refill(now);
    if (thousandths_ < 1000) return false;
    thousandths_ -= 1000;
    return true;
  }
  [[nodiscard]] bool empty(Time now) {
    refill(now);
    return thousandths_ < 1000;
  }
  /// As if nothing had ever been taken.
  [[nodiscard]] bool full(Time now) {
    refill(now);
    return thousandths_ == uint64_t{rate_.burst} * 1000;
  }

 private:
  void refill(Time now) {
    if (now <= last_) return;
    // An hour fills any bucket; more would only overflow.
    const auto passed = static_cast<uint64_t>(std::min((now - last_).count(), Time::rep{3'600'000}));
    thousandths_ = std::min(thousandths_ + passed * rate_.per_second, uint64_t{rate_.burst} * 1000);
    last_ = now;
  }

  Rate rate_;
  uint64_t thousandths_;
  Time last_;
};

}  // namespace vitrine::capability
