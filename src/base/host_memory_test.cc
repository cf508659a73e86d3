#include "base/host_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace vitrine {
namespace {

class HostMemory : public testing::Test {
 protected:
  HostMemory() { std::filesystem::create_directories(proc_ + "/sys/vm"); }
  ~HostMemory() override { std::filesystem::remove_all(proc_); }

  void host(int policy, const char* memory) {
    std::ofstream(proc_ + "/sys/vm/overcommit_memory") << policy << "\n";
    std::ofstream(proc_ + "/meminfo") << memory;
  }

  std::string proc_ =
      testing::TempDir() + "host_memory_" + testing::UnitTest::GetInstance()->current_test_info()->name();
};

constexpr const char* kMemory =
    "MemTotal:        4000000 kB\nCommitLimit:     2097152 kB\nCommitted_AS:    1048576 kB\n";

TEST_F(HostMemory, CountsOnlyWhereItIsStrict) {
  host(0, kMemory);
  EXPECT_EQ(memory_left_to_promise(proc_), std::nullopt);
  EXPECT_TRUE(memory_can_be_promised(uint64_t{64} << 30, proc_));
  host(2, kMemory);
  EXPECT_EQ(memory_left_to_promise(proc_), uint64_t{1} << 30);
  EXPECT_TRUE(memory_can_be_promised(512 << 20, proc_));
}

TEST_F(HostMemory, SaysWhatIsLeft) {
  host(2, kMemory);
  const Result<void> possible = memory_can_be_promised(uint64_t{2} << 30, proc_);
  ASSERT_FALSE(possible);
  EXPECT_THAT(possible.error().message(),
              testing::AllOf(testing::HasSubstr("2048M"), testing::HasSubstr("1024M more"),
                             testing::HasSubstr("vm.overcommit_ratio")));
  host(2, "CommitLimit: 1 kB\nCommitted_AS: 2 kB\n");
  EXPECT_EQ(memory_left_to_promise(proc_), 0u);
}

TEST_F(HostMemory, IsNotKnownWithoutProc) {
  EXPECT_EQ(memory_left_to_promise("/nonexistent"), std::nullopt);
}

}  // namespace
}  // namespace vitrine
