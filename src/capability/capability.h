// The capability: an unforgeable token that names an object and carries rights. Here that is an owned
// descriptor (the kernel's own unforgeable token) with a set of rights that can only become smaller.
//
// Where the kernel can, it enforces the set: a file is opened again with less, shared memory is sealed, a
// socket is shut down. Where it cannot, excess() says what whoever holds the bare descriptor could do beyond
// rights(); passing such a capability on has to be asked for by name (Excess::Accepted).
// docs/capabilities.md has the table.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"
#include "capability/rights.h"

namespace vitrine::capability {

/// Whether a capability may go to another process although its bare descriptor allows more than its rights.
enum class Excess : uint8_t {
  Refused,
  Accepted,  ///< DANGEROUS: the receiver is trusted with excess(), or confined by other means.
};

/// Movable, not copyable: that there are two holders is said with narrowed().
class Capability {
 public:
  Capability(Capability&&) noexcept = default;
  Capability& operator=(Capability&&) noexcept = default;
  Capability(const Capability&) = delete;
  Capability& operator=(const Capability&) = delete;

  /// Takes an open descriptor. Error: it is no object of this kind, `rights` has what is no right of the
  /// kind, or the descriptor does not allow it (a file that is open for reading only gives no Right::Write).
  [[nodiscard]] static Result<Capability> adopt(Kind kind, Descriptor descriptor, Rights rights);
  /// The same with every right that the descriptor allows.
  [[nodiscard]] static Result<Capability> adopt(Kind kind, Descriptor descriptor);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] Rights rights() const { return rights_; }
  /// What the bare descriptor allows beyond rights(), as far as the kernel cannot take it away.
  [[nodiscard]] Rights excess() const { return excess_; }
  /// The kernel itself enforces the rights, on whoever holds the descriptor.
  [[nodiscard]] bool kernel_enforced() const { return excess_.empty(); }

  /// Borrowed, for calls that rights() covers.
  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  /// Gives the descriptor away; the rights end here, what the kernel enforces stays.
  [[nodiscard]] Descriptor release() && { return std::move(descriptor_); }

  /// A second capability to the same object with the same or fewer rights. Error: `rights` is not within
  /// rights().
  [[nodiscard]] Result<Capability> narrowed(Rights rights) const;
  /// This capability with fewer rights. Stronger than narrowed() for sockets, which are shut down: that
  /// holds for every descriptor of the connection, so it is done only to what is given up here.
  [[nodiscard]] Result<Capability> narrow(Rights rights) &&;

  /// Error: a right is missing; names it. `doing` is for the message: "cannot send a signal".
  [[nodiscard]] Result<void> require(Rights rights, std::string_view doing) const;

 private:
  Capability(Kind kind, Descriptor descriptor, Rights rights, Rights excess)
      : kind_(kind), rights_(rights), excess_(excess), descriptor_(std::move(descriptor)) {}

  Kind kind_;
  Rights rights_;
  Rights excess_;
  Descriptor descriptor_;
};

/// What kind of object a descriptor names. Error: none that a capability can name, or no open descriptor.
/// A Unix socket is a Socket; whether it leads to a service is for the holder to know.
[[nodiscard]] Result<Kind> kind_of(int descriptor);

/// What whoever holds the descriptor can do with it, by what the kernel says of it.
[[nodiscard]] Result<Rights> allowed_by_kernel(Kind kind, int descriptor);

/// The same object under a new open file description with the access of `rights`. Regular files, block
/// devices and shared memory. Error: /proc is not there, or the user has no such access to the file.
[[nodiscard]] Result<Descriptor> reopen(int descriptor, Rights rights);

/// The rights that a file opened with these flags of open(2) gives.
[[nodiscard]] Rights rights_of_access(int flags);

/// open(2)'s access mode for a file with these rights: O_PATH where contents are neither read nor written.
[[nodiscard]] int access_mode(Rights rights);

}  // namespace vitrine::capability
