// SipHash-2-4: a hash under a secret key, for tables whose keys are chosen by strangers. (Aumasson and
// Bernstein, "SipHash: a fast short-input PRF".)
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace vitrine::capability {

using SipHashKey = std::array<uint64_t, 2>;

[[nodiscard]] uint64_t siphash(const SipHashKey& key, std::span<const uint8_t> bytes);

}  // namespace vitrine::capability
