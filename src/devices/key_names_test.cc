#include "devices/key_names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace vitrine::devices {
namespace {

TEST(KeyNames, EveryKeyHasANameAndCodesOfItsOwn) {
  std::set<std::string_view> names;
  std::set<std::pair<KeyPrefix, uint8_t>> codes;
  std::set<uint8_t> set1;
  for (const KeyCode& key : key_codes()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_TRUE(codes.insert({key.prefix, key.set2}).second) << key.name;
    EXPECT_EQ(key_from_name(key.name), key.key);
    if (key.prefix == KeyPrefix::None && key.key != Key::SystemRequest) {
      EXPECT_TRUE(set1.insert(translate_to_set1(key.set2)).second) << key.name;
      EXPECT_LT(translate_to_set1(key.set2), 0x59) << key.name;
    }
  }
}

TEST(KeyNames, TranslationMatchesTheFirstPc) {
  EXPECT_EQ(translate_to_set1(0x76), 0x01);  // Escape
  EXPECT_EQ(translate_to_set1(0x1c), 0x1e);  // A
  EXPECT_EQ(translate_to_set1(0x5a), 0x1c);  // Return
  EXPECT_EQ(translate_to_set1(0x29), 0x39);  // Space
  EXPECT_EQ(translate_to_set1(0x83), 0x41);  // F7
  EXPECT_EQ(translate_to_set1(0xaa), 0xaa);
  const std::string row = "qwertyuiop";
  for (unsigned i = 0; i < row.size(); ++i) {
    EXPECT_EQ(translate_to_set1(key_code(*key_from_name(row.substr(i, 1))).set2), 0x10 + i);
  }
}

TEST(KeyNames, Chords) {
  EXPECT_EQ(parse_key_chord("ctrl-alt-delete").value(),
            (std::vector<Key>{Key::LeftControl, Key::LeftAlt, Key::Delete}));
  EXPECT_EQ(parse_key_chord("ret").value(), std::vector<Key>{Key::Return});
  const auto bad = parse_key_chord("shift-nosuch");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().object, "nosuch");
  EXPECT_FALSE(parse_key_chord(""));
  EXPECT_FALSE(parse_key_chord("a-"));
}

TEST(KeyNames, AsciiOnAUsLayout) {
  EXPECT_EQ(keys_for_ascii('a'), std::vector<Key>{Key::A});
  EXPECT_EQ(keys_for_ascii('A'), (std::vector<Key>{Key::LeftShift, Key::A}));
  EXPECT_EQ(keys_for_ascii('?'), (std::vector<Key>{Key::LeftShift, Key::Slash}));
  EXPECT_EQ(keys_for_ascii('\x03'), (std::vector<Key>{Key::LeftControl, Key::C}));
  EXPECT_EQ(keys_for_ascii('\n'), std::vector<Key>{Key::Return});
  for (int c = 0x20; c < 0x7f; ++c) EXPECT_FALSE(keys_for_ascii(static_cast<char>(c)).empty()) << c;
  EXPECT_TRUE(keys_for_ascii('\x80').empty());
}

}  // namespace
}  // namespace vitrine::devices
