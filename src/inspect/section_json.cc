// The report for machines.
#include <nlohmann/json.hpp>

#include "inspect/section.h"

namespace vitrine::inspect {
namespace {

using Json = nlohmann::ordered_json;

Json value_of(const Row& row) {
  if (row.unit == Unit::Hundredths) return static_cast<double>(row.value) / 100;
  if (!row.spent) return row.value;
  Json value = Json::object();
  if (row.counted) value["count"] = row.value;
  value["ns"] = row.spent->time;
  value["samples"] = row.spent->samples;
  return value;
}

Json value_of(const Section& section) {
  if (section.kind() == Section::Kind::List) {
    Json list = Json::array();
    for (const Section& item : section.sections()) list.push_back(value_of(item));
    return list;
  }
  Json object = Json::object();
  for (const Row& row : section.rows()) object[row.key] = value_of(row);
  for (const Section& part : section.sections()) object[part.key()] = value_of(part);
  return object;
}

}  // namespace

std::string to_json(const Section& report) {
  return value_of(report).dump(2) + "\n";
}

}  // namespace vitrine::inspect
