#include "machine/event_log.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

namespace vitrine::machine {
namespace {

TEST(EventLog, WritesOnlyWhatWasAskedForAndWhenFlushed) {
  Descriptor file(::memfd_create("log", MFD_CLOEXEC));
  const int fd = file.get();
  EventLog log(1u << static_cast<unsigned>(LogItem::CpuReset), std::move(file));
  EXPECT_TRUE(log.enabled(LogItem::CpuReset));
  EXPECT_FALSE(log.enabled(LogItem::Interrupt));
  log.write("reset of cpu {}", 0);
  EXPECT_EQ(::lseek(fd, 0, SEEK_END), 0);
  log.flush();
  std::array<char, 64> text{};
  EXPECT_EQ(::pread(fd, text.data(), text.size(), 0), 15);
  EXPECT_STREQ(text.data(), "reset of cpu 0\n");
  for (int i = 0; i < 2000; ++i) log.write("a line that is longer than nothing");
  EXPECT_GT(::lseek(fd, 0, SEEK_END), 20'000);
}

TEST(EventLog, NothingByDefault) {
  const EventLog log;
  for (const LogItemName& row : log_item_names()) EXPECT_FALSE(log.enabled(row.item)) << row.name;
}

}  // namespace
}  // namespace vitrine::machine
