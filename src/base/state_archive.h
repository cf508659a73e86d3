// Saving and restoring a machine's state. One function of each part, `serialize(StateArchive&)`, does
// both directions, so that they cannot disagree. What is read back is checked: a damaged or foreign
// state ends in an Error, never in a machine half restored and running.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace vitrine {

class StateArchive {
 public:
  /// An archive that collects.
  StateArchive() = default;
  /// An archive that gives back what `data` holds. `data` must outlive it.
  explicit StateArchive(std::span<const uint8_t> data) : input_(data), loading_(true) {}

  [[nodiscard]] bool loading() const { return loading_; }

  /// Opens a part: its name and the version of its layout, checked when loading.
  void section(std::string_view name, uint32_t version);

  /// A number, an enum, a bool, or an array of those.
  template <typename T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void field(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = value ? 1 : 0;
      raw(&byte, 1);
      value = byte != 0;
    } else {
      raw(&value, sizeof value);
    }
  }
  template <typename T, size_t N>
  void field(std::array<T, N>& values) {
    for (T& value : values) field(value);
  }
  template <typename T, size_t N>
  void field(T (&values)[N]) {
    for (T& value : values) field(value);
  }
  template <typename First, typename Second, typename... Rest>
  void fields(First& first, Second& second, Rest&... rest) {
    field(first);
    field(second);
    (field(rest), ...);
  }
  /// Bytes of a length fixed by the caller.
  void bytes(std::span<uint8_t> data) { raw(data.data(), data.size()); }
  /// Bytes of a varying length, at most `limit`.
  void blob(std::vector<uint8_t>& data, size_t limit);
  /// Whether a timer is armed, and for when.
  void timer(Timer& timer);

  /// Refuses what was read: `what` says which value is impossible. Later reads give zeros.
  void reject(std::string_view what);

  /// After loading: whether all of it was there and made sense.
  [[nodiscard]] Result<void> status() const;
  /// After saving: the bytes.
  [[nodiscard]] const std::vector<uint8_t>& data() const { return output_; }

 private:
  void raw(void* data, size_t size);

  std::vector<uint8_t> output_;
  std::span<const uint8_t> input_;
  size_t position_ = 0;
  bool loading_ = false;
  std::string section_;
  std::string failure_;
};

/// Anything with state that belongs to the machine.
class Serializable {
 public:
  virtual ~Serializable() = default;
  virtual void serialize(StateArchive& archive) = 0;
};

}  // namespace vitrine
