// A wire from a device to whatever takes interrupts: an interrupt controller's input, a processor's pin.
#pragma once

namespace vitrine::devices {

/// Has numbered inputs. Told of levels, may be told the same level again.
class IrqSink {
 public:
  virtual ~IrqSink() = default;
  virtual void set_irq_line(unsigned line, bool level) = 0;
};

/// One wire. A device drives the level; the controller at the other end finds the edges. A line that leads
/// nowhere is legal.
class IrqLine {
 public:
  IrqLine() = default;
  IrqLine(IrqSink& sink, unsigned line) : sink_(&sink), line_(line) {}

  void set(bool level) const {
    if (sink_ != nullptr) sink_->set_irq_line(line_, level);
  }
  void raise() const { set(true); }
  void lower() const { set(false); }
  /// High, then low: one edge.
  void pulse() const {
    set(true);
    set(false);
  }

 private:
  IrqSink* sink_ = nullptr;
  unsigned line_ = 0;
};

}  // namespace vitrine::devices
