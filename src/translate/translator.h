// From guest code to host code, same ISA to same ISA, almost one to one: see docs/translation.md.
#pragma once

#include <cstdint>

#include "cpu/decoder.h"
#include "translate/glue.h"
#include "translate/translation_cache.h"
#include "translate/unit_builder.h"

namespace vitrine::translate {

class Translator {
 public:
  Translator(const cpu::CpuModel& model, TranslationCache& cache, const Glue& glue,
             const TranslatorOptions& options)
      : decoder_(model), cache_(cache), glue_(glue), options_(options) {}

  /// Translates straight on from `eip`, which lies in `page`, up to what has an entry; `bytes` is the host's
  /// view of the page. `called`: a CALL leads there (Unit::called); then it may have an entry itself, and is
  /// translated as if nothing had one. The cache has room for a unit. False: the instruction at `eip` reaches
  /// into the next page, and is the interpreter's.
  [[nodiscard]] bool translate(cpu::Core& core, CodePage& page, const uint8_t* bytes, uint32_t eip,
                               bool called);

  /// Makes an entry for a boundary of the page's that is none. The cache has room for a unit.
  void add_entry(CodePage& page, const TranslationCache::Pending& to);

  /// Translates the one instruction at `eip` that reaches from `page` into `next`, the page behind it.
  /// `next_bytes` is the host's view of that.
  void translate_crossing(cpu::Core& core, CodePage& page, const uint8_t* bytes, CodePage& next,
                          const uint8_t* next_bytes, uint32_t eip);

  /// The one instruction at `eip` for the interpreter. Null: it is one that goes on by itself, or reaches
  /// into the next page.
  [[nodiscard]] cpu::BlockPointer decode_single(cpu::Core& core, const uint8_t* bytes, uint32_t eip);

  void use_target_tables(bool use) { options_.target_tables = use; }
  void use_landing_pad(bool use) { options_.landing_pad = use; }
  void use_avx(bool use) { options_.avx = use; }

 private:
  /// Returns where it ends, an offset in the page.
  uint32_t write(cpu::Core& core, UnitBuilder& builder, const uint8_t* bytes, uint32_t eip);

  cpu::Decoder decoder_;
  TranslationCache& cache_;
  const Glue& glue_;
  TranslatorOptions options_;
};

}  // namespace vitrine::translate
