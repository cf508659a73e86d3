// How a running machine, which opens nothing itself, gets a file that its user asks for at the monitor.
// Implemented by whoever holds the authority to open files.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"

namespace vitrine::machine {

/// What will be written: whoever opens may give a picture the place of a picture only.
enum class FileContents : uint8_t { Picture, Memory };

class FileService {
 public:
  virtual ~FileService() = default;
  /// Creates a file, or empties an existing regular one, for writing.
  [[nodiscard]] virtual Result<Descriptor> create_file(std::string_view path, FileContents contents) = 0;
};

}  // namespace vitrine::machine
