#include "doctor/host_report.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "doctor/kvm_probe.h"
#include "sandbox/guarantee.h"
#include "sandbox/host_features.h"

namespace vitrine::doctor {
namespace {

size_t open_descriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(HostReport, HasEveryGuaranteeAndEveryMechanismUnderItsOwnName) {
  const size_t before = open_descriptors();
  const HostReport report = examine_host();
  EXPECT_EQ(open_descriptors(), before);
  std::set<std::string> names;
  for (const Section& section : report) {
    for (const Row& row : section.rows) {
      EXPECT_TRUE(names.insert(row.name).second) << row.name << " is there twice";
      EXPECT_FALSE(row.text.empty()) << row.name;
      // What is not there says why.
      EXPECT_TRUE(row.verdict == Verdict::Yes || !row.detail.empty()) << row.name;
    }
  }
  for (size_t i = 0; i < sandbox::kGuaranteeCount; ++i)
    EXPECT_TRUE(names.contains(std::string(guarantee_name(static_cast<sandbox::Guarantee>(i)))));
  for (size_t i = 0; i < sandbox::kMechanismCount; ++i)
    EXPECT_TRUE(names.contains(std::string(mechanism_name(static_cast<sandbox::Mechanism>(i)))));
  for (const char* name : {"native-engine", "fsgsbase", "max-map-count", "openat2", "user-dispatch",
                           "userfaultfd", "kvm", "machine-files", "machine-code"})
    EXPECT_NE(find(report, name), nullptr) << name;
}

HostReport made_up() {
  return {{"guarantees",
           "Guarantees",
           {{"files", Verdict::Yes, "no files", "by landlock"}, {"network", Verdict::No, "no peer", "why"}}},
          {"limits", "Limits", {{"open-files", Verdict::Fact, "ulimit -n", "1024"}}},
          {"calls", "Calls", {{"openat2", Verdict::No, "beneath", "old \"kernel\""}}}};
}

TEST(HostReport, NamesWhatIsMissingOfWhatIsPromised) {
  EXPECT_EQ(missing(made_up()), std::vector<std::string>{"network"});
  EXPECT_NE(as_text(made_up()).find("Not here: network."), std::string::npos);
  EXPECT_EQ(find(made_up(), "nothing"), nullptr);
}

TEST(HostReport, IsWrittenAsJson) {
  const std::string text = as_json(made_up());
  EXPECT_NE(text.find(R"("files": {"available": true, "meaning": "no files", "detail": "by landlock"})"),
            text.npos);
  EXPECT_NE(text.find(R"("open-files": {"available": null)"), text.npos);
  EXPECT_NE(text.find(R"(old \"kernel\")"), text.npos);
}

TEST(Virtualisation, SaysWhyItDoesNotWork) {
  const Virtualisation found = probe_virtualisation();
  EXPECT_EQ(found.kvm == KvmState::Works, found.detail.empty()) << found.detail;
  const bool there = std::filesystem::exists("/dev/kvm");
  EXPECT_TRUE(there || found.kvm == KvmState::Absent);
}

}  // namespace
}  // namespace vitrine::doctor
