#include "devices/piix4_pm.h"

#include <utility>

#include "base/check.h"

namespace vitrine::devices {
namespace {

// Configuration space.
constexpr unsigned kPmBase = 0x40;
constexpr unsigned kDevActB = 0x58;
constexpr unsigned kParallelPresent = 0x5f;
constexpr unsigned kFloppyPresent = 0x63;
constexpr unsigned kSerialPresent = 0x67;
constexpr unsigned kPmRegMisc = 0x80;
constexpr unsigned kSmbusBase = 0x90;
constexpr unsigned kSmbusConfig = 0xd2;
constexpr unsigned kSmbusRevision = 0xd6;

// The I/O block at PMBASE.
constexpr unsigned kStatusReg = 0x00;
constexpr unsigned kEnableReg = 0x02;
constexpr unsigned kControlReg = 0x04;
constexpr unsigned kTimerReg = 0x08;
constexpr unsigned kStoredReg = 0x0c;

constexpr uint16_t kApmControlPort = 0xb2;
constexpr uint16_t kApmStatusPort = 0xb3;
constexpr uint16_t kGeneralEventPort = 0xafe0;

// PIIX4, "PMSTS", "PMEN": status bits are cleared by writing ones.
constexpr uint16_t kTimerOverflow = 1 << 0;
constexpr uint16_t kGlobal = 1 << 5;
constexpr uint16_t kPowerButton = 1 << 8;
constexpr uint16_t kAlarm = 1 << 10;
constexpr uint16_t kWake = 1 << 15;
constexpr uint16_t kSciSources = kTimerOverflow | kGlobal | kPowerButton | kAlarm;

// PIIX4, "PMCNTRL".
constexpr uint16_t kSciEnable = 1 << 0;
constexpr uint16_t kControlStored = 0x1c03;  // SCI_EN, BRLD_EN, SUS_TYP
constexpr uint8_t kSleepEnableHigh = 0x20;
constexpr unsigned kSleepSoftOff = 0;
constexpr unsigned kSleepToRam = 1;
constexpr unsigned kSleepToDisk = 2;

constexpr uint8_t kAcpiEnable = 0xf1;
constexpr uint8_t kAcpiDisable = 0xf0;

// The timer has 24 bits; its status bit is set whenever the topmost one changes.
constexpr unsigned kHalfPeriodShift = 23;
constexpr uint32_t kTimerMask = 0xffffff;

// SMBus registers.
constexpr unsigned kSmbusStatus = 0;
constexpr unsigned kSmbusControl = 2;
constexpr uint8_t kSmbusDeviceError = 0x04;
constexpr uint8_t kSmbusStart = 0x40;

uint8_t byte_of(uint64_t value, unsigned index) {
  return static_cast<uint8_t>(value >> (8 * index));
}

void set_byte(uint16_t& target, unsigned index, uint8_t value) {
  target = static_cast<uint16_t>((target & ~(0xff << (8 * index))) | value << (8 * index));
}

}  // namespace

Piix4Pm::Piix4Pm(Clock& clock, memory::PortMap& ports, IrqLine sci, std::function<void()> power_off)
    : PciDevice({.vendor = 0x8086,
                 .device = 0x7113,
                 .class_code = 0x068000,
                 .revision = 3,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100,
                 .interrupt_pin = 1}),
      clock_(clock),
      ports_(ports),
      sci_(sci),
      power_off_(std::move(power_off)),
      overflow_timer_(clock, [this] { update_sci(); }) {
  set_config16(pci::kStatus, 0x0280);
  // Everything behind the header can be written except what says otherwise.
  for (unsigned i = 0x40; i < kConfigSize; ++i) set_write_mask8(i, 0xff);
  set_write_mask32(kPmBase, 0xffc0);
  set_write_mask32(kSmbusBase, 0xfff0);
  set_write_mask8(kSmbusRevision, 0);
  // PIIX4, "PCICMD": I/O enables the SMBus ports; they answer by their own enable bit alone here, as in QEMU.
  set_write_mask16(pci::kCommand, pci::kCommandIo);
  set_initial_config();
  set_legacy_ports({});
  ports_.map(kApmControlPort, 2, *this);
  ports_.map(kGeneralEventPort, 4, *this);
}

Piix4Pm::~Piix4Pm() {
  move_range(pm_base_, std::nullopt, kPmSize);
  move_range(smbus_base_, std::nullopt, kSmbusSize);
  ports_.unmap(kGeneralEventPort, 4, *this);
  ports_.unmap(kApmControlPort, 2, *this);
}

void Piix4Pm::set_initial_config() {
  set_config32(kPmBase, 1);
  set_config32(kDevActB, 0x02000000);  // APMC_EN: firmware takes it that SMM needs no setting up
  set_config8(kPmRegMisc, 0);
  set_config32(kSmbusBase, 1);
  set_config8(kSmbusConfig, 0);
}

void Piix4Pm::set_legacy_ports(const LegacyPorts& present) {
  set_config8(kParallelPresent, static_cast<uint8_t>(0x10 | (present.parallel ? 0x80 : 0)));
  set_config8(kFloppyPresent, 0x60);
  set_config8(kSerialPresent,
              static_cast<uint8_t>((present.serial1 ? 0x08 : 0) | (present.serial2 ? 0x90 : 0)));
}

void Piix4Pm::press_power_button() {
  status_ |= kPowerButton;
  update_sci();
}

void Piix4Pm::raise_general_event(unsigned bit) {
  CHECK(bit < 16);
  general_status_ |= static_cast<uint16_t>(1u << bit);
  update_sci();
}

uint64_t Piix4Pm::timer_ticks() const {
  return scale(clock_.now(), kTimerHz, kNanosecondsPerSecond);
}

void Piix4Pm::note_timer_overflow() {
  const uint64_t halves = timer_ticks() >> kHalfPeriodShift;
  if (halves != seen_halves_) status_ |= kTimerOverflow;
  seen_halves_ = halves;
}

void Piix4Pm::update_sci() {
  note_timer_overflow();
  const bool pending = (status_ & enable_ & kSciSources) != 0 || (general_status_ & general_enable_) != 0;
  sci_.set(pending && (control_ & kSciEnable) != 0);
  if ((enable_ & kTimerOverflow) != 0 && (status_ & kTimerOverflow) == 0) {
    // The first nanosecond at which the tick has come.
    const uint64_t ticks = (seen_halves_ + 1) << kHalfPeriodShift;
    overflow_timer_.arm(scale(ticks, kNanosecondsPerSecond, kTimerHz) + 1);
  } else {
    overflow_timer_.cancel();
  }
}

uint32_t Piix4Pm::read_port(uint16_t port, unsigned size) {
  if (pm_base_ && port >= *pm_base_ && port - *pm_base_ < static_cast<int>(kPmSize)) {
    // The timer is read whole: its bytes must be of one moment.
    uint32_t value = 0;
    const unsigned offset = port - *pm_base_;
    if (offset == kTimerReg) return static_cast<uint32_t>(timer_ticks()) & kTimerMask;
    for (unsigned i = 0; i < size; ++i) value |= static_cast<uint32_t>(read_pm(offset + i)) << (8 * i);
    return value;
  }
  if (smbus_base_ && port >= *smbus_base_ && port - *smbus_base_ < static_cast<int>(kSmbusSize)) {
    return read_smbus(port - *smbus_base_);
  }
  switch (port) {
    case kApmControlPort: return apm_control_;
    case kApmStatusPort: return apm_status_;
    case kGeneralEventPort:
    case kGeneralEventPort + 1: return byte_of(general_status_, port - kGeneralEventPort);
    case kGeneralEventPort + 2:
    case kGeneralEventPort + 3: return byte_of(general_enable_, port - kGeneralEventPort - 2);
    default: return 0xff;
  }
}

void Piix4Pm::write_port(uint16_t port, unsigned size, uint32_t value) {
  if (pm_base_ && port >= *pm_base_ && port - *pm_base_ < static_cast<int>(kPmSize)) {
    for (unsigned i = 0; i < size; ++i) {
      // A write may enter soft-off, whose callback may do anything but take this device away.
      write_pm(port - *pm_base_ + i, byte_of(value, i));
    }
    return;
  }
  const uint8_t byte = byte_of(value, 0);
  if (smbus_base_ && port >= *smbus_base_ && port - *smbus_base_ < static_cast<int>(kSmbusSize)) {
    write_smbus(port - *smbus_base_, byte);
    return;
  }
  switch (port) {
    case kApmControlPort: write_apm_control(byte); break;
    case kApmStatusPort: apm_status_ = byte; break;
    case kGeneralEventPort:
    case kGeneralEventPort + 1:
      general_status_ &= static_cast<uint16_t>(~(byte << (8 * (port - kGeneralEventPort))));
      update_sci();
      break;
    case kGeneralEventPort + 2:
    case kGeneralEventPort + 3:
      set_byte(general_enable_, port - kGeneralEventPort - 2, byte);
      update_sci();
      break;
    default: break;
  }
}

uint8_t Piix4Pm::read_pm(unsigned offset) {
  if (offset < kEnableReg) {
    note_timer_overflow();
    return byte_of(status_, offset - kStatusReg);
  }
  if (offset < kControlReg) return byte_of(enable_, offset - kEnableReg);
  if (offset < kControlReg + 2) return byte_of(control_, offset - kControlReg);
  if (offset >= kTimerReg && offset < kTimerReg + 4) {
    return byte_of(timer_ticks() & kTimerMask, offset - kTimerReg);
  }
  return offset < kPmSize && offset >= kStoredReg ? stored_[offset] : 0;
}

void Piix4Pm::write_pm(unsigned offset, uint8_t value) {
  if (offset < kEnableReg) {
    note_timer_overflow();
    status_ &= static_cast<uint16_t>(~(value << (8 * offset)));
    update_sci();
  } else if (offset < kControlReg) {
    set_byte(enable_, offset - kEnableReg, value);
    enable_ &= kSciSources;
    update_sci();
  } else if (offset == kControlReg) {
    set_byte(control_, 0, value);
    control_ &= kControlStored;
    update_sci();
  } else if (offset == kControlReg + 1) {
    write_control_high(value);
  } else if (offset >= kStoredReg && offset < kPmSize) {
    stored_[offset] = value;
  }
}

void Piix4Pm::write_control_high(uint8_t value) {
  set_byte(control_, 1, value);
  control_ &= kControlStored;
  if ((value & kSleepEnableHigh) == 0) return;
  switch ((value >> 2) & 7) {
    case kSleepSoftOff:
    case kSleepToDisk:
      if (power_off_) power_off_();
      break;
    case kSleepToRam:
      // Asleep and awake again: whoever polls for the wake status goes on.
      status_ |= kWake;
      update_sci();
      break;
    default: break;
  }
}

// Firmware tells the operating system to write these values to the SMI command port (FADT: ACPI_ENABLE,
// ACPI_DISABLE); the handler in system-management mode would do no more than this.
void Piix4Pm::write_apm_control(uint8_t value) {
  apm_control_ = value;
  if (value == kAcpiEnable) control_ |= kSciEnable;
  if (value == kAcpiDisable) control_ &= static_cast<uint16_t>(~kSciEnable);
  update_sci();
}

uint8_t Piix4Pm::read_smbus(unsigned offset) {
  return smbus_[offset];
}

void Piix4Pm::write_smbus(unsigned offset, uint8_t value) {
  if (offset == kSmbusStatus) {
    smbus_[kSmbusStatus] &= static_cast<uint8_t>(~value);
    return;
  }
  if (offset == kSmbusControl) {
    // PIIX4, "SMBHSTCNT": START reads as zero. Nobody acknowledges the address.
    if ((value & kSmbusStart) != 0) smbus_[kSmbusStatus] |= kSmbusDeviceError;
    value &= static_cast<uint8_t>(~kSmbusStart);
  }
  smbus_[offset] = value;
}

void Piix4Pm::move_range(std::optional<uint16_t>& mapped, std::optional<uint16_t> wanted, unsigned size) {
  if (mapped == wanted) return;
  if (mapped) ports_.unmap(*mapped, size, *this);
  if (wanted) {
    ports_.map(*wanted, size, *this, size == kPmSize ? memory::PortWidth::Dword : memory::PortWidth::Byte);
  }
  mapped = wanted;
}

void Piix4Pm::update_ranges() {
  std::optional<uint16_t> pm;
  const auto pm_address = static_cast<uint16_t>(config32(kPmBase) & 0xffc0);
  if ((config8(kPmRegMisc) & 1) != 0 && pm_address != 0) pm = pm_address;
  std::optional<uint16_t> smbus;
  const auto smbus_address = static_cast<uint16_t>(config32(kSmbusBase) & 0xfff0);
  if ((config8(kSmbusConfig) & 1) != 0 && smbus_address != 0) smbus = smbus_address;
  move_range(pm_base_, pm, kPmSize);
  move_range(smbus_base_, smbus, kSmbusSize);
}

void Piix4Pm::config_written(unsigned, unsigned) {
  update_ranges();
}

void Piix4Pm::reset_device() {
  set_initial_config();
  update_ranges();
  status_ = 0;
  enable_ = 0;
  control_ = 0;
  general_status_ = 0;
  general_enable_ = 0;
  seen_halves_ = timer_ticks() >> kHalfPeriodShift;
  stored_.fill(0);
  smbus_.fill(0);
  apm_control_ = 0;
  apm_status_ = 0;
  update_sci();
}

void Piix4Pm::serialize_device(StateArchive& archive) {
  archive.section("piix4-pm", 1);
  if (!archive.loading()) note_timer_overflow();  // what polling would show is part of what is saved
  archive.fields(status_, enable_, control_, general_status_, general_enable_, seen_halves_);
  archive.fields(stored_, smbus_, apm_control_, apm_status_);
  enable_ &= kSciSources;
  control_ &= kControlStored;
  if (!archive.loading()) return;
  update_ranges();
  update_sci();
}

}  // namespace vitrine::devices
