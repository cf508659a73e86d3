// AT Attachment with Packet Interface-6, "PIO data-in command protocol" and "PIO data-out".
// Not here: DMA, a second disk, more than 28 bits of sector number.
#include "devices/ide_disk.h"

#include "common/disk_format.h"
#include "cpu/interrupts.h"
#include "cpu/x86.h"
#include "devices/print.h"
#include "process/scheduler.h"

enum {
  kData = 0x1f0,
  kSectorCount = 0x1f2,
  kSectorLow = 0x1f3,
  kSectorMiddle = 0x1f4,
  kSectorHigh = 0x1f5,
  kDevice = 0x1f6,
  kCommand = 0x1f7,  // status when read
  kDeviceControl = 0x3f6,
  kUseSectorNumbers = 0xe0,
  kReadSectors = 0x20,
  kWriteSectors = 0x30,
  kIdentify = 0xec,
  kBusy = 0x80,
  kFault = 0x20,
  kDataRequest = 0x08,
  kError = 0x01,
  kWordsPerSector = kSectorSize / 2,
  kPatience = 1000000
};

static bool present;
static volatile bool interrupted;
static uint32_t sector_count;

static void ide_interrupt(void) {
  in8(kCommand);  // takes the interrupt back
  interrupted = true;
  wake((const void*)&interrupted);
}

// Waits, without interrupts, for the disk to be ready for data.
static bool wait_for_data(void) {
  for (int i = 0; i < kPatience; ++i) {
    uint8_t status = in8(kCommand);
    if (status & kBusy) continue;
    if (status & (kError | kFault)) return false;
    if (status & kDataRequest) return true;
  }
  return false;
}

static void wait_for_interrupt_of_disk(void) {
  while (!interrupted) sleep_on((const void*)&interrupted);
  interrupted = false;
}

void ide_disk_init(void) {
  out8(kDevice, kUseSectorNumbers);
  uint8_t status = in8(kCommand);
  if (status == 0 || status == 0xff) return;
  out8(kSectorMiddle, 0);
  out8(kSectorHigh, 0);
  out8(kCommand, kIdentify);
  if (!wait_for_data()) return;  // nothing there, or a CD-ROM
  uint16_t identity[kWordsPerSector];
  in16_repeated(kData, identity, kWordsPerSector);
  sector_count = identity[60] | (uint32_t)identity[61] << 16;
  present = true;
  interrupts_attach(kIrqDisk, ide_interrupt);
  out8(kDeviceControl, 0);  // interrupts on
}

bool ide_disk_present(void) {
  return present;
}

void ide_disk_transfer(uint32_t sector, void* data, enum IdeDirection direction) {
  if (sector + kSectorsPerBlock > sector_count) panic("sector %u is beyond the disk", sector);
  interrupted = false;
  out8(kDevice, (uint8_t)(kUseSectorNumbers | sector >> 24));
  out8(kSectorCount, kSectorsPerBlock);
  out8(kSectorLow, (uint8_t)sector);
  out8(kSectorMiddle, (uint8_t)(sector >> 8));
  out8(kSectorHigh, (uint8_t)(sector >> 16));
  out8(kCommand, direction == kIdeRead ? kReadSectors : kWriteSectors);
  uint16_t* words = data;
  for (int i = 0; i < kSectorsPerBlock; ++i, words += kWordsPerSector) {
    if (direction == kIdeRead) wait_for_interrupt_of_disk();
    if (!wait_for_data()) panic("disk error at sector %u", sector + i);
    if (direction == kIdeRead) {
      in16_repeated(kData, words, kWordsPerSector);
    } else {
      out16_repeated(kData, words, kWordsPerSector);
      wait_for_interrupt_of_disk();
    }
  }
}
