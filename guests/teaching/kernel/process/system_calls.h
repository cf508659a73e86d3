// System calls: one row a call in a table. common/abi.h has the numbers.
#pragma once

#include <stdint.h>

int system_call(uint32_t number, uint32_t a, uint32_t b, uint32_t c);
