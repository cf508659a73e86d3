// The first disk of the first IDE channel, by programmed I/O: the processor moves every word; an interrupt
// says when a sector is ready.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum IdeDirection { kIdeRead, kIdeWrite };

void ide_disk_init(void);
bool ide_disk_present(void);

// Moves one block of kBlockSize bytes. The calling process sleeps meanwhile.
void ide_disk_transfer(uint32_t sector, void* data, enum IdeDirection direction);
