// The virtio devices of the bench: each as a PCI function whose driver is random, with rings that are
// sometimes as they should be.
#pragma once

#include "fuzz/device_bench.h"

namespace vitrine::fuzz {

void make_virtio_block(DeviceBench& bench);
void make_virtio_console(DeviceBench& bench);
void make_virtio_entropy(DeviceBench& bench);
void make_virtio_balloon(DeviceBench& bench);

}  // namespace vitrine::fuzz
