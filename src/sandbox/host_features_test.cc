#include "sandbox/host_features.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace vitrine::sandbox {
namespace {

size_t open_descriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(HostFeatures, SayWhyWhatIsMissingIsMissing) {
  const HostFeatures features = HostFeatures::probe();
  for (size_t i = 0; i < kMechanismCount; ++i) {
    const auto mechanism = static_cast<Mechanism>(i);
    const Feature& feature = features[mechanism];
    EXPECT_EQ(feature.available, feature.detail.empty())
        << mechanism_name(mechanism) << ": " << feature.detail;
    EXPECT_EQ(mechanism_from_name(mechanism_name(mechanism)), mechanism);
    EXPECT_FALSE(mechanism_purpose(mechanism).empty());
  }
  EXPECT_EQ(features.has(Mechanism::OtherUser), ::geteuid() == 0);
  EXPECT_TRUE(features.has(Mechanism::NoNewPrivileges));
  EXPECT_TRUE(features.has(Mechanism::ResourceLimits));
}

TEST(HostFeatures, LeaveNothingBehind) {
  const size_t before = open_descriptors();
  (void)HostFeatures::probe();
  EXPECT_EQ(open_descriptors(), before);
}

TEST(HostFeatures, AreRemovedByName) {
  HostFeatures features = HostFeatures::assume();
  const auto mechanism = mechanism_from_name("pid-namespace");
  ASSERT_TRUE(mechanism.has_value());
  features.remove(*mechanism, "for this test");
  EXPECT_FALSE(features.has(Mechanism::PidNamespace));
  EXPECT_EQ(features[Mechanism::PidNamespace].detail, "for this test");
  EXPECT_EQ(mechanism_from_name("no-such-thing"), std::nullopt);
}

}  // namespace
}  // namespace vitrine::sandbox
