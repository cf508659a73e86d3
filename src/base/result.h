// How a part of Vitrine says that the host or the configuration failed. Not for the guest's own
// exceptions (cpu::Fault), not for our bugs (CHECK).
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace vitrine {

/// A failure that a person has to be told about.
struct Error {
  std::string what;         ///< What could not be done: "cannot open the disk image".
  std::string object;       ///< On which object: a path, a device, an option. May be empty.
  int errno_value = 0;      ///< The host's reason, or 0.
  std::string advice = {};  ///< What to do about it. May be empty.

  /// One line for a person: `cannot open the disk image 'x.img': No such file or directory (advice)`.
  [[nodiscard]] std::string message() const;
};

template <typename T>
using Result = std::expected<T, Error>;

/// An Error from the current errno.
[[nodiscard]] Error error_from_errno(std::string_view what, std::string_view object,
                                     std::string_view advice = {});

}  // namespace vitrine

/// The value of a Result, or return its Error from here. Not beside owning members in braces: GCC leaks them.
#define TRY(...)                                                              \
  ({                                                                          \
    auto try_result_ = (__VA_ARGS__);                                         \
    if (!try_result_) return std::unexpected(std::move(try_result_).error()); \
    *std::move(try_result_);                                                  \
  })
