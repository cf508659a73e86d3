#include "machine/png_writer.h"

#include <png.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace vitrine::machine {
namespace {

void append(png_structp png, png_bytep data, size_t size) {
  auto& output = *static_cast<std::vector<uint8_t>*>(png_get_io_ptr(png));
  output.insert(output.end(), data, data + size);
}

/// libpng leaves by longjmp when it fails: nothing in this function may need a destructor.
bool encode(png_structp png, png_infop info, uint32_t width, uint32_t height, const uint8_t* rgb,
            std::vector<uint8_t>& output) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, &output, append, nullptr);
  png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (uint32_t row = 0; row < height; ++row) png_write_row(png, rgb + size_t{3} * width * row);
  png_write_end(png, info);
  return true;
}

}  // namespace

Result<void> write_png(Descriptor file, uint32_t width, uint32_t height, std::span<const uint8_t> rgb) {
  if (width == 0 || height == 0 || rgb.size() != size_t{3} * width * height) {
    return std::unexpected(Error{"cannot make a picture of an empty screen", ""});
  }
  std::vector<uint8_t> output;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
  const bool encoded = info != nullptr && encode(png, info, width, height, rgb.data(), output);
  png_destroy_write_struct(&png, &info);
  if (!encoded) return std::unexpected(Error{"cannot encode the screen as PNG", ""});

  std::span<const uint8_t> rest = output;
  while (!rest.empty()) {
    const ssize_t written = ::write(file.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return std::unexpected(error_from_errno("cannot write the picture", ""));
    rest = rest.subspan(static_cast<size_t>(written));
  }
  return {};
}

}  // namespace vitrine::machine
