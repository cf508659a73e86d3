#include "machine/drive_backend.h"

#include <utility>

#include "machine/image_file.h"
#include "machine/snapshot_overlay.h"

namespace vitrine::machine {

Result<std::unique_ptr<devices::BlockBackend>> create_drive_backend(DriveConfig& drive) {
  if (!drive.image) return nullptr;
  const auto access =
      drive.writes == Writes::ToImage ? ImageFile::Access::ReadWrite : ImageFile::Access::ReadOnly;
  std::unique_ptr<devices::BlockBackend> backend =
      TRY(ImageFile::create(std::move(drive.image), drive.name, access));
  if (drive.writes == Writes::ToOverlay) {
    backend = std::make_unique<SnapshotOverlay>(std::move(backend), std::move(drive.overlay), drive.name);
  }
  return backend;
}

}  // namespace vitrine::machine
