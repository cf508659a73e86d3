// Which function executes which system instruction. What has no row here (RSM outside system management mode,
// UD2, SYSCALL, SMAP's and INVPCID's instructions) is #UD.
#include "cpu/instruction_table.h"
#include "cpu/system_instructions.h"

namespace vitrine::cpu {

namespace {

constexpr RowOptions kMemoryOnly = {.location = Location::Memory};

constexpr InstructionRow kRows[] = {
    ending_row<mov_from_segment>(Operation::MovSegment, {.form = OperandForm::RmReg}),
    ending_row<mov_to_segment>(Operation::MovSegment, {.form = OperandForm::RegRm}),
    ending_row<push_segment>(Operation::PushSegment),
    ending_row<pop_segment>(Operation::PopSegment),
    ending_row<load_far_pointer>(Operation::Lds, kMemoryOnly),
    ending_row<load_far_pointer>(Operation::Les, kMemoryOnly),
    ending_row<load_far_pointer>(Operation::Lfs, kMemoryOnly),
    ending_row<load_far_pointer>(Operation::Lgs, kMemoryOnly),
    ending_row<load_far_pointer>(Operation::Lss, kMemoryOnly),
    ending_row<lar>(Operation::Lar),
    ending_row<lsl>(Operation::Lsl),
    ending_row<verr>(Operation::Verr),
    ending_row<verw>(Operation::Verw),
    ending_row<arpl>(Operation::Arpl),

    ending_row<lgdt>(Operation::Lgdt, kMemoryOnly),
    ending_row<lidt>(Operation::Lidt, kMemoryOnly),
    ending_row<sgdt>(Operation::Sgdt, kMemoryOnly),
    ending_row<sidt>(Operation::Sidt, kMemoryOnly),
    ending_row<lldt>(Operation::Lldt),
    ending_row<ltr>(Operation::Ltr),
    ending_row<sldt>(Operation::Sldt),
    ending_row<str>(Operation::Str),

    ending_row<jmp_far_pointer>(Operation::JmpFar, {.form = OperandForm::Far}),
    ending_row<jmp_far_memory>(Operation::JmpFar, kMemoryOnly),
    ending_row<call_far_pointer>(Operation::CallFar, {.form = OperandForm::Far}),
    ending_row<call_far_memory>(Operation::CallFar, kMemoryOnly),
    ending_row<ret_far>(Operation::RetFar),
    ending_row<iret>(Operation::Iret),
    ending_row<int_n>(Operation::Int),
    ending_row<int1>(Operation::Int1),
    ending_row<int3>(Operation::Int3),
    ending_row<into>(Operation::Into),

    ending_row<cli>(Operation::Cli),
    ending_row<sti>(Operation::Sti),
    ending_row<pushf>(Operation::Pushf),
    ending_row<popf>(Operation::Popf),

    ending_row<mov_from_control>(Operation::MovControl, {.form = OperandForm::RmReg}),
    ending_row<mov_to_control>(Operation::MovControl, {.form = OperandForm::RegRm}),
    ending_row<mov_from_debug>(Operation::MovDebug, {.form = OperandForm::RmReg}),
    ending_row<mov_to_debug>(Operation::MovDebug, {.form = OperandForm::RegRm}),
    ending_row<clts>(Operation::Clts),
    ending_row<lmsw>(Operation::Lmsw),
    ending_row<smsw>(Operation::Smsw),
    ending_row<invlpg>(Operation::Invlpg, kMemoryOnly),
    ending_row<invalidate_caches>(Operation::Invd),
    ending_row<invalidate_caches>(Operation::Wbinvd),
    ending_row<xgetbv>(Operation::Xgetbv, {.feature = Feature::Xsave}),
    ending_row<xsetbv>(Operation::Xsetbv, {.feature = Feature::Xsave}),

    ending_row<sysenter>(Operation::Sysenter, {.feature = Feature::Sep}),
    ending_row<sysexit>(Operation::Sysexit, {.feature = Feature::Sep}),
    ending_row<rdmsr>(Operation::Rdmsr, {.feature = Feature::Msr}),
    ending_row<wrmsr>(Operation::Wrmsr, {.feature = Feature::Msr}),
    ending_row<cpuid>(Operation::Cpuid),
    ending_row<rdtsc>(Operation::Rdtsc, {.feature = Feature::Tsc}),
    ending_row<rdtscp>(Operation::Rdtscp, {.feature = Feature::Rdtscp}),
    ending_row<rdpmc>(Operation::Rdpmc, {.feature = Feature::Mmx}),
    ending_row<rdrand>(Operation::Rdrand, {.feature = Feature::Rdrand}),
    ending_row<rdseed>(Operation::Rdseed, {.feature = Feature::Rdseed}),
    ending_row<hlt>(Operation::Hlt),
    ending_row<vmcall>(Operation::Vmcall, {.feature = Feature::Hypercalls}),
    ending_row<monitor>(Operation::Monitor, {.feature = Feature::Monitor}),
    ending_row<mwait>(Operation::Mwait, {.feature = Feature::Monitor}),
};

}  // namespace

std::span<const InstructionRow> system_rows() {
  return kRows;
}

}  // namespace vitrine::cpu
