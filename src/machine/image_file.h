// A raw disk image behind an open descriptor: a regular file or a block device, byte for byte. Knows nothing
// of image formats, and does not cache: the host's page cache does.
#pragma once

#include <memory>
#include <string>

#include "base/descriptor.h"
#include "devices/block_backend.h"

namespace vitrine::machine {

class ImageFile final : public devices::BlockBackend {
 public:
  enum class Access : uint8_t { ReadOnly, ReadWrite };

  /// `name` is for messages. Fails when the descriptor is neither a regular file nor a block device. The size
  /// is taken now: an image that grows later does not grow for the guest, one that shrinks reads as zeros.
  [[nodiscard]] static Result<std::unique_ptr<ImageFile>> create(Descriptor file, std::string name,
                                                                 Access access);

  [[nodiscard]] uint64_t size() const override { return size_; }
  [[nodiscard]] bool read_only() const override { return access_ == Access::ReadOnly; }
  [[nodiscard]] Result<void> read(uint64_t offset, std::span<uint8_t> data) override;
  [[nodiscard]] Result<void> write(uint64_t offset, std::span<const uint8_t> data) override;
  [[nodiscard]] Result<void> read_pieces(uint64_t offset,
                                         std::span<const std::span<uint8_t>> pieces) override;
  [[nodiscard]] Result<void> write_pieces(uint64_t offset,
                                          std::span<const std::span<const uint8_t>> pieces) override;
  [[nodiscard]] Result<void> flush() override;

 private:
  ImageFile(Descriptor file, std::string name, Access access, uint64_t size)
      : file_(std::move(file)), name_(std::move(name)), access_(access), size_(size) {}

  Descriptor file_;
  std::string name_;
  Access access_;
  uint64_t size_;
};

}  // namespace vitrine::machine
