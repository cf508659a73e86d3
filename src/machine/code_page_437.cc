#include "machine/code_page_437.h"

#include <array>
#include <string_view>

namespace vitrine::machine {
namespace {

/// Characters 80h–FFh. IBM PC Technical Reference, "Of Characters, Keystrokes, and Colors".
constexpr std::u16string_view kUpperHalf =
    u"ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
    u"└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";
static_assert(kUpperHalf.size() == 128);

}  // namespace

std::string code_page_437_to_utf8(uint8_t character) {
  if (character == 0) return " ";
  if (character < ' ' || character == 0x7f) return ".";
  if (character < 0x80) return {static_cast<char>(character)};
  const char16_t code = kUpperHalf[character - 0x80u];
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
  return {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3f)),
          static_cast<char>(0x80 | (code & 0x3f))};
}

}  // namespace vitrine::machine
