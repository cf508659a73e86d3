// What comparing has counted, as rows of the report.
#include "lockstep/lockstep.h"

namespace vitrine::lockstep {

void Lockstep::report(inspect::Section& section) const {
  const Counters& c = counters_;
  section.count("steps", "steps compared", c.steps);
  section.count("native", "instructions run natively and interpreted", c.native);
  section.count("interpreted", "instructions interpreted on both sides", c.interpreted);
  section.count("pages", "pages compared", c.pages);
  section.count("whole", "comparisons of all memory", c.whole);
  section.count("tables", "page tables with other accessed, dirty flags", c.tables);
  follower_->engine().report(section.section("native", "the follower's native engine"));
}

}  // namespace vitrine::lockstep
