// A CD/DVD-ROM drive on an ATA channel: the packet protocol, and the multimedia commands of a read-only drive
// with one data track. The medium is a BlockBackend of 2048-byte sectors.
//
// Documentation: ATA/ATAPI-6 (T13/1410D), "PACKET Command feature set"; SFF-8020i; MMC-3 and SPC-2 for the
// packets. Implemented: PIO with byte count limits and DMA; INQUIRY, TEST UNIT READY, REQUEST SENSE, READ
// CAPACITY, READ (10), READ (12), READ CD and READ CD MSF with every main-channel selection of a mode 1
// track, READ TOC/PMA/ATIP formats 0-2, READ SUB-CHANNEL, READ DISC INFORMATION, READ DVD STRUCTURE format 0,
// MODE SENSE (6) and (10), GET CONFIGURATION, GET EVENT STATUS NOTIFICATION (polled media events), START STOP
// UNIT, PREVENT ALLOW, MECHANISM STATUS, SEEK, SET CD SPEED; eject by the guest and the host, unit attention
// after a change. Missing: MODE SELECT, audio, multi-session and mode 2 discs, sub-channel and C2 data, the
// unit attention of a power-on. Ignored: speeds, power conditions.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "devices/ata_device.h"
#include "devices/ata_identify.h"
#include "devices/block_backend.h"
#include "devices/cdrom_sector.h"

namespace vitrine::devices {

class AtapiCdrom : public AtaDevice {
 public:
  AtapiCdrom(Clock& clock, AtaIdentity identity);

  /// Puts a disc in and closes the tray, or takes it out (nullptr), whether or not the guest has locked the
  /// tray. The backend must outlive its stay.
  void insert(BlockBackend* medium);
  /// Presses the button: opens an unlocked tray; else the guest is told of the wish.
  void press_eject();
  [[nodiscard]] bool tray_open() const { return tray_open_; }
  [[nodiscard]] bool locked() const { return locked_; }
  /// A disc that can be read.
  [[nodiscard]] bool loaded() const { return blocks_ != 0 && !tray_open_; }

 private:
  static constexpr size_t kPacketSize = 12;
  static constexpr size_t kMaxReply = 512;

  enum class Stage : uint8_t { Command, CollectPacket, Packet, Data, Status };
  enum class Source : uint8_t { Reply, Sectors };

  struct Sense {
    uint8_t key;
    uint8_t code;
    uint8_t qualifier;
  };
  // MMC-3 and SPC-2, sense codes.
  static constexpr Sense kNoSense{};
  static constexpr Sense kNoMedium{2, 0x3a, 0};
  static constexpr Sense kReadError{3, 0x11, 0};
  static constexpr Sense kInvalidCommand{5, 0x20, 0};
  static constexpr Sense kOutOfRange{5, 0x21, 0};
  static constexpr Sense kInvalidField{5, 0x24, 0};
  static constexpr Sense kSavingUnsupported{5, 0x39, 0};
  static constexpr Sense kRemovalPrevented{5, 0x53, 2};
  static constexpr Sense kWrongTrackMode{5, 0x64, 0};
  static constexpr Sense kMediumChanged{6, 0x28, 0};

  struct PacketRow;
  static const PacketRow kPackets[];

  void start_command(uint8_t command) override;
  void step() override;
  void data_in_done() override;
  void data_out_done() override;
  void reset_device() override;
  void power_on() override {}
  [[nodiscard]] uint8_t status_after_reset() const override { return 0; }
  void serialize_device(StateArchive& archive) override;

  // ATA commands.
  void run_ata_command();
  void identify_packet_device();
  void set_features();

  // The packet protocol.
  void execute_packet();
  void send(size_t bytes, Source source);
  void send_block();
  void send_by_dma();
  [[nodiscard]] bool produce(std::span<uint8_t> to);
  [[nodiscard]] bool produce_sectors(std::span<uint8_t> to);
  void packet_done();
  void check_condition(const Sense& sense);

  // Packets (atapi_packets.cc).
  std::span<uint8_t> begin_reply(size_t bytes);
  void finish_reply(size_t allocation);
  [[nodiscard]] uint16_t packet16(size_t at) const {
    return static_cast<uint16_t>(packet_[at] << 8 | packet_[at + 1]);
  }
  [[nodiscard]] uint32_t packet32(size_t at) const { return uint32_t{packet16(at)} << 16 | packet16(at + 2); }
  [[nodiscard]] uint32_t packet24(size_t at) const { return uint32_t{packet_[at]} << 16 | packet16(at + 1); }
  void put_address(std::span<uint8_t> to, uint32_t lba) const;
  void test_unit_ready() { packet_done(); }
  void request_sense();
  void inquiry();
  void start_stop_unit();
  void prevent_allow();
  void read_capacity();
  void read10();
  void read12();
  void seek10();
  void read_sub_channel();
  void read_toc();
  void read_full_toc();
  void get_configuration();
  void get_event_status();
  void read_disc_information();
  void mode_sense6();
  void mode_sense10();
  void read_dvd_structure();
  void set_speed() { packet_done(); }
  void mechanism_status();
  void read_cd();
  void read_cd_msf();
  void begin_read(uint32_t lba, uint32_t count);
  void begin_read_cd(uint32_t lba, uint32_t count);
  /// Mode pages after `header_size` bytes of header. 0: refused, the sense is set.
  [[nodiscard]] size_t build_mode_pages(size_t header_size);
  [[nodiscard]] bool is_dvd() const;

  AtaIdentity identity_;
  BlockBackend* medium_ = nullptr;
  uint32_t blocks_ = 0;  // of the medium, open tray or not
  bool tray_open_ = false;
  bool locked_ = false;
  bool attention_ = false;  // the medium has changed
  uint8_t event_ = 0;       // for GET EVENT STATUS NOTIFICATION, media class
  AtaTransferModes modes_;
  Sense sense_{};

  uint8_t command_ = 0;
  Stage stage_ = Stage::Command;
  std::array<uint8_t, kPacketSize> packet_{};
  bool dma_ = false;
  uint16_t byte_limit_ = 0;

  // What is being sent: bytes done and still to come.
  Source source_ = Source::Reply;
  uint64_t done_ = 0;
  uint64_t remaining_ = 0;
  std::vector<uint8_t> reply_;
  uint32_t first_lba_ = 0;
  uint8_t raw_fields_ = 0;  // of each sector: READ CD's selection; 0: user data alone
  uint16_t sector_bytes_ = kCdUserData;
};

}  // namespace vitrine::devices
