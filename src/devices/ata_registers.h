// The registers and status bits of an ATA channel, shared by the channel and its devices.
// Documentation: ATA/ATAPI-6 (T13/1410D), "Interface register definitions and descriptions".
#pragma once

#include <cstdint>

namespace vitrine::devices {

/// The command block, by offset from its first port.
enum class AtaRegister : uint8_t {
  Data = 0,
  ErrorFeatures = 1,
  SectorCount = 2,  ///< PACKET: interrupt reason
  LbaLow = 3,
  LbaMid = 4,   ///< PACKET: byte count, low
  LbaHigh = 5,  ///< PACKET: byte count, high
  Device = 6,
  StatusCommand = 7,
};

struct AtaStatus {
  static constexpr uint8_t kError = 0x01;  // PACKET: CHK
  static constexpr uint8_t kDataRequest = 0x08;
  static constexpr uint8_t kSeekComplete = 0x10;
  static constexpr uint8_t kDeviceFault = 0x20;
  static constexpr uint8_t kReady = 0x40;
  static constexpr uint8_t kBusy = 0x80;
};

struct AtaError {
  static constexpr uint8_t kAborted = 0x04;
  static constexpr uint8_t kIdNotFound = 0x10;
  static constexpr uint8_t kUncorrectable = 0x40;
  static constexpr uint8_t kDiagnosticPassed = 0x01;  // after a reset, not a bit
};

struct AtaDeviceBits {
  static constexpr uint8_t kHeadMask = 0x0f;  // or LBA 27-24
  static constexpr uint8_t kSelect = 0x10;
  static constexpr uint8_t kLba = 0x40;
};

struct AtaControl {
  static constexpr uint8_t kInterruptsOff = 0x02;  // nIEN
  static constexpr uint8_t kSoftReset = 0x04;      // SRST
  static constexpr uint8_t kHighOrderByte = 0x80;  // HOB
};

}  // namespace vitrine::devices
