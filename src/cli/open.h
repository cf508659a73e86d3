// The first of the two steps of `vitrine run`: everything that the machine needs is opened here, by name; the
// machine itself is then built from open descriptors only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/options.h"
#include "cli/terminal.h"
#include "machine/file_service.h"
#include "machine/machine_config.h"

namespace vitrine::cli {

/// A file that goes away with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();

 private:
  std::string path_;
};

struct OpenedMachine {
  machine::MachineConfig config;
  std::optional<TerminalSignals> terminal;  ///< The machine uses the terminal, which is to be made raw.
  std::vector<TemporaryFile> temporary_files;
  std::vector<std::string> warnings;  ///< One line each, for standard error.
};

[[nodiscard]] Result<OpenedMachine> open_machine(const RunOptions& options);

/// Opens files on behalf of the monitor, with the rights of the process.
class HostFileService final : public machine::FileService {
 public:
  [[nodiscard]] Result<Descriptor> create_file(std::string_view path,
                                               machine::FileContents contents) override;
};

}  // namespace vitrine::cli
