#include "paging/shadow_counters.h"

namespace vitrine::paging {

void report(const ShadowCounters& c, inspect::Section& section) {
  section.count("window_switches", "switches of window", c.window_switches);
  section.count("hidden_faults", "hidden page faults: filled", c.hidden_faults);
  section.count("fetches", "pages that code was looked up in", c.fetches);
  section.count("code_prefetches", "… because code beside it was looked up", c.code_prefetches);
  section.count("prefetches", "fills before a fault asked for them", c.prefetches);
  section.count("true_faults", "true page faults: the guest's own", c.true_faults);
  section.count("emulated", "accesses to emulate: device, code, table", c.emulated);
  section.count("pages_filled", "pages filled", c.pages_filled);
  section.average("pages_per_fill", "pages per fill", c.pages_filled, c.hidden_faults + c.prefetches);
  section.count("pages_shared", "pages that another space had", c.pages_shared);
  section.count("maps", "host mappings made", c.maps);
  section.count("revivals", "mappings given their rights back", c.revivals);
  section.count("drops", "drops of entries", c.drops);
  section.count("lowered", "entries made read-only", c.lowered);
  section.count("windows_emptied", "windows emptied", c.windows_emptied);
  section.count("evictions", "evictions", c.evictions);
  section.count("loads", "page tables looked at again", c.page_table_loads);
  section.count("tables_compared", "page tables compared", c.tables_compared);
  section.count("tables_protected", "page tables write-protected", c.tables_protected);
  section.count("table_writes", "writes to protected tables applied", c.table_writes);
  section.count("tables_released", "tables that were tables no more", c.tables_released);
  section.count("spaces_made", "address spaces made", c.spaces_made);
  section.count("spaces_recycled", "address spaces recycled", c.spaces_recycled);
}

}  // namespace vitrine::paging
