// The manual pages and the option tables must name the same options.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "cli/box_options.h"
#include "cli/options.h"
#include "cli/token_options.h"

namespace vitrine::cli {
namespace {

/// The options that have an entry of their own, unescaped.
std::set<std::string> documented_options(const std::string& name_of_page, std::string_view dashes) {
  std::ifstream page(VITRINE_SOURCE_DIR "/packaging/man/" + name_of_page);
  EXPECT_TRUE(page);
  std::set<std::string> names;
  constexpr std::string_view kEntry = ".It Fl ";
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with(kEntry)) continue;
    std::string name = line.substr(kEntry.size());
    name = name.substr(0, name.find(' '));
    std::erase(name, '\\');
    EXPECT_TRUE(name.starts_with(dashes)) << name;
    names.insert(name.substr(dashes.size()));
  }
  return names;
}

TEST(ManualPage, NamesEveryOptionAndNoOther) {
  std::set<std::string> expected;
  for (const Option& option : run_options()) expected.emplace(option.name);
  EXPECT_EQ(documented_options("vitrine.1", ""), expected);
}

TEST(ManualPage, OfBoxNamesEveryOptionAndNoOther) {
  std::set<std::string> expected;
  for (const BoxOption& option : box_options()) expected.emplace(option.name);
  // .Fl writes the first dash.
  EXPECT_EQ(documented_options("vitrine-box.1", "-"), expected);
}

TEST(ManualPage, OfTokenNamesEveryOptionAndNoOther) {
  std::set<std::string> expected;
  for (const TokenOption& option : token_options()) expected.emplace(option.name.substr(2));
  EXPECT_EQ(documented_options("vitrine-token.1", "-"), expected);
}

}  // namespace
}  // namespace vitrine::cli
