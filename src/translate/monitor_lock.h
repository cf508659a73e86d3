// What virtual processors that run in parallel share: the right to do anything but execute translated code.
#pragma once

namespace vitrine::translate {

/// A processor's way to the one lock of the machine. See docs/smp.md.
class MonitorLock {
 public:
  virtual ~MonitorLock() = default;

  /// The calling thread, the processor's own, has left translated code, or comes from its fault.
  virtual void acquire() = 0;
  virtual void release() = 0;
  /// With the lock: no other processor executes translated code on return, nor until the lock is released.
  virtual void stop_others() = 0;
};

}  // namespace vitrine::translate
